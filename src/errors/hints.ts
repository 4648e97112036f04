import {
  readDecimal,
  readDuration,
  readHttpDate,
  readReset,
  readSpokenWait,
  SECOND,
  scale,
  untilInstant,
} from './hint-grammar.ts'
import { type HeaderSource, readHeader, readProperty } from './hostile.ts'
import { HEADER_SCHEMES } from './rate-limit-headers.ts'

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
