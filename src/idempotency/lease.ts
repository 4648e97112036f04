import { CallError, type CallErrorInit } from '../errors/call-error.ts'
import type { Clock, Deadline } from '../time.ts'
import { aborted, claimLost, storeUnavailable } from './once-errors.ts'
import { withPatience } from './patience.ts'
import type { Claim, Store } from './store.ts'

/** How long a claim stands without a heartbeat. A dead owner blocks its key for no longer. */
export const LEASE_MS = 30_000

/** Two heartbeats may be lost before the lease is. */
const HEARTBEAT_MS = LEASE_MS / 3

/**
 * How long after sending a claim or heartbeat we count on the lease. Earlier than the store's own
 * end of it by a fifth, for clocks that drift and processes that pause (M. Kleppmann, "How to do
 * distributed locking": a lease holder that was paused must not trust it).
 */
const TRUSTED_MS = LEASE_MS * 0.8

export interface LeaseRequest {
  readonly store: Store
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly claim: Claim
  /** When the claim was sent, on the monotonic clock. */
  readonly sentAtMs: number
  readonly onStoreError: 'fail' | 'bypass'
  /** Whether work that has been dispatched may go on when somebody else might take over. */
  readonly mayOutlive: boolean
  /** The callers'. */
  readonly deadline: Deadline
  /** Aborts when no caller is left. */
  readonly signal: AbortSignal
}

/**
 * A claim held: renewed by heartbeats until `end()`, and given up on by ourselves before the store
 * would give the key to somebody else.
 */
export class Lease {
  /** Set once the work must stop: `in_progress` for a lost claim, or `store_unavailable`. */
  stoppedBy: CallError | undefined
  /** The store has agreed that the work may leave this process. */
  dispatched = false
  readonly #request: LeaseRequest
  readonly #stop = new AbortController()
  #trustedUntilMs: number
  #lost = false
  #ended = false
  #cancelBeat: (() => void) | undefined
  #cancelFence: (() => void) | undefined

  constructor(request: LeaseRequest) {
    this.#request = request
    this.#trustedUntilMs = request.sentAtMs + TRUSTED_MS
    this.#beatLater(0)
    this.#armFence()
  }

  /** Aborts when the work must stop. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /**
   * Asks the store once; afterwards a lease we can count on is enough.
   * @throws {CallError} when nothing may be sent.
   */
  async dispatch(): Promise<void> {
    if (this.stoppedBy !== undefined) throw this.stoppedBy
    if (this.#mayOutlive() && this.#request.onStoreError === 'bypass') return
    if (this.#isLost()) throw this.#halt(claimLost())
    if (this.dispatched) return
    const granted = await this.#askToDispatch()
    // The answer may have been long in coming.
    if (!granted || this.#isLost()) throw this.#halt(claimLost())
    this.dispatched = true
  }

  /** Stops renewing. To be called when the work has ended, whatever its end. */
  end(): void {
    this.#ended = true
    this.#cancelBeat?.()
    this.#cancelFence?.()
  }

  async #askToDispatch(): Promise<boolean> {
    const { store, claim, onStoreError, clock, deadline, signal } = this.#request
    try {
      const answer = store.dispatch(claim)
      return await withPatience(answer, { clock, remainingMs: deadline.remainingMs(), signal })
    } catch (error) {
      if (signal.aborted) throw abandoned(signal)
      if (onStoreError === 'bypass') return true
      throw this.#halt(storeUnavailable('mark the dispatch', error, 'no'))
    }
  }

  /** `spentMs`: how long the last one took, which must not put off the next. */
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
      held = await withPatience(store.heartbeat(claim, LEASE_MS), { clock })
    } catch {
      // Unreachable for now: the fence decides when that has lasted too long.
    }
    if (this.#ended) return
    if (held === false) {
      this.#lost = true
      this.#lapse()
      return
    }
    if (held) {
      this.#trustedUntilMs = sentAtMs + TRUSTED_MS
      this.#armFence()
    }
    this.#beatLater(clock.monotonicMs() - sentAtMs)
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

  #mayOutlive(): boolean {
    return this.dispatched && this.#request.mayOutlive
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

/** For work that is about to send when nobody wants its result any more. */
function abandoned({ reason }: AbortSignal): CallError {
  return new CallError(aborted(reason, 'no'))
}
