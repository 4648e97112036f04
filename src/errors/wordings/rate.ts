import { busy, type WordingRule } from './wording.ts'

/** Rolling limits. A 429 that matches no wording is a rate limit by its status. */
// biome-ignore format: a rule is one line, its example the next
export const RATE_WORDINGS: readonly WordingRule[] = [
  { kind: 'rate_limit', when: { code: 'rate_limit_exceeded' },
    example: [503, '{"error":{"message":"Rate limit reached for gpt-4o on requests per min.","type":"requests","param":null,"code":"rate_limit_exceeded"}}'] },
  { kind: 'rate_limit', when: { code: 'rate_limit_error' },
    example: [200, `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's limit of 40,000 input tokens per minute."}}`] },
  { kind: 'rate_limit', when: { code: 'throttlingexception' },
    example: [400, '{"__type":"ThrottlingException","message":"Too many requests"}'] },
  // The older form of google.rpc, also sent under 403
  { kind: 'rate_limit', when: { code: 'ratelimitexceeded' },
    example: [403, '{"error":{"code":403,"message":"Rate Limit Exceeded","errors":[{"message":"Rate Limit Exceeded","domain":"usageLimits","reason":"rateLimitExceeded"}]}}'] },
  { kind: 'rate_limit', when: { status: ['none'], code: 'resource_exhausted' },
    example: [200, '{"error":{"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED"}}'] },
  { kind: 'rate_limit', when: { code: 'base_resp.1002' },
    example: [200, '{"base_resp":{"status_code":1002,"status_msg":"slow down"},"choices":null}'] },
  { kind: 'rate_limit', when: { code: 'base_resp.1039' },
    example: [200, '{"base_resp":{"status_code":1039,"status_msg":"tokens per minute"},"choices":null}'] },
  { kind: 'rate_limit', when: { status: busy, text: 'rate limit' },
    example: [500, '{"error":{"message":"Rate limit reached for default-global-with-image-limits on requests per min. Limit: 60.000000 / min. Current: 70.000000 / min.","type":"requests"}}'] },
  { kind: 'rate_limit', when: { status: ['none'], text: 'rate-limited' },
    example: [200, '{"error":{"message":"Provider returned error","metadata":{"raw":"z-ai/glm-5.3-flash is temporarily rate-limited upstream. Please retry shortly.","provider_name":"BaseTen"}}}'] },
  { kind: 'rate_limit', when: { text: 'please wait before trying again' },
    example: [400, '{"message":"Too many tokens, please wait before trying again."}'] },
  { kind: 'rate_limit', when: { status: ['4xx', '5xx', 'none'], notStatus: [401, 429], clause: [['rate limit', 'rate-limit', 'ratelimit', 'request rate', 'requests per minute', 'tokens per minute', 'too many requests', 'throttl', 'rpm', 'tpm', 'request frequency'], ['exceed', 'reach', 'hit', 'limited', 'too many', 'throttl', 'too quickly', 'too fast', 'too high', 'increased']], without: 'capacity' },
    example: [400, '{"error":{"message":"Upstream error from Alibaba: Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time.","code":400}}'] },
  // The customer's own provisioned capacity, not the provider's.
  { kind: 'rate_limit', when: { clause: [['your capacity'], ['exhaust', 'exceed', 'reach', 'used']] },
    example: [429, '{"error":{"code":429,"message":"You have exhausted your capacity on this model. Your quota will reset after 53s."}}'] },
]
