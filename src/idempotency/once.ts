import { CallError, type CallErrorInit, isCallError } from '../errors/call-error.ts'
import type { Clock } from '../time.ts'
import { claimAndRun } from './claim-and-run.ts'
import { AGAIN, type InFlight, SharedFlight } from './flight.ts'
import {
  aborted,
  deadlinePassed,
  inProgress,
  mismatch,
  storeUnavailable,
  unexpected,
  usedInsideItself,
} from './once-errors.ts'
import type { FlightEnd, OnceRequest, OnceResult, OwnWork } from './protocol.ts'

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
    const end = await wait(request, join(request))
    const result = read(request, end)
    if (result !== 'again') return result
  }
}

/** A caller's place in a flight. */
interface Joined<T> {
  readonly flight: SharedFlight
  readonly end: Promise<FlightEnd<T>>
  /** Present for the caller whose work this flight runs. */
  readonly own?: OwnWork<T>
}

/** Joins the key's flight, or starts one. */
function join<T>(request: OnceRequest<T>): Joined<T> {
  const { flights, store, key, fingerprint } = request
  const inFlight = flights.get(store)?.get(key)
  if (inFlight === undefined) return start(request)
  const { flight, end } = inFlight
  if (flight.waitsForUs) throw onceError(request, usedInsideItself())
  if (flight.fingerprint === fingerprint) {
    flight.join(request)
    request.joined?.(flight.origin)
    return { flight, end }
  }
  if (!flight.signal.aborted) throw onceError(request, mismatch())
  // The last participant has left that flight. Once it has ended, ask the store.
  return { flight, end: end.then(() => AGAIN) }
}

/** Starts a flight that runs the caller's work. */
function start<T>(request: OnceRequest<T>): Joined<T> {
  const { flights, store, key, fingerprint, origin } = request
  const flight = new SharedFlight(fingerprint, origin)
  flight.join(request)
  const own: OwnWork<T> = {}
  const end = claimAndRun(request, flight, own)
    .catch((error: unknown): FlightEnd<T> => ({ type: 'error', init: unexpected(error) }))
    .then((ended) => {
      // Before the end resolves, so that callers that start over do not find this flight.
      flight.end()
      const sameStore = flights.get(store)
      sameStore?.delete(key)
      if (sameStore?.size === 0) flights.delete(store)
      return ended
    })
  const othersEnd = end.then((ended) => (ended.type === 'own' ? ended.others : ended))
  const sharedEnd = Promise.race([flight.toldEarly, othersEnd])
  const sameStore = flights.get(store) ?? new Map<string, InFlight>()
  flights.set(store, sameStore.set(key, { flight, end: sharedEnd }))
  return { flight, end, own }
}

/** Waits for the flight's end within the caller's own limits. */
async function wait<T>(request: OnceRequest<T>, joined: Joined<T>): Promise<FlightEnd<T>> {
  const { flight, end } = joined
  const limits = watchLimits(request)
  try {
    const first = await Promise.race([end, limits.reached])
    return typeof first === 'string' ? await leave(request, joined, first) : first
  } finally {
    limits.dispose()
    flight.leave(request, undefined)
  }
}

type ReachedLimit = 'aborted' | 'deadline'

function watchLimits<T>({ clock, deadline, signal }: OnceRequest<T>): {
  readonly reached: Promise<ReachedLimit>
  dispose(): void
} {
  let cancel: () => void = () => {}
  let onAbort: () => void = () => {}
  const reached = new Promise<ReachedLimit>((resolve) => {
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

/** Takes a caller that reached its limit out of the flight. */
async function leave<T>(
  request: OnceRequest<T>,
  { flight, own }: Joined<T>,
  limit: ReachedLimit,
): Promise<FlightEnd<T>> {
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

/** Turns a flight's end into one caller's own value or error object. */
function read<T>(request: OnceRequest<T>, end: FlightEnd<T>): OnceResult<T> | 'again' {
  switch (end.type) {
    case 'own':
      if (!end.outcome.ok) throw end.outcome.error
      return { value: end.outcome.value, source: 'provider', persisted: end.persisted }
    case 'result': {
      const { result, source, persisted } = end
      return { value: decoded(request, result, source), source, persisted }
    }
    case 'failure':
      throw request.failure(end.notice, end.source)
    case 'error':
      throw onceError(request, end.init)
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
  limit: ReachedLimit,
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
