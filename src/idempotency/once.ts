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
  /** As the caller gave it: for the errors made here, and never given to the store. */
  readonly idempotencyKey?: string
  readonly fingerprint: string
  readonly onUncertain: 'rerun' | 'fail'
  readonly onStoreError: 'fail' | 'bypass'
  /** Life of a stored success, and of a record whose owner died. */
  readonly ttlMs: number
  readonly signal?: AbortSignal
  readonly deadline: Deadline
  /** What those who join this caller's flight may say of it, in a trace; not read here. */
  readonly origin?: string | undefined
  /**
   * Called once for each owner outside this process that is waited for, with the time until its
   * lease ends, if it does not renew it.
   */
  waiting?(leaseLeftMs: number): void
  /** Called when a flight is joined, with the origin of the caller who started it. */
  joined?(origin: string | undefined): void
  /**
   * Runs the work once. Never rejects, ends soon after its flight's signal aborted, and keeps to
   * the flight's deadline. It may outlive its caller while others wait for it.
   */
  work(flight: Flight): Promise<WorkOutcome<T>>
  /** Between the result's text and the store: how it is kept. As it is, where absent. */
  readonly keeping?: Keeping
  /** The text to keep and share; `TOO_LARGE` for a result that is done, but above what may be kept. */
  encode(value: T): string | typeof TOO_LARGE
  /** Called with a result that this caller's own work did not make; `source` as in `OnceResult`. */
  decode(result: string, source: 'store' | 'shared'): T
  /** Called when another caller's failure, stored or shared, is what this one gets. */
  failure(notice: FailureNotice, source: 'store' | 'shared'): CallError
}

/** What running work may ask of its flight. */
export interface Flight {
  /** Aborts when the last participant has left, or when the lease was lost and the work must stop. */
  readonly signal: AbortSignal
  /** The latest deadline of the live participants. */
  readonly deadline: Deadline
  /** The stricter of the record's and the callers'; may turn to `'fail'` while callers join. */
  readonly onUncertain: 'rerun' | 'fail'
  /**
   * To be awaited before the first byte of every attempt leaves; `onUncertain` may be stricter
   * afterwards.
   * @throws {CallError} `in_progress` (the claim is lost), `store_unavailable` or, when nobody is
   * left, `aborted`: do not send.
   */
  dispatch(sending?: Sending): Promise<void>
  /**
   * Says early that the result will be `TOO_LARGE`: those who wait for it in this process are told
   * at once, and so is who joins until the work has ended.
   */
  tooLarge(): void
}

/** What is about to be sent. */
export interface Sending {
  /** Something sent before may have been executed: whether this may follow is for the store to say. */
  readonly again?: boolean
  /** Ends the wait for the store's answer. */
  readonly signal?: AbortSignal | undefined
}

export type WorkOutcome<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false
      readonly error: unknown
      /** `keep`: a permanent refusal. `release`: the key is free again. */
      readonly disposition: 'keep' | 'release' | 'uncertain'
      /** It may have been done: under `'fail'`, which others may have asked for, it is no `release`. */
      readonly doubtful?: boolean
      /** What it was doing goes on, and may succeed yet. Never rejects. */
      readonly late?: Promise<LateEnd<T>>
      readonly notice: FailureNotice
    }

/** How work ended that nobody waited for any more. */
export type LateEnd<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly executed: 'no' | 'maybe' }

export interface OnceResult<T> {
  readonly value: T
  /** `provider`: this caller's own work. `store`: replayed. `shared`: joined a call in flight. */
  readonly source: 'provider' | 'store' | 'shared'
  /** False when the store could not keep the result. */
  readonly persisted: boolean
}

/** By store, so that two stores never mix; then by key. */
export type Flights = Map<Store, Map<string, InFlight>>

/** A flight and what those who join it wait for. */
export interface InFlight {
  readonly flight: SharedFlight
  readonly ending: Promise<Ending>
}

/**
 * Runs the work once per key: replays a stored outcome, joins a call in flight in this process,
 * waits for one elsewhere, or does the work here under a claim that no other process can share.
 *
 * Everybody waits under a signal and deadline of his own. One who leaves disturbs nobody; when the
 * last leaves, the work is aborted. Another caller's `aborted`, `deadline` or `multiplied_retries`
 * is never passed on: one of those with time left starts again. Other failures are shared.
 * @throws {CallError} `aborted` and `deadline`; `in_progress` when the deadline passed while
 * another process had the key; `idempotency_mismatch`; `outcome_unknown`; `store_unavailable`; or
 * what `failure` made of another's failure.
 * @throws what the work gave as its error, to the caller whose work ran.
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
  // Nobody wants that one any more: what the store says once it has ended is what counts.
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
      // Before anybody hears of the end, so that who goes again finds no dead flight.
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

/** Waits for the landing under the caller's own limits. */
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
 * How long work whose caller must go is given to say itself how it ended: its error knows the
 * attempts. Well-behaved work needs no time at all.
 */
const LAST_WORDS_MS = 50

/** The end for a caller whose limit was reached. */
async function disembark<T>(
  request: OnceRequest<T>,
  { flight, own }: Boarding<T>,
  limit: Limit,
): Promise<Landing<T>> {
  const { onUncertain } = flight
  const error = onceError(request, { ...limitReached(request, flight, limit), onUncertain })
  // Past its deadline the work ends by itself; an abort has to be passed on.
  if (limit === 'aborted') flight.leave(request, request.signal?.reason)
  if (own?.running !== undefined && !flight.hasOthersThan(request)) {
    await lastWords(request.clock, own.running)
  }
  flight.leave(request, error)
  const outcome = own?.outcome
  // A result that was paid for is worth more than the store's acknowledgement.
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

/** What a landing is to one caller. Each gets a value or an error object of his own. */
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
  // A flight that nobody else wanted any more, and that has not ended yet, has the key too.
  if (flight.waiting || flight.signal.aborted) return inProgress()
  return deadlinePassed(executed)
}

function onceError<T>(
  { idempotencyKey, onUncertain }: OnceRequest<T>,
  init: CallErrorInit,
): CallError {
  return new CallError({ onUncertain, ...init, idempotencyKey })
}
