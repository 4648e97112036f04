import type { Failure, StopReason, Wait } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import type { Allowance } from '../errors/rate-limit-headers.ts'
import type { Clock, Deadline } from '../time.ts'
import type { Backoff } from './backoff.ts'
import type { Closing } from './closing.ts'
import type { FailedAttempt, Verdict } from './decide.ts'
import type { Line } from './health/line.ts'
import type { ReadingPace } from './health/stream-places.ts'
import type { TargetState } from './health/target-state.ts'
import type { HeldBy } from './health/waiting.ts'

/** What `runAttempts` is asked. */
export interface LoopRequest<T> {
  readonly policy: LoopPolicy
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** The caller's. Attempts must obey it themselves; the loop obeys it between them. */
  readonly signal: AbortSignal | undefined
  readonly deadline: Deadline
  /** Of the client whose call it is: closed, it lets nothing more be sent, and no wait go on. */
  readonly closing?: Closing | undefined
  /** The primary target, then its fallbacks in order; at least one. */
  readonly targets: readonly LoopTarget[]
  /**
   * The failure of an equal call which has spent all attempts that this one might make at a target:
   * that target is passed over.
   */
  spentAt?(target: number): Failure | undefined
  /** Estimates the tokens of a request to a target; asked only where tokens are counted. */
  readonly tokens?: { estimate(target: number): number } | undefined
  /** Makes one attempt and says how it ended. Never rejects; ends by the signal and the deadline. */
  attempt(step: AttemptStep): Promise<AttemptResult<T>>
  /** Told of every verdict, before it is obeyed. Must not throw. */
  readonly onVerdict?: ((event: VerdictEvent) => void) | undefined
}

export interface LoopPolicy {
  /** Attempts of the call that a model may have worked on, the first included. */
  readonly maxAttempts: number
  /** Requests of the call, those that were refused unexecuted too. */
  readonly maxRequests: number
  readonly maxReasks: number
  /** How long the call may wait in all, milliseconds; 0: for its own backoff only. */
  readonly maxWaitMs: number
  /** How long it may wait for hints, where that is longer; without meaning for a call that does not wait. @default maxWaitMs */
  readonly maxHintMs?: number
  /** @default as docs/concepts/retries.md says */
  readonly backoff?: Backoff | undefined
  readonly onUncertain: 'rerun' | 'fail'
  /** Something that was sent earlier in the call may have been executed. @default false */
  readonly mayHaveRun?: boolean
  /** @default 250 */
  readonly minAttemptMs?: number
  /** The first attempt may get a hedge where its target has hedging. @default false */
  readonly mayHedge?: boolean
  /** An attempt in flight waits for this call. @default false */
  readonly nested?: boolean
  /** Does the attempt that waits for this call have its place in this line? @default false */
  holdsPlaceIn?(line: Line): boolean
  /** It yields to calls that are not. @default false */
  readonly bulk?: boolean
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
  /** Waited before this attempt, time in the line included, milliseconds. */
  readonly delayMs: number
  /** What it waited for; absent where it did not. */
  readonly waits?: readonly Wait[]
  readonly delaySource?: 'backoff' | 'hint'
  /** Ends this attempt alone: its rival, hedge or hedged, has won. */
  readonly signal?: AbortSignal
}

/** A stream that has been handed to its reader. */
export interface GoingOn {
  /** Settles when it has ended, with the tokens that it used, where it says so. */
  readonly ended: Promise<number | undefined>
  readonly pace: ReadingPace
}

export type AttemptResult<T> =
  | {
      readonly ok: true
      readonly value: T
      /** For a stream, which goes on after this. */
      readonly stream?: GoingOn
      /** Tokens that it used, where it says so. */
      readonly tokens?: number
      /** The limits that its headers report. */
      readonly allowances?: readonly Allowance[]
    }
  | FailedAttempt

export interface VerdictEvent {
  readonly verdict: Verdict
  /** Sent so far. */
  readonly requests: number
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
  | { readonly ok: true; readonly value: T; readonly requests: number }
  | {
      readonly ok: false
      readonly failure: Failure
      /** Why no further attempt was made. */
      readonly reason: StopReason
      /** The model gave the same wrong answer again: another call will not help. */
      readonly deterministic: boolean
      /** For `'reask_refused'`: what the answer's re-ask met, and the answer's own failure. */
      readonly refused?: RefusedReask
      /** Requests that were sent: 0 where the first attempt was held or refused. */
      readonly requests: number
      /** How long it waited in all, milliseconds. */
      readonly waitedMs: number
      /** The waits since the last attempt; absent where there were none. */
      readonly waits?: readonly Wait[]
      /** What held the call back, where a wait that could not end in time ended it. */
      readonly heldBy?: HeldBy
    }
