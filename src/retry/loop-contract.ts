import type { Failure, StopReason } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import type { Clock, Deadline } from '../time.ts'
import type { Backoff } from './backoff.ts'
import type { FailedAttempt, HintSpread, Verdict } from './decide.ts'
import type { TargetState } from './target-state.ts'

/** What `runAttempts` is asked. */
export interface LoopRequest<T> {
  readonly policy: LoopPolicy
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** The caller's. Attempts must obey it themselves; the loop obeys it between them. */
  readonly signal: AbortSignal | undefined
  readonly deadline: Deadline
  /** The primary target, then its fallbacks in order; at least one. */
  readonly targets: readonly LoopTarget[]
  /**
   * The failure of an equal call which has spent all attempts that this one might make at a target:
   * that target is passed over.
   */
  spentAt?(target: number): Failure | undefined
  /** Makes one attempt and says how it ended. Never rejects; ends by the signal and the deadline. */
  attempt(step: AttemptStep): Promise<AttemptResult<T>>
  /** Told of every verdict, before it is obeyed. Must not throw. */
  readonly onVerdict?: ((event: VerdictEvent) => void) | undefined
}

export interface LoopPolicy {
  /** All attempts of the call, the first included. */
  readonly maxAttempts: number
  readonly maxReasks: number
  readonly maxRetryAfterMs: number
  readonly backoff: Backoff
  readonly onUncertain: 'rerun' | 'fail'
  /** Something that was sent earlier in the call may have been executed. @default false */
  readonly mayHaveRun?: boolean
  /** @default 250 */
  readonly minAttemptMs?: number
  /** @default half of the hint, from 250 ms to 15 s */
  readonly hintSpread?: HintSpread
  /** The first attempt may get a hedge where its target has hedging. @default false */
  readonly mayHedge?: boolean
}

export interface LoopTarget {
  /** For messages: `host model`. */
  readonly name: string
  readonly state: TargetState
  /** Failures of an earlier target that it takes over; not read for the primary. */
  readonly on: ReadonlySet<FailureKind>
}

export interface AttemptStep {
  /** 1 for the first attempt of the call. */
  readonly number: number
  readonly cause: 'initial' | 'retry' | 'reask' | 'fallback' | 'hedge'
  /** Index into `targets`. */
  readonly target: number
  /** Waited for this attempt, in the gate too, milliseconds. */
  readonly delayMs: number
  readonly delaySource?: 'backoff' | 'hint'
  /** Ends this attempt alone: its rival, hedge or hedged, has won. */
  readonly signal?: AbortSignal
}

export type AttemptResult<T> =
  | {
      readonly ok: true
      readonly value: T
      /** For a stream, which goes on after this: settles when it has ended. */
      readonly streamEnded?: Promise<void>
    }
  | FailedAttempt

export interface VerdictEvent {
  readonly verdict: Verdict
  /** Attempts made so far. */
  readonly attempts: number
  /** Index of the target the verdict is about. */
  readonly target: number
  /** What was judged; absent for `accept`. */
  readonly failure?: Failure
}

/** A bad answer, and what the request that asked for another one met. */
export interface RefusedReask {
  readonly answer: Failure
  readonly refusal: Failure
}

export type LoopOutcome<T> =
  | { readonly ok: true; readonly value: T; readonly attempts: number }
  | {
      readonly ok: false
      readonly failure: Failure
      /** Why no further attempt was made. */
      readonly reason: StopReason
      /** The model gave the same wrong answer again: another call will not help. */
      readonly deterministic: boolean
      /** For `'reask_refused'`: what the answer's re-ask met, and the answer's own failure. */
      readonly refused?: RefusedReask
      /** Attempts really made: 0 when the first was refused. */
      readonly attempts: number
    }
