import { type HeaderSource, readHeader, readItems, readProperty } from './hostile.ts'

/** Where a provider may have said how long to wait. */
export interface HintEvidence {
  /** HTTP status: the rate limit headers count only under 429. */
  readonly status?: number | undefined
  readonly headers?: HeaderSource | undefined
  /** The parsed JSON body. */
  readonly body?: unknown
  /** The error's text. */
  readonly message?: string | undefined
  /** Wall clock, milliseconds since the epoch: for an HTTP date without a `Date` header. */
  readonly now: number
}

/**
 * How long the provider asks to wait, in milliseconds, or undefined when it does not say. First
 * found wins: `retry-after-ms`, `retry-after`, the `x-ratelimit-reset-*` of an empty bucket, a field
 * of the body, a sentence of the message. Never NaN, negative or infinite; a date that has passed
 * is 0. A value outside its grammar counts as absent: `parseFloat` would make 10 of '10abc'.
 */
export function readRetryAfter(evidence: HintEvidence): number | undefined {
  const { headers, now } = evidence
  return (
    scale(readDecimal(readHeader(headers, 'retry-after-ms')), 1) ??
    readRetryAfterHeader(headers, now) ??
    readEmptyBucket(evidence.status, headers) ??
    readBodyHint(evidence.body) ??
    readTextHint(evidence.message)
  )
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

// RFC 9110 §10.2.3 allows whole seconds only; providers send fractions as well.
const DECIMAL = /^\d+(?:\.\d+)?$/

function readDecimal(text: string | undefined): number | undefined {
  return text !== undefined && DECIMAL.test(text) ? Number(text) : undefined
}

/** Milliseconds, kept finite: a thousand digits are still a wish to wait, not 'no hint'. */
function scale(value: number | undefined, unitMs: number): number | undefined {
  return value === undefined ? undefined : Math.min(value * unitMs, Number.MAX_SAFE_INTEGER)
}

function readRetryAfterHeader(headers: HeaderSource | undefined, now: number): number | undefined {
  const value = readHeader(headers, 'retry-after')
  if (value === undefined) return undefined
  const seconds = scale(readDecimal(value), SECOND)
  if (seconds !== undefined) return seconds
  const until = readHttpDate(value, now)
  if (until === undefined) return undefined
  // The server's own clock where it told it: ours may be off by minutes.
  const from = readHttpDate(readHeader(headers, 'date') ?? '', now) ?? now
  return Number.isFinite(until - from) ? Math.max(0, until - from) : undefined
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const TIME = '(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})'
const MONTH = `(?<month>${MONTHS.join('|')})`
const DAY_NAME = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)'
const LONG_DAY_NAME = '(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)'

// The three forms of RFC 9110 §5.6.7; `Date.parse` would read '5' as the year 2001.
const HTTP_DATES = [
  new RegExp(`^${DAY_NAME}, (?<day>\\d{2}) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^${LONG_DAY_NAME}, (?<day>\\d{2})-${MONTH}-(?<year>\\d{2}) ${TIME} GMT$`),
  new RegExp(`^${DAY_NAME} ${MONTH} (?<day>\\d{2}| \\d) ${TIME} (?<year>\\d{4})$`),
]

/** Milliseconds since the epoch of an HTTP date in any of its three forms, or undefined. */
function readHttpDate(text: string, now: number): number | undefined {
  const parts = HTTP_DATES.map((form) => form.exec(text)?.groups).find((groups) => groups)
  if (parts === undefined) return undefined
  const { year = '', month = '', day, hour, minute, second } = parts
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined
  const date = new Date(0)
  date.setUTCFullYear(fullYear(year, now), MONTHS.indexOf(month), Number(day))
  // 31 February would silently become March.
  if (date.getUTCDate() !== Number(day)) return undefined
  return date.setUTCHours(Number(hour), Number(minute), Number(second))
}

/** Two digits that would lie more than 50 years ahead mean the past century (RFC 9110 §5.6.7). */
function fullYear(digits: string, now: number): number {
  if (digits.length === 4) return Number(digits)
  const thisYear = new Date(now).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + Number(digits)
  return year > thisYear + 50 ? year - 100 : year
}

const BUCKETS = ['requests', 'tokens']

/** The reset of a bucket with nothing left; every answer carries the others, and they prove nothing. */
function readEmptyBucket(
  status: number | undefined,
  headers: HeaderSource | undefined,
): number | undefined {
  if (status !== 429) return undefined
  const resets = BUCKETS.filter(
    (bucket) => readHeader(headers, `x-ratelimit-remaining-${bucket}`) === '0',
  )
    .map((bucket) => readDuration(readHeader(headers, `x-ratelimit-reset-${bucket}`)))
    .filter((reset) => reset !== undefined)
  return resets.length === 0 ? undefined : Math.max(...resets)
}

// As Go's time.Duration prints: 1h2m3.5s, 6m0s, 20ms. Days are OpenAI's own.
const DURATION =
  /^(?=\d)(?:(?<days>\d+)d)?(?:(?<hours>\d+)h)?(?:(?<minutes>\d+)m)?(?:(?<seconds>\d+(?:\.\d+)?)s)?(?:(?<millis>\d+(?:\.\d+)?)ms)?$/
const DURATION_UNITS = { days: DAY, hours: HOUR, minutes: MINUTE, seconds: SECOND, millis: 1 }

/** Milliseconds of a duration such as `6m0s`; undefined for anything else, a bare number included. */
function readDuration(text: string | undefined): number | undefined {
  const parts = text === undefined ? undefined : DURATION.exec(text)?.groups
  if (parts === undefined) return undefined
  let sum = 0
  for (const [name, unitMs] of Object.entries(DURATION_UNITS)) {
    sum += scale(readDecimal(parts[name]), unitMs) ?? 0
  }
  return Math.min(sum, Number.MAX_SAFE_INTEGER)
}

// Cloudflare's error pages say retry_after, Hugging Face's loading models estimated_time.
const BODY_FIELDS = { retry_after_ms: 1, retry_after: SECOND, estimated_time: SECOND }

function readBodyHint(body: unknown): number | undefined {
  const error = readProperty(body, 'error')
  for (const part of [error, body, readProperty(error, 'metadata')]) {
    for (const [field, unitMs] of Object.entries(BODY_FIELDS)) {
      const value = readProperty(part, field)
      const hint = typeof value === 'string' ? readDecimal(value) : value
      if (typeof hint === 'number' && hint >= 0 && hint < Infinity) return scale(hint, unitMs)
    }
  }
  // google.rpc.RetryInfo: { retryDelay: "38s" }
  for (const detail of readItems(readProperty(error, 'details'), 10)) {
    const delay = readProperty(detail, 'retryDelay')
    const hint = typeof delay === 'string' ? readDuration(delay.slice(0, 64)) : undefined
    if (hint !== undefined) return hint
  }
  return undefined
}

// The message of a provider says it within its first lines.
const MAX_MESSAGE_LENGTH = 4_096

const LEAD_IN = /\b(?:try again|retry|retrying) (?:in|after) (?=\d)/i
const SPOKEN =
  /(\d{1,15}(?:\.\d{1,9})?) ?(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])(?:,? (?:and )?(?=\d))?/iy
const SPOKEN_UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY }

/** 'Please try again in 6m0s', 'retry after 38 seconds'. */
function readTextHint(message: string | undefined): number | undefined {
  const text = message?.slice(0, MAX_MESSAGE_LENGTH) ?? ''
  const lead = LEAD_IN.exec(text)
  if (lead === null) return undefined
  const part = new RegExp(SPOKEN)
  part.lastIndex = lead.index + lead[0].length
  let sum: number | undefined
  for (let found = part.exec(text); found !== null; found = part.exec(text)) {
    const [, amount, unit = ''] = found
    const unitMs = /^(?:ms|milli)/i.test(unit)
      ? 1
      : (SPOKEN_UNITS[unit.charAt(0).toLowerCase()] ?? SECOND)
    sum = (sum ?? 0) + Number(amount) * unitMs
  }
  return sum === undefined ? undefined : Math.min(sum, Number.MAX_SAFE_INTEGER)
}
