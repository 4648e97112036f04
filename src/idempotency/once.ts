import { CallError, type CallErrorInit, isCallError } from '../errors/call-error.ts'
import { type Clock, sleep } from '../time.ts'
import { AGAIN, type InFlight, SharedFlight } from './flight.ts'
import {
  type Claimed,
  type ClaimLimits,
  claimKey,
  claimRequest,
  Lease,
  sharedEndOf,
} from './lease.ts'
import {
  aborted,
  deadlinePassed,
  type FlightEnd,
  inProgress,
  mismatch,
  type OnceRequest,
  type OnceResult,
  type OwnWork,
  resultTooLarge,
  type Sending,
  storeUnavailable,
  unexpected,
  usedInsideItself,
  type WorkOutcome,
} from './protocol.ts'
import { giveBack, storeFailure, storeSuccess, unrecorded } from './settle.ts'

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
  const ended = new Promise<void>((resolve) => {
    cancel = clock.schedule(LAST_WORDS_MS, resolve)
  })
  await Promise.race([running, ended])
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

/**
 * The protocol between processes. Claims the key until the store returns an outcome, a refusal or
 * ownership; an owner runs the work under a lease and records its outcome.
 */
async function claimAndRun<T>(
  request: OnceRequest<T>,
  flight: SharedFlight,
  own: OwnWork<T>,
): Promise<FlightEnd<T>> {
  let waitedFor: number | undefined
  let missesLeft = 0
  for (let round = 1; !flight.signal.aborted; round++) {
    const sentAtMs = request.clock.monotonicMs()
    const claimed = await claimKey(request, flight, { waitedFor, ...patience(flight, waitedFor) })
    const sharedEnd = await sharedEndOf(request, claimed)
    if (sharedEnd !== undefined) return sharedEnd
    if (claimed.state === 'owned') {
      const end = await runOwned(request, flight, own, claimed, sentAtMs)
      if (end !== 'lost') return end
      waitedFor = undefined
      missesLeft = 0
    } else if (claimed.state === 'busy') {
      if (waitedFor !== claimed.fence) flight.waitsFor(countdown(request, claimed.leaseLeftMs))
      waitedFor = claimed.fence
      missesLeft = MAX_MISSED_POLLS
    } else if (claimed.state === 'unreachable') {
      if (missesLeft === 0) return withoutStore(request, flight, own, claimed.cause)
      missesLeft--
    }
    if (waitedFor === undefined) flight.waitsNoMore()
    await pause(request, flight, round)
  }
  return AGAIN
}

/**
 * How long a claim may take. While another owner is at work, no time has to be reserved for our own work,
 * and a slow response must not be mistaken for a store that is down.
 */
function patience({ signal, deadline }: SharedFlight, waitedFor: number | undefined): ClaimLimits {
  return waitedFor === undefined ? { signal, remainingMs: deadline.remainingMs() } : { signal }
}

function countdown<T>({ clock }: OnceRequest<T>, leaseLeftMs: number): () => number {
  const endsAtMs = clock.monotonicMs() + leaseLeftMs
  return () => Math.max(0, endsAtMs - clock.monotonicMs())
}

/** A waiter that knows of an active owner keeps waiting through this many failed polls. */
const MAX_MISSED_POLLS = 2

/**
 * Full jitter between 50 ms and a ceiling that doubles up to 1 s, so that many processes waiting for one
 * owner spread out. The floor prevents polling in a tight loop.
 */
async function pause<T>(
  { clock, random }: OnceRequest<T>,
  flight: SharedFlight,
  round: number,
): Promise<void> {
  if (flight.signal.aborted) return
  const ceilingMs = Math.min(MAX_POLL_MS, MIN_POLL_MS * 2 ** Math.min(round, 10))
  const delayMs = MIN_POLL_MS + random() * (ceilingMs - MIN_POLL_MS)
  // The sleep rejects if the flight is abandoned; the loop checks for that itself.
  await sleep(clock, delayMs, flight.signal).catch(() => {})
}

const MIN_POLL_MS = 50
const MAX_POLL_MS = 1_000

type Owned = Extract<Claimed, { readonly state: 'owned' }>

/** Runs the work under the claim. `'lost'`: it was stopped because the claim was lost. */
async function runOwned<T>(
  request: OnceRequest<T>,
  flight: SharedFlight,
  own: OwnWork<T>,
  { claim, onUncertain: recorded }: Owned,
  sentAtMs: number,
): Promise<FlightEnd<T> | 'lost'> {
  const { store, clock, random, onStoreError } = request
  if (flight.signal.aborted) {
    await giveBack(request, flight, claim)
    return AGAIN
  }
  flight.waitsNoMore()
  flight.tighten(recorded)
  const lease = new Lease({
    store,
    clock,
    random,
    claim,
    recorded,
    sentAtMs,
    onStoreError,
    policy: flight,
    claimAgain: (onUncertain) => store.claim(claimRequest(request, claim.owner, onUncertain)),
    deadline: flight.deadline,
    signal: flight.signal,
  })
  flight.whenStricter(() => lease.policyChanged())
  const signal = AbortSignal.any([flight.signal, lease.signal])
  const outcome = await run(request, flight, own, signal, async (sending) => {
    await lease.dispatch(sending)
    flight.dispatched = true
  })
  lease.end()
  if (!outcome.ok) return storeFailure(request, flight, claim, lease, outcome, own)
  own.outcome = outcome
  return storeSuccess(request, flight, claim, outcome)
}

/** The store is down: fails, or runs the work without a record under `onStoreError: 'bypass'`. */
async function withoutStore<T>(
  request: OnceRequest<T>,
  flight: SharedFlight,
  own: OwnWork<T>,
  cause: unknown,
): Promise<FlightEnd<T>> {
  // The claim failed because the last participant left, not because of the store.
  if (flight.signal.aborted) return AGAIN
  if (request.onStoreError === 'fail') {
    const executed = flight.dispatched ? 'maybe' : 'no'
    return { type: 'error', init: storeUnavailable('be asked', cause, executed) }
  }
  flight.waitsNoMore()
  const outcome = await run(request, flight, own, flight.signal, async () => {
    flight.dispatched = true
  })
  own.outcome = outcome
  return unrecorded(request, flight, outcome)
}

async function run<T>(
  { work }: OnceRequest<T>,
  flight: SharedFlight,
  own: OwnWork<T>,
  signal: AbortSignal,
  dispatch: (sending?: Sending) => Promise<void>,
): Promise<WorkOutcome<T>> {
  const running = flight
    .enclose(async () =>
      work({
        signal,
        deadline: flight.deadline,
        get onUncertain() {
          return flight.onUncertain
        },
        dispatch,
        tooLarge: () => flight.tellEarly({ type: 'error', init: resultTooLarge() }),
      }),
    )
    .catch((error: unknown): WorkOutcome<T> => brokenPromise(error, flight))
  own.running = running
  const outcome = await running
  own.running = undefined
  return outcome
}

/** Work should not reject. If it does, it is unknown what it did. */
function brokenPromise<T>(error: unknown, flight: SharedFlight): WorkOutcome<T> {
  const uncertain = flight.dispatched && flight.onUncertain === 'fail'
  return {
    ok: false,
    error,
    disposition: uncertain ? 'uncertain' : 'release',
    doubtful: flight.dispatched,
    notice: {
      kind: uncertain ? 'outcome_unknown' : 'unknown',
      executed: flight.dispatched ? 'maybe' : 'no',
    },
  }
}
