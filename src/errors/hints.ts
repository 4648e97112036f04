import { type HeaderSource, readHeader, readProperty } from './hostile.ts'

/**
 * Readers for the formats in which a wait is written. Each returns milliseconds (never NaN, negative or
 * infinite), or undefined for anything outside its grammar. `parseFloat` and `Date.parse` are too
 * lenient: they read '10abc' as 10, and '5' as the year 2001.
 */

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

// RFC 9110 §10.2.3 allows whole seconds only, but providers also send fractions.
const DECIMAL = /^\d+(?:\.\d+)?$/

function readDecimal(text: string | undefined): number | undefined {
  return text !== undefined && DECIMAL.test(text) ? Number(text) : undefined
}

/** Milliseconds, kept finite: a number of a thousand digits still asks for a wait. */
function scale(value: number | undefined, unitMs: number): number | undefined {
  return value === undefined ? undefined : Math.min(value * unitMs, Number.MAX_SAFE_INTEGER)
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const TIME = '(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})'
const MONTH = `(?<month>${MONTHS.join('|')})`
const DAY_NAME = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)'
const LONG_DAY_NAME = '(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)'

// The three date formats of RFC 9110 §5.6.7.
const HTTP_DATES = [
  new RegExp(`^${DAY_NAME}, (?<day>\\d{2}) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^${LONG_DAY_NAME}, (?<day>\\d{2})-${MONTH}-(?<year>\\d{2}) ${TIME} GMT$`),
  new RegExp(`^${DAY_NAME} ${MONTH} (?<day>\\d{2}| \\d) ${TIME} (?<year>\\d{4})$`),
]

/** Milliseconds since the epoch for an HTTP date in any of the three formats, or undefined. */
export function readHttpDate(text: string, now: number): number | undefined {
  const parts = HTTP_DATES.map((form) => form.exec(text)?.groups).find((groups) => groups)
  if (parts === undefined) return undefined
  const { year = '', month = '' } = parts
  return toInstant(fullYear(year, now), MONTHS.indexOf(month), parts)
}

const DATE = '(?<year>\\d{4})-(?<month>\\d{2})-(?<day>\\d{2})'
const ZONE = '(?<fraction>\\.\\d{1,9})?(?<offset>Z|[+-]\\d{2}:\\d{2})'
const TIMESTAMP = new RegExp(`^${DATE}T${TIME}${ZONE}$`)

/** Milliseconds since the epoch for an RFC 3339 date and time, or undefined. */
function readTimestamp(text: string): number | undefined {
  const parts = TIMESTAMP.exec(text)?.groups
  if (parts === undefined) return undefined
  const { year, month, fraction = '0', offset = 'Z' } = parts
  const instant = toInstant(Number(year), Number(month) - 1, parts)
  if (instant === undefined) return undefined
  return instant + Number(fraction) * SECOND - offsetMs(offset)
}

function offsetMs(offset: string): number {
  if (offset === 'Z') return 0
  const [hours, minutes] = offset.slice(1).split(':').map(Number)
  const ms = (hours ?? 0) * HOUR + (minutes ?? 0) * MINUTE
  return offset.startsWith('-') ? -ms : ms
}

function toInstant(
  year: number,
  month: number,
  { day, hour, minute, second }: Readonly<Record<string, string | undefined>>,
): number | undefined {
  if (month < 0 || month > 11) return undefined
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined
  const date = new Date(0)
  date.setUTCFullYear(year, month, Number(day))
  // Date would silently turn 31 February into a day of March.
  if (date.getUTCDate() !== Number(day)) return undefined
  return date.setUTCHours(Number(hour), Number(minute), Number(second))
}

/** A two-digit year more than 50 years ahead belongs to the previous century (RFC 9110 §5.6.7). */
function fullYear(digits: string, now: number): number {
  if (digits.length === 4) return Number(digits)
  const thisYear = new Date(now).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + Number(digits)
  return year > thisYear + 50 ? year - 100 : year
}

// The format of Go's time.Duration: 1h2m3.5s, 6m0s, 20ms. OpenAI adds days.
const DURATION =
  /^(?=\d)(?:(?<days>\d+)d)?(?:(?<hours>\d+)h)?(?:(?<minutes>\d+)m)?(?:(?<seconds>\d+(?:\.\d+)?)s)?(?:(?<millis>\d+(?:\.\d+)?)ms)?$/
const DURATION_UNITS = { days: DAY, hours: HOUR, minutes: MINUTE, seconds: SECOND, millis: 1 }

/** Milliseconds of a duration such as `6m0s`; undefined for anything else, including a bare number. */
function readDuration(text: string | undefined): number | undefined {
  const parts = text === undefined ? undefined : DURATION.exec(text)?.groups
  if (parts === undefined) return undefined
  let sum = 0
  for (const [name, unitMs] of Object.entries(DURATION_UNITS)) {
    sum += scale(readDecimal(parts[name]), unitMs) ?? 0
  }
  return Math.min(sum, Number.MAX_SAFE_INTEGER)
}

// Larger numbers are an instant, not a number of seconds: 1e9 s would be 31 years; as an instant it is 2001.
const FIRST_EPOCH_SECONDS = 1e9
const FIRST_EPOCH_MS = 1e11

/** Milliseconds until a reset, given in seconds, as a duration, as a date and time, or as epoch time. */
function readReset(value: string, from: number): number | undefined {
  const plain = readDecimal(value)
  if (plain === undefined) return readDuration(value) ?? untilInstant(readTimestamp(value), from)
  if (plain < FIRST_EPOCH_SECONDS) return scale(plain, SECOND)
  return untilInstant(plain < FIRST_EPOCH_MS ? plain * SECOND : plain, from)
}

/** Milliseconds from `from` to a later instant; 0 if that has passed. */
function untilInstant(instant: number | undefined, from: number): number | undefined {
  if (instant === undefined || !Number.isFinite(instant - from)) return undefined
  return Math.min(Math.max(0, instant - from), Number.MAX_SAFE_INTEGER)
}

const LEAD_IN =
  /\b(?:(?:(?:try again|retry(?: your request)?|retrying|resets?|available) (?:in|after)|wait(?: for)?)) (?=\d)/gi
const SPOKEN =
  /(\d{1,15}(?:\.\d{1,9})?) ?(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])(?:,? (?:and )?(?=\d))?/iy
const SPOKEN_UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY }

/** Reads a wait from a sentence: 'Please try again in 6m0s', 'retry after 38 seconds'. */
export function readSpokenWait(text: string): number | undefined {
  for (const lead of text.matchAll(LEAD_IN)) {
    const wait = readSpoken(text, lead.index + lead[0].length)
    if (wait !== undefined) return wait
  }
  return undefined
}

function readSpoken(text: string, from: number): number | undefined {
  const part = new RegExp(SPOKEN)
  part.lastIndex = from
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

/** The parts of a response in which a provider may say how long to wait. */
export interface HintEvidence {
  /** HTTP status; rate-limit headers count only under 429. */
  readonly status?: number | undefined
  readonly headers?: HeaderSource | undefined
  /** The objects of the JSON body, the outermost first. */
  readonly parts?: readonly object[] | undefined
  /** The error's text. */
  readonly message?: string | undefined
  /** Wall clock, milliseconds since the epoch; used for dates if there is no `Date` header. */
  readonly now: number
}

/**
 * How long the provider asks to wait, in milliseconds, or undefined if it does not say. The first of
 * these wins: `retry-after-ms`, `retry-after`, the reset time of an exhausted limit, RetryInfo, a field
 * of the body, a sentence in the message. If a header has several values, the longest wait counts (RFC
 * 9110 §5.2 lets a proxy add its own). Never NaN, negative or infinite; 0 for a date that has passed.
 * Values that do not match the grammar are ignored.
 */
export function readRetryAfter(evidence: HintEvidence): number | undefined {
  const { parts = [], message } = evidence
  return (
    readHeaderHint(evidence.headers, evidence) ??
    firstOf(parts, readRetryInfo) ??
    firstOf(parts, readField) ??
    // OpenRouter reports the headers of its own limit in `metadata.headers`.
    firstOf(parts, (part) => readHeaderHint(readProperty(part, 'headers'), evidence)) ??
    readSpokenWait(message?.slice(0, MAX_MESSAGE_LENGTH) ?? '')
  )
}

// Providers name the wait in the first lines.
const MAX_MESSAGE_LENGTH = 4_096
const MAX_FIELD_LENGTH = 64

function firstOf(
  parts: readonly object[],
  read: (part: object) => number | undefined,
): number | undefined {
  for (const part of parts) {
    const hint = read(part)
    if (hint !== undefined) return hint
  }
  return undefined
}

function readHeaderHint(
  headers: unknown,
  { status, now }: Pick<HintEvidence, 'status' | 'now'>,
): number | undefined {
  // The server's own clock if it sent one, because ours may be minutes off.
  const from = readHttpDate(readHeader(headers, 'date') ?? '', now) ?? now
  return (
    longestOf(headers, 'retry-after-ms', (value) => scale(readDecimal(value), 1)) ??
    longestOf(headers, 'retry-after', (value) => readRetryAfterValue(value, from)) ??
    (status === 429 ? readEmptyBuckets(headers, from) : undefined) ??
    // LiteLLM's proxy passes on a provider's error headers only with this prefix.
    longestOf(headers, `${OF_PROVIDER}retry-after-ms`, (value) => scale(readDecimal(value), 1)) ??
    longestOf(headers, `${OF_PROVIDER}retry-after`, (value) => readRetryAfterValue(value, from))
  )
}

const OF_PROVIDER = 'llm_provider-'

function readRetryAfterValue(value: string, from: number): number | undefined {
  return scale(readDecimal(value), SECOND) ?? untilInstant(readHttpDate(value, from), from)
}

/**
 * The longest wait that a header names. An application and the proxy in front of it may each send one;
 * fetch joins them as `3, 5`, and the next request has to respect both.
 */
function longestOf(
  headers: unknown,
  name: string,
  read: (value: string) => number | undefined,
): number | undefined {
  const waits = valuesOf(readHeader(headers, name)).map(read)
  return latest(waits)
}

// Not the comma after the day name inside an HTTP date.
const BETWEEN_VALUES = /(?<!day|Mon|Tue|Wed|Thu|Fri|Sat|Sun),[ \t]*/

function valuesOf(header: string | undefined): readonly string[] {
  return header === undefined ? [] : header.split(BETWEEN_VALUES)
}

function latest(waits: readonly (number | undefined)[]): number | undefined {
  const told = waits.filter((wait) => wait !== undefined)
  return told.length === 0 ? undefined : Math.max(...told)
}

const LIMITS = HEADER_SCHEMES.flat()

/** The latest reset of the exhausted limits. The other limits are sent with every response and prove nothing. */
function readEmptyBuckets(headers: unknown, from: number): number | undefined {
  const empty = LIMITS.filter(({ remaining }) =>
    valuesOf(readHeader(headers, remaining)).includes('0'),
  )
  return latest(empty.map(({ reset }) => longestOf(headers, reset, (at) => readReset(at, from))))
}

/** google.rpc.RetryInfo: `{ retryDelay: '38s' }`. */
function readRetryInfo(part: object): number | undefined {
  const delay = readProperty(part, 'retryDelay')
  return typeof delay === 'string' ? readDuration(delay.slice(0, MAX_FIELD_LENGTH)) : undefined
}

// `retry_after`: Cloudflare's error pages and OpenRouter. `estimated_time`: Hugging Face, while a model
// is loading.
const BODY_FIELDS = {
  retry_after_ms: 1,
  retry_after: SECOND,
  retry_after_seconds: SECOND,
  estimated_time: SECOND,
}

function readField(part: object): number | undefined {
  for (const source of [part, readProperty(part, 'availability')]) {
    for (const [field, unitMs] of Object.entries(BODY_FIELDS)) {
      const value = readProperty(source, field)
      const hint = typeof value === 'string' ? readDecimal(value) : value
      if (typeof hint === 'number' && hint >= 0 && hint < Infinity) return scale(hint, unitMs)
    }
  }
  return undefined
}
