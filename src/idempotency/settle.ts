import type { FailureKind } from '../errors/failure-kinds.ts'
import { type Clock, soon } from '../time.ts'
import { AGAIN, type SharedEnd, type SharedFlight } from './flight.ts'
import type { Keeping } from './kept-result.ts'
import { claimKey, type Lease, sharedEndOf, withStoreTimeout } from './lease.ts'
import {
  type FlightEnd,
  type OnceRequest,
  type OwnWork,
  outcomeUnknown,
  resultTooLarge,
  storeUnavailable,
  TOO_LARGE,
  type WorkOutcome,
} from './protocol.ts'
import type { Claim, FailureNotice, Outcome } from './store.ts'

/** Stores the result of successful work. The result is returned whatever the store answers. */
export async function storeSuccess<T>(
  request: OnceRequest<T>,
  flight: SharedFlight,
  claim: Claim,
  outcome: Success<T>,
): Promise<FlightEnd<T>> {
  const result = encoded(request, outcome.value)
  const sealed = result === undefined ? undefined : await seal(request, result)
  if (result === undefined || sealed === undefined) {
    return storeNothing(request, flight, claim, outcome, result)
  }
  const kept = await complete(request, claim, { ok: true, result: sealed.kept }, request.ttlMs)
  return kept === 'lost'
    ? readStored(request, flight, outcome, result, sealed)
    : ownResult(outcome, result, sealed.whole && kept === 'stored')
}

type Sealed = Awaited<ReturnType<Keeping['seal']>>

/** Undefined if the result cannot be stored at all. */
async function seal<T>(
  { keeping }: OnceRequest<T>,
  result: string | typeof TOO_LARGE,
): Promise<Sealed | undefined> {
  if (result === TOO_LARGE) {
    return keeping && { kept: keeping.tooLarge, whole: false }
  }
  return keeping === undefined
    ? { kept: result, whole: true }
    : keeping.seal(result).catch(() => undefined)
}

/** The work was done, but its result cannot be stored. Under 'fail' it must not run again. */
async function storeNothing<T>(
  { store, clock, ttlMs }: OnceRequest<T>,
  { onUncertain }: SharedFlight,
  claim: Claim,
  outcome: Success<T>,
  result: string | typeof TOO_LARGE | undefined,
): Promise<FlightEnd<T>> {
  const strict = onUncertain === 'fail'
  const verdict = () =>
    strict ? store.markUncertain(claim, ttlMs) : store.release(claim, undefined, 0, ttlMs)
  await answerOr(clock, verdict, false)
  const { others } = ownResult(outcome, result, false)
  const init = outcomeUnknown('shared')
  return {
    type: 'own',
    outcome,
    persisted: false,
    others: strict && others === AGAIN ? { type: 'error', init } : others,
  }
}

/** Another owner took over while the work ran: all callers get the one outcome in the store. */
async function readStored<T>(
  request: OnceRequest<T>,
  flight: SharedFlight,
  outcome: Success<T>,
  result: string | typeof TOO_LARGE,
  sealed: Sealed,
): Promise<FlightEnd<T>> {
  const { ttlMs } = request
  const claimed = await claimKey(request, flight)
  const stored = claimed.state === 'settled' ? await sharedEndOf(request, claimed) : undefined
  // If that one is unreadable, our own result is used, since it was paid for.
  if (stored !== undefined && stored.type !== 'error') return stored
  // The record was gone and the key free, so our own result becomes the outcome after all.
  const kept =
    claimed.state === 'owned' &&
    (await complete(request, claimed.claim, { ok: true, result: sealed.kept }, ttlMs)) === 'stored'
  return ownResult(outcome, result, sealed.whole && kept)
}

/** Handles a failure: stored, released or left uncertain, as the work itself decided. */
export async function storeFailure<T>(
  request: OnceRequest<T>,
  flight: SharedFlight,
  claim: Claim,
  lease: Lease,
  outcome: Failed<T>,
  own: OwnWork<T>,
): Promise<FlightEnd<T> | 'lost'> {
  const { store, clock, ttlMs } = request
  const { stoppedBy, dispatched } = lease
  const unsent = stoppedBy !== undefined && !dispatched
  const doubtful = !unsent && outcome.doubtful === true
  const disposition = unsent ? 'release' : dispositionOf(outcome, flight)
  const stopped = stoppedBy !== undefined && disposition === 'release'
  if (!stopped) own.outcome = outcome
  const notice = stopped ? undefined : noticeForOthers(outcome, flight)
  // The next owner would run at the same time as the work that still continues, so the key is not released.
  // The lease is no longer renewed, so this ends when it expires.
  const isHeld =
    disposition === 'release' && notice === undefined && doubtful && (await goesOn(outcome))
  switch (disposition) {
    case 'keep':
      await complete(request, claim, { ok: false, notice: outcome.notice }, KEPT_FAILURE_MS)
      break
    case 'uncertain':
      await answerOr(clock, () => store.markUncertain(claim, ttlMs), false)
      break
    case 'release':
      if (!isHeld) await giveBack(request, flight, claim, notice, doubtful)
  }
  void storeLateEnd(request, flight, claim, outcome, isHeld)
  if (!stopped) {
    return { type: 'own', outcome, persisted: false, others: othersEnd(outcome, flight) }
  }
  if (stoppedBy.kind !== 'store_unavailable') return 'lost'
  return { type: 'error', init: storeUnavailable('mark the dispatch', stoppedBy.cause, 'no') }
}

/** Whether failed work continues. Most work ends with its signal, in the same turn of the event loop. */
async function goesOn<T>({ late }: Failed<T>): Promise<boolean> {
  if (late === undefined) return false
  const turn = new Promise<undefined>((resolve) => soon(() => resolve(undefined)))
  const end = await Promise.race([late, turn])
  return end === undefined || end.ok
}

/**
 * Handles the end of work that was given up earlier. Its result is stored unless another owner took over,
 * even if the outcome was reported as unknown. If the work was certainly not done, the key is freed.
 */
async function storeLateEnd<T>(
  request: OnceRequest<T>,
  flight: SharedFlight,
  claim: Claim,
  { late }: Failed<T>,
  isHeld: boolean,
): Promise<void> {
  const end = await late
  if (end === undefined) return
  if (end.ok) await storeSuccess(request, flight, claim, { ok: true, value: end.value })
  else if (end.executed === 'no') await giveBack(request, flight, claim)
  else if (isHeld) await giveBack(request, flight, claim, undefined, true)
}

/** A joiner may have made the policy stricter after the work chose its disposition. */
function dispositionOf<T>(
  { disposition, doubtful }: Failed<T>,
  { onUncertain }: SharedFlight,
): Failed<T>['disposition'] {
  const isLate = disposition === 'release' && doubtful === true && onUncertain === 'fail'
  return isLate ? 'uncertain' : disposition
}

/** The end of work that ran without a record. */
export function unrecorded<T>(
  request: OnceRequest<T>,
  flight: SharedFlight,
  outcome: WorkOutcome<T>,
): FlightEnd<T> {
  return outcome.ok
    ? ownResult(outcome, encoded(request, outcome.value), false)
    : { type: 'own', outcome, persisted: false, others: othersEnd(outcome, flight) }
}

type OwnEnd<T> = Extract<FlightEnd<T>, { readonly type: 'own' }>
type Success<T> = Extract<WorkOutcome<T>, { readonly ok: true }>
type Failed<T> = Extract<WorkOutcome<T>, { readonly ok: false }>

/** Even a permanent refusal is stored only for a while, because limits and filters change. */
const KEPT_FAILURE_MS = 10 * 60_000

/** Long enough for every polling waiter to see the failure, short enough for a new attempt soon. */
const NOTICE_MS = 5_000

function ownResult<T>(
  outcome: Success<T>,
  result: string | typeof TOO_LARGE | undefined,
  persisted: boolean,
): OwnEnd<T> {
  return { type: 'own', outcome, persisted, others: shared(result, persisted) }
}

function shared(result: string | typeof TOO_LARGE | undefined, persisted: boolean): SharedEnd {
  if (result === undefined) return AGAIN
  if (result === TOO_LARGE) return { type: 'error', init: resultTooLarge() }
  return { type: 'result', result, source: 'shared', persisted }
}

/** A result without a text can be returned, but neither stored nor shared. */
function encoded<T>({ encode }: OnceRequest<T>, value: T): string | typeof TOO_LARGE | undefined {
  try {
    const result: unknown = encode(value)
    return typeof result === 'string' || result === TOO_LARGE ? result : undefined
  } catch {
    return undefined
  }
}

/** Failures that concern only one caller: a joiner with time left tries again instead. */
const PERSONAL: ReadonlySet<FailureKind> = new Set(['aborted', 'deadline', 'multiplied_retries'])

/** The failure as shown to other callers; undefined if they should try themselves. */
function noticeForOthers<T>(
  { notice, disposition }: Failed<T>,
  flight: SharedFlight,
): FailureNotice | undefined {
  const abandoned = flight.signal.aborted && disposition === 'release'
  return abandoned || PERSONAL.has(notice.kind) ? undefined : notice
}

function othersEnd<T>(outcome: Failed<T>, flight: SharedFlight): SharedEnd {
  const notice = noticeForOthers(outcome, flight)
  return notice === undefined ? AGAIN : { type: 'failure', notice, source: 'shared' }
}

/**
 * Releases the key; does not wait for the store if the last participant has left. If the work may have been
 * done, the store decides whether the key is free, because another process may have set 'fail'.
 */
export async function giveBack<T>(
  { store, clock, ttlMs }: OnceRequest<T>,
  { signal }: SharedFlight,
  claim: Claim,
  notice?: FailureNotice,
  doubtful = false,
): Promise<void> {
  const doubtMs = doubtful ? ttlMs : undefined
  const released = answerOr(clock, () => store.release(claim, notice, NOTICE_MS, doubtMs), false)
  // An abandoned flight must not keep new callers waiting for a store that hangs.
  if (!signal.aborted) await released
}

/** Tries twice, because the work was paid for. */
async function complete<T>(
  { store, clock }: OnceRequest<T>,
  claim: Claim,
  outcome: Outcome,
  ttlMs: number,
): Promise<'stored' | 'lost' | 'unknown'> {
  const attempt = async () => store.complete(claim, outcome, ttlMs)
  return answerOr(clock, () => attempt().catch(attempt), 'unknown')
}

/** The store's answer, or `otherwise` if it fails or takes too long. For use after the work is done. */
async function answerOr<R, O>(clock: Clock, ask: () => Promise<R>, otherwise: O): Promise<R | O> {
  return withStoreTimeout((async () => ask())(), { clock }).catch(() => otherwise)
}
