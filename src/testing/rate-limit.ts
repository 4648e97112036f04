import { checkNames, checkNumber, describe, type Exchange, type Fault } from './exchange.ts'
import { openaiError } from './faults.ts'

export interface RateLimit {
  /** How long the provider asks to wait, in milliseconds. @default no hint */
  readonly retryAfterMs?: number
  /**
   * The header that carries the hint: `retry-after` in whole seconds (RFC 9110, section 10.2.3),
   * `retry-after-ms` as any number, `retry-after-date` as an HTTP date in whole seconds together with the
   * server's own `Date`, or `x-ratelimit-reset` as the reset of the requests limit, whose remaining count is 0,
   * together with a tokens limit that is not exhausted (OpenAI guide 'Rate limits'). `none`: no header.
   * @default 'retry-after' for whole seconds, otherwise 'retry-after-ms'; 'none' if `field` is given
   */
  readonly header?: (typeof HEADERS)[number]
  /**
   * The field of the body that carries the hint instead: `retry_after` (seconds; Cloudflare), `estimated_time`
   * (seconds; Hugging Face) or `retryDelay` (google.rpc.RetryInfo; Gemini).
   * @default none
   */
  readonly field?: (typeof FIELDS)[number]
  /** How far the server's clock, and so its `Date` header, is ahead of the true time, in milliseconds. @default 0 */
  readonly clockSkewMs?: number
  /** Replaces OpenAI's message, which names the limit and, if there is a hint, the wait. */
  readonly text?: string
}

const HEADERS = [
  'retry-after',
  'retry-after-ms',
  'retry-after-date',
  'x-ratelimit-reset',
  'none',
] as const
const FIELDS = ['retry_after', 'estimated_time', 'retryDelay'] as const
const WHOLE_SECONDS: readonly unknown[] = ['retry-after', 'retry-after-date']

/**
 * 429 `rate_limit_exceeded`: a rolling limit on requests per minute. Body and message are OpenAI's (guide 'Rate
 * limits', platform.openai.com/docs/guides/rate-limits).
 *
 * @throws TypeError or RangeError if options contradict each other or are out of range.
 */
export function rateLimited(limit: RateLimit = {}): Fault {
  check(limit)
  const { retryAfterMs, text } = limit
  return {
    name: 'rateLimited',
    apply(exchange) {
      const { model } = exchange.request.body
      const hint = retryAfterMs === undefined ? '' : ` Please try again in ${spoken(retryAfterMs)}.`
      const message =
        text ??
        `Rate limit reached for ${model} in organization org-fault on requests per min (RPM): Limit 3, Used 3, Requested 1.${hint} Visit https://platform.openai.com/account/rate-limits to learn more.`
      exchange.json(429, bodyOf(limit, message), headersOf(limit, exchange))
    },
  }
}

function bodyOf({ retryAfterMs = 0, field }: RateLimit, message: string): unknown {
  const { error } = openaiError(message, 'requests', 'rate_limit_exceeded')
  switch (field) {
    case undefined:
      return { error }
    case 'retryDelay': {
      const type = 'type.googleapis.com/google.rpc.RetryInfo'
      const details = [{ '@type': type, retryDelay: `${retryAfterMs / 1000}s` }]
      return { error: { ...error, details } }
    }
    default:
      return { error: { ...error, [field]: retryAfterMs / 1000 } }
  }
}

function headersOf(limit: RateLimit, { clock }: Exchange): Record<string, string> {
  const { retryAfterMs, clockSkewMs = 0 } = limit
  // Without skew, Node's own `Date` header shows the machine's time.
  const date = new Date(clock.wallMs() + clockSkewMs)
  const skewed = limit.clockSkewMs === undefined ? {} : { date: date.toUTCString() }
  if (retryAfterMs === undefined) return skewed
  switch (headerOf(limit)) {
    case 'retry-after':
      return { ...skewed, 'retry-after': `${retryAfterMs / 1000}` }
    case 'retry-after-ms':
      return { ...skewed, 'retry-after-ms': `${retryAfterMs}` }
    case 'retry-after-date': {
      const until = new Date(date.getTime() + retryAfterMs)
      return { date: date.toUTCString(), 'retry-after': until.toUTCString() }
    }
    case 'x-ratelimit-reset':
      return {
        ...skewed,
        'x-ratelimit-limit-requests': '3',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': spoken(retryAfterMs),
        'x-ratelimit-limit-tokens': '60000',
        'x-ratelimit-remaining-tokens': '59000',
        'x-ratelimit-reset-tokens': '17ms',
      }
    case 'none':
      return skewed
  }
}

function headerOf({ retryAfterMs = 0, header, field }: RateLimit): (typeof HEADERS)[number] {
  if (header !== undefined) return header
  if (field !== undefined) return 'none'
  return retryAfterMs % 1000 === 0 ? 'retry-after' : 'retry-after-ms'
}

function check(limit: RateLimit): void {
  checkNames('rateLimited', limit, ['retryAfterMs', 'header', 'field', 'clockSkewMs', 'text'])
  const { retryAfterMs, header, field, clockSkewMs } = limit
  checkOneOf('header', header, HEADERS)
  checkOneOf('field', field, FIELDS)
  if (clockSkewMs !== undefined) {
    checkNumber('rateLimited: clockSkewMs', clockSkewMs, { min: -1e12, max: 1e12 })
  }
  if (retryAfterMs === undefined) {
    const [name, value] = field === undefined ? ['header', header] : ['field', field]
    if (value === undefined || value === 'none') return
    throw new TypeError(`rateLimited: ${name} is ${describe(value)}, but retryAfterMs is not given`)
  }
  checkNumber('rateLimited: retryAfterMs', retryAfterMs, { min: 0 })
  if (WHOLE_SECONDS.includes(header) && retryAfterMs % 1000 !== 0) {
    throw new RangeError(
      `rateLimited: retryAfterMs is ${retryAfterMs}; with header "${header}" allowed are whole seconds`,
    )
  }
}

function checkOneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (value === undefined || allowed.some((one) => one === value)) return
  const [last = '', ...others] = allowed.map((one) => `"${one}"`).toReversed()
  throw new TypeError(
    `rateLimited: ${name} is ${describe(value)}; allowed are ${others.toReversed().join(', ')} and ${last}`,
  )
}

/** A duration as in OpenAI's rate limit messages: 20ms, 9.816s, 6m0s. */
function spoken(durationMs: number): string {
  if (durationMs < 1000) return `${durationMs}ms`
  if (durationMs < 60_000) return `${durationMs / 1000}s`
  return `${Math.floor(durationMs / 60_000)}m${(durationMs % 60_000) / 1000}s`
}
