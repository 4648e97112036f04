import type { CallError } from '../errors/call-error.ts'
import type { Clock, Deadline } from '../time.ts'
import type { FailureNotice, Store } from './store.ts'

/** What the caller of `once` wants run, and under which key. */
export interface OnceRequest<T> {
  readonly store: Store
  /** Calls in flight in this process. One map per Runtime. */
  readonly flights: Flights
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Hashed, 64 hex digits. */
  readonly key: string
  readonly fingerprint: string
  readonly onUncertain: 'rerun' | 'fail'
  readonly onStoreError: 'fail' | 'bypass'
  /** Life of a stored success. */
  readonly ttlMs: number
  readonly signal?: AbortSignal
  readonly deadline: Deadline
  /** Runs the work once. Never rejects. */
  work(flight: Flight): Promise<WorkOutcome<T>>
  encode(value: T): string
  decode(result: string): T
  /** Called when another caller's failure, stored or shared, is what this one gets. */
  failure(notice: FailureNotice, source: 'store' | 'shared'): CallError
}

/** What running work may ask of its flight. */
export interface Flight {
  /** Aborts when the last participant has left, or when the lease was lost before dispatch. */
  readonly signal: AbortSignal
  /** The latest deadline of the live participants. */
  readonly deadline: Deadline
  /** The stricter of the record's and the callers'. */
  readonly onUncertain: 'rerun' | 'fail'
  /** To be awaited before the first byte leaves. Rejects when the claim is lost: do not send. */
  dispatch(): Promise<void>
}

export type WorkOutcome<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false
      readonly error: unknown
      /** `keep`: a permanent refusal. `release`: the key is free again. */
      readonly disposition: 'keep' | 'release' | 'uncertain'
      readonly notice: FailureNotice
    }

export interface OnceResult<T> {
  readonly value: T
  /** `provider`: this caller's own work. `store`: replayed. `shared`: joined a call in flight. */
  readonly source: 'provider' | 'store' | 'shared'
  /** False when the store could not keep the result. */
  readonly persisted: boolean
}

export type Flights = Map<string, unknown>
