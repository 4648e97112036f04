import { Independence } from './independence.ts'
import { Latency, Limit, Tokens, Traffic } from './limit.ts'
import type { LineLimits } from './limit-options.ts'
import { type End, type LineStatus, type Seen, SeenFailures, type Sign } from './line-contract.ts'
import { Hint, Outage } from './outage.ts'
import { Quota, Rate } from './rate.ts'
import type { HeldBy, PermitRequest, Room, Ticket } from './waiting.ts'

/** The parts of a target's health. The simulator replaces them one at a time to measure what each contributes. */
export interface LineParts {
  readonly Limit: typeof Limit
  readonly Outage: typeof Outage
  readonly Latency: typeof Latency
  readonly Independence: typeof Independence
  readonly Tokens: typeof Tokens
}

export const SHIPPED_PARTS: LineParts = { Limit, Outage, Latency, Independence, Tokens }

/** After a longer hint, waiting calls are released gradually. */
const SHORT_HINT_MS = 2_000
/** With fewer attempts in flight, slow answers are not a sign of overload. */
const FEW_IN_FLIGHT = 8
/**
 * How many attempts may be in flight at first. After an outage a probe has shown that the target is up. After
 * a hint there was no probe, and all processes with the same hint return at the same moment.
 */
const AFTER = { outage: 2, hint: 1 }

/**
 * The health of one target, and whether it can take a request now: hints, outage, concurrency limit, rate
 * limits, retry budget. It learns from how attempts end and does not know the waiting calls. Used only by the
 * target's line.
 *
 * Tickets number the attempts in the order they were sent, so that "sent after" is a comparison of numbers.
 * All times are milliseconds on the monotonic clock.
 */
export class Health {
  readonly #hint: Hint
  readonly #traffic: Traffic
  readonly #latency: Latency
  readonly #limit: Limit
  readonly #independence: Independence
  readonly #outage: Outage
  readonly #tokens: Tokens
  readonly #bounds: LineLimits
  readonly #requests: Rate | undefined
  readonly #tokensUsed: Rate | undefined
  /** Absent until the target reports a limit that is relevant. */
  #quota: Quota | undefined
  #lastTicket = 0
  #inFlight = 0
  /** Number of attempts in flight that have become streams. */
  #streaming = 0
  /** While a long hint closes the line: how many attempts in flight the target handled before. */
  #reopenWith: number | undefined
  /** The limit before the current series of failures. */
  #limitBefore = Infinity
  /** Whether the limit was cut during the current series of failures. */
  #isCutInRow = false
  /** How many attempts in flight the target handled before the outage. */
  #good = Infinity
  /** The latest failure for each reason to hold a call. */
  readonly #seen = new SeenFailures()

  constructor(random: () => number, bounds: LineLimits, parts: LineParts, nowMs: number) {
    this.#bounds = bounds
    const { requestsPerMinute, tokensPerMinute } = bounds
    if (requestsPerMinute < Infinity) this.#requests = new Rate(requestsPerMinute, nowMs)
    if (tokensPerMinute < Infinity) this.#tokensUsed = new Rate(tokensPerMinute, nowMs, true)
    this.#hint = new Hint(random)
    this.#traffic = new Traffic(nowMs)
    this.#latency = new parts.Latency()
    this.#independence = new parts.Independence(this.#traffic, this.#latency)
    this.#limit = new parts.Limit(this.#traffic, this.#latency)
    this.#outage = new parts.Outage(this.#traffic, this.#latency, random)
    this.#tokens = new parts.Tokens(this.#traffic, nowMs)
  }

  get hint(): Hint {
    return this.#hint
  }

  get isDown(): boolean {
    return this.#outage.isDown
  }

  /** Whether the latest attempts have failed, possibly by chance. */
  get inRow(): boolean {
    return this.#outage.inRow
  }

  get state(): LineStatus['state'] {
    if (this.#outage.isDown) return 'down'
    return this.#limit.isRecovering ? 'recovering' : 'up'
  }

  /** Which calls the concurrency limits let through. */
  get room(): Room {
    if (this.#inFlight < this.concurrency()) return 'all'
    return this.#inFlight < this.#bounds.concurrency ? 'nested' : 'reentrant'
  }

  /** Records that calls are waiting because of the learned limit. */
  holds(nowMs: number): void {
    if (this.#inFlight >= this.#limit.value) this.#limit.held(nowMs)
  }

  /** Forgets a limit that has held no call for a while, and the failure it was learned from. */
  forgetUnused(nowMs: number): void {
    // A long hint or an outage has to end before the limit is judged.
    if (this.#outage.isDown || this.#reopenWith !== undefined) return
    if (this.#limit.forgetUnused(nowMs)) this.#seen.forgetLimit()
  }

  /** Whether a token limit applies, set by hand or reported by the target. */
  countsTokens(nowMs: number): boolean {
    return this.#tokensUsed !== undefined || this.#quota?.countsTokens(nowMs) === true
  }

  /** Whether limits reported by the target may hold calls back. */
  isRationed(nowMs: number): boolean {
    return this.#quota?.binds(nowMs) === true
  }

  /** The failure behind this reason to hold a call. */
  seen(by: HeldBy, nowMs: number): Seen | undefined {
    if (by === 'backoff') return undefined
    if (by !== 'limit' || this.#limit.value < this.#bounds.concurrency) return this.#seen.of(by)
    // No request was refused yet, but the next one would be.
    return this.isRationed(nowMs) ? RATIONED : undefined
  }

  /**
   * Milliseconds until the provider's hint ends, without the random spread, or until the limits it reports
   * have room again.
   */
  toldForMs(nowMs: number): number {
    return Math.max(this.#hint.leftMs(nowMs), (this.#quota?.freeAtMs(0, nowMs) ?? nowMs) - nowMs, 0)
  }

  /** The status except for the number of waiting calls. */
  status(nowMs: number): Omit<LineStatus, 'waiting'> {
    const { sinceMs } = this.#outage
    return {
      state: this.state,
      limit: Math.ceil(Math.min(this.#bounds.concurrency, this.#limit.value)),
      inFlight: this.#inFlight,
      closedForMs: Math.max(this.#hint.closedUntilMs - nowMs, 0),
      downForMs: sinceMs === undefined ? 0 : nowMs - sinceMs,
    }
  }

  /** For an operator: drops the hint and ends the outage. Returns whether there was an outage. */
  reopen(nowMs: number): boolean {
    if (this.#hint.closedUntilMs > nowMs) this.#disprove(nowMs)
    const isUp = this.#outage.reopened(nowMs)
    if (isUp) this.#up(nowMs)
    return isUp
  }

  /** Why calls could not be sent since `fromMs`: see `Outage.reasonsSince`. */
  reasonsSince(
    fromMs: number,
    nowMs: number,
  ): { readonly hintMs: number; readonly downMs: number } {
    return this.#outage.reasonsSince(this.#hint, fromMs, nowMs)
  }

  /** When the next probe may be sent; now if the target is not down. */
  probeAtMs(nowMs: number): number {
    return this.#outage.isDown ? this.#outage.probeAtMs(nowMs) : nowMs
  }

  /** When the next token of the retry budget arrives without a success. */
  tokenAtMs(nowMs: number): number {
    return this.#tokens.nextAtMs(nowMs)
  }

  /** What holds a call whose turn it is; undefined if nothing does. */
  heldBy(request: PermitRequest, nowMs: number): Exclude<HeldBy, 'backoff'> | undefined {
    return this.isOpen(nowMs) ? this.heldBeyondHint(request, nowMs) : 'hint'
  }

  /** What holds the call apart from a hint. */
  heldBeyondHint(
    request: PermitRequest,
    nowMs: number,
  ): Exclude<HeldBy, 'backoff' | 'hint'> | undefined {
    const { isDown } = this.#outage
    if (isDown && this.#outage.probeAtMs(nowMs) > nowMs) return 'down'
    const byHand = request.impatient || request.nested
    if (request.reentrant !== true && this.#inFlight >= this.concurrency(byHand)) {
      if (!byHand) this.holds(nowMs)
      return 'limit'
    }
    if (this.rateAtMs(request.tokens, nowMs, request.impatient) > nowMs) return 'limit'
    if (!request.paying || request.impatient) return undefined
    return this.hasToken(nowMs) ? undefined : 'budget'
  }

  isHopeless(request: PermitRequest, before: number, nowMs: number): boolean {
    return this.#outage.isHopeless(request, before, this.#hint, nowMs)
  }

  /**
   * How many attempts may be in flight. With `byHand`, and for probes, only the limit set by hand applies.
   */
  concurrency(byHand = false): number {
    const { concurrency } = this.#bounds
    return byHand || this.#outage.isDown ? concurrency : Math.min(concurrency, this.#limit.value)
  }

  /** When the rate limits allow a request: those set by hand and, unless `byHand`, those of the target. */
  rateAtMs(tokens: number, nowMs: number, byHand = false): number {
    const requests = this.#requests?.nextAtMs(1, nowMs) ?? nowMs
    const atMs = Math.max(requests, this.#tokensUsed?.nextAtMs(tokens, nowMs) ?? nowMs)
    if (byHand || this.#quota === undefined) return atMs
    return Math.max(atMs, this.#quota.freeAtMs(tokens, nowMs))
  }

  /** The shortest possible wait in milliseconds. */
  leastMs(by: HeldBy, { tokens }: PermitRequest, nowMs: number): number {
    if (by === 'hint') return this.#hint.endsMs - nowMs
    // With nothing in flight, only the passage of time brings a token.
    if (by === 'budget') return this.#inFlight === 0 ? this.#tokens.nextAtMs(nowMs) - nowMs : 0
    if (by !== 'limit') return 0
    // Ignores the limits reported by the target, because its next report may show more room.
    if (this.#inFlight === 0) return this.rateAtMs(tokens, nowMs, true) - nowMs
    // Ignores the token limit, because attempts in flight may have been overestimated.
    return (this.#requests?.nextAtMs(1, nowMs) ?? nowMs) - nowMs
  }

  /** The expected wait in milliseconds with `before` calls ahead; Infinity while the target is down. */
  expectedMs(by: HeldBy, request: PermitRequest, before: number, nowMs: number): number {
    if (this.#outage.isDown && by !== 'backoff') return Infinity
    if (by === 'hint') return this.#hint.closedUntilMs - nowMs
    if (by === 'budget') return this.#tokens.nextAtMs(nowMs) - nowMs
    if (by !== 'limit') return 0
    const rateMs = this.rateAtMs(request.tokens, nowMs, request.impatient) - nowMs
    const perSecond = this.#outage.servedPerSecond(this.#hint, nowMs) ?? 0
    const ahead = before + 1
    if (perSecond > 0) return Math.max(rateMs, (ahead / perSecond) * 1_000)
    if (rateMs > 0) return rateMs
    return (this.#latency.meanMs * ahead) / Math.max(this.concurrency(request.impatient), 1)
  }

  /** Whether the retry budget has a token. Probes need none, since there is one at a time. */
  hasToken(nowMs: number): boolean {
    return !this.#bounds.learns || this.#outage.isDown || this.#tokens.balance(nowMs) >= 1
  }

  /** Counts an attempt that is sent now, and returns its ticket. */
  sent({ paying, impatient, tokens }: PermitRequest, nowMs: number): Ticket {
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

  /** Counts an attempt in flight that has become a stream. */
  streams(): void {
    this.#streaming += 1
  }

  streamEnds(): void {
    this.#streaming -= 1
  }

  /** The attempt is no longer in flight. `tokens`: how many it used beyond the estimate. */
  left(tokens: number, nowMs: number): void {
    this.#inFlight -= 1
    if (tokens !== 0) this.#tokensUsed?.take(tokens, nowMs)
  }

  /** Learns from the end of an attempt, which counts as in flight until `left`. */
  ended(end: End, nowMs: number): void {
    const { ticket, sentAtMs, sign, hintMs, paid, seen } = end
    if (end.unsent === true) this.#returnCosts(ticket, paid, nowMs)
    this.#told(end, nowMs)
    const tookMs = nowMs - sentAtMs
    if (seen !== undefined) this.#seen.note(sign, seen, hintMs)
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
        // A refusal with a hint closes the line, whatever its status.
        if (hintMs > 0 && sign === 'refused' && this.#bounds.closes)
          this.#close(ticket, hintMs, nowMs)
    }
  }

  /** Returns what `sent` took for an attempt that was not sent after all, except its place and its LLM tokens. */
  #returnCosts(ticket: number, paid: boolean, nowMs: number): void {
    this.#requests?.take(-1, nowMs)
    if (paid && !this.#outage.isProbe(ticket)) this.#tokens.giveBack(nowMs)
  }

  #told({ ticket, sign, allowances, tokens }: End, nowMs: number): void {
    if (!this.#bounds.learns || (this.#quota === undefined && allowances === undefined)) return
    this.#quota ??= new Quota()
    const isRefused = sign === 'limited'
    this.#quota.told({ ticket, lastTicket: this.#lastTicket, isRefused, allowances, tokens }, nowMs)
  }

  #succeeded(ticket: number, tookMs: number, paid: boolean, nowMs: number): void {
    const limit = this.#limit
    this.#traffic.succeeded(nowMs)
    this.#latency.note(tookMs, limit.quietMs(nowMs) > 10_000, nowMs)
    this.#tokens.succeeded(paid, this.#traffic.peak(nowMs), nowMs)
    if (this.#hint.isDisprovedBy(ticket, nowMs)) this.#disprove(nowMs)
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
    // While the target is down, the hint only postpones the next probe.
    this.#outage.saidNothing(ticket)
    // After the cut, so that the line reopens with the reduced limit.
    this.#close(ticket, hintMs, nowMs)
  }

  #failed(sign: 'refused' | 'slow' | 'error', ticket: number, tookMs: number, nowMs: number): void {
    if (!this.#bounds.closes) return
    const isSlow = sign === 'slow'
    if (isSlow) this.#tokens.timedOut(nowMs)
    // After one cut, a series of refusals does not cut the limit below what is in flight. Whether the target
    // is down is decided by the length of the series.
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
      this.#cut('refused', nowMs, this.#isCutInRow ? this.#inFlight : 1)
      this.#isCutInRow = true
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
    const at = {
      lastTicket: this.#lastTicket,
      inFlight: this.#inFlight,
      streaming: this.#streaming,
    }
    this.#limit.cut(sign, { ...at, least }, nowMs)
  }

  #beforeRow(): void {
    if (this.#outage.inRow || this.#outage.isDown) return
    this.#limitBefore = this.#limit.value
    this.#isCutInRow = false
  }

  #down(nowMs: number): void {
    this.#remember(nowMs)
    this.#reopenWith = undefined
  }

  #up(nowMs: number): void {
    this.#reopenWith = undefined
    if (!this.#outage.wasChance) this.#independence.outage()
    if (this.#bounds.learns) this.#limit.letOut(this.#good, AFTER.outage, this.#lastTicket, nowMs)
  }

  /** Remembers how many attempts in flight the target handled before the outage; half as many after a relapse. */
  #remember(nowMs: number): void {
    const isRelapse = this.#outage.endedJust(nowMs)
    const good = Math.max(Math.min(this.#traffic.peak(nowMs), this.#limitBefore), 1)
    this.#good = isRelapse ? Math.max(Math.min(this.#good, good) / 2, 1) : good
  }

  /** Whether no hint closes the line. */
  isOpen(nowMs: number): boolean {
    if (nowMs < this.#hint.closedUntilMs) return false
    if (this.#reopenWith !== undefined) {
      this.#limit.letOut(this.#reopenWith, AFTER.hint, this.#lastTicket, nowMs)
      this.#reopenWith = undefined
    }
    return true
  }

  #close(ticket: number, hintMs: number, nowMs: number): void {
    const wasOpen = this.#hint.told(ticket, hintMs, this.#outage.isTiny(nowMs), nowMs)
    if (wasOpen && hintMs > SHORT_HINT_MS && this.#bounds.learns) {
      this.#reopenWith = Math.min(this.#traffic.peak(nowMs), this.#limit.value)
    }
  }

  #disprove(nowMs: number): void {
    this.#hint.disproved(nowMs)
    this.#reopenWith = undefined
  }
}

/** The failure that a request beyond a reported limit would meet. */
const RATIONED: Seen = { kind: 'rate_limit', status: 429 }
