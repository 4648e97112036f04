/**
 * Readers for the formats in which a wait is written. Each returns milliseconds (never NaN, negative or
 * infinite), or undefined for anything outside its grammar. `parseFloat` and `Date.parse` are too
 * lenient: they read '10abc' as 10, and '5' as the year 2001.
 */

export const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

// RFC 9110 §10.2.3 allows whole seconds only, but providers also send fractions.
const DECIMAL = /^\d+(?:\.\d+)?$/

export function readDecimal(text: string | undefined): number | undefined {
  return text !== undefined && DECIMAL.test(text) ? Number(text) : undefined
}

/** Milliseconds, kept finite: a number of a thousand digits still asks for a wait. */
export function scale(value: number | undefined, unitMs: number): number | undefined {
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
export function readDuration(text: string | undefined): number | undefined {
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
export function readReset(value: string, from: number): number | undefined {
  const plain = readDecimal(value)
  if (plain === undefined) return readDuration(value) ?? untilInstant(readTimestamp(value), from)
  if (plain < FIRST_EPOCH_SECONDS) return scale(plain, SECOND)
  return untilInstant(plain < FIRST_EPOCH_MS ? plain * SECOND : plain, from)
}

/** Milliseconds from `from` to a later instant; 0 if that has passed. */
export function untilInstant(instant: number | undefined, from: number): number | undefined {
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
