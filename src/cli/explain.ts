import type { AttemptReport, CallReport, Repair, StopReason } from '../index.ts'
import { WHY_ENDED } from '../report/format-report.ts'
import { formatMs } from '../report/timeline.ts'
import type { BareProblem, SteadyOutcome } from './clients.ts'

/** How a call ended, in a word or two for a table. */
export type CallEnding =
  | 'valid'
  | 'recovered'
  | 'repaired'
  | 're-asked'
  | 'fell back'
  | 'shared'
  | 'replayed'
  | 'gave up'
  | 'unrecoverable'

/** The ending shown by a report; if several apply, the rarest. */
export function endingOf({ report, repairs, valid }: SteadyOutcome): CallEnding {
  const { outcome, source, attempts, reason } = report
  if (outcome !== 'success') return isFinal(reason) ? 'unrecoverable' : 'gave up'
  if (!valid) return 'gave up'
  if (source === 'store') return 'replayed'
  if (source === 'shared') return 'shared'
  if (attempts.some(({ cause }) => cause === 'reask')) return 're-asked'
  if (attempts.some(({ cause }) => cause === 'fallback')) return 'fell back'
  if (attempts.length > 1) return 'recovered'
  return repairs.length > 0 ? 'repaired' : 'valid'
}

/** One line: which faults the call met, how it responded, and how it ended. */
export function explainCall(call: SteadyOutcome): string {
  const { report, repairs } = call
  const ending = endingOf(call)
  switch (ending) {
    case 'valid':
      return 'valid at once'
    case 'shared':
      return 'joined the call in flight · no request · shared'
    case 'replayed':
      return 'its outcome was kept · no request · replayed from store'
    case 'repaired':
      return `${rules(repairs)} · no second request · repaired`
    case 're-asked':
      return `${met(report)} · ${reaskedHow(report)} · re-asked`
    case 'fell back':
      return `${met(report)} · fell back to ${modelOf(report.attempts.at(-1))} · recovered`
    case 'recovered':
      return `${met(report)} · ${waits(report)} · recovered`
    case 'gave up':
    case 'unrecoverable':
      return `${ending}: ${report.outcome} — ${whyEnded(report)}`
    default:
      return ending satisfies never
  }
}

/** A call through the bare client. */
export interface BareCall {
  /** Absent if its caller got a valid value. */
  readonly problem?: BareProblem
  /** HTTP requests that arrived. */
  readonly requests: number
  readonly durationMs: number
  /** Whether an earlier call of the demo had already asked for the same. */
  readonly paidBefore: boolean
  /** Why sending several requests was wrong. */
  readonly blame?: string
}

/** One line: what the caller of the bare client got. */
export function explainBare(call: BareCall): string {
  const { problem, requests, paidBefore } = call
  if (problem !== undefined) return explainProblem(problem, call)
  if (paidBefore) return 'valid, and paid for again'
  return requests === 1 ? 'valid' : `valid after ${requests} requests`
}

function explainProblem(problem: BareProblem, call: BareCall): string {
  switch (problem.kind) {
    case 'http':
      return call.requests > 1 ? manyRequests(call) : oneRefusal(problem)
    case 'connection':
      if (call.requests > 1) return `connection lost ${call.requests} times`
      return problem.typed
        ? 'connection lost, not retried'
        : 'body lost: a raw TypeError, not retried'
    case 'error-body':
      return '200 with an error body taken for a success'
    case 'no-choices':
      return '200 without a choice, not noticed'
    case 'refusal':
      return 'content is null; the refusal goes unread'
    case 'silent-end':
      return 'the stream just ends: no text, no error'
    case 'hung':
      return `still waiting after ${formatMs(problem.afterMs)}, of 10 minutes`
    case 'not-json':
      return problem.cut ? 'half of the JSON: SyntaxError' : 'JSON.parse throws a SyntaxError'
    case 'wrong-shape':
      return 'JSON of the wrong shape reaches the caller'
    default:
      return problem satisfies never
  }
}

function manyRequests({ requests, durationMs, blame }: BareCall): string {
  const many = `${requests} requests in ${formatMs(durationMs)}`
  return blame === undefined ? many : `${many}, ${blame}`
}

function oneRefusal({ status, code }: BareProblem & { readonly kind: 'http' }): string {
  return code === undefined ? `throws ${status}` : `throws ${status} ${code}`
}

/** Whether repeating this request would have ended in the same way. */
function isFinal(reason: StopReason | undefined): boolean {
  return (
    reason === 'not_retryable' || reason === 'repeated_answer' || reason === 'hint_exceeds_wait'
  )
}

/** The kinds of failures met; consecutive equal ones count once. */
function met({ attempts }: CallReport): string {
  const kinds = attempts.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'success')
  return kinds.filter((kind, index) => kind !== kinds[index - 1]).join(', ')
}

function waits({ attempts }: CallReport): string {
  const hinted = attempts.find(({ delaySource }) => delaySource === 'hint')
  const asked = attempts.find(({ retryAfterMs }) => retryAfterMs !== undefined)?.retryAfterMs
  const delays = attempts.slice(1).map(({ delayMs }) => formatMs(delayMs))
  if (hinted === undefined || asked === undefined) return `backed off ${delays.join(' + ')}`
  return `waited ${delays.join(' + ')}, asked for ${formatMs(asked)}`
}

function reaskedHow({ attempts }: CallReport): string {
  return attempts.some(({ outcome }) => outcome === 'truncated')
    ? 'output limit doubled'
    : 'sent back with its errors'
}

function rules(repairs: readonly Repair[]): string {
  return [...new Set(repairs.map(({ rule }) => rule))].join(', ')
}

/** The model of a target, which is written `host model`. */
function modelOf(attempt: AttemptReport | undefined): string {
  const target = attempt?.target ?? ''
  return target.slice(target.indexOf(' ') + 1)
}

function whyEnded({ reason, attempts }: CallReport): string {
  if (reason === undefined) return 'the answer was not valid'
  const asked = attempts.at(-1)?.retryAfterMs
  if (asked !== undefined && HINT_REASONS.has(reason)) {
    return `asks for ${formatMs(asked)}, ${WHY_ENDED[reason]}`
  }
  return WHY_ENDED[reason]
}

const HINT_REASONS: ReadonlySet<StopReason> = new Set([
  'hint_exceeds_wait',
  'hint_exceeds_deadline',
])
