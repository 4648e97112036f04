import { CallError, type CallErrorInit } from '../errors/call-error.ts'
import type { Clock, Deadline } from '../time.ts'
import type { Sending } from './once.ts'
import { aborted, claimLost, storeUnavailable } from './once-errors.ts'
import { type Patience, withPatience } from './patience.ts'
import type { Claim, ClaimResult, Store } from './store.ts'

type OnUncertain = 'rerun' | 'fail'

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
  /** As the record had it when it was claimed. */
  readonly recorded: OnUncertain
  /** When the claim was sent, on the monotonic clock. */
  readonly sentAtMs: number
  readonly onStoreError: 'fail' | 'bypass'
  /** What the callers of this process want, and hear of what others want. */
  readonly policy: { readonly onUncertain: OnUncertain; tighten(onUncertain: OnUncertain): void }
  /** The same claim once more, under the given policy. */
  claimAgain(onUncertain: OnUncertain): Promise<ClaimResult>
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
  /** The record's policy, as far as we know: it only ever becomes stricter. */
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
   * Asks the store before the first send, and before each that comes after one whose work may have
   * been done: somebody may have forbidden that since. Else a lease we can count on is enough.
   * @throws {CallError} when nothing may be sent.
   */
  async dispatch({ again = false, signal }: Sending = {}): Promise<void> {
    if (this.stoppedBy !== undefined) throw this.stoppedBy
    const isFree = this.dispatched && this.#request.onStoreError === 'bypass'
    if (!isFree && this.#isLost()) throw this.#halt(claimLost())
    // Written down before anything is sent: who takes over, or asks, must find it.
    if (again || this.#isUnrecorded()) await this.#agreeToSend(isFree, signal)
    if (this.dispatched) return
    const granted = await this.#askToDispatch()
    // The answer may have been long in coming.
    if (!granted || this.#isLost()) throw this.#halt(claimLost())
    this.dispatched = true
  }

  /** A caller of this process wants it stricter than the record has it: it is to be written down. */
  policyChanged(): void {
    // What fails here is made good by the next heartbeat, and before the next send.
    if (!this.#ended && this.#isUnrecorded()) this.#agree().catch(() => {})
  }

  /** Stops renewing. To be called when the work has ended, whatever its end. */
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
      // What is about to be done has been paid for once: worth a second connection.
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
   * Brings the record's policy and the callers' together, in one step of the store that extends the
   * lease too: the stricter binds both from then on. `false`: the claim is lost.
   */
  async #agree(limits: Omit<Patience, 'clock'> = {}): Promise<boolean> {
    const { store, clock, claim, policy, claimAgain } = this.#request
    const sentAtMs = clock.monotonicMs()
    const asking = (async () => claimAgain(policy.onUncertain))()
    const answer = await withPatience(asking, { clock, ...limits })
    if (answer.state === 'uncertain') {
      // Our lease ran out unnoticed, and somebody who does not want it done again has found that.
      this.#learn('fail')
      return true
    }
    if (answer.state !== 'owned') return false
    if (answer.claim.fence !== claim.fence) {
      // The record was gone, and this is a new one that nobody has asked for.
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
      held = this.#isUnrecorded()
        ? await this.#agree()
        : await withPatience(store.heartbeat(claim, LEASE_MS), { clock })
    } catch {
      // Unreachable for now: the fence decides when that has lasted too long.
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

  /** Whether work that has been sent may go on when somebody else might take over. */
  #mayOutlive(): boolean {
    // Under 'rerun' the next owner runs the same work: two at once is what a key prevents.
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

/** Whether it may be sent cannot be found out. */
function unasked(cause: unknown, dispatched: boolean): CallError {
  const executed = dispatched ? 'maybe' : 'no'
  return new CallError(storeUnavailable('be asked whether to send again', cause, executed))
}

/** For work that is about to send when nobody wants its result any more. */
function abandoned({ reason }: AbortSignal): CallError {
  return new CallError(aborted(reason, 'no'))
}
