import { randomUUID } from 'node:crypto'
import type { Ending, SharedFlight } from './flight.ts'
import { LEASE_MS } from './lease.ts'
import type { OnceRequest } from './once.ts'
import { mismatch, outcomeUnknown, storeUnavailable } from './once-errors.ts'
import { withPatience } from './patience.ts'
import type { ClaimRequest, ClaimResult } from './store.ts'
import { unreadableIn } from './unreadable-record.ts'

export type Claimed = ClaimResult | { readonly state: 'unreachable'; readonly cause: unknown }

export interface ClaimLimits {
  /** The fence of the owner that this caller has been waiting for. */
  readonly waitedFor?: number | undefined
  /** As in `Patience`. */
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
    return await withPatience(asking, { clock, ...limits })
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
export async function endingOf<T>(
  request: OnceRequest<T>,
  claimed: Claimed,
): Promise<Ending | undefined> {
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

async function opened<T>({ keeping }: OnceRequest<T>, kept: string): Promise<Ending> {
  try {
    const result = keeping === undefined ? kept : await keeping.open(kept)
    return { type: 'result', result, source: 'store', persisted: true }
  } catch (error) {
    const init = unreadableIn(error) ?? storeUnavailable('give a readable result', error, 'yes')
    return { type: 'error', init }
  }
}
