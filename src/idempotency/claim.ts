import { randomUUID } from 'node:crypto'
import type { Clock } from '../time.ts'
import type { SharedEnd, SharedFlight } from './flight.ts'
import { mismatch, type OnceRequest, outcomeUnknown, storeUnavailable } from './protocol.ts'
import { unreadableIn } from './record.ts'
import type { ClaimRequest, ClaimResult } from './store.ts'

/** How long a claim lasts without a heartbeat, and so how long a crashed owner blocks its key at most. */
export const LEASE_MS = 30_000

export type Claimed = ClaimResult | { readonly state: 'unreachable'; readonly cause: unknown }

export interface ClaimLimits {
  /** The fence of the owner that this caller has been waiting for. */
  readonly waitedFor?: number | undefined
  /** As in `StoreTimeout`. */
  readonly remainingMs?: number
  /** Ends the wait at once. */
  readonly signal?: AbortSignal
}

/** Sends one claim to the store, within the limits. */
export async function claimKey<T>(
  request: OnceRequest<T>,
  { onUncertain }: SharedFlight,
  { waitedFor, ...limits }: ClaimLimits = {},
): Promise<Claimed> {
  const { store, clock } = request
  let abandoned = false
  try {
    const asked = claimRequest(request, randomUUID(), onUncertain)
    const asking = (async () =>
      store.claim(waitedFor === undefined ? asked : { ...asked, waitedFor }))()
    // A claim granted after its caller gave up would block the key for a whole lease, so it is released.
    // If that fails too, the lease expires by itself.
    asking
      .then((claimed) => abandoned && claimed.state === 'owned' && store.release(claimed.claim))
      .catch(() => {})
    return await withStoreTimeout(asking, { clock, ...limits })
  } catch (cause) {
    abandoned = true
    return { state: 'unreachable', cause }
  }
}

/** A claim of this owner, new or repeated. */
export function claimRequest<T>(
  { key, fingerprint, ttlMs }: OnceRequest<T>,
  owner: string,
  onUncertain: 'rerun' | 'fail',
): ClaimRequest {
  return { key, fingerprint, owner, leaseMs: LEASE_MS, onUncertain, ttlMs }
}

/** What the store's answer means for every participant; undefined if it decides nothing yet. */
export async function sharedEndOf<T>(
  request: OnceRequest<T>,
  claimed: Claimed,
): Promise<SharedEnd | undefined> {
  switch (claimed.state) {
    case 'settled':
      return claimed.outcome.ok
        ? opened(request, claimed.outcome.result)
        : { type: 'failure', notice: claimed.outcome.notice, source: 'store' }
    case 'left':
      return { type: 'failure', notice: claimed.notice, source: 'shared' }
    case 'uncertain':
      return { type: 'error', init: outcomeUnknown('store') }
    case 'mismatch':
      return { type: 'error', init: mismatch() }
    case 'unreachable': {
      const init = unreadableIn(claimed.cause)
      return init === undefined ? undefined : { type: 'error', init }
    }
    case 'owned':
    case 'busy':
      return undefined
  }
}

async function opened<T>({ keeping }: OnceRequest<T>, kept: string): Promise<SharedEnd> {
  try {
    const result = keeping === undefined ? kept : await keeping.open(kept)
    return { type: 'result', result, source: 'store', persisted: true }
  } catch (error) {
    const init = unreadableIn(error) ?? storeUnavailable('give a readable result', error, 'yes')
    return { type: 'error', init }
  }
}

/**
 * How long to wait for the store: longer than a slow round trip, far shorter than a lease. A store that
 * takes longer counts as unreachable.
 */
const PATIENCE_MS = 5_000

/** The limits of a wait for the store. */
export interface StoreTimeout {
  readonly clock: Clock
  /**
   * Milliseconds left to the caller. The store gets half, the work the rest. Absent if no work is to
   * follow.
   */
  readonly remainingMs?: number
  /** Aborts the wait. */
  readonly signal?: AbortSignal
}

/** The store's answer; rejects if it does not arrive in time. */
export async function withStoreTimeout<T>(
  answer: Promise<T>,
  { clock, remainingMs = Number.POSITIVE_INFINITY, signal }: StoreTimeout,
): Promise<T> {
  let end: () => void = () => {}
  const over = new Promise<never>((_, reject) => {
    const waitMs = Math.max(0, Math.min(PATIENCE_MS, remainingMs / 2))
    const onAbort = () => reject(signal?.reason)
    const cancel = clock.schedule(waitMs, () =>
      reject(new DOMException(`no answer within ${waitMs} ms`, 'TimeoutError')),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    end = () => {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  })
  try {
    return await Promise.race([answer, over])
  } finally {
    end()
  }
}
