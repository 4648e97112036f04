import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import type { Allowance } from '../errors/hints.ts'
import { ClientClosed } from '../time.ts'
import type { Line } from './health/line.ts'
import type { Held } from './health/line-contract.ts'
import type { HeldBy, PermitRefusal } from './health/waiting.ts'

/** The fixed numbers of the policy. */
export const DEFAULT_LIMITS = {
  /** No attempt starts with less time left than this, in milliseconds: it would only be cut off. */
  minAttemptMs: 250,
  /**
   * If the expected wait is longer than this (milliseconds), a fallback that can take the call now is
   * preferred.
   */
  longWaitMs: 2_000,
} as const

/** What to do after an attempt. */
export type Verdict =
  | { readonly verdict: 'accept' }
  | GoOn
  | { readonly verdict: 'stop'; readonly reason: StopReason }

/** A verdict after which the call goes on. */
export type GoOn =
  | {
      readonly verdict: 'retry'
      /** The wait in milliseconds, finite and not negative. */
      readonly delayMs: number
      readonly delaySource: 'backoff' | 'hint'
    }
  /** The planned attempt waits in the line of its target. */
  | { readonly verdict: 'wait'; readonly held: Held }
  | { readonly verdict: 'reask' }
  | { readonly verdict: 'fallback'; readonly target: number }

/** An attempt that failed, or that was not sent. */
export interface StepFailure {
  readonly ok: false
  readonly failure: Failure
  /** What is left of the hint given to the other of two hedged attempts, in milliseconds. */
  readonly otherHintMs?: number
  /** Whether content has reached the caller, so that nothing may be sent again. */
  readonly delivered?: boolean
  /** Set if it was not sent yet because its line holds it; `failure` says what closed the line. */
  readonly held?: Held
  /** Set if it was not sent because its wait ended without permission. */
  readonly permitRefusal?: PermitRefusal
  /** The target's limits, as reported with the refusal. */
  readonly allowances?: readonly Allowance[]
  /** Whether permission to send was withdrawn at the last moment; `failure` says why. */
  readonly withheld?: boolean
  /**
   * Whether the model may be asked again with its bad answer. `repeated`: it has given this answer before. If
   * absent, this depends on the failure kind.
   */
  readonly reask?: 'allowed' | 'repeated' | 'no'
}

/** Everything that a verdict depends on. */
export interface DecideInput {
  readonly result: { readonly ok: true } | StepFailure
  readonly policy: {
    /** Maximum number of attempts that a model may have worked on, including the first. */
    readonly maxAttempts: number
    readonly maxReasks: number
    /** Maximum number of requests of any kind, including those refused without being executed. */
    readonly maxRequests: number
    readonly onUncertain: 'rerun' | 'fail'
    /** Whether something sent earlier in the call may have been executed. @default false */
    readonly mayHaveRun?: boolean
    /** @default 250 */
    readonly minAttemptMs?: number
  }
  /** Number of attempts so far that a model may have worked on, whatever their cause. */
  readonly attempts: number
  /** Number of requests so far. */
  readonly requests: number
  readonly reasks: number
  /** Whether the caller's signal has aborted. */
  readonly aborted: boolean
  /** Whether the client is closed, so that nothing more is sent. @default false */
  readonly closed?: boolean
  /** Whether the provider refused the additions of a re-ask to a request it accepted before. @default false */
  readonly reaskRefused?: boolean
  /** Time until the deadline, in milliseconds. */
  readonly remainingMs: number
  /** How long the call may still wait, in milliseconds. */
  readonly patienceMs: number
  /** `false`: the call waits only for its own backoff, which counts only against its deadline. */
  readonly waits: boolean
  /** What is left of the longest hint the call was given, in milliseconds; 0 if it has none. */
  readonly hintMs: number
  /** Whether a failure kind that is retried once per call has had its retry. */
  readonly retriedOnce: boolean
  /** What would hold a retry on the current target after this delay in milliseconds. */
  readonly heldAfter: (delayMs: number) => Held
  /** Draws the backoff to use without a hint. */
  readonly backoffMs: () => number
  /** The targets after the current one, in order. */
  readonly fallbacks: readonly FallbackChoice[]
}

export interface FallbackChoice {
  readonly target: number
  /** The failure kinds it takes over. */
  readonly on: ReadonlySet<FailureKind>
  /** Whether it can take the call now: its line is free, and equal calls have not used up its attempts. */
  readonly available: boolean
}

/**
 * The retry policy as one pure function. The first rule that applies decides:
 *
 * 1. the caller aborted → stop
 * 2. content was delivered → stop
 * 3. `onUncertain: 'fail'`, and this attempt or an earlier one may have been executed → stop
 * 4. attempts, requests or time are used up → stop; if nothing could have helped anyway, that is the reason
 * 5. an output failure → re-ask, unless the limit is reached or the answer repeats
 * 6. the same target may be tried again, and is expected to let the call through in time → retry, or keep
 *    waiting if the attempt is already planned; but a long wait, and the last attempt or request, are left to
 *    a fallback (7)
 * 7. a fallback is left that takes over this kind and can take the call now → fall back
 * 8. stop, with the reason from 5 or 6
 *
 * Two rules apply on top: a closed client sends nothing more, and if the provider refused the additions of a
 * re-ask, that is the reason to stop.
 */
export function decide(input: DecideInput): Verdict {
  const verdict = firstThatApplies(input)
  const { result, closed, reaskRefused } = input
  if (result.ok) return verdict
  const isStop = verdict.verdict === 'stop'
  // The failure of an attempt in flight is the reason, even if the client was closed meanwhile.
  if (closed && !(isStop && result.held === undefined)) return stop('aborted')
  return isStop && verdict.reason !== 'aborted' && reaskRefused ? stop('reask_refused') : verdict
}

function firstThatApplies(input: DecideInput): Verdict {
  const { result, policy } = input
  if (result.ok) return { verdict: 'accept' }
  const { kind, executed } = result.failure

  if (input.aborted || kind === 'aborted') return stop('aborted')
  if (result.delivered === true) return stop('delivered')
  // A planned attempt was already allowed; a stricter policy set by a joiner is checked just before sending.
  const isPlanned = result.held !== undefined || result.permitRefusal !== undefined
  const mayHaveRun = executed !== 'no' || policy.mayHaveRun === true
  if (!isPlanned && policy.onUncertain === 'fail' && mayHaveRun) return stop('outcome_unknown')
  const next = input.fallbacks.find(({ on, available }) => available && on.has(kind))
  const end = outOfMeans(kind, isPlanned, input)
  // A usable fallback means that one more attempt could have helped.
  if (end !== undefined) {
    return stop(next === undefined && isHopeless(result, input) ? 'not_retryable' : end)
  }

  const here = stay(result, input)
  if (next === undefined || here.verdict === 'reask') return here
  return here.verdict === 'stop' || isBetterElsewhere(here, input)
    ? { verdict: 'fallback', target: next.target }
    : here
}

function stop(reason: StopReason): Stop {
  return { verdict: 'stop', reason }
}

/** The verdict without regard to other targets. */
function stay(result: StepFailure, input: DecideInput): Stay {
  if (result.permitRefusal !== undefined) return inVain(result.permitRefusal, input)
  if (result.held !== undefined) return wait(result.held, input)
  return isOutputFailure(result) ? reask(result, input) : retry(result, input)
}

type Stop = Extract<Verdict, { readonly verdict: 'stop' }>
type Stay = Exclude<Verdict, { readonly verdict: 'accept' | 'fallback' }>

/** A long wait, and the last attempt or request, are better spent on a target that can take the call now. */
function isBetterElsewhere(here: Stay, input: DecideInput): boolean {
  const { longWaitMs } = DEFAULT_LIMITS
  if (here.verdict === 'wait') return here.held.expectedMs > longWaitMs
  if (here.verdict !== 'retry') return false
  const { policy } = input
  // Using up all retries here would leave nothing for the fallback configured for this failure.
  if (input.attempts + 1 >= policy.maxAttempts) return true
  if (input.requests + 1 >= policy.maxRequests) return true
  return input.heldAfter(here.delayMs).expectedMs > longWaitMs
}

/** The wait ended without permission to send. The deadline may have been extended meanwhile, by joiners. */
function inVain({ why }: PermitRefusal, input: DecideInput): Stay {
  if (why === 'aborted') return stop('aborted')
  if (why === 'full') return stop('line_full')
  if (why === 'hopeless') return stop('hopeless_wait')
  const latestMs = latestOf(input)
  // The hint that was too long may have been disproved, or the call may have the patience for it.
  if (why === 'too_long') return wait(input.heldAfter(0), input)
  if (latestMs < 1) return stop('deadline')
  return input.patienceMs < 1 ? stop('max_wait') : wait(input.heldAfter(0), input)
}

function wait(held: Held, input: DecideInput): Stay {
  const latestMs = latestOf(input)
  const { by, leastMs } = held
  const isOutOfPatience = input.patienceMs < 1 && by !== 'backoff'
  if (isOutOfPatience || leastMs > Math.min(latestMs, input.patienceMs)) {
    return tooLong(by, leastMs, input)
  }
  return { verdict: 'wait', held }
}

/** The wait would be longer than the deadline or the patience allows. */
function tooLong(by: HeldBy, leastMs: number, input: DecideInput): Stop {
  const isHint = by === 'hint'
  // If both are too short, the deadline is the reason, because raising `maxWaitMs` alone would not help.
  if (leastMs > latestOf(input)) return stop(isHint ? 'hint_exceeds_deadline' : 'deadline')
  return stop(isHint ? 'hint_exceeds_wait' : 'max_wait')
}

/** Milliseconds until the last moment at which an attempt may start. Rounded down, as timers do. */
function latestOf(input: DecideInput): number {
  return Math.floor(input.remainingMs - minAttemptMs(input))
}

/** The reason if no attempt or no request is left; otherwise undefined. */
export function spentBy(
  sent: Pick<DecideInput, 'attempts' | 'requests'>,
  policy: Pick<DecideInput['policy'], 'maxAttempts' | 'maxRequests'>,
): StopReason | undefined {
  if (sent.attempts >= policy.maxAttempts) return 'max_attempts'
  return sent.requests >= policy.maxRequests ? 'max_requests' : undefined
}

/** The reason if no attempt, request or time is left; otherwise undefined. */
function outOfMeans(
  kind: FailureKind,
  isPlanned: boolean,
  input: DecideInput,
): StopReason | undefined {
  const spent = isPlanned ? undefined : spentBy(input, input.policy)
  if (spent !== undefined) return spent
  return input.remainingMs < minAttemptMs(input) || kind === 'deadline' ? 'deadline' : undefined
}

/** Whether no further attempt at this target would help, however many were allowed. */
function isHopeless(result: StepFailure, input: DecideInput): boolean {
  const { failure } = result
  if (FAILURE_KINDS[failure.kind].ours || isOutputFailure(result)) return false
  return !isRetryable(failure, input)
}

function isOutputFailure({ failure, reask: verdict }: StepFailure): boolean {
  if (verdict === undefined) return FAILURE_KINDS[failure.kind].retry === 'reask'
  return verdict !== 'no'
}

function reask(result: StepFailure, input: DecideInput): Stay {
  if (result.reask === 'repeated') return stop('repeated_answer')
  return input.reasks < input.policy.maxReasks ? { verdict: 'reask' } : stop('max_reasks')
}

function retry({ failure }: StepFailure, input: DecideInput): Stay {
  if (!isRetryable(failure, input)) return stop('not_retryable')
  const { hintMs, patienceMs } = input
  const latestMs = latestOf(input)
  const isHint = hintMs > 0
  // Rounded up, because a timer in whole milliseconds would fire before the hint ends.
  const delayMs = isHint ? Math.ceil(hintMs) : input.backoffMs()
  const isOwnAffair = !isHint && !input.waits
  if (isOwnAffair && delayMs > latestMs) return stop('deadline')
  if (!isOwnAffair && delayMs > Math.min(latestMs, patienceMs)) {
    return tooLong(isHint ? 'hint' : 'backoff', delayMs, input)
  }
  const held = input.heldAfter(delayMs)
  const isHeld = held.leastMs > delayMs || (isOwnAffair && held.by !== 'backoff')
  if (isHeld) {
    const next = isOwnAffair ? tooLong(held.by, held.leastMs, input) : wait(held, input)
    if (next.verdict === 'stop') return next
  }
  return { verdict: 'retry', delayMs, delaySource: isHint ? 'hint' : 'backoff' }
}

/** Whether the same request may be sent to the same target again. Some kinds are retried only once per call. */
function isRetryable({ kind, retryable }: Failure, { retriedOnce }: DecideInput): boolean {
  return retryable && !(retriedOnce && FAILURE_KINDS[kind].retry === 'once')
}

function minAttemptMs({ policy }: DecideInput): number {
  return policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs
}

/**
 * The failure that a call ends with if its last attempt failed with `failure` and `reason` stopped it.
 * Usually that is the attempt's own failure, because that is what the user has to fix, whatever prevented
 * another attempt.
 */
export function stopFailure(
  reason: StopReason,
  failure: Failure,
  facts: { readonly hintMs: number },
): Failure {
  if (facts.hintMs > 0 && AFTER_A_HINT.has(reason)) {
    // The hint may have been given to another call and kept by the line.
    return { ...failure, retryAfterMs: wholeMs(facts.hintMs) }
  }
  // With 'yes' an answer arrived, so the outcome is known even if the answer is bad.
  if (reason === 'outcome_unknown' && failure.executed === 'maybe') {
    return { ...failure, ...ownFailure('outcome_unknown', failure.message, failure) }
  }
  return failure
}

const AFTER_A_HINT: ReadonlySet<StopReason> = new Set([
  'hint_exceeds_wait',
  'hint_exceeds_deadline',
  'max_wait',
  'hopeless_wait',
])

/** The caller aborted; `cause` is the abort reason. */
export function abortedFailure(last: Failure | undefined, cause: unknown): Failure {
  return { ...ownFailure('aborted', 'The caller aborted the call', last), cause }
}

/** The client was closed, so nothing more is sent. */
export function closedFailure(last?: Failure): Failure {
  return {
    ...ownFailure('aborted', 'The client was closed', last),
    cause: new ClientClosed(),
    detail: 'the client was closed by llm.close()',
    advice: 'Make the call with another client.',
  }
}

/**
 * The failure of a call that its line did not let through: the kind and status of the failure that closed the
 * line, but nothing else of the call that met it. If too many calls are waiting, that is the failure.
 */
export function heldFailure(
  { by, why }: Pick<PermitRefusal, 'by'> & { readonly why?: PermitRefusal['why'] },
  line: Line,
  name: string,
  last?: Failure,
): Failure {
  if (why === 'full') return ownFailure('overloaded', `Too many calls wait for ${name}`, last)
  const seen = line.seen(by)
  const kind = seen?.kind ?? (by === 'hint' ? 'rate_limit' : 'overloaded')
  const failure = ownFailure(kind, `${name} cannot take it now`, last)
  const retryAfterMs = by === 'hint' || by === 'limit' ? wholeMs(line.toldForMs) : 0
  return {
    ...failure,
    ...(seen?.status !== undefined && { status: seen.status }),
    ...(retryAfterMs > 0 && { retryAfterMs }),
  }
}

/** A failure decided here; its cause is the last caught error. */
export function ownFailure(kind: FailureKind, message: string, last: Failure | undefined): Failure {
  return {
    kind,
    retryable: FAILURE_KINDS[kind].retry === 'yes',
    executed: last?.executed ?? 'no',
    message,
    cause: last?.cause,
  }
}

/** Rounded up; sums of a monotonic clock are off by less than a microsecond. */
function wholeMs(ms: number): number {
  return Math.ceil(Math.round(ms * 1_000) / 1_000)
}
