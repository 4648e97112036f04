import { randomUUID } from 'node:crypto'
import { CallError, type CallErrorInit } from '../errors/call-error.ts'
import type { Clock, Deadline } from '../time.ts'
import type { SharedEnd, SharedFlight } from './flight.ts'
import {
  aborted,
  claimLost,
  mismatch,
  type OnceRequest,
  outcomeUnknown,
  type Sending,
  storeUnavailable,
} from './protocol.ts'
import { unreadableIn } from './record.ts'
import type { Claim, ClaimRequest, ClaimResult, Store } from './store.ts'

/** How long a claim lasts without a heartbeat, and so how long a crashed owner blocks its key at most. */
const LEASE_MS = 30_000

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
  let isGivenUp = false
  try {
    const asked = claimRequest(request, randomUUID(), onUncertain)
    const asking = (async () =>
      store.claim(waitedFor === undefined ? asked : { ...asked, waitedFor }))()
    // A claim granted after its caller gave up would block the key for a whole lease, so it is released.
    // If that fails too, the lease expires by itself.
    asking
      .then((claimed) => isGivenUp && claimed.state === 'owned' && store.release(claimed.claim))
      .catch(() => {})
    return await withStoreTimeout(asking, { clock, ...limits })
  } catch (cause) {
    isGivenUp = true
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

type OnUncertain = 'rerun' | 'fail'

/** Allows two lost heartbeats before the lease expires. */
const HEARTBEAT_MS = LEASE_MS / 3

/**
 * How long after sending a claim or heartbeat its owner relies on the lease. A fifth less than the store
 * grants, to allow for clocks that drift and processes that pause (M. Kleppmann, "How to do distributed
 * locking": an owner that was paused must not trust its lease).
 */
const TRUSTED_MS = LEASE_MS * 0.8

export interface LeaseRequest {
  readonly store: Store
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly claim: Claim
  /** The policy of the record when it was claimed. */
  readonly recorded: OnUncertain
  /** When the claim was sent, on the monotonic clock. */
  readonly sentAtMs: number
  readonly onStoreError: 'fail' | 'bypass'
  /** The policy of this process's callers; told about stricter policies found in the record. */
  readonly policy: { readonly onUncertain: OnUncertain; tighten(onUncertain: OnUncertain): void }
  /** Repeats the claim with the given policy. */
  claimAgain(onUncertain: OnUncertain): Promise<ClaimResult>
  /** The callers' deadline. */
  readonly deadline: Deadline
  /** Aborts when the last caller has left. */
  readonly signal: AbortSignal
}

/**
 * A held claim: renewed by heartbeats until `end()`, and given up by its owner before the store would grant
 * the key to another one.
 */
export class Lease {
  /** Set when the work must stop: `in_progress` for a lost claim, or `store_unavailable`. */
  stoppedBy: CallError | undefined
  /** Whether the store has agreed that the work may leave this process. */
  dispatched = false
  readonly #request: LeaseRequest
  readonly #stop = new AbortController()
  /** The last known policy of the record, which can only become stricter. */
  #recorded: OnUncertain
  #trustedUntilMs: number
  #lost = false
  #ended = false
  #cancelBeat: (() => void) | undefined
  #cancelFence: (() => void) | undefined

  constructor(request: LeaseRequest) {
    this.#request = request
    this.#recorded = request.recorded
    this.#trustedUntilMs = request.sentAtMs + TRUSTED_MS
    this.#beatLater(0)
    this.#armFence()
  }

  /** Aborts when the work must stop. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /**
   * Asks the store before the first send, and before every send that follows one whose work may have been
   * done, because another caller may have forbidden that meanwhile. For other sends a trusted lease is
   * enough.
   * @throws {CallError} if nothing may be sent.
   */
  async dispatch({ again = false, signal }: Sending = {}): Promise<void> {
    if (this.stoppedBy !== undefined) throw this.stoppedBy
    const isFree = this.dispatched && this.#request.onStoreError === 'bypass'
    if (!isFree && this.#isLost()) throw this.#halt(claimLost())
    // Recorded before anything is sent, so that the next owner and other callers find it.
    if (again || this.#isUnrecorded()) await this.#agreeToSend(isFree, signal)
    if (this.dispatched) return
    const granted = await this.#askToDispatch()
    // The answer may have taken so long that the lease is no longer trusted.
    if (!granted || this.#isLost()) throw this.#halt(claimLost())
    this.dispatched = true
  }

  /** To be called when a caller of this process requests a stricter policy, which is then recorded. */
  policyChanged(): void {
    // A failure here is repaired by the next heartbeat, or before the next send.
    if (!this.#ended && this.#isUnrecorded()) this.#agree().catch(() => {})
  }

  /** Stops renewing. To be called when the work has ended in any way. */
  end(): void {
    this.#ended = true
    this.#cancelBeat?.()
    this.#cancelFence?.()
  }

  async #agreeToSend(isFree: boolean, signal: AbortSignal | undefined): Promise<void> {
    const { onStoreError, deadline } = this.#request
    const both = AbortSignal.any([this.#request.signal, ...(signal === undefined ? [] : [signal])])
    let held: boolean
    try {
      const limits = { remainingMs: deadline.remainingMs(), signal: both }
      // Tried twice, because repeating work that may have been done is expensive.
      held = await this.#agree(limits).catch(() => this.#agree(limits))
    } catch (error) {
      if (both.aborted) throw abandoned(both)
      if (onStoreError === 'bypass') return
      throw unasked(error, this.dispatched)
    }
    if (!isFree && (!held || this.#isLost())) throw this.#halt(claimLost())
  }

  #isUnrecorded(): boolean {
    return this.#recorded !== this.#request.policy.onUncertain && this.#recorded === 'rerun'
  }

  /**
   * Merges the record's policy and the callers' in one atomic step, which also extends the lease. The
   * stricter one binds both from then on. Returns false if the claim is lost.
   */
  async #agree(limits: Omit<StoreTimeout, 'clock'> = {}): Promise<boolean> {
    const { store, clock, claim, policy, claimAgain } = this.#request
    const sentAtMs = clock.monotonicMs()
    const asking = (async () => claimAgain(policy.onUncertain))()
    const answer = await withStoreTimeout(asking, { clock, ...limits })
    if (answer.state === 'uncertain') {
      // The lease expired unnoticed, and a caller under 'fail' has marked the record since.
      this.#learn('fail')
      return true
    }
    if (answer.state !== 'owned') return false
    if (answer.claim.fence !== claim.fence) {
      // The record had expired, so the claim created a new one, which is not needed.
      await store.release(answer.claim).catch(() => {})
      return false
    }
    this.#learn(answer.onUncertain)
    this.#trust(sentAtMs)
    return true
  }

  #learn(onUncertain: OnUncertain): void {
    this.#recorded = onUncertain
    this.#request.policy.tighten(onUncertain)
  }

  async #askToDispatch(): Promise<boolean> {
    const { store, claim, onStoreError, clock, deadline, signal } = this.#request
    try {
      const answer = store.dispatch(claim)
      return await withStoreTimeout(answer, { clock, remainingMs: deadline.remainingMs(), signal })
    } catch (error) {
      if (signal.aborted) throw abandoned(signal)
      if (onStoreError === 'bypass') return true
      throw this.#halt(storeUnavailable('mark the dispatch', error, 'no'))
    }
  }

  /** `spentMs` is how long the previous heartbeat took, which must not delay the next one. */
  #beatLater(spentMs: number): void {
    const { clock, random } = this.#request
    const delayMs = HEARTBEAT_MS * (0.9 + 0.2 * random()) - spentMs
    this.#cancelBeat = clock.schedule(delayMs, () => void this.#beat())
  }

  async #beat(): Promise<void> {
    const { store, clock, claim } = this.#request
    const sentAtMs = clock.monotonicMs()
    let held: boolean | undefined
    try {
      held = this.#isUnrecorded()
        ? await this.#agree()
        : await withStoreTimeout(store.heartbeat(claim, LEASE_MS), { clock })
    } catch {
      // Unreachable for now; the timer of #armFence limits for how long.
    }
    if (this.#ended) return
    if (held === false) {
      this.#lost = true
      this.#lapse()
      return
    }
    if (held) this.#trust(sentAtMs)
    this.#beatLater(clock.monotonicMs() - sentAtMs)
  }

  #trust(sentAtMs: number): void {
    if (this.#ended) return
    this.#trustedUntilMs = Math.max(this.#trustedUntilMs, sentAtMs + TRUSTED_MS)
    this.#armFence()
  }

  #armFence(): void {
    const { clock } = this.#request
    this.#cancelFence?.()
    const leftMs = Math.max(0, this.#trustedUntilMs - clock.monotonicMs())
    this.#cancelFence = clock.schedule(leftMs, () => this.#lapse())
  }

  #lapse(): void {
    if (!this.#mayOutlive()) this.#halt(claimLost())
  }

  /** Whether work that was sent may continue although another owner might take over. */
  #mayOutlive(): boolean {
    // Under 'rerun' the next owner would run the same work at the same time, which a key has to prevent.
    const isSafe = this.#recorded === 'fail' || this.#request.onStoreError === 'bypass'
    return this.dispatched && isSafe
  }

  #isLost(): boolean {
    return this.#lost || this.#request.clock.monotonicMs() >= this.#trustedUntilMs
  }

  #halt(init: CallErrorInit): CallError {
    this.stoppedBy ??= new CallError(init)
    this.end()
    this.#stop.abort(this.stoppedBy)
    return this.stoppedBy
  }
}

/** The store cannot say whether the work may be sent again. */
function unasked(cause: unknown, dispatched: boolean): CallError {
  const executed = dispatched ? 'maybe' : 'no'
  return new CallError(storeUnavailable('be asked whether to send again', cause, executed))
}

/** For work about to be sent after the last caller has left. */
function abandoned({ reason }: AbortSignal): CallError {
  return new CallError(aborted(reason, 'no'))
}
