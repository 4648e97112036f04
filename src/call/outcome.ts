import {
  type AttemptReport,
  CallError,
  type Failure,
  isCallError,
  type StopReason,
  sumOfTokens,
  type TokenCounts,
  type Usage,
  type Wait,
} from '../errors/call-error.ts'
import { isNotExecuted } from '../errors/classify.ts'
import { againAfter, type Executed, FAILURE_KINDS } from '../errors/failure-kinds.ts'
import type { LateEnd, WorkOutcome } from '../idempotency/protocol.ts'
import type { FailureNotice } from '../idempotency/store.ts'
import type { CallReport } from '../report/call-report.ts'
import { closedFailure } from '../retry/decide.ts'
import type { AttemptStep, LoopOutcome } from '../retry/loop.ts'
import type { CallSpan } from '../telemetry/telemetry.ts'
import type { Deadline } from '../time.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { explain } from './explain.ts'
import type { CallKey } from './key.ts'
import type { AnswerFacts, Exchange, Task } from './task.ts'

/** One call, as far as reports and errors are made of it. */
interface CallSoFar {
  readonly task: Pick<Task<never>, 'operation' | 'options'>
  readonly key: CallKey
  readonly span: CallSpan
  readonly where: string
  readonly attempts: readonly AttemptReport[]
  /** Attempts that have not ended. */
  readonly open: number
  readonly facts: AnswerFacts | undefined
  readonly elapsedMs: number
}

/** How a call ended, for its report. */
type CallEnd = Pick<CallReport, 'outcome' | 'source' | 'persisted'> &
  Partial<Pick<CallReport, 'reason' | 'again' | 'retryAfterMs' | 'waits'>>

export function reportOf(call: CallSoFar, end: CallEnd): CallReport {
  const isOwn = end.source === 'provider'
  const { usage: counted, repairs = [] } = call.facts ?? {}
  return Object.freeze({
    operation: call.task.operation,
    ...end,
    attempts: Object.freeze([...call.attempts]),
    idempotencyKey: call.key.text,
    usage: isOwn ? usageOf(call.attempts, call.open) : NO_USAGE,
    ...(end.outcome === 'success' &&
      repairs.length > 0 && { repairs: Object.freeze([...repairs]) }),
    ...(!isOwn && counted !== undefined && { replayedUsage: { ...counted, complete: true } }),
    durationMs: call.elapsedMs,
  })
}

/** The end of a call that failed with this error. */
export function endOf(
  error: Pick<CallError, 'kind' | 'source' | 'again' | 'reason' | 'retryAfterMs' | 'waits'>,
): CallEnd {
  const { kind, reason, source, again, retryAfterMs, waits } = error
  const said = withoutUndefined({ reason, retryAfterMs, waits })
  return { outcome: kind, source, persisted: false, again, ...said }
}

/** The end of a stream that broke in its caller's hands. */
export function deliveredEnd(
  { kind, executed, retryAfterMs }: Failure,
  source: CallReport['source'],
  { onUncertain }: Task<unknown>['options'],
): CallEnd {
  const again = againAfter({ kind, executed, onUncertain })
  const said = retryAfterMs !== undefined && { retryAfterMs }
  return { outcome: kind, source, persisted: false, reason: 'delivered', again, ...said }
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
  // The common case first: one answer, whose counts are the sum.
  const [only] = billed
  const sum = only !== undefined && billed.length === 1 ? only : sumOfTokens(billed)
  return Object.freeze({ ...sum, complete })
}

/** What is known of an attempt when it has ended. */
interface EndFacts {
  readonly step: AttemptStep
  readonly target: string
  /** Undefined: it succeeded. */
  readonly failure: Failure | undefined
  readonly facts: AnswerFacts
  /** Undefined where nothing could be observed. */
  readonly wireRequests: number | undefined
  readonly startedAtMs: number
  readonly durationMs: number
}

/** The attempt as reports and events have it. What there was none of is absent. */
export function attemptReport(ended: EndFacts): AttemptReport {
  const { step, target, failure, facts, wireRequests, startedAtMs, durationMs } = ended
  const { number, cause, delayMs, delaySource, waits } = step
  const { gatewayAttempts, usage } = facts
  const status = failure?.status ?? facts.status
  const requestId = failure?.requestId ?? facts.requestId
  return {
    number,
    cause,
    target,
    outcome: failure?.kind ?? 'success',
    retryable: failure?.retryable ?? false,
    executed: failure?.executed ?? 'yes',
    startedAtMs,
    durationMs,
    delayMs,
    ...(status !== undefined && { status }),
    ...(failure?.code !== undefined && { code: failure.code }),
    ...(requestId !== undefined && { requestId }),
    ...(delaySource !== undefined && { delaySource }),
    ...(waits !== undefined && { waits }),
    ...(failure?.retryAfterMs !== undefined && { retryAfterMs: failure.retryAfterMs }),
    ...(wireRequests !== undefined && { wireRequests }),
    ...(gatewayAttempts !== undefined && { gatewayAttempts }),
    ...(usage !== undefined && { usage }),
  }
}

type GivenUp = Omit<Extract<LoopOutcome<never>, { readonly ok: false }>, 'ok' | 'requests'>

/** The error of a call that is over, and what its key's record becomes. */
export function giveUp<T>(
  call: CallSoFar,
  binding: { readonly onUncertain: 'rerun' | 'fail'; readonly deadline: Deadline },
  { failure, reason, deterministic, refused, heldBy, waitedMs, waits }: GivenUp,
  more: { readonly completion?: unknown; readonly late?: Promise<LateEnd<T>> | undefined } = {},
): WorkOutcome<T> {
  const { attempts, task } = call
  const doubtful = [failure, ...attempts].some((ended) => ended.executed === 'maybe')
  const uncertain = binding.onUncertain === 'fail' && doubtful
  const told: Failure =
    uncertain && reason === 'outcome_unknown'
      ? { ...failure, kind: 'outcome_unknown', retryable: false }
      : failure
  const message = explain({
    failure: told,
    reason,
    refusal: refused?.refusal,
    deterministic,
    where: call.where,
    attempts: attempts.length,
    elapsedMs: call.elapsedMs,
    remainingMs: binding.deadline.remainingMs(),
    maxWaitMs: task.options[reason === 'hint_exceeds_wait' ? 'maxHintMs' : 'maxWaitMs'],
    heldBy,
    waitedMs,
  })
  const executed = executedIn(attempts, told)
  const error = callError({ ...told, executed }, message, {
    attempts,
    waits,
    reason,
    deterministic,
    onUncertain: binding.onUncertain,
    completion: more.completion,
    key: call.key.text,
  })
  const { kind, retryAfterMs, status } = told
  const origin = call.span.traceparent
  return {
    ok: false,
    error,
    disposition: uncertain ? 'uncertain' : isFinal(told) ? 'keep' : 'release',
    doubtful,
    ...(more.late !== undefined && { late: more.late }),
    notice: withoutUndefined({ kind, executed, retryAfterMs, status, origin }),
  }
}

/** What the provider may have done in the whole call: the worst of its attempts. */
function executedIn(attempts: readonly AttemptReport[], { executed }: Failure): Executed {
  const all = [executed, ...attempts.map((attempt) => attempt.executed)]
  return all.includes('yes') ? 'yes' : all.includes('maybe') ? 'maybe' : 'no'
}

/** A final refusal by the provider, not a request that never got to it: that may soon be mended. */
function isFinal({ kind, status }: Failure): boolean {
  if (kind === 'invalid_request' && status === undefined) return false
  return FAILURE_KINDS[kind].permanent
}

/** A client that is closed makes no calls. */
export function closedError(call: CallSoFar): CallError {
  const reason = 'aborted'
  return unsentError(call, closedFailure(), { reason, where: call.where })
}

/** A kept or shared result is no good for this caller. */
export function recheckedError(
  call: CallSoFar,
  failure: Failure,
  source: 'store' | 'shared',
): CallError {
  const where = source === 'store' ? 'the store' : 'the joined call'
  return unsentError(call, failure, { reason: 'not_retryable', where, source })
}

function unsentError(
  { elapsedMs, key }: CallSoFar,
  failure: Failure,
  told: {
    readonly reason: StopReason
    readonly where: string
    readonly source?: 'store' | 'shared'
  },
): CallError {
  const { reason, where, source } = told
  const so = { attempts: 0, elapsedMs, remainingMs: 0, deterministic: false }
  const message = explain({ failure, reason, where, ...so })
  const more = source === undefined ? { reason } : { source }
  return callError(failure, message, { attempts: [], key: key.text, ...more })
}

/** A failure that another caller met, as this one's error. */
export function noticeError(
  { task, key, where }: CallSoFar,
  { kind, executed = 'maybe', retryAfterMs, status }: FailureNotice,
  source: 'store' | 'shared',
): CallError {
  const how = source === 'store' ? 'is kept under this key' : 'ended the call that this one joined'
  return new CallError({
    kind,
    message: `A failure (${kind}) at ${where} ${how}.`,
    retryable: FAILURE_KINDS[kind].retry === 'yes',
    executed,
    status,
    retryAfterMs,
    onUncertain: task.options.onUncertain,
    idempotencyKey: key.text,
    source,
  })
}

/** A defect of ours, or a callback that broke its promise: never hidden, always with its cause. */
export function unexpectedError({ attempts, key }: CallSoFar, error: unknown): CallError {
  const failure: Failure = {
    kind: 'unknown',
    retryable: false,
    executed: attempts.length === 0 ? 'no' : 'maybe',
    message: 'unexpected',
    cause: error,
  }
  const message = 'steadycall itself failed: see the cause, and please report it.'
  return callError(failure, message, { attempts, key: key.text })
}

/** The error of a call that could not succeed, from its last failure. */
function callError(
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

/**
 * What attempts of a call were doing when a limit cut them off: a function that does not look at
 * its signal, a request whose answer came in the same moment. It goes on, and may succeed yet.
 */
export class LateWork<T> {
  readonly #task: Task<T>
  readonly #ends: Promise<LateEnd<T>>[] = []

  constructor(task: Task<T>) {
    this.#task = task
  }

  add(work: PromiseLike<unknown>, exchange: Exchange): void {
    this.#ends.push(this.#endOf(work, exchange))
  }

  /**
   * The first success, or that there is none; undefined where nothing goes on. `doubts` is how many
   * attempts of the call may have been executed: nothing was, where all of them say so in the end.
   */
  end(doubts: number): Promise<LateEnd<T>> | undefined {
    const ends = this.#ends
    return ends.length === 0 ? undefined : firstSuccess(ends, doubts)
  }

  async #endOf(work: PromiseLike<unknown>, exchange: Exchange): Promise<LateEnd<T>> {
    try {
      const value = await this.#task.late?.(await work, exchange)
      return value === undefined ? FAILED : { ok: true, value: value.late }
    } catch (error) {
      const isUndone = this.#task.isFunction && isNotExecuted(error)
      return isUndone ? { ok: false, executed: 'no' } : FAILED
    }
  }
}

const FAILED = { ok: false, executed: 'maybe' } as const

async function firstSuccess<T>(
  ends: readonly Promise<LateEnd<T>>[],
  doubts: number,
): Promise<LateEnd<T>> {
  let undone = 0
  const successes = ends.map(async (ending) => {
    const end = await ending
    if (end.ok) return end
    if (end.executed === 'no') undone++
    throw new Error('no success')
  })
  return Promise.any(successes).catch(() =>
    undone === doubts ? { ok: false, executed: 'no' } : FAILED,
  )
}

/** What the call had sent when its claim was lost, and what it fails with if that was all it may send. */
export function sentIn(
  attempts: readonly AttemptReport[],
  last: Failure,
): { readonly requests: number; readonly refused: number; readonly failure: Failure } {
  const refused = attempts.filter(({ executed }) => executed === 'no').length
  // The attempt was cut off by the loss of the claim, not by the caller.
  const isCut = last.kind === 'aborted' && isCallError(last.cause)
  const failure = isCut ? { ...last, kind: last.cause.kind } : last
  return { requests: attempts.length, refused, failure }
}
