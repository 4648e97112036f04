import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import type { NumberOptions } from './number-options.ts'

/** The random part that is added to a provider's hint. */
export interface HintSpread {
  /** Its size as a share of the hint. @default 0.5 */
  readonly ratio?: number | undefined
  /** It is at least so wide, milliseconds. @default 250 */
  readonly minMs?: number | undefined
  /** It is at most so wide, milliseconds. @default 15,000 */
  readonly maxMs?: number | undefined
  /**
   * Calls that came while the limit was on leave after it in the order they came, so many times
   * slower than they came. @default 1.5
   */
  readonly stretch?: number | undefined
}

/** The part of the policy that has a number for everybody. */
export const DEFAULT_LIMITS = {
  /** No attempt starts with less time left than this, milliseconds: it could only be cut off. */
  minAttemptMs: 250,
  /**
   * Ours, by simulation (docs/decisions/0006): 50 clients that obey one hint exactly, or let go at
   * once of all the calls that came meanwhile, do not let their provider recover.
   */
  hintSpread: { ratio: 0.5, minMs: 250, maxMs: 15_000, stretch: 1.5 },
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
  /** Never sent: the concurrency limit left no place for it. */
  readonly crowdedOut?: boolean
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
    /** Includes the first attempt. */
    readonly maxAttempts: number
    readonly maxReasks: number
    readonly maxRetryAfterMs: number
    readonly onUncertain: 'rerun' | 'fail'
    /** Something that was sent earlier in the call may have been executed. @default false */
    readonly mayHaveRun?: boolean
    /** @default 250 */
    readonly minAttemptMs?: number
    readonly hintSpread?: HintSpread
  }
  /** Attempts made so far, whatever caused them. */
  readonly attempts: number
  readonly reasks: number
  /** The caller's signal has fired. */
  readonly aborted: boolean
  /** Until the deadline, milliseconds. */
  readonly remainingMs: number
  /** How long the target asked to be left alone, milliseconds. 0: no hint, backoff decides. */
  readonly hintMs: number
  /** The longest hint that anybody was given for this wait: its spread. @default hintMs */
  readonly toldMs?: number
  /** A kind that may be retried once has had its retry in this call. */
  readonly retriedOnce: boolean
  /** The state of the current target's breaker. */
  readonly breakerClosed: boolean
  /** The current target's budget can pay for a retry after this failure. */
  readonly tokenAvailable: boolean
  /** Draws the wait to use without a hint. */
  readonly backoffMs: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Targets after the current one, in order. */
  readonly fallbacks: readonly FallbackChoice[]
}

export interface FallbackChoice {
  readonly target: number
  /** Failures it takes over. */
  readonly on: ReadonlySet<FailureKind>
  /** Its breaker is not open, its budget has a token, and equal calls have left it attempts. */
  readonly available: boolean
}

/**
 * The retry policy, as one pure function. The first step that applies decides:
 *
 * 1. the caller aborted → stop
 * 2. content was delivered → stop
 * 3. under `onUncertain: 'fail'` the attempt, or one before it, may have been executed → stop
 * 4. attempts or deadline are spent → stop; where nothing could have helped, that is the reason
 * 5. an output failure → re-ask, unless the limit is reached or the answer repeats
 * 6. the same target may be retried → retry, but the last attempt is left to a fallback of step 7
 * 7. a fallback is left, takes this kind and is available → fall back
 * 8. stop, with the reason from 5 or 6
 */
export function decide(input: DecideInput): Verdict {
  const { result, policy } = input
  if (result.ok) return { verdict: 'accept' }
  const { kind, executed } = result.failure

  if (input.aborted || kind === 'aborted') return stop('aborted')
  if (result.delivered === true) return stop('delivered')
  const mayHaveRun = executed !== 'no' || policy.mayHaveRun === true
  if (policy.onUncertain === 'fail' && mayHaveRun) return stop('outcome_unknown')
  const next = input.fallbacks.find(({ on, available }) => available && on.has(kind))
  const end = outOfMeans(kind, input)
  // With a fallback left, one more attempt would have been worth having.
  if (end !== undefined) {
    return stop(next === undefined && isHopeless(result, input) ? 'not_retryable' : end)
  }

  const here = isOutputFailure(result) ? reask(result, input) : retry(result, input)
  if (next === undefined || here.verdict === 'reask') return here
  // Retries spent to the last would leave nothing for the target that was named for this failure.
  const isLast = input.attempts + 1 >= policy.maxAttempts
  if (here.verdict === 'retry' && !isLast) return here
  return { verdict: 'fallback', target: next.target }
}

function stop(reason: StopReason): Verdict {
  return { verdict: 'stop', reason }
}

/** Undefined: there are an attempt and the time for it left. */
function outOfMeans(kind: FailureKind, input: DecideInput): StopReason | undefined {
  if (input.attempts >= input.policy.maxAttempts) return 'max_attempts'
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

function reask(result: FailedAttempt, input: DecideInput): Verdict {
  if (result.reask === 'repeated') return stop('repeated_answer')
  return input.reasks < input.policy.maxReasks ? { verdict: 'reask' } : stop('max_reasks')
}

function retry({ failure, crowdedOut }: FailedAttempt, input: DecideInput): Verdict {
  const { hintMs } = input
  // Timers drop fractions of a millisecond.
  const latestMs = Math.floor(input.remainingMs - minAttemptMs(input))
  // The queue was the wait.
  if (crowdedOut === true) return stop('concurrency_limit')
  if (failure.kind === 'circuit_open') return stop('circuit_open')
  if (!isRetryable(failure, input)) return stop('not_retryable')
  if (!input.breakerClosed) return stop('circuit_open')
  if (hintMs > input.policy.maxRetryAfterMs) return stop('hint_exceeds_max')
  if (hintMs > latestMs) return stop('hint_exceeds_deadline')

  const delayMs = hintMs > 0 ? spreadAfterHint(input, latestMs) : input.backoffMs()
  // A shorter wait than the one drawn would undo the jitter just when everybody hurries.
  if (delayMs > latestMs) return stop('deadline')
  if (!input.tokenAvailable) return stop('retry_budget')
  return { verdict: 'retry', delayMs, delaySource: hintMs > 0 ? 'hint' : 'backoff' }
}

/** May the same target be sent the same again? A kind that is retried once may have been. */
function isRetryable({ kind, retryable }: Failure, { retriedOnce }: DecideInput): boolean {
  return retryable && !(retriedOnce && FAILURE_KINDS[kind].retry === 'once')
}

// Callers told the same hint would all come back in the same millisecond, so each adds a random
// part; those who came later add in proportion, or what half a minute has gathered would arrive
// within seconds. The hint stays a lower bound (Retry-After, RFC 9110 §10.2.3).
function spreadAfterHint(
  { hintMs, toldMs = hintMs, policy, random }: DecideInput,
  latestMs: number,
): number {
  const defaults = DEFAULT_LIMITS.hintSpread
  const {
    ratio = defaults.ratio,
    minMs = defaults.minMs,
    maxMs = defaults.maxMs,
    stretch = defaults.stretch,
  } = policy.hintSpread ?? defaults
  const wantedMs = Math.min(Math.max(toldMs * ratio, minMs), maxMs)
  const roomMs = latestMs - hintMs
  const lateMs = Math.max(toldMs - hintMs, 0)
  const turnMs = Math.min(lateMs * stretch, Math.max(roomMs - wantedMs, 0))
  const delayMs = hintMs + turnMs + random() * Math.min(wantedMs, roomMs - turnMs)
  // Up: the timer must not fire before the hint.
  return Math.min(Math.ceil(delayMs), latestMs)
}

const SPREAD = DEFAULT_LIMITS.hintSpread

export const SPREAD_NUMBERS: NumberOptions<keyof HintSpread> = {
  ratio: { fallback: SPREAD.ratio, min: 0, max: 10 },
  minMs: { fallback: SPREAD.minMs, min: 0, max: 2 ** 31 - 1 },
  maxMs: { fallback: SPREAD.maxMs, min: 0, max: 2 ** 31 - 1 },
  stretch: { fallback: SPREAD.stretch, min: 0, max: 10 },
}

function minAttemptMs({ policy }: DecideInput): number {
  return policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs
}
