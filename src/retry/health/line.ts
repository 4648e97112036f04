import type { Clock } from '../../time.ts'
import type { Closing } from '../closing.ts'
import { AbortSignals } from './abort-signals.ts'
import { Health, type LineParts, SHIPPED_PARTS } from './health.ts'
import type { LineLimits } from './limits.ts'
import type { End, Held, LineStatus, Seen } from './line-contract.ts'
import { type ReadingPace, StreamPlaces } from './stream-places.ts'
import {
  ANYBODY,
  type HeldBy,
  type NoLeave,
  type Outcome,
  Queue,
  type Ticket,
  Waiting,
  type Wish,
} from './waiting.ts'

/** At most this many calls wait for one target; the next is refused at once. */
const MOST_WAITING = 100_000
/** How late timers may fire on a busy machine: no call is given up for that. */
export const TIMER_SLACK_MS = 50
/** How long a call without prospect waits: a pool of workers must not burn through its input. */
const HOPELESS_WAIT_MS = 2_000

/**
 * The line of one target: every request to it goes through here, in the order in which the calls
 * came. The target's health says whether it can take a request now; the line says whose turn it is. A
 * free line costs a call one synchronous check.
 *
 * One synchronous state machine with one timer, however many calls wait.
 */
export class Line {
  readonly #clock: Clock
  readonly #health: Health
  readonly #queue = new Queue()
  readonly #streams = new StreamPlaces()
  readonly #signals = new AbortSignals((calls) => this.#aborted(calls))
  #arrived = 0
  /** The waiting calls are sorted for probes. */
  #isProbing = false
  /** Idle streams are giving back their places: each place that comes free must not start that anew. */
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

  /** A token limit is in force: set by hand, or reported by the target. */
  get countsTokens(): boolean {
    return this.#health.countsTokens(this.#nowMs())
  }

  /** The limits that the target reports may hold calls back. */
  get isRationed(): boolean {
    return this.#health.isRationed(this.#nowMs())
  }

  /** The rank of a new call: the lower goes first, with its retries too. */
  arrive(): number {
    this.#arrived += 1
    return this.#arrived
  }

  /** A ticket, where the line is free; 0: the call has to wait. */
  enter(wish: Wish): Ticket | 0 {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    if (wish.notBeforeMs > nowMs) return 0
    if (this.#isBehind(wish, nowMs)) return 0
    if (this.#health.heldBy(wish, nowMs) !== undefined) return 0
    return this.#health.sent(wish, nowMs)
  }

  /** Could a new call be sent now, without waiting? */
  get isFree(): boolean {
    return this.#isFreeFor(ANYBODY)
  }

  #isFreeFor(wish: Wish): boolean {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    return !this.#hasOlder(nowMs) && this.#health.heldBy(wish, nowMs) === undefined
  }

  /**
   * The line is free for a request of this many tokens, and the latest attempts have not failed: an
   * extra one does no harm.
   */
  isWell(tokens: number): boolean {
    return this.#isFreeFor({ ...ANYBODY, tokens }) && !this.#health.inRow
  }

  /** Down, or on the way there: nothing has succeeded since the latest failures. */
  get isFailing(): boolean {
    return this.isDown || this.#health.inRow
  }

  /** A ticket for a hedge; only where the target `isWell`. */
  enterBeside(tokens: number): Ticket {
    return this.#health.sent({ ...ANYBODY, tokens }, this.#nowMs())
  }

  /** What holds this call back, and for how long; `backoff` where only its own wait does. */
  held(wish: Wish): Held {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    const by =
      this.#health.heldBy(wish, nowMs) ?? (this.#isBehind(wish, nowMs) ? 'limit' : 'backoff')
    const leastMs = Math.max(this.#health.leastMs(by, wish, nowMs), wish.notBeforeMs - nowMs, 0)
    const ahead = this.#queue.before(wish)
    const expectedMs = Math.max(this.#health.expectedMs(by, wish, ahead, nowMs), leastMs)
    return { by, leastMs, expectedMs, ahead }
  }

  /** The failure behind this reason to hold a call. */
  seen(by: HeldBy): Seen | undefined {
    return this.#health.seen(by, this.#nowMs())
  }

  /** How long a hint still closes it, milliseconds; 0: it does not. */
  get closedForMs(): number {
    return Math.max(this.#health.hint.closedUntilMs - this.#nowMs(), 0)
  }

  /** How long until the hint itself ends or the reported limits have room again, milliseconds. */
  get toldForMs(): number {
    return this.#health.toldForMs(this.#nowMs())
  }

  status(): LineStatus {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    return { ...this.#health.status(nowMs), waiting: this.#queue.size }
  }

  /** By an operator: drops the hint, and treats the target as if a probe had succeeded. */
  reopen(): void {
    const nowMs = this.#nowMs()
    this.#health.reopen(nowMs)
    this.#pump(nowMs)
  }

  /** A ticket as soon as it is the call's turn, or why there is none. */
  wait(wish: Wish, signal?: AbortSignal, closing?: Closing): Promise<Outcome> {
    const nowMs = this.#nowMs()
    this.#review(nowMs)
    const by = this.#health.heldBy(wish, nowMs) ?? 'limit'
    if (signal?.aborted === true || closing?.isClosed === true)
      return Promise.resolve({ by, why: 'aborted' })
    if (this.#queue.size >= MOST_WAITING) return Promise.resolve({ by, why: 'full' })
    if (this.#health.hint.endsMs > wish.latestMs)
      return Promise.resolve({ by: 'hint', why: 'too_long' })
    const isHopeless = this.#health.isHopeless(wish, this.#queue.before(wish), nowMs)
    const patient = isHopeless
      ? { ...wish, latestMs: Math.min(wish.latestMs, nowMs + HOPELESS_WAIT_MS) }
      : wish
    return new Promise((resolve) => {
      const waiting = new Waiting(patient, isHopeless, (outcome) => {
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
   * Of the time since then: how long a hint closed the line, and how long the target was down without
   * one, milliseconds.
   */
  reasonsSince(fromMs: number): { readonly hintMs: number; readonly downMs: number } {
    return this.#health.reasonsSince(fromMs, this.#nowMs())
  }

  /** Learns from the end of an attempt, which stays in flight until `left`. */
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

  /** The attempt has become a stream and stays in flight. Returns the function that ends that. */
  streams(pace: ReadingPace, tokensAtEnd: () => number): () => void {
    this.#health.streams()
    return this.#streams.hold(pace, () => {
      this.#health.streamEnds()
      this.left(tokensAtEnd())
    })
  }

  /** The learned limit is forgotten after a while, unless calls wait for it. */
  #review(nowMs: number): void {
    if (this.#queue.size > 0 && this.#health.room !== 'all' && this.#hasOlder(nowMs)) {
      this.#health.holds(nowMs)
    }
    this.#health.forgetUnused(nowMs)
  }

  /** Do waiting calls go before this one? */
  #isBehind({ impatient, nested }: Wish, nowMs: number): boolean {
    return !impatient && !nested && this.#hasOlder(nowMs)
  }

  /** Does a call wait that could be sent now? It goes before a new one. */
  #hasOlder(nowMs: number): boolean {
    if (this.#queue.size === 0) return false
    this.#queue.ripen(nowMs)
    return this.#queue.hasReady(this.#health.hasToken(nowMs))
  }

  #aborted(calls: Iterable<Waiting>): void {
    const nowMs = this.#nowMs()
    for (const waiting of calls) this.#giveUp(waiting, 'aborted', nowMs)
    this.#arm(nowMs)
  }

  #giveUp(waiting: Waiting, why: NoLeave['why'], nowMs: number): void {
    if (waiting.hasLeft) return
    const { wish } = waiting
    const own = wish.notBeforeMs > nowMs ? 'backoff' : 'limit'
    waiting.leave({ by: this.#health.heldBy(wish, nowMs) ?? own, why })
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
    // After a suspension of the process some calls are past their time: nothing is sent for them.
    this.#endPatience(nowMs - TIMER_SLACK_MS, nowMs)
    this.#takeIdlePlaces(nowMs)
    this.#sendHasty(nowMs)
    for (;;) {
      const next = this.#next(nowMs)
      if (next === undefined || this.#health.rateAtMs(next.wish.tokens, nowMs) > nowMs) break
      this.#send(next, nowMs)
    }
    this.#endPatience(nowMs, nowMs)
    this.#arm(nowMs)
  }

  #takeIdlePlaces(nowMs: number): void {
    // Each place that comes free lets the next call go.
    if (this.#isTakingPlaces) return
    this.#isTakingPlaces = true
    const isNeeded = () => this.#health.room !== 'all' && this.#hasOlder(nowMs)
    if (isNeeded()) this.#streams.takeIdle(isNeeded, nowMs)
    this.#isTakingPlaces = false
  }

  #send(waiting: Waiting, nowMs: number): void {
    waiting.leave(this.#health.sent(waiting.wish, nowMs))
    this.#queue.sent(waiting)
  }

  /** The spread of a hint gives way to the calls that could not wait for its end. */
  #sendHasty(nowMs: number): void {
    if (!this.#health.hint.isSpread(nowMs)) return
    for (;;) {
      const hasty = this.#queue.expired(nowMs + TIMER_SLACK_MS)
      if (hasty === undefined || hasty.wish.notBeforeMs > nowMs) return
      if (this.#health.heldBeyondHint(hasty.wish, nowMs) !== undefined) return
      this.#send(hasty, nowMs)
    }
  }

  /** The calls that cannot wait for the end of a hint wait no longer. */
  #endBefore(hintEndsMs: number, nowMs: number): void {
    for (;;) {
      const hasty = this.#queue.expired(hintEndsMs)
      if (hasty === undefined || hasty.wish.latestMs >= hintEndsMs) return
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

  /** The next call to be sent, rate limits aside. */
  #next(nowMs: number, withToken = this.#health.hasToken(nowMs)): Waiting | undefined {
    if (!this.#health.isOpen(nowMs)) return undefined
    if (!this.#health.isDown) return this.#queue.next(this.#health.room, withToken)
    if (this.#health.probeAtMs(nowMs) > nowMs) return undefined
    return this.#queue.prober(this.#health.room)
  }

  #nowMs(): number {
    return this.#clock.monotonicMs()
  }

  /** Sets the one timer to whatever is due first. */
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

  /** When the passage of time alone may free a call; Infinity: an attempt has to end before. */
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
    if (next !== undefined) return Math.max(this.#health.rateAtMs(next.wish.tokens, nowMs), nowMs)
    const poor = this.#next(nowMs, true)
    return poor === undefined
      ? this.#streams.nextLookMs(nowMs)
      : Math.max(this.#health.tokenAtMs(nowMs), nowMs + 1)
  }

  /** While the target is down the call with the fewest requests goes first, else the oldest. */
  #sortForProbes(): void {
    if (this.#isProbing === this.#health.isDown) return
    this.#isProbing = this.#health.isDown
    this.#queue.sortForProbes(this.#isProbing)
  }
}
