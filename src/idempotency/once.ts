import { CallError, type CallErrorInit, isCallError } from '../errors/call-error.ts'
import type { Clock, Deadline } from '../time.ts'
import { claimAndRun } from './claim-and-run.ts'
import { AGAIN, type Ending, type Landing, type OwnWork, SharedFlight } from './flight.ts'
import type { Keeping } from './kept-result.ts'
import {
  aborted,
  deadlinePassed,
  inProgress,
  mismatch,
  storeUnavailable,
  type TOO_LARGE,
  unexpected,
  usedInsideItself,
} from './once-errors.ts'
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

/** Flights by store, so that two stores never mix, and by key. */
export type Flights = Map<Store, Map<string, InFlight>>

/** A flight, and the ending that its joiners wait for. */
export interface InFlight {
  readonly flight: SharedFlight
  readonly ending: Promise<Ending>
}

/**
 * Runs the work once per key: replays a stored outcome, joins a flight of this process, waits for an owner
 * elsewhere, or runs the work here under an exclusive claim.
 *
 * Each caller waits under its own signal and deadline. A caller that leaves does not affect the others; when
 * the last one leaves, the work is aborted. A joiner never receives another caller's `aborted`, `deadline` or
 * `multiplied_retries`: a joiner with time left starts over instead. All other failures are shared.
 * @throws {CallError} `aborted` and `deadline`; `in_progress` if the deadline passes while another process
 * has the key; `idempotency_mismatch`; `outcome_unknown`; `store_unavailable`; or what `failure` returns for
 * another caller's failure.
 * @throws the error of the work itself, to the caller whose work ran.
 */
export async function once<T>(request: OnceRequest<T>): Promise<OnceResult<T>> {
  for (;;) {
    refuseIfSpent(request)
    const landing = await stayAboard(request, board(request))
    const result = arrive(request, landing)
    if (result !== 'again') return result
  }
}

interface Boarding<T> {
  readonly flight: SharedFlight
  readonly landing: Promise<Landing<T>>
  /** Present for the caller whose work this flight runs. */
  readonly own?: OwnWork<T>
}

/** Joins the key's flight, or starts one. */
function board<T>(request: OnceRequest<T>): Boarding<T> {
  const { flights, store, key, fingerprint } = request
  const inFlight = flights.get(store)?.get(key)
  if (inFlight === undefined) return takeOff(request)
  const { flight, ending } = inFlight
  if (flight.waitsForUs) throw onceError(request, usedInsideItself())
  if (flight.fingerprint === fingerprint) {
    flight.enter(request)
    request.joined?.(flight.origin)
    return { flight, landing: ending }
  }
  if (!flight.signal.aborted) throw onceError(request, mismatch())
  // The last participant has left that flight. Once it has ended, ask the store.
  return { flight, landing: ending.then(() => AGAIN) }
}

function takeOff<T>(request: OnceRequest<T>): Boarding<T> {
  const { flights, store, key, fingerprint, origin } = request
  const flight = new SharedFlight(fingerprint, origin)
  flight.enter(request)
  const own: OwnWork<T> = {}
  const landing = claimAndRun(request, flight, own)
    .catch((error: unknown): Landing<T> => ({ type: 'error', init: unexpected(error) }))
    .then((end) => {
      // Before the landing resolves, so that callers that start over do not find this flight.
      flight.land()
      const sameStore = flights.get(store)
      sameStore?.delete(key)
      if (sameStore?.size === 0) flights.delete(store)
      return end
    })
  const landed = landing.then((end) => (end.type === 'own' ? end.others : end))
  const ending = Promise.race([flight.toldEarly, landed])
  const sameStore = flights.get(store) ?? new Map<string, InFlight>()
  flights.set(store, sameStore.set(key, { flight, ending }))
  return { flight, landing, own }
}

/** Waits for the landing within the caller's own limits. */
async function stayAboard<T>(request: OnceRequest<T>, boarding: Boarding<T>): Promise<Landing<T>> {
  const { flight, landing } = boarding
  const limits = watchLimits(request)
  try {
    const first = await Promise.race([landing, limits.reached])
    return typeof first === 'string' ? await disembark(request, boarding, first) : first
  } finally {
    limits.dispose()
    flight.leave(request, undefined)
  }
}

type Limit = 'aborted' | 'deadline'

function watchLimits<T>({ clock, deadline, signal }: OnceRequest<T>): {
  readonly reached: Promise<Limit>
  dispose(): void
} {
  let cancel: () => void = () => {}
  let onAbort: () => void = () => {}
  const reached = new Promise<Limit>((resolve) => {
    const arm = () => {
      const leftMs = deadline.remainingMs()
      if (leftMs <= 0) resolve('deadline')
      else cancel = clock.schedule(leftMs, arm)
    }
    arm()
    onAbort = () => resolve('aborted')
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort, { once: true })
  })
  return {
    reached,
    dispose() {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

/**
 * How long a caller that must leave waits for its own work to end, because the error of the work knows
 * about the attempts. Well-behaved work needs no time at all.
 */
const LAST_WORDS_MS = 50

/** The landing of a caller that reached its limit. */
async function disembark<T>(
  request: OnceRequest<T>,
  { flight, own }: Boarding<T>,
  limit: Limit,
): Promise<Landing<T>> {
  const { onUncertain } = flight
  const error = onceError(request, { ...limitReached(request, flight, limit), onUncertain })
  // The work ends by itself at its deadline, but an abort has to be passed on.
  if (limit === 'aborted') flight.leave(request, request.signal?.reason)
  if (own?.running !== undefined && !flight.hasOthersThan(request)) {
    await lastWords(request.clock, own.running)
  }
  flight.leave(request, error)
  const outcome = own?.outcome
  // A result that was paid for is returned even without the store's acknowledgement.
  if (outcome !== undefined && (limit === 'deadline' || !outcome.ok)) {
    return { type: 'own', outcome, persisted: false, others: AGAIN }
  }
  throw error
}

async function lastWords(clock: Clock, running: Promise<unknown>): Promise<void> {
  let cancel: () => void = () => {}
  const patience = new Promise<void>((resolve) => {
    cancel = clock.schedule(LAST_WORDS_MS, resolve)
  })
  await Promise.race([running, patience])
  cancel()
}

/** Turns a landing into one caller's own value or error object. */
function arrive<T>(request: OnceRequest<T>, landing: Landing<T>): OnceResult<T> | 'again' {
  switch (landing.type) {
    case 'own':
      if (!landing.outcome.ok) throw landing.outcome.error
      return { value: landing.outcome.value, source: 'provider', persisted: landing.persisted }
    case 'result': {
      const { result, source, persisted } = landing
      return { value: decoded(request, result, source), source, persisted }
    }
    case 'failure':
      throw request.failure(landing.notice, landing.source)
    case 'error':
      throw onceError(request, landing.init)
    case 'again':
      return 'again'
  }
}

function decoded<T>(request: OnceRequest<T>, result: string, source: 'store' | 'shared'): T {
  try {
    return request.decode(result, source)
  } catch (cause) {
    if (isCallError(cause)) throw cause
    const init = storeUnavailable('give a readable result', cause, 'yes')
    throw onceError(request, { ...init, retryable: false, source })
  }
}

function refuseIfSpent<T>(request: OnceRequest<T>): void {
  const { signal, deadline } = request
  if (signal?.aborted) throw onceError(request, aborted(signal.reason, 'no'))
  if (deadline.remainingMs() <= 0) throw onceError(request, deadlinePassed('no'))
}

function limitReached<T>(
  { signal }: OnceRequest<T>,
  flight: SharedFlight,
  limit: Limit,
): CallErrorInit {
  const executed = flight.dispatched ? 'maybe' : 'no'
  if (limit === 'aborted') return aborted(signal?.reason, executed)
  // An abandoned flight that has not ended yet also holds the key.
  if (flight.waiting || flight.signal.aborted) return inProgress()
  return deadlinePassed(executed)
}

function onceError<T>(
  { idempotencyKey, onUncertain }: OnceRequest<T>,
  init: CallErrorInit,
): CallError {
  return new CallError({ onUncertain, ...init, idempotencyKey })
}
