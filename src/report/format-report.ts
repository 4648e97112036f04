import type { AttemptReport, StopReason, Wait } from '../errors/call-error.ts'
import type { CallReport } from './call-report.ts'
import { colourPaint, formatMs, formatTimeline, type Paint, plainPaint } from './timeline.ts'

export interface FormatReportOptions {
  /** Width of the timeline in characters, 10 to 500. @default 60 */
  readonly width?: number
  /** Whether to use ANSI colours, for a terminal. @default false */
  readonly colour?: boolean
}

/**
 * Formats a report for display: how the call ended, a timeline drawn to scale, a line for each attempt with
 * its wait and result, and a last line for a wait that led to no attempt. Several lines without a trailing
 * newline. Contains nothing of prompt, answer or key.
 * @throws {TypeError} if the report is not a `CallReport`, or the width is invalid.
 * @example
 * console.error(formatReport(report))
 * // chat: success after 2 attempts, 1.2 s
 * // ✗┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━✓
 * // 1  initial  api.openai.com gpt-5-mini  rate_limit 429 in 60 ms, it asks for 300 ms
 * // 2  retry    api.openai.com gpt-5-mini  waited 420 ms (hint), success 200 in 740 ms
 */
export function formatReport(report: CallReport, options: FormatReportOptions = {}): string {
  const { width = 60, colour = false } = options
  if (!Array.isArray(report?.attempts)) {
    throw new TypeError('formatReport(): report must be a CallReport, such as callReport() gives')
  }
  if (!Number.isInteger(width) || width < 10 || width > 500) {
    throw new TypeError(`formatReport(): width must be an integer from 10 to 500, got ${width}`)
  }
  const paint = colour ? colourPaint : plainPaint
  const lines = [
    headOf(report, paint),
    formatTimeline(report, { width, paint }).trimEnd(),
    ...attemptLines(report.attempts, paint),
    ...vainLines(report, paint),
    ...repairLines(report, paint),
  ]
  return lines.join('\n')
}

function headOf(report: CallReport, paint: Paint): string {
  const { operation, outcome, reason, source, durationMs } = report
  const good = outcome === 'success'
  const ended = paint(good ? 'good' : 'bad', outcome)
  const why = reason === undefined ? '' : ` (${WHY_ENDED[reason]})`
  const how = source === 'provider' ? ` after ${attemptsOf(report)}` : `, ${SOURCES[source]}`
  return `${paint('bold', shown(operation))}: ${ended}${why}${how}, ${formatMs(durationMs)}`
}

const SOURCES: Readonly<Record<'store' | 'shared', string>> = {
  store: 'replayed from the store',
  shared: 'shared with a call in flight',
}

function attemptsOf({ attempts: { length } }: CallReport): string {
  return length === 0 ? 'no attempt' : `${length} attempt${length === 1 ? '' : 's'}`
}

function attemptLines(attempts: readonly AttemptReport[], paint: Paint): readonly string[] {
  const rows = attempts.map((attempt) => ({ attempt, target: shown(attempt.target) }))
  const causeWidth = Math.max(0, ...attempts.map(({ cause }) => cause.length))
  const targetWidth = Math.max(0, ...rows.map(({ target }) => target.length))
  return rows.map(({ attempt, target }) => {
    const { number, cause } = attempt
    const place = `${number}  ${cause.padEnd(causeWidth)}  ${target.padEnd(targetWidth)}`
    return `${paint('dim', place)}  ${[...waitOf(attempt, paint), metBy(attempt, paint)].join(', ')}`
  })
}

function waitOf(attempt: AttemptReport, paint: Paint): readonly string[] {
  const { delayMs, delaySource, cause, waits = [] } = attempt
  if (delayMs <= 0) return []
  // A hedge waits because the first attempt is slow, not for permission to start.
  const source = cause === 'hedge' ? 'slow' : delaySource
  return [paint('wait', waited(delayMs, cause === 'hedge' ? [] : waits, source))]
}

/** The parts of a wait by reason; `source` if there are none. */
function waited(ms: number, waits: readonly Wait[], source?: string): string {
  // Parts below a millisecond are not worth showing.
  const parts = waits.filter((part) => part.ms >= 1)
  const said =
    parts.length > 1
      ? parts.map((part) => `${part.for} ${formatMs(part.ms)}`).join(', ')
      : (parts[0]?.for ?? source)
  return `waited ${formatMs(ms)}${said === undefined ? '' : ` (${said})`}`
}

/** The wait during which the call was given up. */
function vainLines({ waits = [] }: CallReport, paint: Paint): readonly string[] {
  const ms = waits.reduce((sum, part) => sum + part.ms, 0)
  return ms < 1 ? [] : [`${paint('dim', '-  in vain')}  ${paint('wait', waited(ms, waits))}`]
}

function metBy(attempt: AttemptReport, paint: Paint): string {
  const { outcome, status, code, requestId, durationMs, retryAfterMs, wireRequests = 1 } = attempt
  const good = outcome === 'success'
  const what = [outcome, status, good ? undefined : code].filter((part) => part !== undefined)
  const said = [
    `${paint(good ? 'good' : 'bad', shown(what.join(' ')))} in ${formatMs(durationMs)}`,
    ...(retryAfterMs === undefined ? [] : [`it asks for ${formatMs(retryAfterMs)}`]),
    ...(wireRequests > 1 ? [paint('bad', `${wireRequests} requests on the wire`)] : []),
    ...(good || requestId === undefined ? [] : [paint('dim', shown(requestId))]),
  ]
  return said.join(', ')
}

function repairLines({ repairs = [] }: CallReport, paint: Paint): readonly string[] {
  if (repairs.length === 0) return []
  const byRule = new Map<string, Set<string>>()
  for (const { rule, path, offset } of repairs) {
    // A path has no names but the schema's.
    const place = `${path}${offset === undefined ? '' : ` (${offset})`}`.trim()
    byRule.set(rule, (byRule.get(rule) ?? new Set()).add(place))
  }
  const all = [...byRule].map(([rule, places]) => shown(rule + placesIn([...places])))
  return [`${paint('note', 'repaired')}: ${all.join(', ')}`]
}

const MAX_PLACES = 3

/** Where a rule was applied, with the offset in the answer; nothing for the whole answer. */
function placesIn(places: readonly string[]): string {
  const named = places.filter((place) => place !== '')
  if (named.length === 0) return ''
  const more = named.length > MAX_PLACES ? ` and ${named.length - MAX_PLACES} more` : ''
  return ` at ${named.slice(0, MAX_PLACES).join(', ')}${more}`
}

/** Removes control characters, because names come from configuration and providers. */
function shown(text: string): string {
  return text.replace(/\p{C}/gu, '?').slice(0, 200)
}

/** Why no further attempt was made, in words. */
export const WHY_ENDED: Readonly<Record<StopReason, string>> = {
  aborted: 'aborted by the caller',
  delivered: 'part of the answer had been delivered',
  outcome_unknown: 'the work may have been done',
  max_attempts: 'no attempts left',
  deadline: 'no time left',
  not_retryable: 'retrying cannot help',
  repeated_answer: 'the same wrong answer came twice',
  max_reasks: 'no re-asks left',
  reask_refused: 'the re-ask was refused',
  max_requests: 'no requests left',
  hint_exceeds_wait: 'over maxWaitMs',
  hint_exceeds_deadline: 'past the deadline',
  max_wait: 'maxWaitMs is used up',
  hopeless_wait: 'the wait would be too long',
  line_full: 'too many calls are already waiting',
}
