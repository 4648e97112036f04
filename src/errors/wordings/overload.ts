import type { StatusTest, WordingRule } from './wording.ts'

// 503 and 529 say it by themselves, and a 522 only guesses at what is behind it.
const strained: readonly StatusTest[] = [429, 500, 502, 503, 'none']

// Under these only the caller can change something.
const lasting: readonly StatusTest[] = [401, 402, 405, 407, 451]

const servers = ['model', 'server', 'service', 'endpoint', 'function', 'instance', 'worker', 'engine', 'deployment', 'upstream', 'provider', 'backend', 'replica', 'cluster', 'system', 'executor', 'gateway', 'capacity', '模型', '服务', '系统']
const permanent = ['region', 'country', 'your account', 'your plan', 'for free', 'paid', 'deprecated', 'decommission', 'retired', 'removed', 'permanent', 'no longer', 'not found', 'not exist', 'too large', 'not supported', 'parameter', 'balance', 'cold start time']

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
  // Zhipu: too many calls of this model by everybody
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
  { kind: 'overloaded', when: { notStatus: lasting, clause: [servers, ['degraded', 'loading', 'warming', 'cold', 'starting', 'scaling up', 'overloaded', 'busy', 'at capacity', 'over capacity', 'no capacity', 'not ready', 'maintenance', 'saturated', 'overwhelmed', 'high demand', 'high load', 'heavy load', 'temporarily', 'spinning up', 'booting', 'initializing', '访问量过大', '繁忙', '过载']], except: permanent },
    example: [400, `{"status":400,"title":"Bad Request","detail":"Function id '87ea0ddc-cff1-4bca-bf8b-3bd98a35ddd0': DEGRADED function cannot be invoked"}`] },
  { kind: 'overloaded', when: { notStatus: [...lasting, 403, 404, 410], clause: [servers, ['unavailable', 'is down', 'is offline', 'not running']], except: [...permanent, 'provider unavailable'] },
    example: [400, '{"error":{"message":"Upstream request failed: Model is unavailable.","type":null,"param":null,"code":null}}'] },
  { kind: 'overloaded', when: { notStatus: [...lasting, 429], clause: [['no '], ['healthy', 'available'], ['deployment', 'upstream', 'instance', 'worker', 'server', 'replica', 'executor', 'backend', 'node', 'accounts']], except: [...permanent, 'allowed', 'endpoints', 'matching', 'balance'] },
    example: [400, '{"error":{"message":"There are no healthy deployments for this model","type":"None","param":"None","code":"400"}}'] },
  { kind: 'overloaded', when: { notStatus: lasting, clause: [['worker', 'engine', 'queue', 'slot', 'executor', 'replica'], ['limit reached', 'full', 'exhausted', 'no slots']] },
    example: [200, '{"error":{"message":"Upstream error from Nvidia: ResourceExhausted: Worker local total request limit reached (33/32)","metadata":{"error_type":"provider_unavailable"}}}'] },
]
