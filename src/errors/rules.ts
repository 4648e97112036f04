import type { FailureKind } from './failure-kinds.ts'

/** `'none'`: no status is known, or a 200 whose body is an error. */
export type StatusTest = number | '4xx' | '5xx' | 'none'

/** What a body must say; all that is given must hold. Everything is lower case. */
export interface Wording {
  /** One of these. */
  readonly status?: readonly StatusTest[]
  /** None of these. */
  readonly notStatus?: readonly StatusTest[]
  /** Equals one of the body's codes or types. */
  readonly code?: string
  /** Occur in its text, each of them. */
  readonly text?: string | readonly string[]
  /** Does not occur in its text. */
  readonly without?: string
  /** The number behind the second word is greater than the one behind the first. */
  readonly exceeds?: readonly [limit: string, requested: string]
}

/** One wording of a provider. */
export interface WordingRule {
  readonly kind: FailureKind
  readonly when: Wording
  /** Status and body as really sent (shortened): what this line must match before any other. */
  readonly example: readonly [status: number, body: string]
}

const throttled: Pick<Wording, 'notStatus' | 'without'> = {
  notStatus: [429],
  without: 'please wait',
}
const busy: readonly StatusTest[] = [429, '5xx', 'none']
const refused: readonly StatusTest[] = ['4xx', 'none']

/**
 * Providers' wordings, the first match wins: region, money, filter, context, size, credentials,
 * rate, overload, then breakdowns that only a body tells of. Within a subject the code stands
 * before the text. A wording that is not here falls to `STATUS_KINDS`.
 */
// biome-ignore format: a rule is one line, its example the next
export const WORDING_RULES: readonly WordingRule[] = [
  { kind: 'region_blocked', when: { code: 'unsupported_country_region_territory' },
    example: [403, '{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}'] },
  { kind: 'region_blocked', when: { text: 'country, region, or territory not supported' },
    example: [403, '{"detail":"Country, region, or territory not supported"}'] },
  { kind: 'region_blocked', when: { text: 'has banned the country or region your ip address is in' },
    example: [403, '<title>Access denied</title> The owner of this website has banned the country or region your IP address is in from accessing this website.'] },
  { kind: 'billing', when: { code: 'billing_not_active' },
    example: [429, '{"error":{"message":"Your account is not active, please check your billing details on our website.","type":"billing_not_active","param":null,"code":"billing_not_active"}}'] },
  { kind: 'billing', when: { text: 'your account is not active, please check your billing details' },
    example: [429, '{"detail":"Your account is not active, please check your billing details on our website."}'] },
  { kind: 'quota_exhausted', when: { code: 'insufficient_quota' },
    example: [429, '{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":null}}'] },
  // Another provider opens its per-minute limits with the same sentence, so the link decides.
  { kind: 'quota_exhausted', when: { text: ['you exceeded your current quota', 'platform.openai.com'] },
    example: [429, '{"detail":"You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."}'] },
  { kind: 'quota_exhausted', when: { code: 'billing_hard_limit_reached' },
    example: [400, '{"error":{"code":"billing_hard_limit_reached","message":"Billing hard limit has been reached","param":null,"type":"invalid_request_error"}}'] },
  { kind: 'quota_exhausted', when: { text: 'billing hard limit has been reached' },
    example: [400, '{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error"}}'] },
  { kind: 'quota_exhausted', when: { text: 'out of call volume quota' },
    example: [403, '{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 22.14:18:12."}'] },
  { kind: 'content_filter', when: { code: 'content_filter' },
    example: [400, '{"error":{"message":"The response was filtered.","type":null,"param":"prompt","code":"content_filter","status":400}}'] },
  { kind: 'content_filter', when: { code: 'responsibleaipolicyviolation' },
    example: [400, '{"error":{"message":"Filtered","code":"400","innererror":{"code":"ResponsibleAIPolicyViolation"}}}'] },
  { kind: 'content_filter', when: { text: 'content management policy' },
    example: [400, `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.","code":"400"}}`] },
  { kind: 'content_filter', when: { code: 'content_policy_violation' },
    example: [400, '{"error":{"code":"content_policy_violation","message":"Your request was rejected as a result of our safety system.","param":null,"type":"invalid_request_error"}}'] },
  { kind: 'content_filter', when: { code: 'invalid_prompt' },
    example: [400, '{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}'] },
  { kind: 'content_filter', when: { text: 'flagged as potentially violating our usage policy' },
    example: [400, '{"detail":"Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with a different prompt"}'] },
  { kind: 'content_filter', when: { text: 'rejected as a result of our safety system' },
    example: [400, '{"error":{"message":"Your request was rejected as a result of our safety system.","type":"invalid_request_error"}}'] },
  { kind: 'context_length', when: { ...throttled, code: 'context_length_exceeded' },
    example: [400, '{"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"Your input is too long.","param":"input"}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'maximum context length' },
    example: [400, `{"object":"error","message":"This model's maximum context length is 131072 tokens. However, you requested 156632 tokens (152536 in the messages, 4096 in the completion).","type":"BadRequestError","param":null,"code":400}`] },
  { kind: 'context_length', when: { ...throttled, text: 'exceeds the context window' },
    example: [400, '{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again."}}'] },
  { kind: 'request_too_large', when: { status: [413, 429, 'none'], text: 'request too large' },
    example: [429, '{"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 31538. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}'] },
  // No wait can help a request that alone exceeds the limit, whatever the hint says.
  { kind: 'request_too_large', when: { status: [413, 429, 'none'], exceeds: ['limit', 'requested'] },
    example: [429, '{"error":{"message":"Rate limit reached for model on tokens per minute (TPM): Limit 7000, Used 0, Requested 12903. Please try again in 50.6s.","type":"tokens","code":"rate_limit_exceeded"}}'] },
  // Azure's answer to one request above the deployment's tokens per minute.
  { kind: 'request_too_large', when: { status: [429, 'none'], text: ['token rate limit', 'retry after 86400 seconds'] },
    example: [429, '{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-08-01-preview have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 86400 seconds."}}'] },
  { kind: 'auth', when: { status: refused, code: 'invalid_api_key' },
    example: [401, '{"error":{"message":"Incorrect API key provided: sk-x.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}'] },
  { kind: 'auth', when: { status: refused, code: 'account_deactivated' },
    example: [403, '{"error":{"message":"The OpenAI account associated with this API key has been deactivated.","type":"invalid_request_error","param":null,"code":"account_deactivated"}}'] },
  { kind: 'auth', when: { status: refused, text: 'incorrect api key provided' },
    example: [400, '{"error":{"message":"Incorrect API key provided: sk-x. You can find your API key at https://platform.openai.com/account/api-keys."}}'] },
  { kind: 'permission', when: { status: refused, code: 'permissiondenied' },
    example: [401, '{"error":{"code":"PermissionDenied","message":"Principal does not have access to API/Operation."}}'] },
  { kind: 'permission', when: { status: refused, text: 'lacks the required data action' },
    example: [401, '{"error":{"code":"401","message":"The principal `x` lacks the required data action `Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action`"}}'] },
  { kind: 'permission', when: { status: refused, text: 'missing scopes' },
    example: [401, '{"error":"You have insufficient permissions for this operation. Missing scopes: api.model.read."}'] },
  { kind: 'permission', when: { status: refused, text: 'your organization must be verified' },
    example: [400, '{"error":{"message":"Your organization must be verified to stream this model.","type":"invalid_request_error","param":"stream","code":"unsupported_value"}}'] },
  { kind: 'permission', when: { status: refused, text: 'does not have access to model' },
    example: [404, '{"error":{"message":"Project `proj_x` does not have access to model `gpt-4o-mini`","type":"invalid_request_error","param":null,"code":"model_not_found"}}'] },
  { kind: 'not_found', when: { status: refused, code: 'model_not_found' },
    example: [400, '{"error":{"message":"The model `gpt-5` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}'] },
  { kind: 'not_found', when: { status: refused, code: 'deploymentnotfound' },
    example: [400, '{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}'] },
  { kind: 'rate_limit', when: { code: 'rate_limit_exceeded' },
    example: [503, '{"error":{"message":"Rate limit reached for gpt-4o on requests per min.","type":"requests","param":null,"code":"rate_limit_exceeded"}}'] },
  { kind: 'rate_limit', when: { status: busy, text: 'rate limit reached' },
    example: [500, '{"error":{"message":"Rate limit reached for default-global-with-image-limits on requests per min. Limit: 60.000000 / min. Current: 70.000000 / min.","type":"requests"}}'] },
  { kind: 'rate_limit', when: { status: busy, text: 'rate limit is exceeded' },
    example: [500, '{"statusCode":500,"error":"Internal Server Error","message":"429 Rate limit is exceeded. Try again in 11 seconds."}'] },
  { kind: 'rate_limit', when: { status: busy, text: ['have exceeded', 'rate limit'] },
    example: [503, '{"error":{"message":"Your requests to gpt-4.1-nano for gpt-4.1-nano in Sweden Central have exceeded the token rate limit for your current AIServices S0 pricing tier. Please retry after 45 seconds."}}'] },
  { kind: 'overloaded', when: { status: busy, code: 'server_is_overloaded' },
    example: [500, '{"error":{"code":"server_is_overloaded","message":"Please try again later.","param":null,"type":"service_unavailable_error"}}'] },
  { kind: 'overloaded', when: { status: busy, text: 'currently overloaded' },
    example: [429, '{"error":{"message":"That model is currently overloaded with other requests. You can retry your request.","type":"server_error","param":null,"code":null}}'] },
  { kind: 'overloaded', when: { status: busy, text: 'is overloaded or not ready yet' },
    example: [500, '{"error":{"message":"The server is overloaded or not ready yet.","type":"server_error"}}'] },
  { kind: 'overloaded', when: { status: busy, text: 'experiencing high demand' },
    example: [429, '{"error":{"message":"The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load.","code":"429"}}'] },
  { kind: 'overloaded', when: { status: busy, text: 'no healthy upstream' },
    example: [502, 'no healthy upstream'] },
  { kind: 'server_error', when: { status: ['none'], code: 'server_error' },
    example: [200, '{"error":{"type":"server_error","code":"server_error","message":"An error occurred while processing your request.","param":null}}'] },
  { kind: 'server_error', when: { status: ['none'], text: 'internal server error' },
    example: [200, '{"error":{"message":"Internal Server Error"}}'] },
  { kind: 'server_error', when: { status: ['none'], text: 'bad gateway' },
    example: [200, '<html><head><title>502 Bad Gateway</title></head></html>'] },
]

/**
 * What a status means when the body says nothing more: RFC 9110 §15, RFC 6585 (429), RFC 7725 (451),
 * RFC 8470 (425), Cloudflare's 520–524, and the unregistered 498 and 529 of LLM providers.
 */
export const STATUS_KINDS: Readonly<Record<number, FailureKind>> = {
  401: 'auth',
  402: 'billing',
  403: 'permission',
  404: 'not_found',
  407: 'auth',
  408: 'timeout',
  409: 'conflict',
  410: 'not_found',
  413: 'request_too_large',
  425: 'overloaded',
  429: 'rate_limit',
  451: 'region_blocked',
  498: 'overloaded',
  501: 'invalid_request',
  503: 'overloaded',
  505: 'invalid_request',
  529: 'overloaded',
}
