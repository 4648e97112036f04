import type { Clock } from '../../../src/time.ts'
import { Independence } from './independence.ts'
import { Latency } from './latency.ts'
import { Limit } from './limit.ts'
import { Outage } from './outage.ts'
import type { Sign } from './signs.ts'
import { Tokens } from './tokens.ts'
import { Traffic } from './traffic.ts'
import { type HeldBy, type Outcome, Queue, Waiting, type Wish } from './waiting.ts'

/** How an attempt ended, for the line. */
export interface End {
  /** From `enter`. */
  readonly ticket: number
  readonly sentAtMs: number
  readonly sign: Sign
  /** How long the target asked to be left alone, milliseconds; 0: it did not say. */
  readonly hintMs: number
  /** It had taken a token. */
  readonly paid: boolean
}

/** Most that wait for one target; one more is refused at once. */
const MOST_WAITING = 100_000
/** A hint above this is no promise that anybody keeps. */
const LONGEST_HINT_MS = 24 * 3_600_000
/** After a longer hint the line is let out slowly. */
const SHORT_HINT_MS = 2_000
const HINT_SPREAD = 0.1
const TINY_SPREAD_MS = 30_000
const DISPROVED_MS = 5 * 60_000
/** A second outage so soon after the last one says that it was let out too fast. */
const RELAPSE_MS = 10_000
/** With fewer in flight a slow answer says nothing of the load. */
const FEW_IN_FLIGHT = 8
const HOPELESS = { downMs: 5 * 60_000, waitMs: 2_000, times: 3, leastPerSecond: 2 }

/**
 * The line of one target: every request to it goes through here, in the order in which their calls
 * came. It is closed by a hint, lets single probes through while the target is down, and holds what
 * is beyond the learned limit; a free line costs nothing but a look.
 *
 * One synchronous state machine with one timer. Attempts are numbered by tickets that rise, so that
 * "sent after" is a comparison of numbers.
 */
export class Line {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #traffic: Traffic
  readonly #latency = new Latency()
  readonly #limit: Limit
  readonly #independence = new Independence()
  readonly #outage: Outage
  readonly #tokens: Tokens
  readonly #queue = new Queue()
  #lastTicket = 0
  #inFlight = 0
  #closedUntilMs = -Infinity
  #closedTicket = 0
  /** Reopens as after an outage, with this as what was good before. */
  #reopenWith: number | undefined
  #personalUntilMs = -Infinity
  /** The limit before the row of failures that is under way. */
  #limitBefore = Infinity
  #good = Infinity
  #wakeAtMs = Infinity
  #cancelWake: (() => void) | undefined

  constructor(clock: Clock, random: () => number) {
    const nowMs = clock.monotonicMs()
    this.#clock = clock
    this.#random = random
    this.#traffic = new Traffic(nowMs)
    this.#limit = new Limit(this.#traffic, this.#latency)
    this.#outage = new Outage(this.#traffic, this.#latency, random)
    this.#tokens = new Tokens(this.#traffic, nowMs)
  }

  get isDown(): boolean {
    return this.#outage.isDown
  }

  /** A ticket, where the line is free; 0: the call has to wait. */
  enter(wish: Wish): number {
    const nowMs = this.#clock.monotonicMs()
    if (wish.notBeforeMs > nowMs || this.#queue.size > 0) return 0
    if (this.#heldBy(wish, nowMs) !== undefined) return 0
    return this.#send(wish, nowMs)
  }

  /** A ticket as soon as it is the call's turn, or what it waited for in vain. */
  wait(wish: Wish, signal?: AbortSignal): Promise<Outcome | 'full'> {
    const nowMs = this.#clock.monotonicMs()
    if (signal?.aborted === true) return Promise.resolve('aborted')
    if (this.#queue.size >= MOST_WAITING) return Promise.resolve('full')
    if (this.#closedUntilMs > wish.latestMs) return Promise.resolve('hint')
    const patient = this.#isHopeless(wish, nowMs)
      ? { ...wish, latestMs: Math.min(wish.latestMs, nowMs + HOPELESS.waitMs) }
      : wish
    return new Promise((resolve) => {
      const waiting = new Waiting(patient, (outcome) => {
        signal?.removeEventListener('abort', onAbort)
        resolve(outcome)
      })
      const onAbort = () => this.#giveUp(waiting, 'aborted', this.#clock.monotonicMs())
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#queue.add(waiting, nowMs)
      this.#pump(nowMs)
    })
  }

  /** What an attempt has shown. Its place is still taken until `left`. */
  ended({ ticket, sentAtMs, sign, hintMs, paid }: End): void {
    const nowMs = this.#clock.monotonicMs()
    const tookMs = nowMs - sentAtMs
    switch (sign) {
      case 'success':
        this.#succeeded(ticket, tookMs, paid, nowMs)
        break
      case 'answered':
        if (this.#outage.succeeded(ticket, nowMs)) this.#up(nowMs)
        break
      case 'limited':
        this.#limited(ticket, hintMs, nowMs)
        break
      case 'nothing':
        this.#outage.probeLost(ticket)
        break
      default:
        this.#failed(sign, ticket, tookMs, nowMs)
    }
    this.#pump(nowMs)
  }

  /** The attempt is no longer in flight. */
  left(): void {
    this.#inFlight -= 1
    this.#pump(this.#clock.monotonicMs())
  }

  #succeeded(ticket: number, tookMs: number, paid: boolean, nowMs: number): void {
    const limit = this.#limit
    this.#traffic.succeeded(nowMs)
    this.#latency.note(tookMs, limit.quietMs(nowMs) > 10_000, nowMs)
    this.#tokens.succeeded(paid, this.#traffic.peak(nowMs), nowMs)
    if (this.#outage.succeeded(ticket, nowMs)) {
      this.#up(nowMs)
      return
    }
    if (ticket > this.#closedTicket && this.#closedUntilMs > nowMs) this.#disprove(nowMs)
    this.#result(false, ticket, nowMs)
    if (!limit.isNews(ticket)) return
    if (this.#latency.isSlow && this.#inFlight > FEW_IN_FLIGHT) this.#cut('slow', nowMs)
    else limit.succeeded(this.#inFlight, nowMs)
  }

  #limited(ticket: number, hintMs: number, nowMs: number): void {
    if (hintMs > 0) this.#close(ticket, hintMs, nowMs)
    else {
      this.#beforeRow()
      if (this.#outage.limited(ticket, this.#lastTicket, nowMs)) this.#down(nowMs)
    }
    if (this.#limit.isNews(ticket) && !this.#outage.isDown) this.#cut('limited', nowMs)
  }

  #failed(sign: 'refused' | 'slow' | 'error', ticket: number, tookMs: number, nowMs: number): void {
    const isSlow = sign === 'slow'
    if (isSlow) this.#tokens.timedOut(nowMs)
    this.#beforeRow()
    const slowMs = isSlow ? tookMs : 0
    if (this.#outage.failed(isSlow ? 2 : 1, ticket, this.#lastTicket, slowMs, nowMs)) {
      this.#down(nowMs)
    }
    if (this.#outage.isDown) return
    if (sign === 'refused') this.#result(true, ticket, nowMs)
    if (sign === 'error' || !this.#limit.isNews(ticket)) return
    if (sign === 'slow') this.#cut('slow', nowMs)
    else if (this.#independence.isSign) {
      this.#independence.cut(this.#limit.value, nowMs)
      this.#cut('refused', nowMs)
    }
  }

  #result(failed: boolean, ticket: number, nowMs: number): void {
    const change = this.#independence.result(
      failed,
      ticket,
      this.#lastTicket,
      Math.min(this.#limit.value, this.#traffic.peak(nowMs)),
      nowMs,
    )
    if (change === undefined) return
    if (change.acquitted === true) {
      const good = Math.min(change.limit, this.#traffic.peak(nowMs))
      this.#limit.resume(good, this.#lastTicket, nowMs)
    } else this.#limit.set(change.limit, this.#lastTicket, nowMs)
  }

  #cut(sign: Sign, nowMs: number): void {
    this.#limit.cut(sign, this.#lastTicket, this.#inFlight, nowMs)
  }

  #beforeRow(): void {
    if (!this.#outage.inRow && !this.#outage.isDown) this.#limitBefore = this.#limit.value
  }

  #down(nowMs: number): void {
    this.#remember(nowMs)
    this.#independence.outage()
    this.#queue.sortForProbes(true)
  }

  #up(nowMs: number): void {
    this.#queue.sortForProbes(false)
    this.#limit.letOut(this.#good, this.#lastTicket, nowMs)
  }

  /** What was good before it went wrong; half of what was thought so, when that was a moment ago. */
  #remember(nowMs: number): void {
    const isRelapse = nowMs - this.#outage.endedMs < RELAPSE_MS
    const good = Math.max(Math.min(this.#traffic.peak(nowMs), this.#limitBefore), 1)
    this.#good = isRelapse ? Math.max(Math.min(this.#good, good) / 2, 1) : good
  }

  #close(ticket: number, hintMs: number, nowMs: number): void {
    if (nowMs < this.#personalUntilMs) return
    const heldMs = Math.min(hintMs, LONGEST_HINT_MS)
    const spreadMs = this.#outage.isTiny(nowMs)
      ? Math.min(heldMs, TINY_SPREAD_MS)
      : heldMs * HINT_SPREAD
    const untilMs = nowMs + heldMs
    // One spread for all that are told of the same end.
    if (untilMs <= this.#closedUntilMs) return
    if (hintMs > SHORT_HINT_MS && this.#closedUntilMs <= nowMs) {
      this.#reopenWith = Math.min(this.#traffic.peak(nowMs), this.#limit.value)
    }
    this.#closedUntilMs = untilMs + this.#random() * spreadMs
    this.#closedTicket = ticket
  }

  #disprove(nowMs: number): void {
    this.#closedUntilMs = nowMs
    this.#reopenWith = undefined
    this.#personalUntilMs = nowMs + DISPROVED_MS
  }

  #isHopeless(wish: Wish, nowMs: number): boolean {
    const { sinceMs, endedMs } = this.#outage
    if (wish.bulk) return false
    if (sinceMs !== undefined) return nowMs - sinceMs > HOPELESS.downMs
    const perSecond = this.#traffic.successesPerSecond(nowMs)
    if (perSecond < HOPELESS.leastPerSecond || nowMs - endedMs < RELAPSE_MS) return false
    const neededMs = (this.#queue.size / perSecond) * 1_000
    return neededMs > HOPELESS.times * (wish.latestMs - nowMs)
  }

  #heldBy(wish: Wish, nowMs: number): HeldBy | undefined {
    if (this.#outage.isDown) return this.#outage.probeAtMs(nowMs) > nowMs ? 'down' : undefined
    if (!this.#isOpen(nowMs)) return 'hint'
    if (!wish.nested && !this.#limit.hasRoom(this.#inFlight)) return 'limit'
    return wish.paying && this.#tokens.balance(nowMs) < 1 ? 'budget' : undefined
  }

  #isOpen(nowMs: number): boolean {
    if (nowMs < this.#closedUntilMs) return false
    if (this.#reopenWith !== undefined) {
      this.#limit.letOut(this.#reopenWith, this.#lastTicket, nowMs)
      this.#reopenWith = undefined
    }
    return true
  }

  #send({ paying }: Wish, nowMs: number): number {
    const ticket = this.#lastTicket + 1
    this.#lastTicket = ticket
    this.#inFlight += 1
    this.#independence.sent(ticket)
    this.#traffic.inFlight(this.#inFlight, nowMs)
    if (this.#outage.isDown) this.#outage.probeSent(ticket, nowMs)
    else if (paying) this.#tokens.take(nowMs)
    return ticket
  }

  #giveUp(waiting: Waiting, why: HeldBy | 'aborted', nowMs: number): void {
    if (waiting.hasLeft) return
    waiting.leave(why)
    this.#queue.left(waiting)
    this.#arm(nowMs)
  }

  #pump(nowMs: number): void {
    if (this.#queue.size === 0) return
    this.#queue.ripen(nowMs)
    for (;;) {
      const next = this.#next(nowMs)
      if (next === undefined) break
      next.leave(this.#send(next.wish, nowMs))
      this.#queue.left(next)
    }
    for (;;) {
      const late = this.#queue.expired(nowMs)
      if (late === undefined) break
      this.#giveUp(late, this.#heldBy(late.wish, nowMs) ?? 'limit', nowMs)
    }
    this.#arm(nowMs)
  }

  #next(nowMs: number): Waiting | undefined {
    if (this.#outage.isDown) {
      return this.#outage.probeAtMs(nowMs) > nowMs ? undefined : this.#queue.prober()
    }
    if (!this.#isOpen(nowMs)) return undefined
    return this.#queue.next(this.#limit.hasRoom(this.#inFlight), this.#tokens.balance(nowMs) >= 1)
  }

  /** The one timer: for whatever comes first. */
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
      this.#pump(this.#clock.monotonicMs())
    })
  }

  #nextMs(nowMs: number): number {
    let atMs = this.#queue.nextMs()
    if (!this.#queue.hasReady()) return atMs
    if (this.#outage.isDown) atMs = Math.min(atMs, this.#outage.probeAtMs(nowMs))
    else if (nowMs < this.#closedUntilMs) atMs = Math.min(atMs, this.#closedUntilMs)
    else if (this.#limit.hasRoom(this.#inFlight)) {
      atMs = Math.min(atMs, Math.max(this.#tokens.nextAtMs(nowMs), nowMs + 1))
    }
    return atMs
  }
}
