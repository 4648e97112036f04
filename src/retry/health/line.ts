import type { Clock, Closing } from '../../time.ts'
import { Health, type LineParts, SHIPPED_PARTS } from './health.ts'
import type { LineLimits } from './limit-options.ts'
import type { End, Held, LineStatus, Seen } from './line-contract.ts'
import { type ReadingPace, StreamPlaces } from './places.ts'
import {
  AbortSignals,
  type HeldBy,
  type PermitRefusal,
  type PermitRequest,
  PLAIN_REQUEST,
  Queue,
  type Ticket,
  type TicketOrRefusal,
  WaitingCall,
} from './waiting.ts'

/** Maximum number of calls waiting for one target; further calls are refused at once. */
const MOST_WAITING = 100_000
/** How late timers may fire on a busy machine without a call being given up. */
export const TIMER_SLACK_MS = 50
/** How long a call without prospect still waits, so that a pool of workers does not fail its whole input at once. */
const HOPELESS_WAIT_MS = 2_000

/**
 * The queue in front of one target, called its line. Every request to the target passes through it, in the
 * order in which the calls arrived. The target's health decides whether a request can be sent now, the line
 * decides which call is next. If the line is free, it costs a call one synchronous check.
 *
 * A synchronous state machine with a single timer, however many calls are waiting.
 */
export class Line {
  readonly #clock: Clock
  readonly #health: Health
  readonly #queue = new Queue()
  readonly #streams = new StreamPlaces()
  readonly #signals = new AbortSignals((calls) => this.#aborted(calls))
  #arrived = 0
  /** Whether the waiting calls are sorted for probes. */
  #isProbing = false
  /** Set while idle streams give their places back, which frees places and would otherwise start this again. */
  #isTakingPlaces = false
  #wakeAtMs = Infinity
  #cancelWake: (() => void) | undefined

  constructor(
    clock: Clock,
    random: () => number,
    bounds: LineLimits,
    parts: LineParts = SHIPPED_PARTS,
  ) {
    this.#clock = clock
    this.#health = new Health(random, bounds, parts, clock.monotonicMs())
  }

  get isDown(): boolean {
    return this.#health.isDown
  }

  /** The state of the target. */
  get health(): LineStatus['state'] {
    this.#review(this.#nowMs())
    return this.#health.state
  }

  /** Whether a token limit applies, set by hand or reported by the target. */
  get countsTokens(): boolean {
    return this.#health.countsTokens(this.#nowMs())
  }

  /** Whether limits reported by the target may hold calls back. */
  get isRationed(): boolean {
    return this.#health.isRationed(this.#nowMs())
  }

  /** The rank of a new call. A lower rank goes first, including its retries. */
  arrive(): number {
    this.#arrived += 1
    return this.#arrived
  }

  /** Returns a ticket if the call may send now, or 0 if it has to wait. */
  enter(request: PermitRequest): Ticket | 0 {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    if (request.notBeforeMs > nowMs) return 0
    if (this.#isBehind(request, nowMs)) return 0
    if (this.#health.heldBy(request, nowMs) !== undefined) return 0
    return this.#health.sent(request, nowMs)
  }

  /** Whether a new call could be sent now, without waiting. */
  get isFree(): boolean {
    return this.#isFreeFor(PLAIN_REQUEST)
  }

  #isFreeFor(request: PermitRequest): boolean {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    return !this.#hasOlder(nowMs) && this.#health.heldBy(request, nowMs) === undefined
  }

  /**
   * Whether the line is free for a request of this many tokens and the latest attempts have not failed, so
   * that an extra request does no harm.
   */
  isWell(tokens: number): boolean {
    return this.#isFreeFor({ ...PLAIN_REQUEST, tokens }) && !this.#health.inRow
  }

  /** Whether the target is down or may be about to: nothing has succeeded since the latest failures. */
  get isFailing(): boolean {
    return this.isDown || this.#health.inRow
  }

  /** Returns a ticket for a hedge. To be called only if `isWell`. */
  enterBeside(tokens: number): Ticket {
    return this.#health.sent({ ...PLAIN_REQUEST, tokens }, this.#nowMs())
  }

  /** What holds this call back, and for how long; `backoff` if only its own wait does. */
  held(request: PermitRequest): Held {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    const by =
      this.#health.heldBy(request, nowMs) ?? (this.#isBehind(request, nowMs) ? 'limit' : 'backoff')
    const leastMs = Math.max(
      this.#health.leastMs(by, request, nowMs),
      request.notBeforeMs - nowMs,
      0,
    )
    const ahead = this.#queue.before(request)
    const expectedMs = Math.max(this.#health.expectedMs(by, request, ahead, nowMs), leastMs)
    return { by, leastMs, expectedMs, ahead }
  }

  /** The failure behind this reason to hold a call. */
  seen(by: HeldBy): Seen | undefined {
    return this.#health.seen(by, this.#nowMs())
  }

  /** How much longer a hint closes it, in milliseconds; 0 if none does. */
  get closedForMs(): number {
    return Math.max(this.#health.hint.closedUntilMs - this.#nowMs(), 0)
  }

  /** Milliseconds until the hint itself ends or the reported limits have room again. */
  get toldForMs(): number {
    return this.#health.toldForMs(this.#nowMs())
  }

  status(): LineStatus {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    return { ...this.#health.status(nowMs), waiting: this.#queue.size }
  }

  /** For an operator: drops the hint, and treats the target as if a probe had succeeded. */
  reopen(): void {
    const nowMs = this.#nowMs()
    this.#health.reopen(nowMs)
    this.#pump(nowMs)
  }

  /** Resolves to a ticket when it is the call's turn, or to the reason why it gets none. */
  wait(request: PermitRequest, signal?: AbortSignal, closing?: Closing): Promise<TicketOrRefusal> {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    const by = this.#health.heldBy(request, nowMs) ?? 'limit'
    if (signal?.aborted === true || closing?.isClosed === true)
      return Promise.resolve({ by, why: 'aborted' })
    if (this.#queue.size >= MOST_WAITING) return Promise.resolve({ by, why: 'full' })
    if (this.#health.hint.endsMs > request.latestMs)
      return Promise.resolve({ by: 'hint', why: 'too_long' })
    const isHopeless = this.#health.isHopeless(request, this.#queue.before(request), nowMs)
    const patient = isHopeless
      ? { ...request, latestMs: Math.min(request.latestMs, nowMs + HOPELESS_WAIT_MS) }
      : request
    return new Promise((resolve) => {
      const waiting = new WaitingCall(patient, isHopeless, (outcome) => {
        if (signal !== undefined) this.#signals.delete(signal, waiting)
        closing?.over(end)
        resolve(outcome)
      })
      const end = () => this.#aborted([waiting])
      if (signal !== undefined) this.#signals.add(signal, waiting)
      closing?.begin(end)
      this.#queue.add(waiting, nowMs)
      this.#pump(nowMs)
    })
  }

  /**
   * For the period since `fromMs`: how long a hint closed the line, and how long the target was down without
   * a hint, in milliseconds.
   */
  reasonsSince(fromMs: number): { readonly hintMs: number; readonly downMs: number } {
    return this.#health.reasonsSince(fromMs, this.#nowMs())
  }

  /** Learns from the end of an attempt, which counts as in flight until `left`. */
  ended(end: End): void {
    const nowMs = this.#nowMs()
    const { hint } = this.#health
    const { endsMs } = hint
    this.#health.ended(end, nowMs)
    if (hint.endsMs > endsMs) this.#endBefore(hint.endsMs, nowMs)
    this.#pump(nowMs)
  }

  /** The attempt is no longer in flight. `tokens`: how many it used beyond the estimate. */
  left(tokens = 0): void {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    this.#health.left(tokens, nowMs)
    this.#pump(nowMs)
  }

  /** The attempt has become a stream and keeps its place. Call the returned function when the stream ends. */
  streams(pace: ReadingPace, tokensAtEnd: () => number): () => void {
    this.#health.streams()
    return this.#streams.hold(pace, () => {
      this.#health.streamEnds()
      this.left(tokensAtEnd())
    })
  }

  /** Forgets the learned limit after a while, unless calls are waiting for it. */
  #review(nowMs: number): void {
    if (this.#queue.size > 0 && this.#health.room !== 'all' && this.#hasOlder(nowMs)) {
      this.#health.holds(nowMs)
    }
    this.#health.forgetUnused(nowMs)
  }

  /** Whether waiting calls go before this one. */
  #isBehind({ impatient, nested }: PermitRequest, nowMs: number): boolean {
    return !impatient && !nested && this.#hasOlder(nowMs)
  }

  /** Whether a waiting call could be sent now; it goes before a new one. */
  #hasOlder(nowMs: number): boolean {
    if (this.#queue.size === 0) return false
    this.#queue.ripen(nowMs)
    return this.#queue.hasReady(this.#health.hasToken(nowMs))
  }

  #aborted(calls: Iterable<WaitingCall>): void {
    const nowMs = this.#nowMs()
    for (const waiting of calls) this.#giveUp(waiting, 'aborted', nowMs)
    this.#arm(nowMs)
  }

  #giveUp(waiting: WaitingCall, why: PermitRefusal['why'], nowMs: number): void {
    if (waiting.hasLeft) return
    const { request } = waiting
    const own = request.notBeforeMs > nowMs ? 'backoff' : 'limit'
    waiting.leave({ by: this.#health.heldBy(request, nowMs) ?? own, why })
    this.#queue.left(waiting)
  }

  #pump(nowMs: number): void {
    if (this.#queue.size === 0) {
      this.#arm(nowMs)
      return
    }
    this.#review(nowMs)
    this.#sortForProbes()
    this.#queue.ripen(nowMs)
    // After the process was suspended, some calls are past their time and must not be sent.
    this.#endPatience(nowMs - TIMER_SLACK_MS, nowMs)
    this.#takeIdlePlaces(nowMs)
    this.#sendHasty(nowMs)
    for (;;) {
      const next = this.#next(nowMs)
      if (next === undefined || this.#health.rateAtMs(next.request.tokens, nowMs) > nowMs) break
      this.#send(next, nowMs)
    }
    this.#endPatience(nowMs, nowMs)
    this.#arm(nowMs)
  }

  #takeIdlePlaces(nowMs: number): void {
    // Prevents recursion: each place that becomes free sends the next call.
    if (this.#isTakingPlaces) return
    this.#isTakingPlaces = true
    const isNeeded = () => this.#health.room !== 'all' && this.#hasOlder(nowMs)
    if (isNeeded()) this.#streams.takeIdle(isNeeded, nowMs)
    this.#isTakingPlaces = false
  }

  #send(waiting: WaitingCall, nowMs: number): void {
    waiting.leave(this.#health.sent(waiting.request, nowMs))
    this.#queue.sent(waiting)
  }

  /** Sends calls that could not wait for the end of a hint's spread before it ends. */
  #sendHasty(nowMs: number): void {
    if (!this.#health.hint.isSpread(nowMs)) return
    for (;;) {
      const hasty = this.#queue.expired(nowMs + TIMER_SLACK_MS)
      if (hasty === undefined || hasty.request.notBeforeMs > nowMs) return
      if (this.#health.heldBeyondHint(hasty.request, nowMs) !== undefined) return
      this.#send(hasty, nowMs)
    }
  }

  /** Gives up the calls that cannot wait for the end of a hint. */
  #endBefore(hintEndsMs: number, nowMs: number): void {
    for (;;) {
      const hasty = this.#queue.expired(hintEndsMs)
      if (hasty === undefined || hasty.request.latestMs >= hintEndsMs) return
      this.#giveUp(hasty, hasty.isHopeless ? 'hopeless' : 'too_long', nowMs)
    }
  }

  #endPatience(untilMs: number, nowMs: number): void {
    for (;;) {
      const late = this.#queue.expired(untilMs)
      if (late === undefined) return
      this.#giveUp(late, late.isHopeless ? 'hopeless' : 'patience', nowMs)
    }
  }

  /** The next call to be sent, ignoring rate limits. */
  #next(nowMs: number, withToken = this.#health.hasToken(nowMs)): WaitingCall | undefined {
    if (!this.#health.isOpen(nowMs)) return undefined
    if (!this.#health.isDown) return this.#queue.next(this.#health.room, withToken)
    if (this.#health.probeAtMs(nowMs) > nowMs) return undefined
    return this.#queue.prober(this.#health.room)
  }

  #nowMs(): number {
    return this.#clock.monotonicMs()
  }

  /** Sets the single timer to the next due event. */
  #arm(nowMs: number): void {
    const atMs = this.#queue.size === 0 ? Infinity : this.#nextMs(nowMs)
    if (atMs === this.#wakeAtMs) return
    this.#cancelWake?.()
    this.#cancelWake = undefined
    this.#wakeAtMs = atMs
    if (atMs === Infinity) return
    this.#cancelWake = this.#clock.schedule(Math.max(atMs - nowMs, 0), () => {
      this.#wakeAtMs = Infinity
      this.#cancelWake = undefined
      this.#pump(this.#nowMs())
    })
  }

  #nextMs(nowMs: number): number {
    return Math.min(this.#queue.nextMs(), this.#nextLeaveMs(nowMs))
  }

  /** When time alone may free a call; Infinity if an attempt has to end first. */
  #nextLeaveMs(nowMs: number): number {
    if (!this.#queue.hasReady(true)) return Infinity
    const { hint } = this.#health
    if (nowMs < hint.closedUntilMs) {
      const hastyMs = Math.max(hint.endsMs, this.#queue.latestMs - TIMER_SLACK_MS)
      return hastyMs > nowMs ? Math.min(hint.closedUntilMs, hastyMs) : hint.closedUntilMs
    }
    const probeAtMs = this.#health.probeAtMs(nowMs)
    if (probeAtMs > nowMs) return probeAtMs
    const next = this.#next(nowMs)
    if (next !== undefined)
      return Math.max(this.#health.rateAtMs(next.request.tokens, nowMs), nowMs)
    const poor = this.#next(nowMs, true)
    return poor === undefined
      ? this.#streams.nextLookMs(nowMs)
      : Math.max(this.#health.tokenAtMs(nowMs), nowMs + 1)
  }

  /** While the target is down, the call with the fewest requests goes first, then the oldest. */
  #sortForProbes(): void {
    if (this.#isProbing === this.#health.isDown) return
    this.#isProbing = this.#health.isDown
    this.#queue.sortForProbes(this.#isProbing)
  }
}
