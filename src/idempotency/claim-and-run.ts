import { sleep } from '../time.ts'
import { type Claimed, type ClaimLimits, claimKey, claimRequest, sharedEndOf } from './claim.ts'
import { AGAIN, type SharedFlight } from './flight.ts'
import { Lease } from './lease.ts'
import { resultTooLarge, storeUnavailable } from './once-errors.ts'
import type { FlightEnd, OnceRequest, OwnWork, Sending, WorkOutcome } from './protocol.ts'
import { giveBack, storeFailure, storeSuccess, unrecorded } from './settle.ts'

/**
 * The protocol between processes. Claims the key until the store returns an outcome, a refusal or
 * ownership; an owner runs the work under a lease and records its outcome.
 */
export async function claimAndRun<T>(
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
