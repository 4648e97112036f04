import { describe, expect, it } from 'vitest'
import { classify } from '../../../src/errors/classify.ts'

/** Sentences as providers write them, of no fixture: a class of words has to know the next one too. */
const sentences: readonly (readonly [status: number, body: unknown, kind: string])[] = [
  // passes and allowances
  [429, 'You have hit your weekly limit. It resets Monday.', 'quota_exhausted'],
  [429, 'Daily request limit reached for this API key', 'quota_exhausted'],
  [
    429,
    'Rate limit reached for gpt-5 on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.',
    'rate_limit',
  ],
  [429, 'Rate limit exceeded: limit_rpm/deepseek', 'rate_limit'],
  [
    429,
    'You exceeded your current quota, please check your plan and billing details. Please retry in 20s.',
    'rate_limit',
  ],
  [403, 'Project spend cap reached', 'quota_exhausted'],
  [402, 'Your budget for this month is exhausted', 'quota_exhausted'],
  [403, 'Maximum number of parallel requests exceeded', 'rate_limit'],
  [400, 'Too many concurrent requests', 'rate_limit'],
  [
    403,
    { error: { code: 'rate_limited', message: 'You have exceeded the rate limit' } },
    'rate_limit',
  ],
  [400, 'Rate limit exceeded', 'rate_limit'],
  // filters
  [400, 'Your request was blocked by our moderation system', 'content_filter'],
  [400, 'Prompt violates our usage policies', 'content_filter'],
  [400, 'messages.0.content: text content blocks must be non-empty', 'invalid_request'],
  [403, 'Your organization violated the data policy', 'permission'],
  // context
  [400, 'This request exceeds the maximum number of input tokens (8192)', 'context_length'],
  [400, 'prompt exceeds max length 4096', 'context_length'],
  [
    400,
    'max_tokens is too large: 200000. This model supports at most 16384 completion tokens',
    'invalid_request',
  ],
  [
    400,
    'max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens for this model',
    'invalid_request',
  ],
  [400, 'The context window of this model was exceeded', 'context_length'],
  [422, 'Input text is too long: 9000 tokens, maximum 8000', 'context_length'],
  [
    400,
    "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760",
    'invalid_request',
  ],
  [
    400,
    "Invalid 'tools': array too long. Expected an array with maximum length 128",
    'invalid_request',
  ],
  [429, 'Too many input tokens, please wait before trying again', 'rate_limit'],
  // server states
  [400, 'Model is starting up, please retry later', 'overloaded'],
  [404, 'Model x is currently warming up', 'overloaded'],
  [404, 'The model is loading', 'overloaded'],
  [424, 'No healthy backend available', 'overloaded'],
  [
    404,
    'This model is unavailable for free. The paid version is available now - use this slug instead: x',
    'not_found',
  ],
  [404, 'The model `x` does not exist', 'not_found'],
  [403, 'Service temporarily unavailable', 'overloaded'],
  [401, 'Service account not found', 'auth'],
  // upstream
  [403, 'Upstream error', 'server_error'],
  [
    404,
    {
      error: {
        message: 'Provider returned error',
        code: 404,
        metadata: { raw: 'ERROR', provider_name: 'X' },
      },
    },
    'server_error',
  ],
  [400, 'Upstream connection closed before response', 'server_error'],
  [400, 'Bad gateway', 'server_error'],
  // relays
  [
    400,
    'litellm.ContentPolicyViolationError: AzureException - Invalid schema for response_format',
    'invalid_request',
  ],
  [
    400,
    "litellm.ContentPolicyViolationError: AzureException - This model's maximum context length is 128000 tokens.",
    'context_length',
  ],
  [
    400,
    'litellm.BadRequestError: VertexAIException BadRequestError - {"error":{"code":429,"message":"Resource exhausted. Please try again later.","status":"RESOURCE_EXHAUSTED"}}',
    'rate_limit',
  ],
  [400, 'litellm.BadRequestError: OpenAIException - Rate limit reached for gpt-5', 'rate_limit'],
  [400, 'litellm.ContentPolicyViolationError: the prompt was refused', 'content_filter'],
  // echoes
  [
    400,
    'Invalid value for \'messages\': "Please tell me why my weekly usage limit was reached and the server is overloaded"',
    'invalid_request',
  ],
  [
    400,
    {
      error: {
        message:
          "Invalid role: {'role': 'x', 'content': 'The model is unavailable and the weekly limit is reached'}",
      },
    },
    'invalid_request',
  ],
  [400, 'Unknown parameter: service_tier', 'invalid_request'],
  [400, 'The tool `loading_server` is not valid', 'invalid_request'],
  [400, 'temperature must be at most 2', 'invalid_request'],
  [400, 'You must provide a model parameter', 'invalid_request'],
  [400, 'The system message must come first', 'invalid_request'],
  [400, 'reasoning_effort high is not supported with this model', 'invalid_request'],
  [401, 'Incorrect API key provided', 'auth'],
  [403, 'You do not have access to this model', 'permission'],
  [403, 'Request not allowed', 'permission'],
  [400, 'This model does not support image input', 'invalid_request'],
  [400, 'Image exceeds 5 MB maximum', 'invalid_request'],
  [400, 'Too many tools: 200, maximum is 128', 'invalid_request'],
]

function kindOf(status: number, body: unknown): string {
  const sent = typeof body === 'string' ? { error: { message: body } } : body
  return classify({ status }, { now: 0, status, body: JSON.stringify(sent) }).kind
}

describe('words that no fixture has', () => {
  it.each(sentences)('says of %i %j that it is %s', (status, body, kind) => {
    expect(kindOf(status, body)).toBe(kind)
  })
})

describe('the work behind a failure', () => {
  it.each([
    [403, 'Upstream request failed: [server_error] Upstream response was not valid JSON'],
    [404, 'Provider returned error'],
  ])('may have been done where the provider behind %i %j had begun', (status, message) => {
    const body = JSON.stringify({ error: { message } })
    const found = classify({ status }, { now: 0, status, body })
    expect(found).toMatchObject({ kind: 'server_error', retryable: true, executed: 'maybe' })
  })
})

// A quadratic reading of these takes minutes.
it('reads a body of quotes, brackets and marks to its cap', { timeout: 60_000 }, () => {
  for (const part of ['"', "'", '`', '. ', "'content': '", '(', 'limit ', '上']) {
    expect(kindOf(400, part.repeat(40_000))).toBe('invalid_request')
  }
})
