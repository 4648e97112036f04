import {
  badRequest,
  contentFilter,
  contextLength,
  cutStreamBeforeContent,
  emptyChoices,
  errorBodyUnder200,
  type Fault,
  hangs,
  htmlError,
  httpError,
  insufficientQuota,
  invalidApiKey,
  openaiError,
  overloaded,
  overloaded529,
  rateLimited,
  refusal,
  resetBeforeResponse,
  resetInBody,
  serverError,
  shouldRetry,
  slowFirstByte,
  stalledStream,
  streamErrorEvent,
  truncatedBody,
  truncatedJson,
} from '../../src/testing/index.ts'

/** A first request that fails once; every later one is answered well. */
export interface FaultScript {
  readonly name: string
  readonly fault: Fault
  /**
   * `recover`: it passes, one more request brings the answer. `stop`: it does not pass by itself, so that
   * another request is a wrong one, however it would end here.
   */
  readonly expected: 'recover' | 'stop'
  readonly kind?: 'plain' | 'structured' | 'stream'
  /** The provider asked for so many milliseconds. */
  readonly hintMs?: number
}

const error = (status: number, message: string, type: string, code: string | null = null) =>
  httpError(status, openaiError(message, type, code))

const TRANSIENT: readonly Omit<FaultScript, 'expected'>[] = [
  { name: '429, no hint', fault: rateLimited() },
  { name: '429, retry-after: 1', fault: rateLimited({ retryAfterMs: 1_000 }), hintMs: 1_000 },
  { name: '429, retry-after: 3', fault: rateLimited({ retryAfterMs: 3_000 }), hintMs: 3_000 },
  { name: '429, retry-after-ms: 1300', fault: rateLimited({ retryAfterMs: 1_300 }), hintMs: 1_300 },
  {
    name: '429, retry-after as a date',
    fault: rateLimited({ retryAfterMs: 3_000, header: 'retry-after-date' }),
    // Whole seconds: the date may lie up to one second nearer.
    hintMs: 2_000,
  },
  {
    name: '429, x-ratelimit-reset: 2s',
    fault: rateLimited({ retryAfterMs: 2_000, header: 'x-ratelimit-reset' }),
    hintMs: 2_000,
  },
  {
    name: '429, retry_after in the body',
    fault: rateLimited({ retryAfterMs: 2_000, field: 'retry_after' }),
    hintMs: 2_000,
  },
  {
    name: '429, RetryInfo in the body',
    fault: rateLimited({ retryAfterMs: 2_000, field: 'retryDelay' }),
    hintMs: 2_000,
  },
  { name: '500', fault: serverError(500) },
  { name: '502, HTML of a proxy', fault: htmlError(502) },
  { name: '503, overloaded', fault: overloaded() },
  { name: '504', fault: serverError(504) },
  { name: '520, HTML', fault: htmlError(520) },
  { name: '529, overloaded', fault: overloaded529() },
  { name: '408', fault: error(408, 'Request timed out.', 'timeout') },
  { name: '409', fault: error(409, 'The resource is locked by another request.', 'conflict') },
  { name: 'reset before the answer', fault: resetBeforeResponse() },
  { name: 'reset in the body', fault: resetInBody() },
  { name: 'body cut short', fault: truncatedBody() },
  { name: 'no answer at all', fault: hangs() },
  { name: 'head, then no body', fault: slowFirstByte(30_000) },
  { name: '200 with an error body', fault: errorBodyUnder200() },
  { name: '200 without choices', fault: emptyChoices() },
  { name: 'stream: cut before its text', fault: cutStreamBeforeContent(), kind: 'stream' },
  {
    name: 'stream: silent from the start',
    fault: stalledStream({ afterChunks: 0 }),
    kind: 'stream',
  },
  {
    name: 'stream: error before its text',
    fault: streamErrorEvent({ afterChunks: 0 }),
    kind: 'stream',
  },
  { name: 'stream: 503', fault: overloaded(), kind: 'stream' },
]

const PERMANENT: readonly Omit<FaultScript, 'expected'>[] = [
  { name: 'quota spent', fault: insufficientQuota() },
  {
    name: 'no credit (402)',
    fault: error(402, 'Insufficient Balance', 'unknown_error', 'invalid_request_error'),
  },
  { name: 'wrong key (401)', fault: invalidApiKey() },
  {
    name: 'not allowed (403)',
    fault: error(403, 'You are not allowed to sample from this model', 'invalid_request_error'),
  },
  {
    name: 'no such model (404)',
    fault: error(
      404,
      'The model `gpt-bench` does not exist',
      'invalid_request_error',
      'model_not_found',
    ),
  },
  { name: 'bad request (400)', fault: badRequest() },
  {
    name: 'not processable (422)',
    fault: error(422, 'Input should be a valid string', 'invalid_request_error'),
  },
  { name: 'too large (413)', fault: error(413, 'Request too large', 'invalid_request_error') },
  { name: 'context too long', fault: contextLength() },
  { name: '500, x-should-retry: false', fault: shouldRetry(false, serverError(500)) },
  { name: '429, retry-after: 120', fault: rateLimited({ retryAfterMs: 120_000 }), hintMs: 120_000 },
  { name: 'structured: refusal', fault: refusal(), kind: 'structured' },
  { name: 'structured: content filter', fault: contentFilter(), kind: 'structured' },
  { name: 'structured: cut by the limit', fault: truncatedJson(), kind: 'structured' },
]

export const FAULT_SCRIPTS: readonly FaultScript[] = [
  ...TRANSIENT.map((script) => ({ ...script, expected: 'recover' as const })),
  ...PERMANENT.map((script) => ({ ...script, expected: 'stop' as const })),
]
