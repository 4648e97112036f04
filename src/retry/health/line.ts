import type { FailureKind } from '../../errors/failure-kinds.ts'
import type { Allowance } from '../../errors/rate-limit-headers.ts'
import type { Clock } from '../../time.ts'
import { Independence } from './independence.ts'
import { Latency } from './latency.ts'
import { Limit } from './limit.ts'
import type { LineLimits } from './limits.ts'
import { Outage } from './outage.ts'
import { Quota } from './quota.ts'
import { Rate } from './rate.ts'
import type { Sign } from './signs.ts'
import { type ReadingPace, StreamPlaces } from './stream-places.ts'
import { Tokens } from './tokens.ts'
import { Traffic } from './traffic.ts'
import {
  type HeldBy,
  type NoLeave,
  type Outcome,
  Queue,
  type Ticket,
  Waiting,
  type Wish,
} from './waiting.ts'

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
  /** What the failure was, for calls that wait in vain because of it. */
  readonly seen?: Seen | undefined
  /** Tokens it used, where it says so. */
  readonly tokens?: number | undefined
  /** What it says of the target's limits. */
  readonly allowances?: readonly Allowance[] | undefined
}

/** What closed a line, without anything of the call that met it. */
export interface Seen {
  readonly kind: FailureKind
  readonly status?: number | undefined
}

/** What holds a call back, and for how long. */
export interface Held {
  readonly by: HeldBy
  /** It cannot be shorter, milliseconds. */
  readonly leastMs: number
  /** As long as it is thought to take, spread included, milliseconds; Infinity while the target is down. */
  readonly expectedMs: number
  /** Calls that wait already. */
  readonly ahead: number
}

/** How a target is doing, for `llm.targets()`. */
export interface LineStatus {
  readonly state: 'up' | 'down' | 'recovering'
  /** Attempts that may be in flight at once; Infinity: no limit is known. */
  readonly limit: number
  readonly inFlight: number
  readonly waiting: number
  /** How long a hint still closes it, milliseconds; 0 when none does. */
  readonly closedForMs: number
  /** How long it has been down, milliseconds; 0 when it is not. */
  readonly downForMs: number
}

/** What a line is made of. The simulator takes one part out at a time, to show what it is there for. */
export interface LineParts {
  readonly Limit: typeof Limit
  readonly Outage: typeof Outage
  readonly Latency: typeof Latency
  readonly Independence: typeof Independence
  readonly Tokens: typeof Tokens
}

export const SHIPPED_PARTS: LineParts = { Limit, Outage, Latency, Independence, Tokens }

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
  readonly #latency: Latency
  readonly #limit: Limit
  readonly #independence: Independence
  readonly #outage: Outage
  readonly #tokens: Tokens
  readonly #queue = new Queue()
  readonly #streams = new StreamPlaces()
  readonly #bounds: LineLimits
  readonly #requests: Rate | undefined
  readonly #tokensUsed: Rate | undefined
  /** Once the target has said something of its limits that matters. */
  #quota: Quota | undefined
  #lastTicket = 0
  #arrived = 0
  #inFlight = 0
  #closedUntilMs = -Infinity
  /** The same without the spread. */
  #hintEndsMs = -Infinity
  #closedTicket = 0
  /** Reopens as after an outage, with this as what was good before. */
  #reopenWith: number | undefined
  #personalUntilMs = -Infinity
  /** The limit before the row of failures that is under way. */
  #limitBefore = Infinity
  #good = Infinity
  /** The latest of each that closed the line, or narrowed it. */
  readonly #seen: { hint?: Seen; down?: Seen; limit?: Seen; budget?: Seen } = {}
  #downSinceMs = -Infinity
  #downUntilMs = -Infinity
  #closedFromMs = -Infinity
  /** Places that come free do not make it look for others. */
  #isTakingPlaces = false
  #wakeAtMs = Infinity
  #cancelWake: (() => void) | undefined

  constructor(
    clock: Clock,
    random: () => number,
    bounds: LineLimits,
    parts: LineParts = SHIPPED_PARTS,
  ) {
    const nowMs = clock.monotonicMs()
    this.#clock = clock
    this.#random = random
    this.#bounds = bounds
    const { requestsPerMinute, tokensPerMinute } = bounds
    if (requestsPerMinute < Infinity) this.#requests = new Rate(requestsPerMinute, nowMs)
    if (tokensPerMinute < Infinity) this.#tokensUsed = new Rate(tokensPerMinute, nowMs, true)
    this.#traffic = new Traffic(nowMs)
    this.#latency = new parts.Latency()
    this.#independence = new parts.Independence()
    this.#limit = new parts.Limit(this.#traffic, this.#latency)
    this.#outage = new parts.Outage(this.#traffic, this.#latency, random)
    this.#tokens = new parts.Tokens(this.#traffic, nowMs)
  }

  get isDown(): boolean {
    return this.#outage.isDown
  }

  /** How the target is. */
  get health(): LineStatus['state'] {
    if (this.#outage.isDown) return 'down'
    return this.#limit.isRecovering ? 'recovering' : 'up'
  }

  /** Somebody has said how many tokens may be used. */
  get countsTokens(): boolean {
    return this.#tokensUsed !== undefined || this.#quota?.countsTokens(this.#nowMs()) === true
  }

  /** What the target says of its limits holds calls back, or may do so. */
  get isRationed(): boolean {
    return this.#quota?.binds(this.#nowMs()) === true
  }

  /** The place of a call in the order of those that come to this target. */
  arrive(): number {
    this.#arrived += 1
    return this.#arrived
  }

  /** A ticket, where the line is free; 0: the call has to wait. */
  enter(wish: Wish): Ticket | 0 {
    const nowMs = this.#clock.monotonicMs()
    if (wish.notBeforeMs > nowMs) return 0
    if (!wish.impatient && !wish.nested && this.#hasOlder(nowMs)) return 0
    if (this.#heldBy(wish, nowMs) !== undefined) return 0
    return this.#send(wish, nowMs)
  }

  /** Could a new call be sent now, without waiting? */
  get isFree(): boolean {
    const nowMs = this.#clock.monotonicMs()
    return !this.#hasOlder(nowMs) && this.#heldBy(ANYBODY, nowMs) === undefined
  }

  /** Nothing holds a call, and nothing has failed just now: a request more than needed does no harm. */
  get isWell(): boolean {
    return this.isFree && !this.#outage.inRow
  }

  /** A ticket for a second request beside a slow one, where the target is well. */
  enterBeside(tokens: number): Ticket {
    return this.#send({ ...ANYBODY, tokens }, this.#clock.monotonicMs())
  }

  /** What holds this call back, and for how long; `backoff` where only its own wait does. */
  held(wish: Wish): Held {
    const nowMs = this.#clock.monotonicMs()
    const by = this.#heldBy(wish, nowMs) ?? (this.#hasOlder(nowMs) ? 'limit' : 'backoff')
    const leastMs = Math.max(this.#leastMs(by, wish, nowMs), wish.notBeforeMs - nowMs, 0)
    const expectedMs = Math.max(this.#expectedMs(by, wish, nowMs), leastMs)
    return { by, leastMs, expectedMs, ahead: this.#queue.size }
  }

  /** What closed the line so. */
  seen(by: HeldBy): Seen | undefined {
    if (by === 'backoff') return undefined
    // It has not been refused, and would be.
    return this.#seen[by] ?? (by === 'limit' && this.isRationed ? RATIONED : undefined)
  }

  /** How long a hint still closes it, milliseconds; 0: it does not. */
  get closedForMs(): number {
    return Math.max(this.#closedUntilMs - this.#clock.monotonicMs(), 0)
  }

  /**
   * What the provider has said of it, without the spread that we add: how long until its hint ends, or
   * something is left of its limits.
   */
  get toldForMs(): number {
    const nowMs = this.#nowMs()
    const hintForMs = this.#closedUntilMs > nowMs ? this.#hintEndsMs - nowMs : 0
    return Math.max(hintForMs, (this.#quota?.freeAtMs(0, nowMs) ?? nowMs) - nowMs, 0)
  }

  status(): LineStatus {
    const nowMs = this.#clock.monotonicMs()
    const { sinceMs } = this.#outage
    return {
      state: this.health,
      limit: Math.ceil(Math.min(this.#bounds.concurrency, this.#limit.value)),
      inFlight: this.#inFlight,
      waiting: this.#queue.size,
      closedForMs: this.closedForMs,
      downForMs: sinceMs === undefined ? 0 : nowMs - sinceMs,
    }
  }

  /** An operator knows better: no hint closes it, and it is tried as if it had come up again. */
  reopen(): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#closedUntilMs > nowMs) this.#disprove(nowMs)
    if (this.#outage.reopened(nowMs)) this.#up(nowMs)
    this.#pump(nowMs)
  }

  /** A ticket as soon as it is the call's turn, or why there is none. */
  wait(wish: Wish, signal?: AbortSignal): Promise<Outcome> {
    const nowMs = this.#clock.monotonicMs()
    const by = this.#heldBy(wish, nowMs) ?? 'limit'
    if (signal?.aborted === true) return Promise.resolve({ by, why: 'aborted' })
    if (this.#queue.size >= MOST_WAITING) return Promise.resolve({ by, why: 'full' })
    if (this.#hintEndsMs > wish.latestMs) return Promise.resolve({ by: 'hint', why: 'too_long' })
    // The spread gives way to a call that could not wait for its end.
    this.#closedUntilMs = Math.min(this.#closedUntilMs, wish.latestMs)
    const isHopeless = this.#isHopeless(wish, nowMs)
    const patient = isHopeless
      ? { ...wish, latestMs: Math.min(wish.latestMs, nowMs + HOPELESS.waitMs) }
      : wish
    return new Promise((resolve) => {
      const waiting = new Waiting(patient, isHopeless, (outcome) => {
        signal?.removeEventListener('abort', onAbort)
        resolve(outcome)
      })
      const onAbort = () => {
        const atMs = this.#clock.monotonicMs()
        this.#giveUp(waiting, 'aborted', atMs)
        this.#arm(atMs)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#queue.add(waiting, nowMs)
      this.#pump(nowMs)
    })
  }

  /** How long of that time a hint closed the line, and the target was down, milliseconds. */
  reasonsSince(fromMs: number): { readonly hintMs: number; readonly downMs: number } {
    const nowMs = this.#clock.monotonicMs()
    const overlap = (sinceMs: number, untilMs: number) =>
      Math.max(Math.min(untilMs, nowMs) - Math.max(sinceMs, fromMs), 0)
    const downMs = overlap(this.#downSinceMs, this.isDown ? nowMs : this.#downUntilMs)
    return { downMs, hintMs: overlap(this.#closedFromMs, this.#closedUntilMs) }
  }

  /** What an attempt has shown. Its place is still taken until `left`. */
  ended(end: End): void {
    const { ticket, sentAtMs, sign, hintMs, paid, seen } = end
    const nowMs = this.#clock.monotonicMs()
    this.#told(end, nowMs)
    const tookMs = nowMs - sentAtMs
    if (seen !== undefined) this.#note(sign, seen, hintMs)
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
        this.#outage.saidNothing(ticket)
        break
      default:
        this.#failed(sign, ticket, tookMs, nowMs)
        // A hint binds whatever it came with, where it is no word on a single request.
        if (hintMs > 0 && sign === 'refused' && this.#bounds.closes)
          this.#close(ticket, hintMs, nowMs)
    }
    this.#pump(nowMs)
  }

  /** The attempt is no longer in flight: `tokens` more than it was thought to use were used. */
  left(tokens = 0): void {
    const nowMs = this.#clock.monotonicMs()
    this.#inFlight -= 1
    if (tokens !== 0) this.#tokensUsed?.take(tokens, nowMs)
    this.#pump(nowMs)
  }

  /** The attempt has become a stream, which keeps its place. Returns what gives it back. */
  streams(pace: ReadingPace, tokensAtEnd: () => number): () => void {
    return this.#streams.hold(pace, () => this.left(tokensAtEnd()))
  }

  #told({ ticket, sign, allowances, tokens }: End, nowMs: number): void {
    if (!this.#bounds.learns || (this.#quota === undefined && allowances === undefined)) return
    this.#quota ??= new Quota()
    const isRefused = sign === 'limited'
    this.#quota.told({ ticket, lastTicket: this.#lastTicket, isRefused, allowances, tokens }, nowMs)
  }

  #note(sign: Sign, seen: Seen, hintMs: number): void {
    const noted = this.#seen
    if (sign === 'limited' || sign === 'refused') {
      if (hintMs > 0) noted.hint = seen
      noted.limit = seen
    }
    if (sign === 'slow') noted.limit = seen
    if (sign === 'slow' || sign === 'error') noted.budget = seen
    if (sign !== 'answered' && sign !== 'nothing') noted.down = seen
  }

  #succeeded(ticket: number, tookMs: number, paid: boolean, nowMs: number): void {
    const limit = this.#limit
    this.#traffic.succeeded(nowMs)
    this.#latency.note(tookMs, limit.quietMs(nowMs) > 10_000, nowMs)
    this.#tokens.succeeded(paid, this.#traffic.peak(nowMs), nowMs)
    if (ticket > this.#closedTicket && this.#closedUntilMs > nowMs) this.#disprove(nowMs)
    if (this.#outage.succeeded(ticket, nowMs)) {
      this.#up(nowMs)
      return
    }
    this.#result(false, ticket, nowMs)
    if (!this.#bounds.learns || !limit.isNews(ticket)) return
    if (this.#latency.isSlow && this.#inFlight > FEW_IN_FLIGHT) this.#cut('slow', nowMs)
    else limit.succeeded(this.#inFlight, nowMs)
  }

  #limited(ticket: number, hintMs: number, nowMs: number): void {
    if (!this.#bounds.closes) return
    if (hintMs === 0) {
      this.#beforeRow()
      if (this.#outage.limited(ticket, this.#lastTicket, nowMs)) this.#down(nowMs)
    }
    if (this.#limit.isNews(ticket) && !this.#outage.isDown) this.#cut('limited', nowMs)
    if (hintMs === 0) return
    // While it is down the hint says when it may be asked again.
    this.#outage.saidNothing(ticket)
    // After the cut: it reopens with what is thought right now.
    this.#close(ticket, hintMs, nowMs)
  }

  #failed(sign: 'refused' | 'slow' | 'error', ticket: number, tookMs: number, nowMs: number): void {
    if (!this.#bounds.closes) return
    const isSlow = sign === 'slow'
    if (isSlow) this.#tokens.timedOut(nowMs)
    // While nothing but refusals comes, less than is in flight says no more: one at a time shows
    // whether it is down.
    const isFirst = !this.#outage.inRow
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
      const before = Math.min(this.#limit.value, this.#traffic.peak(nowMs))
      this.#independence.cut(before, nowMs)
      this.#cut('refused', nowMs, isFirst ? 1 : this.#inFlight)
    }
  }

  #result(failed: boolean, ticket: number, nowMs: number): void {
    if (!this.#bounds.learns) return
    const change = this.#independence.result(
      failed,
      ticket,
      this.#lastTicket,
      Math.min(this.#limit.value, this.#traffic.peak(nowMs)),
      nowMs,
    )
    if (change === undefined) return
    if (change.acquitted === true) {
      this.#limit.resume(change.limit, this.#lastTicket, nowMs)
    } else this.#limit.set(change.limit, this.#lastTicket, nowMs)
  }

  #cut(sign: Sign, nowMs: number, least = 1): void {
    if (!this.#bounds.learns) return
    this.#limit.cut(sign, this.#lastTicket, this.#inFlight, least, nowMs)
  }

  #beforeRow(): void {
    if (!this.#outage.inRow && !this.#outage.isDown) this.#limitBefore = this.#limit.value
  }

  #down(nowMs: number): void {
    this.#downSinceMs = nowMs
    this.#remember(nowMs)
    this.#reopenWith = undefined
    this.#independence.outage()
    this.#queue.sortForProbes(true)
  }

  #up(nowMs: number): void {
    this.#downUntilMs = nowMs
    this.#reopenWith = undefined
    this.#queue.sortForProbes(false)
    if (this.#bounds.learns) this.#limit.letOut(this.#good, this.#lastTicket, nowMs)
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
    this.#hintEndsMs = Math.max(this.#hintEndsMs, untilMs)
    // One spread for all that are told of the same end.
    if (untilMs <= this.#closedUntilMs) return
    if (this.#closedUntilMs <= nowMs) this.#closedFromMs = nowMs
    if (hintMs > SHORT_HINT_MS && this.#closedUntilMs <= nowMs && this.#bounds.learns) {
      this.#reopenWith = Math.min(this.#traffic.peak(nowMs), this.#limit.value)
    }
    this.#closedUntilMs = untilMs + this.#random() * spreadMs
    this.#closedTicket = ticket
  }

  #disprove(nowMs: number): void {
    this.#hintEndsMs = nowMs
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

  #heldBy(wish: Wish, nowMs: number): Exclude<HeldBy, 'backoff'> | undefined {
    if (!this.#isOpen(nowMs)) return 'hint'
    const { isDown } = this.#outage
    if (isDown && this.#outage.probeAtMs(nowMs) > nowMs) return 'down'
    if (!wish.nested && this.#inFlight >= this.#concurrency(wish.impatient)) return 'limit'
    if (this.#rateAtMs(wish.tokens, nowMs, wish.impatient) > nowMs) return 'limit'
    if (!wish.paying || wish.impatient) return undefined
    return this.#hasToken(nowMs) ? undefined : 'budget'
  }

  /** One that could go is before everybody who comes now. */
  #hasOlder(nowMs: number): boolean {
    if (this.#queue.size === 0) return false
    this.#queue.ripen(nowMs)
    return this.#queue.hasReady(this.#hasToken(nowMs))
  }

  /** How many may be in flight. Who does not wait, and a probe, is held by what was set by hand only. */
  #concurrency(byHand = false): number {
    const { concurrency } = this.#bounds
    return byHand || this.#outage.isDown ? concurrency : Math.min(concurrency, this.#limit.value)
  }

  /** When the bounds set by hand, and what the target says of its own, let another request through. */
  #rateAtMs(tokens: number, nowMs: number, byHand = false): number {
    const requests = this.#requests?.nextAtMs(1, nowMs) ?? nowMs
    const atMs = Math.max(requests, this.#tokensUsed?.nextAtMs(tokens, nowMs) ?? nowMs)
    if (byHand || this.#quota === undefined) return atMs
    return Math.max(atMs, this.#quota.freeAtMs(tokens, nowMs))
  }

  #leastMs(by: HeldBy, { tokens }: Wish, nowMs: number): number {
    if (by === 'hint') return this.#hintEndsMs - nowMs
    if (by !== 'limit') return 0
    // What the target says of its limits may turn out otherwise before.
    if (this.#inFlight === 0) return this.#rateAtMs(tokens, nowMs, true) - nowMs
    // And what is in flight may give back some of the tokens that it was thought to use.
    return (this.#requests?.nextAtMs(1, nowMs) ?? nowMs) - nowMs
  }

  #expectedMs(by: HeldBy, wish: Wish, nowMs: number): number {
    if (this.#outage.isDown && by !== 'backoff') return Infinity
    if (by === 'hint') return this.#closedUntilMs - nowMs
    if (by === 'budget') return this.#tokens.nextAtMs(nowMs) - nowMs
    if (by !== 'limit') return 0
    const rateMs = this.#rateAtMs(wish.tokens, nowMs, wish.impatient) - nowMs
    const perSecond = this.#traffic.successesPerSecond(nowMs)
    const ahead = this.#queue.size + 1
    if (perSecond > 0) return Math.max(rateMs, (ahead / perSecond) * 1_000)
    if (rateMs > 0) return rateMs
    return (this.#latency.meanMs * ahead) / Math.max(this.#concurrency(wish.impatient), 1)
  }

  #isOpen(nowMs: number): boolean {
    if (nowMs < this.#closedUntilMs) return false
    if (this.#reopenWith !== undefined) {
      this.#limit.letOut(this.#reopenWith, this.#lastTicket, nowMs)
      this.#reopenWith = undefined
    }
    return true
  }

  #send({ paying, impatient, tokens }: Wish, nowMs: number): Ticket {
    const ticket = this.#lastTicket + 1
    this.#lastTicket = ticket
    this.#inFlight += 1
    this.#independence.sent(ticket)
    this.#traffic.inFlight(this.#inFlight, nowMs)
    if (this.#outage.isDown) this.#outage.probeSent(ticket, nowMs)
    else if (paying && !impatient) this.#tokens.take(nowMs)
    this.#requests?.take(1, nowMs)
    this.#tokensUsed?.take(tokens, nowMs)
    this.#quota?.sent(ticket, tokens, nowMs)
    return ticket
  }

  #giveUp(waiting: Waiting, why: NoLeave['why'], nowMs: number): void {
    if (waiting.hasLeft) return
    const { wish } = waiting
    const own = wish.notBeforeMs > nowMs ? 'backoff' : 'limit'
    waiting.leave({ by: this.#heldBy(wish, nowMs) ?? own, why })
    this.#queue.left(waiting)
  }

  #pump(nowMs: number): void {
    if (this.#queue.size === 0) return
    this.#queue.ripen(nowMs)
    // After a pause of the process the time of some is long over: nothing is sent for those.
    this.#endPatience(nowMs - 1, nowMs)
    if (!this.#hasRoom() && !this.#isTakingPlaces) {
      this.#isTakingPlaces = true
      this.#streams.takeIdle()
      this.#isTakingPlaces = false
    }
    for (;;) {
      const next = this.#next(nowMs)
      if (next === undefined || this.#rateAtMs(next.wish.tokens, nowMs) > nowMs) break
      next.leave(this.#send(next.wish, nowMs))
      this.#queue.sent(next)
    }
    this.#endPatience(nowMs, nowMs)
    this.#arm(nowMs)
  }

  #endPatience(untilMs: number, nowMs: number): void {
    for (;;) {
      const late = this.#queue.expired(untilMs)
      if (late === undefined) return
      this.#giveUp(late, late.isHopeless ? 'hopeless' : 'patience', nowMs)
    }
  }

  /** The one that may go, but for bounds per minute. */
  #next(nowMs: number, withToken = this.#hasToken(nowMs)): Waiting | undefined {
    if (!this.#isOpen(nowMs)) return undefined
    if (!this.#outage.isDown) return this.#queue.next(this.#hasRoom(), withToken)
    if (this.#outage.probeAtMs(nowMs) > nowMs) return undefined
    return this.#queue.prober(this.#hasRoom())
  }

  #nowMs(): number {
    return this.#clock.monotonicMs()
  }

  #hasRoom(): boolean {
    return this.#inFlight < this.#concurrency()
  }

  /** While it is down nobody pays: there is one probe at a time. */
  #hasToken(nowMs: number): boolean {
    return !this.#bounds.learns || this.#outage.isDown || this.#tokens.balance(nowMs) >= 1
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
    return Math.min(this.#queue.nextMs(), this.#nextLeaveMs(nowMs))
  }

  /** When time alone may let somebody go; Infinity: something has to end before. */
  #nextLeaveMs(nowMs: number): number {
    if (!this.#queue.hasReady(true)) return Infinity
    if (nowMs < this.#closedUntilMs) return this.#closedUntilMs
    const probeAtMs = this.#outage.isDown ? this.#outage.probeAtMs(nowMs) : nowMs
    if (probeAtMs > nowMs) return probeAtMs
    const next = this.#next(nowMs)
    if (next !== undefined) return Math.max(this.#rateAtMs(next.wish.tokens, nowMs), nowMs)
    const poor = this.#next(nowMs, true)
    return poor === undefined
      ? this.#streams.nextLookMs(nowMs)
      : Math.max(this.#tokens.nextAtMs(nowMs), nowMs + 1)
  }
}

/** What a request would meet that the target's own word forbids. */
const RATIONED: Seen = { kind: 'rate_limit', status: 429 }

/** A call like any other. */
const ANYBODY: Wish = {
  order: 0,
  requests: 0,
  notBeforeMs: 0,
  latestMs: 0,
  paying: false,
  nested: false,
  impatient: false,
  bulk: false,
  tokens: 0,
}
