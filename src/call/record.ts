import {
  type AttemptReport,
  CallError,
  type Failure,
  type StopReason,
  type Usage,
  type Wait,
} from '../errors/call-error.ts'
import { sumOfTokens, type TokenCounts } from '../errors/token-counts.ts'
import type { CallEvent, CallReport } from '../report/call-report.ts'
import { type CallSpan, UNWATCHED_CALL } from '../telemetry/telemetry.ts'
import type { Clock } from '../time.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { Ending } from './ending.ts'
import { OnEventReader, type Tell, tellAll } from './events.ts'
import type { AnswerFacts } from './job.ts'

export interface RecordRequest {
  readonly operation: string
  readonly key: string
  readonly span: CallSpan
  readonly clock: Clock
  readonly onEvent: ((event: CallEvent) => void) | undefined
}

/** What happened in one logical call: kept once, told to the span, to `onEvent` and in the report. */
export class CallRecord {
  readonly span: CallSpan
  /** Tells what happens. Undefined where nobody reads: `tell?.({ … })` then makes no event. */
  readonly tell: Tell | undefined
  readonly attempts: AttemptReport[] = []
  /** A stream was released: the call is not over before it has ended. */
  streaming = false
  /** From the call to its first content, of a stream. */
  firstChunkMs: number | undefined
  /** Of a stream that was released; a failure that cut it. */
  readonly streamEnd: Ending<Failure | undefined> = new Ending()
  readonly #request: RecordRequest
  readonly #startedMs: number
  #facts: AnswerFacts | undefined
  /** Attempts that have not ended: they go on for others when this caller has left. */
  #open = 0

  constructor(request: RecordRequest) {
    this.span = request.span
    this.tell = tellOf(request)
    this.#request = request
    this.#startedMs = request.clock.monotonicMs()
  }

  get elapsedMs(): number {
    return this.#request.clock.monotonicMs() - this.#startedMs
  }

  /** The facts of the answer that will be returned: of two good ones, the first. */
  answered(facts: AnswerFacts): void {
    this.#facts ??= facts
  }

  /** The facts of an answer that came from elsewhere. */
  replayed(facts: AnswerFacts): void {
    this.#facts = facts
  }

  attemptStarted(): void {
    this.#open++
  }

  attemptEnded(attempt: AttemptReport): void {
    this.#open--
    this.attempts.push(Object.freeze(attempt))
    // Of two that ran beside each other the second may end first.
    this.attempts.sort((a, b) => a.number - b.number)
    this.tell?.({ type: 'attempt-ended', attempt })
  }

  succeed(how: Pick<CallReport, 'source' | 'persisted'>, answer?: unknown): CallReport {
    const report = this.#report({ outcome: 'success', ...how })
    this.tell?.({ type: 'call-settled', report })
    const { id, model, finishReasons, repairs = [] } = this.#facts ?? {}
    const { systemFingerprint, serviceTier } = this.#facts ?? {}
    if (repairs.length > 0) {
      const rules = repairs.map(({ rule }) => rule)
      this.tell?.({ type: 'output-repaired', count: rules.length, rules })
    }
    this.span.end({
      ok: true,
      source: how.source,
      persisted: how.persisted,
      attempts: report.attempts,
      usage: report.usage,
      replayedUsage: report.replayedUsage,
      response: { id, model, finishReasons, systemFingerprint, serviceTier },
      firstChunkMs: this.firstChunkMs,
      answer: answer ?? this.#facts?.answer,
    })
    return report
  }

  /** The report of a stream that has only begun. */
  soFar(how: Pick<CallReport, 'source' | 'persisted'>): CallReport {
    return this.#report({ outcome: 'success', ...how })
  }

  fail(
    error: Pick<CallError, 'kind' | 'source' | 'again' | 'reason' | 'retryAfterMs' | 'waits'>,
  ): CallReport {
    const { kind, reason, source, again, retryAfterMs, waits } = error
    const report = this.#report({
      outcome: kind,
      source,
      persisted: false,
      again,
      ...withoutUndefined({ reason, retryAfterMs, waits }),
    })
    this.tell?.({ type: 'call-settled', report })
    const { attempts, usage } = report
    this.span.end({
      ok: false,
      kind,
      source,
      attempts,
      waits,
      usage,
      firstChunkMs: this.firstChunkMs,
      reason,
    })
    return report
  }

  #report(
    end: Pick<CallReport, 'outcome' | 'source' | 'persisted'> &
      Partial<Pick<CallReport, 'reason' | 'again' | 'retryAfterMs' | 'waits'>>,
  ): CallReport {
    const { operation, key } = this.#request
    const caused = end.source === 'provider'
    const usage = caused ? usageOf(this.attempts, this.#open) : NO_USAGE
    const { usage: counted, repairs = [] } = this.#facts ?? {}
    const report: CallReport = Object.freeze({
      operation,
      ...end,
      attempts: Object.freeze([...this.attempts]),
      idempotencyKey: key,
      usage,
      ...(end.outcome === 'success' &&
        repairs.length > 0 && { repairs: Object.freeze([...repairs]) }),
      ...(!caused && counted !== undefined && { replayedUsage: { ...counted, complete: true } }),
      durationMs: this.elapsedMs,
    })
    return report
  }
}

function tellOf({ onEvent, operation, key, span }: RecordRequest): Tell | undefined {
  const reader = onEvent && new OnEventReader(onEvent, { operation, idempotencyKey: key })
  return tellAll(reader, span === UNWATCHED_CALL ? undefined : span)
}

const NO_USAGE: Usage = Object.freeze({ inputTokens: 0, outputTokens: 0, complete: true })

/** What the attempts were billed, as far as they told; those still open have not. */
function usageOf(attempts: readonly AttemptReport[], open = 0): Usage {
  const billed: TokenCounts[] = []
  let complete = open === 0
  for (const { usage, executed } of attempts) {
    if (usage !== undefined) billed.push(usage)
    else if (executed !== 'no') complete = false
  }
  return Object.freeze({ ...sumOfTokens(billed), complete })
}

/** The error of a call that could not succeed, from its last failure. */
export function callError(
  failure: Failure,
  message: string,
  more: {
    readonly reason?: StopReason
    readonly attempts: readonly AttemptReport[]
    readonly waits?: readonly Wait[] | undefined
    readonly key: string
    readonly deterministic?: boolean
    readonly onUncertain?: 'rerun' | 'fail'
    readonly completion?: unknown
    readonly source?: 'store' | 'shared'
  },
): CallError {
  return new CallError({
    kind: failure.kind,
    message,
    cause: failure.cause,
    // An exhausted call may succeed later when its failure is one that passes.
    retryable: failure.retryable && more.deterministic !== true,
    executed: failure.executed,
    status: failure.status,
    code: failure.code,
    requestId: failure.requestId,
    retryAfterMs: failure.retryAfterMs,
    issues: failure.issues,
    deterministic: more.deterministic,
    onUncertain: more.onUncertain,
    completion: more.completion,
    attempts: Object.freeze([...more.attempts]),
    waits: more.waits && Object.freeze([...more.waits]),
    idempotencyKey: more.key,
    usage: usageOf(more.attempts),
    ...withoutUndefined({ reason: more.reason, source: more.source }),
  })
}
