import { readDecimal, readReset } from './hint-grammar.ts'
import { readHeader } from './hostile.ts'

/** One limit of a provider, as an answer's headers report it. */
export interface Allowance {
  readonly of: 'requests' | 'tokens'
  /** Absent: not reported. */
  readonly limit?: number
  /** What is left of it after this answer's request. */
  readonly remaining: number
  /** Until it is whole again, milliseconds; absent: not reported. */
  readonly resetMs?: number
  /** `continuous`: it refills all the time. `window`: all at once, at the reset. */
  readonly refill: 'continuous' | 'window'
}

/** The headers of one limit. */
export interface LimitHeaders {
  readonly of: Allowance['of']
  readonly limit: string
  readonly remaining: string
  readonly reset: string
  readonly refill: Allowance['refill']
  /** Read only when nothing is left: a daily limit, or one of something that is not counted here. */
  readonly onlyEmpty?: boolean
}

/** The headers that come together: a provider that sends one of a scheme sends no other scheme. */
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

/** The headers of each provider, as of 2026-11. Without any: Gemini, DeepSeek, Bedrock, Vertex, vLLM. */
export const HEADER_SCHEMES: readonly HeaderScheme[] = [
  // OpenAI, Groq, Fireworks (`6m0s`, `12ms`: when it is full again), Azure (whole seconds). Groq's
  // requests are a day's, which its resets show.
  [
    { of: 'requests', refill: 'continuous', ...dashed('requests') },
    { of: 'tokens', refill: 'continuous', ...dashed('tokens') },
  ],
  // Cerebras (seconds with decimals), Mistral (which does not say when it is whole again)
  [
    { of: 'tokens', refill: 'continuous', ...dashed('tokens-minute') },
    { of: 'requests', refill: 'continuous', ...dashed('requests-minute') },
    { of: 'requests', refill: 'continuous', ...dashed('req-minute') },
    { of: 'requests', refill: 'window', onlyEmpty: true, ...dashed('requests-day') },
  ],
  // Anthropic (RFC 3339: when it is full again). Output tokens are counted while they are written, and
  // `tokens` is the tighter of both.
  [
    { of: 'requests', refill: 'continuous', ...anthropic('requests') },
    { of: 'tokens', refill: 'continuous', ...anthropic('input-tokens') },
    { of: 'tokens', refill: 'continuous', onlyEmpty: true, ...anthropic('tokens') },
    { of: 'tokens', refill: 'continuous', onlyEmpty: true, ...anthropic('output-tokens') },
  ],
  // OpenRouter (epoch milliseconds), GitHub (epoch seconds), Together (seconds; a second's limits)
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

/** A count in a header; undefined for anything outside that grammar. */
export function readCount(headers: unknown, name: string): number | undefined {
  const text = readHeader(headers, name)
  // `100, 100;w=60` of older drafts: the first is the limit.
  const value = readDecimal(text) ?? readDecimal(text?.split(/[,;]/, 1)[0]?.trim())
  return value === undefined || value > Number.MAX_SAFE_INTEGER ? undefined : value
}

/** What the headers say of this limit; `from`: the provider's clock, milliseconds since the epoch. */
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
