import { readDecimal, readReset } from './hint-grammar.ts'
import { readHeader } from './hostile.ts'

/** One rate limit of a provider, as reported in response headers. */
export interface Allowance {
  readonly of: 'requests' | 'tokens'
  /** Absent if not reported. */
  readonly limit?: number
  /** What is left after this request. */
  readonly remaining: number
  /** Milliseconds until the limit is fully available again. Absent if not reported. */
  readonly resetMs?: number
  /** `continuous`: refills steadily. `window`: refills all at once at the reset. */
  readonly refill: 'continuous' | 'window'
}

/** The header names of one limit. */
export interface LimitHeaders {
  readonly of: Allowance['of']
  readonly limit: string
  readonly remaining: string
  readonly reset: string
  readonly refill: Allowance['refill']
  /** Read only if nothing is left: for daily limits, and limits on something we do not count. */
  readonly onlyEmpty?: boolean
}

/** Headers that are sent together. A provider uses exactly one scheme. */
export type HeaderScheme = readonly LimitHeaders[]

type Names = Pick<LimitHeaders, 'limit' | 'remaining' | 'reset'>

const dashed = (of: string): Names => ({
  limit: `x-ratelimit-limit-${of}`,
  remaining: `x-ratelimit-remaining-${of}`,
  reset: `x-ratelimit-reset-${of}`,
})
const anthropic = (of: string): Names => ({
  limit: `anthropic-ratelimit-${of}-limit`,
  remaining: `anthropic-ratelimit-${of}-remaining`,
  reset: `anthropic-ratelimit-${of}-reset`,
})

/** Header schemes by provider, as of 2026-11. Gemini, DeepSeek, Bedrock, Vertex and vLLM send no such headers. */
export const HEADER_SCHEMES: readonly HeaderScheme[] = [
  // OpenAI, Groq, Fireworks (`6m0s`, `12ms`: time until full), Azure (whole seconds). Groq's request limit
  // is a daily one, as its resets show.
  [
    { of: 'requests', refill: 'continuous', ...dashed('requests') },
    { of: 'tokens', refill: 'continuous', ...dashed('tokens') },
  ],
  // Cerebras (decimal seconds), Mistral (sends no reset)
  [
    { of: 'tokens', refill: 'continuous', ...dashed('tokens-minute') },
    { of: 'requests', refill: 'continuous', ...dashed('requests-minute') },
    { of: 'requests', refill: 'continuous', ...dashed('req-minute') },
    { of: 'requests', refill: 'window', onlyEmpty: true, ...dashed('requests-day') },
  ],
  // Anthropic (RFC 3339 time at which the limit is full again). Output tokens are counted while they are
  // generated, and `tokens` reports the tighter of the two token limits.
  [
    { of: 'requests', refill: 'continuous', ...anthropic('requests') },
    { of: 'tokens', refill: 'continuous', ...anthropic('input-tokens') },
    { of: 'tokens', refill: 'continuous', onlyEmpty: true, ...anthropic('tokens') },
    { of: 'tokens', refill: 'continuous', onlyEmpty: true, ...anthropic('output-tokens') },
  ],
  // OpenRouter (epoch milliseconds), GitHub (epoch seconds), Together (seconds; limits per second)
  [
    {
      of: 'requests',
      refill: 'window',
      limit: 'x-ratelimit-limit',
      remaining: 'x-ratelimit-remaining',
      reset: 'x-ratelimit-reset',
    },
    {
      of: 'tokens',
      refill: 'window',
      limit: 'x-tokenlimit-limit',
      remaining: 'x-tokenlimit-remaining',
      reset: 'x-ratelimit-reset',
    },
  ],
  // Mistral's older headers (seconds)
  [
    {
      of: 'tokens',
      refill: 'window',
      limit: 'x-ratelimitbysize-limit-minute',
      remaining: 'x-ratelimitbysize-remaining-minute',
      reset: 'ratelimitbysize-reset',
    },
  ],
  // draft-ietf-httpapi-ratelimit-headers-07, Hugging Face and gateways (seconds)
  [
    {
      of: 'requests',
      refill: 'window',
      limit: 'ratelimit-limit',
      remaining: 'ratelimit-remaining',
      reset: 'ratelimit-reset',
    },
  ],
]

/** A count in a header; undefined if it does not match the grammar. */
export function readCount(headers: unknown, name: string): number | undefined {
  const text = readHeader(headers, name)
  // Older drafts send `100, 100;w=60`, where the first number is the limit.
  const value = readDecimal(text) ?? readDecimal(text?.split(/[,;]/, 1)[0]?.trim())
  return value === undefined || value > Number.MAX_SAFE_INTEGER ? undefined : value
}

/** Reads one limit from the headers. `from` is the provider's clock, milliseconds since the epoch. */
export function readAllowance(
  { of, refill, limit: limitName, reset: resetName }: LimitHeaders,
  remaining: number,
  headers: unknown,
  from: number,
): Allowance {
  const limit = readCount(headers, limitName)
  const resetMs = readReset(readHeader(headers, resetName) ?? '', from)
  return {
    of,
    refill,
    remaining,
    ...(limit !== undefined && { limit }),
    ...(resetMs !== undefined && { resetMs }),
  }
}
