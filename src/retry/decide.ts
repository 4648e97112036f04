import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import type { Allowance } from '../errors/rate-limit-headers.ts'
import type { Held } from './health/line-contract.ts'
import type { HeldBy, NoLeave } from './health/waiting.ts'

/** The part of the policy that has a number for everybody. */
export const DEFAULT_LIMITS = {
  /** No attempt starts with less time left than this, milliseconds: it could only be cut off. */
  minAttemptMs: 250,
  /**
   * A wait that is thought to be longer goes to a fallback that can take the call now, milliseconds.
   */
  longWaitMs: 2_000,
} as const

/** What happens after an attempt. */
export type Verdict =
  | { readonly verdict: 'accept' }
  | {
      readonly verdict: 'retry'
      /** Milliseconds to wait, finite and not negative. */
      readonly delayMs: number
      readonly delaySource: 'backoff' | 'hint'
    }
  /** The attempt that is planned waits in its target's line. */
  | { readonly verdict: 'wait'; readonly held: Held }
  | { readonly verdict: 'reask' }
  | { readonly verdict: 'fallback'; readonly target: number }
  | { readonly verdict: 'stop'; readonly reason: StopReason }

/** An attempt that failed, or was refused before it was sent. */
export interface FailedAttempt {
  readonly ok: false
  readonly failure: Failure
  /** What is left of the hint that the other of two hedged attempts was given, milliseconds. */
  readonly otherHintMs?: number
  /** Content has reached the caller: nothing may be sent again. */
  readonly delivered?: boolean
  /** Not sent yet: its line holds it, and `failure` says what closed the line. */
  readonly held?: Held
  /** Not sent: it has waited in vain. */
  readonly noLeave?: NoLeave
  /** What the refusal says of its target's limits. */
  readonly allowances?: readonly Allowance[]
  /** Never sent: leave to send it was refused in the last moment, and `failure` says why. */
  readonly withheld?: boolean
  /**
   * May the model be asked again with its bad answer? `repeated`: it gave this very answer before.
   * Absent: yes for the kinds whose retry is a re-ask, no for the others.
   */
  readonly reask?: 'allowed' | 'repeated' | 'no'
}

/** Everything a verdict depends on. */
export interface DecideInput {
  readonly result: { readonly ok: true } | FailedAttempt
  readonly policy: {
    /** Attempts that a model may have worked on, the first included. */
    readonly maxAttempts: number
    readonly maxReasks: number
    /** Requests of any kind, those that were refused unexecuted too. */
    readonly maxRequests: number
    readonly onUncertain: 'rerun' | 'fail'
    /** Something that was sent earlier in the call may have been executed. @default false */
    readonly mayHaveRun?: boolean
    /** @default 250 */
    readonly minAttemptMs?: number
  }
  /** Attempts so far that a model may have worked on, whatever caused them. */
  readonly attempts: number
  /** Requests so far. */
  readonly requests: number
  readonly reasks: number
  /** The caller's signal has fired. */
  readonly aborted: boolean
  /** The client is closed: it sends nothing more. @default false */
  readonly closed?: boolean
  /** The failure refuses what a re-ask added to a request that was taken before. @default false */
  readonly reaskRefused?: boolean
  /** Until the deadline, milliseconds. */
  readonly remainingMs: number
  /** How long the call may still wait, milliseconds. */
  readonly patienceMs: number
  /** `false`: it waits for nothing but its own backoff, and that counts against its deadline only. */
  readonly waits: boolean
  /** Its own hint, milliseconds from now, the longest that it was given. 0: backoff decides. */
  readonly hintMs: number
  /** A kind that may be retried once has had its retry in this call. */
  readonly retriedOnce: boolean
  /** What the line of the current target would do to a retry that comes after so long, milliseconds. */
  readonly heldAfter: (delayMs: number) => Held
  /** Draws the wait to use without a hint. */
  readonly backoffMs: () => number
  /** Targets after the current one, in order. */
  readonly fallbacks: readonly FallbackChoice[]
}

export interface FallbackChoice {
  readonly target: number
  /** Failures it takes over. */
  readonly on: ReadonlySet<FailureKind>
  /** It can take the call now: its line is free, and equal calls have left it attempts. */
  readonly available: boolean
}

/**
 * The retry policy, as one pure function. The first step that applies decides:
 *
 * 1. the caller aborted → stop
 * 2. content was delivered → stop
 * 3. under `onUncertain: 'fail'` the attempt, or one before it, may have been executed → stop
 * 4. attempts, requests or deadline are spent → stop; where nothing could have helped, that is the reason
 * 5. an output failure → re-ask, unless the limit is reached or the answer repeats
 * 6. the same target may be tried again and can be expected to let the call through in time → retry,
 *    or wait on where the attempt is planned already; but a long wait, and the last attempt or
 *    request, are left to a fallback of step 7
 * 7. a fallback is left, takes this kind and can take the call now → fall back
 * 8. stop, with the reason from 5 or 6
 *
 * Nothing follows for a client that is closed. Where what a re-ask added is refused, that is the reason.
 */
export function decide(input: DecideInput): Verdict {
  const verdict = firstThatApplies(input)
  const { result, closed, reaskRefused } = input
  if (result.ok) return verdict
  const isStop = verdict.verdict === 'stop'
  // What an attempt in flight met is why the call ends, even if the client was closed meanwhile.
  if (closed && !(isStop && result.held === undefined)) return stop('aborted')
  return isStop && verdict.reason !== 'aborted' && reaskRefused ? stop('reask_refused') : verdict
}

function firstThatApplies(input: DecideInput): Verdict {
  const { result, policy } = input
  if (result.ok) return { verdict: 'accept' }
  const { kind, executed } = result.failure

  if (input.aborted || kind === 'aborted') return stop('aborted')
  if (result.delivered === true) return stop('delivered')
  // What is planned was allowed; a stricter caller who has joined since is asked before it is sent.
  const isPlanned = result.held !== undefined || result.noLeave !== undefined
  const mayHaveRun = executed !== 'no' || policy.mayHaveRun === true
  if (!isPlanned && policy.onUncertain === 'fail' && mayHaveRun) return stop('outcome_unknown')
  const next = input.fallbacks.find(({ on, available }) => available && on.has(kind))
  const end = outOfMeans(kind, isPlanned, input)
  // With a fallback left, one more attempt would have been worth having.
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

/** What to do where there is no other target. */
function stay(result: FailedAttempt, input: DecideInput): Stay {
  if (result.noLeave !== undefined) return inVain(result.noLeave, input)
  if (result.held !== undefined) return wait(result.held, input)
  return isOutputFailure(result) ? reask(result, input) : retry(result, input)
}

type Stop = Extract<Verdict, { readonly verdict: 'stop' }>
type Stay = Exclude<Verdict, { readonly verdict: 'accept' | 'fallback' }>

/** A long wait, and what may be sent last, had better go to a target that can take the call now. */
function isBetterElsewhere(here: Stay, input: DecideInput): boolean {
  const { longWaitMs } = DEFAULT_LIMITS
  if (here.verdict === 'wait') return here.held.expectedMs > longWaitMs
  if (here.verdict !== 'retry') return false
  const { policy } = input
  // Retries spent to the last would leave nothing for the target that was named for this failure.
  if (input.attempts + 1 >= policy.maxAttempts) return true
  if (input.requests + 1 >= policy.maxRequests) return true
  return input.heldAfter(here.delayMs).expectedMs > longWaitMs
}

/** Nothing has let it through in time. Its deadline may have moved since, when others joined. */
function inVain({ why }: NoLeave, input: DecideInput): Stay {
  if (why === 'aborted') return stop('aborted')
  if (why === 'full') return stop('line_full')
  if (why === 'hopeless') return stop('hopeless_wait')
  const latestMs = latestOf(input)
  // A hint that came while it waited may be disproved, or be one that it has the patience for.
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

/** It would have to wait longer than its deadline, or else its patience, allows. */
function tooLong(by: HeldBy, leastMs: number, input: DecideInput): Stop {
  const isHint = by === 'hint'
  // No option lengthens what is left of a deadline: where both are too short, it is the reason.
  if (leastMs > latestOf(input)) return stop(isHint ? 'hint_exceeds_deadline' : 'deadline')
  return stop(isHint ? 'hint_exceeds_wait' : 'max_wait')
}

/** Until an attempt must have started. Timers drop fractions of a millisecond. */
function latestOf(input: DecideInput): number {
  return Math.floor(input.remainingMs - minAttemptMs(input))
}

/** Undefined: there are an attempt, a request and the time for it left. */
function outOfMeans(
  kind: FailureKind,
  isPlanned: boolean,
  input: DecideInput,
): StopReason | undefined {
  const { maxAttempts, maxRequests } = input.policy
  if (!isPlanned && input.attempts >= maxAttempts) return 'max_attempts'
  if (!isPlanned && input.requests >= maxRequests) return 'max_requests'
  return input.remainingMs < minAttemptMs(input) || kind === 'deadline' ? 'deadline' : undefined
}

/** No further attempt at this target would help, however many were allowed. */
function isHopeless(result: FailedAttempt, input: DecideInput): boolean {
  const { failure } = result
  if (FAILURE_KINDS[failure.kind].ours || isOutputFailure(result)) return false
  return !isRetryable(failure, input)
}

function isOutputFailure({ failure, reask: verdict }: FailedAttempt): boolean {
  if (verdict === undefined) return FAILURE_KINDS[failure.kind].retry === 'reask'
  return verdict !== 'no'
}

function reask(result: FailedAttempt, input: DecideInput): Stay {
  if (result.reask === 'repeated') return stop('repeated_answer')
  return input.reasks < input.policy.maxReasks ? { verdict: 'reask' } : stop('max_reasks')
}

function retry({ failure }: FailedAttempt, input: DecideInput): Stay {
  if (!isRetryable(failure, input)) return stop('not_retryable')
  const { hintMs, patienceMs } = input
  const latestMs = latestOf(input)
  const isHint = hintMs > 0
  // Down to whole milliseconds a timer would undercut the hint.
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

/** May the same target be sent the same again? A kind that is retried once may have been. */
function isRetryable({ kind, retryable }: Failure, { retriedOnce }: DecideInput): boolean {
  return retryable && !(retriedOnce && FAILURE_KINDS[kind].retry === 'once')
}

function minAttemptMs({ policy }: DecideInput): number {
  return policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs
}
