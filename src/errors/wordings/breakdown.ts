import type { StatusTest, WordingRule } from './wording.ts'

const none: readonly StatusTest[] = ['none']

/**
 * Failures that usually come with a 5xx, reported without one: in a 200, in a stream, or under another
 * status chosen by a router.
 */
// biome-ignore format: a rule is one line, its example the next
export const BREAKDOWN_WORDINGS: readonly WordingRule[] = [
  { kind: 'timeout', when: { code: 'timeout' },
    example: [502, '{"error":{"message":"Provider returned error","metadata":{"error_type":"timeout"}}}'] },
  { kind: 'timeout', when: { code: 'timeout_error' },
    example: [504, '{"type":"error","error":{"type":"timeout_error","message":"The request took too long."}}'] },
  { kind: 'timeout', when: { code: 'base_resp.1001' },
    example: [200, '{"base_resp":{"status_code":1001,"status_msg":"too slow"},"choices":null}'] },
  { kind: 'timeout', when: { status: none, text: 'timeout' },
    example: [200, '{"error":{"message":"Upstream idle timeout exceeded"}}'] },
  { kind: 'timeout', when: { status: none, text: 'timed out' },
    example: [200, '{"error":{"message":"Request timed out"}}'] },
  { kind: 'server_error', when: { status: none, code: 'server_error' },
    example: [200, '{"error":{"type":"server_error","code":"server_error","message":"An error occurred while processing your request.","param":null}}'] },
  { kind: 'server_error', when: { status: none, code: 'api_error' },
    example: [200, '{"type":"error","error":{"type":"api_error","message":"An unexpected error has occurred"}}'] },
  { kind: 'server_error', when: { code: 'provider_unavailable' },
    example: [403, '{"error":{"message":"Provider returned error","code":403,"metadata":{"error_type":"provider_unavailable"}}}'] },
  { kind: 'server_error', when: { status: none, code: 'internal' },
    example: [200, '{"error":{"message":"An error has occurred.","status":"INTERNAL"}}'] },
  { kind: 'server_error', when: { code: 'base_resp.1000' },
    example: [200, '{"base_resp":{"status_code":1000,"status_msg":"unknown error"},"choices":null}'] },
  { kind: 'server_error', when: { code: 'base_resp.1013' },
    example: [200, '{"base_resp":{"status_code":1013,"status_msg":"unknown error"},"choices":null}'] },
  { kind: 'server_error', when: { code: 'base_resp.1024' },
    example: [200, '{"base_resp":{"status_code":1024,"status_msg":"internal error"},"choices":null}'] },
  // LM Studio answers 400 when the model's process has crashed.
  { kind: 'server_error', when: { text: 'the model has crashed' },
    example: [400, '{"error":"The model has crashed without additional information. (Exit code: null)"}'] },
  { kind: 'server_error', when: { status: none, text: 'internal server error' },
    example: [200, '{"error":{"message":"Internal Server Error"}}'] },
  { kind: 'server_error', when: { status: none, text: 'bad gateway' },
    example: [200, '<html><head><title>502 Bad Gateway</title></head></html>'] },
  { kind: 'server_error', when: { status: none, text: 'upstream error' },
    example: [200, '{"error":{"message":"Upstream error from Nvidia: stream closed"}}'] },
  // MiniMax: invalid parameters
  { kind: 'invalid_request', when: { code: 'base_resp.2013' },
    example: [200, '{"base_resp":{"status_code":2013,"status_msg":"invalid params"},"choices":null}'] },
  // A chat template that fails on these messages will fail on them again.
  { kind: 'invalid_request', when: { status: ['5xx', 'none'], clause: [['jinja', 'chat template', 'at row'], ['exception', 'error', 'column', 'fail']] },
    example: [500, '{"error":{"code":500,"message":"Value is not callable: null at row 49, column 79:","type":"server_error"}}'] },
  // A relay reports an upstream failure under the status of a refusal, with or without its words.
  { kind: 'timeout', when: { status: ['4xx'], notStatus: [402, 429], clause: [['upstream', 'provider', 'backend', 'origin'], ['timed out', 'timeout', 'time out', 'in time']], except: ['must be', 'parameter', 'invalid'] },
    example: [403, '{"error":{"message":"Upstream service failed to respond in time"}}'] },
  { kind: 'server_error', when: { status: ['4xx'], notStatus: [429], code: 'server_error' },
    example: [403, '{"error":{"message":"Upstream request failed: [server_error] Upstream response was not valid JSON","type":"server_error","code":null}}'] },
  { kind: 'server_error', when: { status: ['4xx'], notStatus: [429], code: 'internal_server_error' },
    example: [400, '{"error":{"message":"Something went wrong","type":"internal_server_error"}}'] },
  { kind: 'server_error', when: { status: ['4xx', 'none'], notStatus: [429], clause: [['upstream', 'provider', 'backend', 'origin'], ['not valid json', 'invalid json', 'instead of json', 'html', 'not respond', 'failed to respond', 'communicat', 'socket hang up', 'econn', 'fetch failed', 'failed to fetch', 'invalid response', 'no response', 'empty response', 'bad response', 'disconnect', 'unreachable', 'could not connect', 'connection', 'closed', 'internal', '[server_error]', 'reset', 'crashed']], except: ['must be', 'blocked', 'paused', 'unknown field', 'supported', 'parameter'] },
    example: [403, '{"type":"error","error":{"type":"ModelError","message":"Upstream request failed: [server_error] Upstream response was not valid JSON"}}'] },
  { kind: 'server_error', when: { status: ['4xx'], notStatus: [402, 429], clause: [['returned', 'status', 'code', 'responded with', 'http'], ['500', '502', '503', '504', '520', '522', '524'], ['upstream', 'provider', 'backend', 'origin', 'error code:']], except: ['token', 'parameter', 'must be', 'max', 'limit'] },
    example: [422, '{"error":{"message":"Upstream returned 503"}}'] },
  { kind: 'server_error', when: { status: ['4xx'], notStatus: [429], text: ['provider returned error', 'internal server error'] },
    example: [404, '{"error":{"message":"Provider returned error","metadata":{"raw":"Internal Server Error","provider_name":"X"}}}'] },
  { kind: 'server_error', when: { status: ['4xx', 'none'], notStatus: [429], clause: [['temporary', 'transient', 'intermittent'], ['error', 'failure', 'problem', 'issue']] },
    example: [400, '{"error":{"message":"Temporary routing error (400)."}}'] },
  { kind: 'server_error', when: { status: ['4xx', 'none'], notStatus: [429], only: ['error from provider', 'upstream request failed', 'upstream error', 'upstream failed', 'bad gateway', 'internal server error'] },
    example: [400, '{"error":{"message":"Error from provider (Console Go): Upstream request failed","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}'] },
  // Under 400 the text is the provider's verdict on the request.
  { kind: 'server_error', when: { status: ['4xx', 'none'], notStatus: [400, 402, 413, 422, 429], only: ['provider returned error', 'provider returned an error', 'provider error'] },
    example: [404, '{"error":{"message":"Provider returned error","code":404,"metadata":{"raw":"","provider_name":"Nvidia","is_byok":false}}}'] },
]
