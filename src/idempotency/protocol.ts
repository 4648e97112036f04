import { adviceFor, type CallError, type CallErrorInit } from '../errors/call-error.ts'
import type { Executed, FailureKind } from '../errors/failure-kinds.ts'
import type { Clock, Deadline } from '../time.ts'
import type { Flights, SharedEnd } from './flight.ts'
import type { Keeping } from './kept-result.ts'
import type { FailureNotice, Store } from './store.ts'

/** A caller's request to run work once under a key. */
export interface OnceRequest<T> {
  readonly store: Store
  /** Calls in flight in this process. One map per Runtime. */
  readonly flights: Flights
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Hashed, 64 hex digits. */
  readonly key: string
  /** The key as given by the caller: for error objects created here, never passed to the store. */
  readonly idempotencyKey?: string
  readonly fingerprint: string
  readonly onUncertain: 'rerun' | 'fail'
  readonly onStoreError: 'fail' | 'bypass'
  /** How long a stored success, and the record of a crashed owner, are kept. */
  readonly ttlMs: number
  readonly signal?: AbortSignal
  readonly deadline: Deadline
  /** Identifies this call in the traces of joiners; not used here. */
  readonly origin?: string | undefined
  /**
   * Called once for each owner outside this process that the call waits for, with the time left until its
   * lease expires unless renewed.
   */
  waiting?(leaseLeftMs: number): void
  /** Called when the call joins a flight, with the origin of the call that started it. */
  joined?(origin: string | undefined): void
  /**
   * Runs the work once. Must not reject, must end soon after the flight's signal aborts, and must respect
   * the flight's deadline. It may outlive its caller while joiners wait for it.
   */
  work(flight: Flight): Promise<WorkOutcome<T>>
  /** How the result's text is stored. @default unchanged */
  readonly keeping?: Keeping
  /** The text to store and share; `TOO_LARGE` if the finished result exceeds the limit. */
  encode(value: T): string | typeof TOO_LARGE
  /** Called with a result that this caller's own work did not produce; `source` as in `OnceResult`. */
  decode(result: string, source: 'store' | 'shared'): T
  /** Called when this call ends with another caller's failure, stored or shared. */
  failure(notice: FailureNotice, source: 'store' | 'shared'): CallError
}

/** What running work can see of its flight, and tell it. */
export interface Flight {
  /** Aborts when the last participant has left, or when the work must stop because the lease was lost. */
  readonly signal: AbortSignal
  /** The latest deadline of the live participants. */
  readonly deadline: Deadline
  /** The stricter of the record's policy and the callers'; may become `'fail'` as callers join. */
  readonly onUncertain: 'rerun' | 'fail'
  /**
   * To be awaited before each attempt sends its first byte. `onUncertain` may be stricter afterwards.
   * @throws {CallError} if nothing may be sent: `in_progress` (the claim is lost), `store_unavailable`, or
   * `aborted` (the last participant has left).
   */
  dispatch(sending?: Sending): Promise<void>
  /**
   * Announces early that the result will be `TOO_LARGE`. Joiners of this process get the error at once,
   * including those that join until the work has ended.
   */
  tooLarge(): void
}

/** Describes an attempt about to be sent. */
export interface Sending {
  /** Whether an earlier attempt may have been executed: then the store decides if this one may follow. */
  readonly again?: boolean
  /** Aborts the wait for the store's answer. */
  readonly signal?: AbortSignal | undefined
}

export type WorkOutcome<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false
      readonly error: unknown
      /** `keep`: store a permanent refusal. `release`: free the key. `uncertain`: the outcome is unknown. */
      readonly disposition: 'keep' | 'release' | 'uncertain'
      /** Whether the work may have been done: under `'fail'`, which a joiner may have set, it is not released. */
      readonly doubtful?: boolean
      /** Set if the work continues after this failure, and may still succeed. Never rejects. */
      readonly late?: Promise<LateEnd<T>>
      readonly notice: FailureNotice
    }

/** How work ended after it was given up. */
export type LateEnd<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly executed: 'no' | 'maybe' }

export interface OnceResult<T> {
  readonly value: T
  /** `provider`: this caller's own work. `store`: replayed. `shared`: joined a call in flight. */
  readonly source: 'provider' | 'store' | 'shared'
  /** False if the result could not be stored. */
  readonly persisted: boolean
}

/** How a flight ended: `own` for the caller whose work it ran, `others` for the joiners. */
export type FlightEnd<T> =
  | SharedEnd
  | {
      readonly type: 'own'
      readonly outcome: WorkOutcome<T>
      readonly persisted: boolean
      readonly others: SharedEnd
    }

/** The progress of the work of the caller that started the flight. */
export interface OwnWork<T> {
  running?: Promise<unknown> | undefined
  outcome?: WorkOutcome<T> | undefined
}

// The errors of the protocol itself, as the input of `CallError`: a failure may concern many callers, and
// each of them gets an error object of its own.

export function aborted(cause: unknown, executed: Executed): CallErrorInit {
  return { kind: 'aborted', message: adviceFor('aborted'), cause, executed }
}

export function deadlinePassed(executed: Executed): CallErrorInit {
  return say('deadline', 'The deadline passed before the work under this key ended.', {
    executed,
  })
}

/** The deadline passed while another caller had the key. */
export function inProgress(): CallErrorInit {
  return say('in_progress', 'The deadline passed while another caller was running this key.', {
    retryable: true,
    executed: 'maybe',
  })
}

/** The work under a key asks for the same key, so it would wait for itself. */
export function usedInsideItself(): CallErrorInit {
  // The usual advice, to call again later, would not help here.
  const message =
    'This key is in use by the call that contains this one. Give the inner call another key.'
  return { kind: 'in_progress', message, executed: 'maybe' }
}

export function claimLost(): CallErrorInit {
  return say('in_progress', 'The claim on this key was lost.', { retryable: true })
}

export function mismatch(): CallErrorInit {
  return say('idempotency_mismatch', 'This idempotency key is bound to another payload.')
}

export function outcomeUnknown(source: 'shared' | 'store'): CallErrorInit {
  return say(
    'outcome_unknown',
    'The work under this key was started, and its outcome is unknown.',
    {
      executed: 'maybe',
      source,
    },
  )
}

/** `task` completes "The idempotency store could not …". */
export function storeUnavailable(task: string, cause: unknown, executed: Executed): CallErrorInit {
  return say('store_unavailable', `The idempotency store could not ${task}.`, {
    cause,
    retryable: true,
    executed,
  })
}

/** Stands for a finished result that is too large to be stored or shared. */
export const TOO_LARGE: unique symbol = Symbol('too large')

/** The work was done, but only the caller that ran it can have the result. */
export function resultTooLarge(): CallErrorInit {
  // The usual advice, to call again later, would not help here.
  const message =
    'The result under this idempotency key is too large to be stored or shared. Use another key.'
  return { kind: 'store_unavailable', message, executed: 'yes', source: 'shared' }
}

export function unexpected(cause: unknown): CallErrorInit {
  return say('unknown', 'The idempotency protocol failed unexpectedly.', {
    cause,
    executed: 'maybe',
  })
}

function say(
  kind: FailureKind,
  what: string,
  more: Omit<CallErrorInit, 'kind' | 'message'> = {},
): CallErrorInit {
  return { ...more, kind, message: `${what} ${adviceFor(kind)}` }
}
