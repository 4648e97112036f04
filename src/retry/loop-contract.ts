import type { Failure, StopReason, Wait } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import type { Allowance } from '../errors/hints.ts'
import type { Clock, Closing, Deadline } from '../time.ts'
import type { Backoff } from './backoff.ts'
import type { StepFailure, Verdict } from './decide.ts'
import type { Line } from './health/line.ts'
import type { ReadingPace } from './health/places.ts'
import type { TargetState } from './health/target-state.ts'
import type { HeldBy } from './health/waiting.ts'

/** Input of `runAttempts`. */
export interface LoopRequest<T> {
  readonly policy: LoopPolicy
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** The caller's signal. Attempts must obey it themselves; the loop obeys it between attempts. */
  readonly signal: AbortSignal | undefined
  readonly deadline: Deadline
  /** The closing of the call's client: once closed, nothing more is sent and every wait ends. */
  readonly closing?: Closing | undefined
  /** The primary target, then its fallbacks in order; at least one. */
  readonly targets: readonly LoopTarget[]
  /**
   * The failure of an equal call that has used up all attempts which this call could make at a target. That
   * target is skipped.
   */
  spentAt?(target: number): Failure | undefined
  /** Estimates the tokens of a request to a target; called only if tokens are counted. */
  readonly tokens?: { estimate(target: number): number } | undefined
  /** Requests sent earlier in this call by work that was interrupted; they count. `failure` ended that work. */
  readonly sentBefore?:
    | { readonly requests: number; readonly refused: number; readonly failure: Failure }
    | undefined
  /** Makes one attempt and reports how it ended. Must not reject, and must obey the signal and the deadline. */
  attempt(step: AttemptStep): Promise<StepResult<T>>
  /** Called with every verdict before it is carried out. Must not throw. */
  onVerdict?(event: VerdictEvent): void
}

export interface LoopPolicy {
  /** Maximum number of attempts that a model may have worked on, including the first. */
  readonly maxAttempts: number
  /** Maximum number of requests, including those refused without being executed. */
  readonly maxRequests: number
  readonly maxReasks: number
  /** How long the call may wait in total, in milliseconds; 0: only for its own backoff. */
  readonly maxWaitMs: number
  /**
   * How long it may wait for hints, in milliseconds, if that is longer. Ignored for a call that does not wait.
   * @default maxWaitMs
   */
  readonly maxHintMs?: number
  /** @default as described in docs/concepts/retries.md */
  readonly backoff?: Backoff | undefined
  readonly onUncertain: 'rerun' | 'fail'
  /** Whether something sent earlier in the call may have been executed. @default false */
  readonly mayHaveRun?: boolean
  /** @default 250 */
  readonly minAttemptMs?: number
  /** Whether the first attempt may be hedged, if its target has hedging. @default false */
  readonly mayHedge?: boolean
  /** Whether an attempt in flight waits for this call. @default false */
  readonly nested?: boolean
  /** Whether the attempt that waits for this call occupies a place in this line. @default false */
  holdsPlaceIn?(line: Line): boolean
  /** Whether the call yields to calls that are not bulk. @default false */
  readonly bulk?: boolean
}

export interface LoopTarget {
  /** For messages: `host model`. */
  readonly name: string
  readonly state: TargetState
  /** Failure kinds of an earlier target that it takes over; ignored for the primary target. */
  readonly on: ReadonlySet<FailureKind>
}

export interface AttemptStep {
  /** Counts from 1. */
  readonly number: number
  readonly cause: 'initial' | 'retry' | 'reask' | 'fallback' | 'hedge'
  /** Index into `targets`. */
  readonly target: number
  /** The wait before this attempt including the time in the line, in milliseconds. */
  readonly delayMs: number
  /** The wait split by reason; absent if it did not wait. */
  readonly waits?: readonly Wait[]
  readonly delaySource?: 'backoff' | 'hint'
  /** Aborts only this attempt, when the other of two hedged attempts has won. */
  readonly signal?: AbortSignal
}

/** A stream that has been passed to its reader. */
export interface GoingOn {
  /** Resolves when it has ended, with the number of tokens used if reported. */
  readonly ended: Promise<number | undefined>
  readonly pace: ReadingPace
}

export type StepResult<T> =
  | {
      readonly ok: true
      readonly value: T
      /** Set for a stream, which continues after this. */
      readonly stream?: GoingOn
      /** Number of tokens used, if reported. */
      readonly tokens?: number
      /** The rate limits reported in its headers. */
      readonly allowances?: readonly Allowance[]
    }
  | StepFailure

export interface VerdictEvent {
  readonly verdict: Verdict
  /** Number of requests sent so far. */
  readonly requests: number
  /** Index of the target the verdict is about. */
  readonly target: number
  /** The judged failure; absent for `accept`. */
  readonly failure?: Failure
}

/** A bad answer, and the refusal of the request for a corrected one. */
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
      /** Whether the model gave the same wrong answer again, so that another call will not help. */
      readonly deterministic: boolean
      /** For `'reask_refused'`: the failure of the answer, and that of its re-ask. */
      readonly refused?: RefusedReask
      /** Number of requests sent; 0 if the first attempt was held or refused. */
      readonly requests: number
      /** Total time waited, in milliseconds. */
      readonly waitedMs: number
      /** The waits since the last attempt; absent if there were none. */
      readonly waits?: readonly Wait[]
      /** What held the call back, if the call ended because a wait could not end in time. */
      readonly heldBy?: HeldBy
    }

/**
 * Whether the provider refused a re-ask because of its content. The provider accepted the same request
 * without the additions of the re-ask, so it must have refused these: a message or field it does not accept,
 * a tool that cannot be forced (OpenRouter then finds no endpoint: 404), or a text that is too long or that
 * triggers its filter or a firewall in front of it (403). The status does not matter, and neither does an
 * error under 200. Not included are failures that have another cause (a revoked key, an exhausted quota),
 * failures that are retried, and an answer that was filtered.
 */
export function refusesReask({ kind, executed, status }: Failure): boolean {
  if (executed === 'yes' || (executed === 'maybe' && status === undefined)) return false
  return FAILURE_KINDS[kind].permanent || SPEAK_OF_REQUEST.has(kind)
}

/** Kinds that, unlike `permanent` ones, are about the content only because the request was accepted before. */
const SPEAK_OF_REQUEST: ReadonlySet<FailureKind> = new Set(['not_found', 'permission', 'unknown'])

/** The failure of the bad answer, with both causes, so that no information is lost. */
export function withRefusal({ answer, refusal }: RefusedReask): Failure {
  const causes = [answer.cause, refusal.cause].filter((cause) => cause !== undefined)
  if (causes.length < 2) return { ...answer, cause: causes[0] }
  return { ...answer, cause: new AggregateError(causes, 'A bad answer, and its refused re-ask') }
}
