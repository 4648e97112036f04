import type { StatusTest, WordingRule } from './wording.ts'

// 503 and 529 need no wording, and the text of a 522 is only a guess about the server behind the proxy.
const strained: readonly StatusTest[] = [429, 500, 502, 503, 'none']

// Statuses that need a change by the caller.
const lasting: readonly StatusTest[] = [401, 402, 405, 407, 451]

const servers = [
  'model',
  'server',
  'service',
  'endpoint',
  'function',
  'instance',
  'worker',
  'engine',
  'deployment',
  'upstream',
  'provider',
  'backend',
  'replica',
  'cluster',
  'system',
  'executor',
  'gateway',
  'capacity',
  '模型',
  '服务',
  '系统',
]
const permanent = [
  'region',
  'country',
  'your account',
  'your plan',
  'for free',
  'paid',
  'deprecated',
  'decommission',
  'retired',
  'removed',
  'permanent',
  'no longer',
  'not found',
  'not exist',
  'too large',
  'not supported',
  'parameter',
  'balance',
  'cold start time',
]

// biome-ignore format: a rule is one line, its example the next
export const OVERLOAD_WORDINGS: readonly WordingRule[] = [
  { kind: 'overloaded', when: { code: 'overloaded_error' },
    example: [200, '{"type":"error","error":{"type":"overloaded_error","message":"Try later"}}'] },
  { kind: 'overloaded', when: { code: 'provider_overloaded' },
    example: [200, '{"error":{"message":"Provider returned error","metadata":{"error_type":"provider_overloaded"}}}'] },
  { kind: 'overloaded', when: { code: 'insufficient_system_resource' },
    example: [200, '{"error":{"message":"The request was interrupted","code":"insufficient_system_resource"}}'] },
  { kind: 'overloaded', when: { code: 'modelnotreadyexception' },
    example: [429, '{"__type":"ModelNotReadyException","message":"The model is not ready for inference."}'] },
  { kind: 'overloaded', when: { status: ['none'], code: 'unavailable' },
    example: [200, '{"error":{"message":"The service is down for now.","status":"UNAVAILABLE"}}'] },
  { kind: 'overloaded', when: { status: strained, code: 'server_is_overloaded' },
    example: [500, '{"error":{"code":"server_is_overloaded","message":"Please try again later.","param":null,"type":"service_unavailable_error"}}'] },
  // Zhipu: too many calls of this model by all customers
  { kind: 'overloaded', when: { code: '1305' },
    example: [429, '{"error":{"code":"1305","message":"该模型当前访问量过大，请您稍后再试"}}'] },
  { kind: 'overloaded', when: { status: strained, text: 'overload' },
    example: [429, '{"error":{"message":"That model is currently overloaded with other requests. You can retry your request.","type":"server_error","param":null,"code":null}}'] },
  { kind: 'overloaded', when: { status: strained, text: 'high demand' },
    example: [429, '{"error":{"message":"The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load.","code":"429"}}'] },
  { kind: 'overloaded', when: { status: strained, text: 'capacity' },
    example: [429, '{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","param":null,"code":"3505"}'] },
  { kind: 'overloaded', when: { status: strained, text: 'busy' },
    example: [500, '{"error":"unexpected server status: llm busy - no slots available"}'] },
  { kind: 'overloaded', when: { status: strained, text: 'no healthy upstream' },
    example: [502, 'no healthy upstream'] },
  { kind: 'overloaded', when: { status: strained, text: 'loading model' },
    example: [500, '{"error":"unexpected server status: llm server loading model"}'] },
  { kind: 'overloaded', when: { status: strained, text: 'currently loading' },
    example: [200, '{"error":"Model x/y is currently loading","estimated_time":20.0}'] },
  { kind: 'overloaded', when: { status: strained, text: 'no more data centers' },
    example: [429, '{"errors":[{"message":"AiError: No more data centers to forward the request to","code":3040}],"success":false}'] },
  { kind: 'overloaded', when: { status: strained, text: '负载已饱和' },
    example: [429, '{"error":{"message":"当前分组上游负载已饱和，请稍后再试","type":"new_api_error","param":"","code":null}}'] },
  { kind: 'overloaded', when: { code: '1312' },
    example: [429, '{"error":{"code":"1312","message":"该模型当前访问量过大,请您稍后再试"}}'] },
  { kind: 'overloaded', when: { notStatus: lasting, clause: [servers, ['degraded', 'loading', 'being loaded', 'warming', 'cold', 'starting', 'restarting', 'shutting down', 'draining', 'scaling up', 'scaling from', 'overloaded', 'busy', 'at capacity', 'over capacity', 'no capacity', 'not ready', 'maintenance', 'saturated', 'overwhelmed', 'high demand', 'high load', 'heavy load', 'temporarily', 'spinning up', 'booting', 'initializing', '访问量过大', '繁忙', '过载']], except: permanent },
    example: [400, `{"status":400,"title":"Bad Request","detail":"Function id '87ea0ddc-cff1-4bca-bf8b-3bd98a35ddd0': DEGRADED function cannot be invoked"}`] },
  { kind: 'overloaded', when: { notStatus: [...lasting, 403, 404, 410], clause: [servers, ['unavailable', 'is down', 'is offline', 'not running']], except: [...permanent, 'provider unavailable'] },
    example: [400, '{"error":{"message":"Upstream request failed: Model is unavailable.","type":null,"param":null,"code":null}}'] },
  { kind: 'overloaded', when: { notStatus: [...lasting, 429], clause: [['no '], ['healthy', 'available', 'running', 'ready'], ['deployment', 'upstream', 'instance', 'worker', 'server', 'replica', 'executor', 'backend', 'node', 'accounts']], except: [...permanent, 'allowed', 'endpoints', 'matching', 'balance'] },
    example: [400, '{"error":{"message":"There are no healthy deployments for this model","type":"None","param":"None","code":"400"}}'] },
  { kind: 'overloaded', when: { notStatus: lasting, clause: [['no ', 'insufficient', 'not enough'], ['capacity', 'gpu', 'compute resource'], ['left', 'free', 'available', 'right now', 'at the moment', 'currently', 'at this time']], except: permanent },
    example: [400, '{"error":{"message":"No GPU capacity left in this zone at the moment"}}'] },
  { kind: 'overloaded', when: { notStatus: lasting, only: ['overloaded', 'service unavailable', 'service temporarily unavailable', 'temporarily unavailable', 'server busy', 'server is busy'] },
    example: [400, '{"error":{"message":"litellm.BadRequestError: AnthropicException - Overloaded"}}'] },
  { kind: 'overloaded', when: { notStatus: lasting, clause: [['worker', 'engine', 'queue', 'slot', 'executor', 'replica'], ['limit reached', 'full', 'exhausted', 'no slots']] },
    example: [200, '{"error":{"message":"Upstream error from Nvidia: ResourceExhausted: Worker local total request limit reached (33/32)","metadata":{"error_type":"provider_unavailable"}}}'] },
]

/**
 * A relay's own error name is weaker evidence than any words of the provider inside: LiteLLM has returned
 * `ContentPolicyViolationError` for an invalid schema.
 */
// biome-ignore format: a rule is one line, its example the next
export const RELAY_WORDINGS: readonly WordingRule[] = [
  { kind: 'invalid_request', when: { status: [400, 422], clause: [['invalid', 'unsupported', 'unknown', 'unrecognized', 'missing', 'malformed', 'must be', 'is required', 'not permitted'], ['schema', 'parameter', 'argument', 'field', 'propert', 'response_format', 'tool', 'role']], except: ['policy', 'safety'] },
    example: [400, `{"error":{"message":"litellm.ContentPolicyViolationError: OpenAIException - Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required to be supplied and to be false.","type":null,"param":null,"code":"400"}}`] },
  { kind: 'invalid_request', when: { status: ['5xx'], clause: [['invalid schema for', 'unsupported parameter', 'unrecognized request argument', 'unknown parameter', 'missing required parameter', 'unsupported value']] },
    example: [500, `{"error":{"message":"litellm.InternalServerError: OpenAIException - Invalid schema for response_format 'x': 'required' is required to be supplied"}}`] },
  { kind: 'content_filter', when: { text: 'contentpolicyviolationerror' },
    example: [400, '{"error":{"message":"litellm.ContentPolicyViolationError: the prompt was refused","type":null,"param":null,"code":"400"}}'] },
  { kind: 'context_length', when: { notStatus: [429], text: 'contextwindowexceedederror' },
    example: [400, '{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: it was too much.","type":null,"param":null,"code":"400"}}'] },
]

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
