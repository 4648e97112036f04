import { busy, type WordingRule } from './wording.ts'

// Classes of words: a limit or allowance, its period, and its exhaustion.
const limits = [
  'limit',
  'quota',
  'allowance',
  'threshold',
  'cap ',
  'allocat',
  'usage',
  '限额',
  '上限',
  '额度',
]
const periods = [
  'daily',
  'weekly',
  'monthly',
  'yearly',
  'per day',
  'per week',
  'per month',
  'a day',
  'a week',
  'a month',
  'today',
  'this week',
  'this month',
  'billing cycle',
  'billing period',
  'tpd',
  'rpd',
  '-hour',
  'hour allocated',
  'day allocated',
  'week allocated',
  'month allocated',
  '5 hour',
  '5h',
  'five hour',
  '今日',
  '每日',
  '每天',
  '每周',
  '每月',
  '小时',
]
const spent = [
  'reach',
  'exceed',
  'exhaust',
  'used',
  'hit',
  'crossed',
  'consumed',
  'spent',
  'limited',
  'over ',
  'ran out',
  'out of',
  'depleted',
  '已达',
  '已用',
  '超出',
  '达到',
]
const perMinute = [
  'per minute',
  'per second',
  'per min',
  '/min',
  'tpm',
  'rpm',
  'concurren',
  'rate limit',
  'error-code#token-limit',
]

const AN_HOUR_MS = 60 * 60 * 1000

/** Limits on simultaneous requests. They clear as requests finish, whatever status and type say. */
// biome-ignore format: a rule is one line, its example the next
export const CONCURRENCY_WORDINGS: readonly WordingRule[] = [
  { kind: 'rate_limit', when: { clause: [['concurren', 'parallel', 'simultaneous', 'at the same time', 'in-flight', 'in flight', 'active request', 'open connection', 'active session', '并发'], ['limit', 'too many', 'exceed', 'reach', 'max', 'high', 'threshold', 'quota', 'exhaust', 'already', 'in use', '过高', '超']], except: ['tool', 'must be', 'parameter', 'credit', 'budget'] },
    example: [403, `{"error":{"message":"You've reached your concurrent request limit. Please wait for your ongoing requests to finish and try again.","type":"permission_error"},"type":"error"}`] },
]

/** Bills and allowances recognised by classes of words, after the wordings of single providers. */
// biome-ignore format: a rule is one line, its example the next
export const ALLOWANCE_WORDINGS: readonly WordingRule[] = [
  { kind: 'billing', when: { clause: [['insufficient', 'not enough', 'too low', 'depleted', 'run out', 'ran out', 'out of', 'used up', 'negative', 'exhausted', 'no remaining', 'is empty'], ['credit', 'balance', 'fund', 'points', 'prepaid', 'extra usage', 'money']], except: ['load balanc'] },
    example: [400, `{"type":"error","error":{"type":"invalid_request_error","message":"You're out of extra usage. Add more at claude.ai/settings/usage and keep going."}}`] },
  { kind: 'billing', when: { clause: [['extra usage'], ['is needed', 'required', 'draw', 'enabled', 'disabled', 'turned o']] },
    example: [429, '{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is needed for this model."}}'] },
  { kind: 'billing', when: { clause: [['credit card', 'payment method', 'card on file', 'payment information'], ['requir', 'missing', 'no ', 'without', 'valid', 'declin', 'fail', 'expired']], except: ['number', 'detect', 'contain'] },
    example: [403, '{"error":{"message":"AI Gateway requires a valid credit card on file to service requests.","type":"internal_server_error"}}'] },
  { kind: 'billing', when: { clause: [['subscription', 'plan', 'trial', '套餐'], ['expired', 'has ended', 'inactive', 'lapsed', 'past due', 'unpaid', 'cancelled', '到期']] },
    example: [429, '{"error":{"code":"1309","message":"您的 GLM Coding Plan 套餐已到期,暂无法使用,前往官方续订后即可恢复"}}'] },
  // A relay's own 5xx around the upstream provider's refusal.
  { kind: 'billing', when: { status: ['5xx', '4xx', 'none'], clause: [['payment required', 'payment is required']] },
    example: [502, '{"error":{"message":"Provider error (Kimi K2.6 (HF)): HuggingFace Router API error 402: Payment Required","type":"provider_error"}}'] },

  { kind: 'quota_exhausted', when: { code: '1304' },
    example: [429, '{"error":{"code":"1304","message":"no more calls"}}'] },
  { kind: 'quota_exhausted', when: { code: '1310' },
    example: [429, '{"error":{"code":"1310","message":"come back later"}}'] },
  { kind: 'quota_exhausted', when: { code: 'monthly_request_count' },
    example: [402, '{"message":"You have reached the limit.","reason":"MONTHLY_REQUEST_COUNT"}'] },
  // A rolling daily limit names a wait of minutes.
  { kind: 'quota_exhausted', when: { clause: [limits, periods, spent], without: 'try again in' },
    example: [429, '{"error":{"code":"429","message":"Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-03-06 22:19:54"}}'] },
  { kind: 'quota_exhausted', when: { clause: [['too many', 'exceed', 'limit'], ['tokens per day', 'requests per day', 'tokens per month', 'requests per month']], without: 'try again in' },
    example: [429, '{"message":"Too many tokens per day. Please try again tomorrow."}'] },
  { kind: 'quota_exhausted', when: { clause: [['spend', 'spent', 'budget', 'cost'], ['limit', 'cap ', 'threshold', 'budget'], spent], except: ['thinking', 'reasoning', 'token', 'context', 'max_'] },
    example: [429, '{"error":{"message":"Denied.","type":null,"param":null,"code":"organization_spend_limit_exceeded"}}'] },
  { kind: 'quota_exhausted', when: { clause: [['free'], ['usage', 'quota', 'allocat'], [...spent, 'limit']], except: [...perMinute, 'access to'] },
    example: [429, '{"type":"error","error":{"type":"FreeUsageLimitError","message":"Rate limit exceeded. Please try again later."}}'] },
  // Under 429 these words also occur in per-minute limits.
  { kind: 'quota_exhausted', when: { status: ['4xx', 'none'], notStatus: [429, 413], clause: [['quota', 'quote', 'allowance', 'allocation', 'usage limit'], [...spent, 'insufficient', 'no ']], except: perMinute },
    example: [400, '{"message":"Your request exceeds the service quota for your account."}'] },
  { kind: 'quota_exhausted', when: { clause: [['subscription', 'account', 'plan'], ['quota', 'allowance', 'usage'], spent], except: [...perMinute, 'fair us', 'frequency'], without: 'current quota' },
    example: [429, '{"error":{"message":"The usage of your plan is exhausted."}}'] },
]

/** A limit that reopens only after hours is not a rolling one. Comes after kinds that no wait can help. */
// biome-ignore format: a rule is one line, its example the next
export const FAR_WORDINGS: readonly WordingRule[] = [
  { kind: 'quota_exhausted', when: { status: ['4xx', 'none'], waitsAtLeastMs: AN_HOUR_MS, clause: [['limit', 'quota', 'capacity', 'usage', 'throttl', 'too many']] },
    example: [429, `{"error":{"message":"Sorry, you've hit a rate limit that restricts the number of Copilot model requests you can make within a specific time period. Please try again in 58 hours.","code":"rate_limited"}}`] },
]

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
