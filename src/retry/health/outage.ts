import type { Latency, Traffic } from './limit.ts'
import type { PermitRequest } from './waiting.ts'

const FOLLOW = 1 / 32
/** A series of failures is an outage if chance would produce one of that length less often than this. */
const CHANCE = 1e-4
const ROW = { least: 5, most: 25 }
/** In an outage that answers at once, at most this many attempts are pending per failed one. */
const PENDING = 0.25
const PROBE = { firstMs: 500, growth: 1.5, mostMs: 5_000, jitter: 0.2 }
/** For processes that make few calls: such a process is probably one of many. */
const TINY = { fromGapMs: 5_000, growth: 2, mostMs: 60_000, slowMostMs: 30_000 }
const HOPELESS = { downMs: 5 * 60_000, times: 3, leastPerSecond: 2 }
/** An outage this soon after the previous one means that calls were released too fast. */
const RELAPSE_MS = 10_000
const LEASE = { leastMs: 1_000, latencies: 5 }

/**
 * Detects that a target is down from a series of failures (a "row"), and decides when the next probe may be
 * sent: one at a time, at growing intervals, until one succeeds.
 */
export class Outage {
  readonly #traffic: Traffic
  readonly #latency: Latency
  readonly #random: () => number
  /** The usual share of failures among results, not counting rows that have not ended. */
  #share = 0
  #row = 0
  /** Attempts up to this ticket were sent before the row began. */
  #rowTicket = 0
  /** Failures of attempts sent since the row began. */
  #failedSince = 0
  /** Attempts sent since the row began that ended without showing whether the target is down. */
  #silentSince = 0
  #limitedRow = 0
  #limitedTicket = 0
  #sinceMs: number | undefined
  /** When the latest outage began, also after its end. */
  #beganMs = -Infinity
  #downTicket = 0
  #probes = 0
  #nextProbeMs = 0
  #probeTicket = 0
  #leaseEndsMs = 0
  #endedMs = -Infinity
  /** Length of the row that started the latest outage. */
  #rowAtStart = 0
  #wasChance = false

  constructor(traffic: Traffic, latency: Latency, random: () => number) {
    this.#traffic = traffic
    this.#latency = latency
    this.#random = random
  }

  get isDown(): boolean {
    return this.#sinceMs !== undefined
  }

  /** Whether a row of failures has begun, possibly by chance. */
  get inRow(): boolean {
    return this.#row > 0 || this.#limitedRow > 0
  }

  /** When the current outage was detected. */
  get sinceMs(): number | undefined {
    return this.#sinceMs
  }

  /** Whether the last outage ended so recently that another would be a relapse. */
  endedJust(nowMs: number): boolean {
    return nowMs - this.#endedMs < RELAPSE_MS
  }

  /**
   * For the period since `fromMs`: how long the hint closed the line, and how long the target was down without
   * it, in milliseconds.
   */
  reasonsSince(
    hint: Hint,
    fromMs: number,
    nowMs: number,
  ): { readonly hintMs: number; readonly downMs: number } {
    const downFromMs = Math.max(this.#beganMs, fromMs)
    const downToMs = this.isDown ? nowMs : Math.min(this.#endedMs, nowMs)
    const hintMs = hint.closedWithin(fromMs, nowMs)
    if (downToMs <= downFromMs) return { hintMs, downMs: 0 }
    const bothMs = hint.closedWithin(downFromMs, downToMs)
    return { hintMs, downMs: downToMs - downFromMs - bothMs }
  }

  /**
   * Successes per second while the line was open; undefined if it was closed or the target down for most of
   * the measured period.
   */
  servedPerSecond(hint: Hint, nowMs: number): number | undefined {
    const spanMs = this.#traffic.rateSpanS(nowMs) * 1_000
    const { hintMs, downMs } = this.reasonsSince(hint, nowMs - spanMs, nowMs)
    const openMs = spanMs - hintMs - downMs
    if (openMs < spanMs / 2) return undefined
    return this.#traffic.successesPerSecond(nowMs) * (spanMs / openMs)
  }

  /**
   * Whether waiting is pointless: the target has been down for minutes, or the `before` calls ahead take far
   * longer than the call can wait. Applies only to calls that have sent nothing yet.
   */
  isHopeless(
    { bulk, requests, latestMs }: PermitRequest,
    before: number,
    hint: Hint,
    nowMs: number,
  ): boolean {
    if (bulk || requests > 0) return false
    if (this.#sinceMs !== undefined) return nowMs - this.#sinceMs > HOPELESS.downMs
    if (this.endedJust(nowMs)) return false
    const perSecond = this.servedPerSecond(hint, nowMs)
    if (perSecond === undefined || perSecond < HOPELESS.leastPerSecond) return false
    return (before / perSecond) * 1_000 > HOPELESS.times * (latestMs - nowMs)
  }

  /** Whether the latest outage ended with its first probe, so that its row may have been chance. */
  get wasChance(): boolean {
    return this.#wasChance
  }

  /** Whether this process makes so few calls that it is either one of many or insignificant. */
  isTiny(nowMs: number): boolean {
    return this.#traffic.gapMs(nowMs) > TINY.fromGapMs
  }

  /** When the next probe may be sent; Infinity while one is in flight. */
  probeAtMs(nowMs: number): number {
    if (this.#probeTicket === 0) return this.#nextProbeMs
    // With a dead peer this means one probe per attempt timeout. For many tiny processes that is best; others
    // send another probe after a while.
    return this.isTiny(nowMs) ? Infinity : Math.max(this.#nextProbeMs, this.#leaseEndsMs)
  }

  /** Whether this attempt is the probe in flight. */
  isProbe(ticket: number): boolean {
    return ticket === this.#probeTicket
  }

  probeSent(ticket: number, nowMs: number): void {
    this.#probeTicket = ticket
    this.#leaseEndsMs = nowMs + Math.max(LEASE.leastMs, this.#latency.meanMs * LEASE.latencies)
    this.#nextProbeMs = nowMs + this.#intervalMs(0, nowMs)
    this.#probes += 1
  }

  /** Records the end of an attempt that did not show whether the target is down. */
  saidNothing(ticket: number): void {
    if (ticket === this.#probeTicket) this.#probeTicket = 0
    if (ticket > this.#rowTicket) this.#silentSince += 1
  }

  /** Records a failure; returns whether the target is down from now on. `tookMs`: the duration of a slow failure. */
  failed(
    weight: number,
    ticket: number,
    lastTicket: number,
    tookMs: number,
    nowMs: number,
  ): boolean {
    if (this.#sinceMs !== undefined) {
      this.#probeFailed(ticket, tookMs, nowMs)
      return false
    }
    const isFirst = this.#row === 0
    if (isFirst) {
      this.#rowTicket = lastTicket
      this.#failedSince = 0
      this.#silentSince = 0
    }
    const isSince = ticket > this.#rowTicket
    if (isSince) this.#failedSince += 1
    // Requests sent together fail together and count as one event, except for timeouts.
    if (isFirst || isSince || tookMs > 0) this.#row += weight
    if (this.#row < this.#longestRow()) return false
    return (tookMs > 0 || this.#allFail(lastTicket)) && this.#begin(lastTicket, tookMs, nowMs)
  }

  /**
   * Refusals arrive sooner than answers: while many attempts sent since the row began are still in flight, a
   * row of refusals proves little.
   */
  #allFail(lastTicket: number): boolean {
    const ended = this.#failedSince + this.#silentSince
    const pending = lastTicket - this.#rowTicket - ended
    return pending <= this.#failedSince * PENDING
  }

  /** Records a rate limit without a hint. */
  limited(ticket: number, lastTicket: number, nowMs: number): boolean {
    if (this.#sinceMs !== undefined) {
      this.#probeFailed(ticket, 0, nowMs)
      return false
    }
    if (ticket > this.#rowTicket) this.#silentSince += 1
    if (this.#limitedRow === 0) this.#limitedTicket = lastTicket
    else if (ticket <= this.#limitedTicket) return false
    this.#limitedRow += 1
    return this.#limitedRow >= ROW.least && this.#begin(lastTicket, 0, nowMs)
  }

  /** Records an attempt that shows that the target is up; returns whether that ends an outage. */
  succeeded(ticket: number, nowMs: number): boolean {
    if (this.#sinceMs !== undefined) {
      if (ticket <= this.#downTicket) return false
      this.#wasChance = this.#probes <= 1
      if (this.#wasChance) this.#countRow(this.#rowAtStart)
      this.#sinceMs = undefined
      this.#endedMs = nowMs
      this.#probes = 0
      this.#probeTicket = 0
      this.#endRows()
      return true
    }
    if (this.#limitedRow > 0 && ticket > this.#limitedTicket) this.#limitedRow = 0
    if (this.#row > 0 && ticket > this.#rowTicket) {
      this.#countRow(this.#row)
      this.#row = 0
    }
    this.#share -= this.#share * FOLLOW
    return false
  }

  /** Records an operator's statement that the target is up; returns whether that ends an outage. */
  reopened(nowMs: number): boolean {
    return this.#sinceMs !== undefined && this.succeeded(Infinity, nowMs)
  }

  #countRow(failures: number): void {
    for (let left = failures; left > 0; left -= 1) this.#share += (1 - this.#share) * FOLLOW
  }

  #longestRow(): number {
    const row = Math.log(CHANCE) / Math.log(Math.min(Math.max(this.#share, 1e-9), 0.999))
    return Math.min(Math.max(row, ROW.least), ROW.most)
  }

  #begin(lastTicket: number, tookMs: number, nowMs: number): true {
    this.#sinceMs = nowMs
    this.#beganMs = nowMs
    this.#downTicket = lastTicket
    this.#probes = 0
    this.#probeTicket = 0
    this.#nextProbeMs = nowMs + this.#intervalMs(tookMs, nowMs)
    this.#rowAtStart = this.#row
    this.#endRows()
    return true
  }

  #endRows(): void {
    this.#row = 0
    this.#limitedRow = 0
  }

  #probeFailed(ticket: number, tookMs: number, nowMs: number): void {
    if (ticket !== this.#probeTicket) return
    this.#probeTicket = 0
    this.#nextProbeMs = Math.max(this.#nextProbeMs, nowMs + this.#slowMs(tookMs, nowMs))
  }

  #intervalMs(tookMs: number, nowMs: number): number {
    const tiny = this.isTiny(nowMs)
    const mostMs = tiny
      ? Math.min(Math.max(this.#traffic.gapMs(nowMs), PROBE.mostMs), TINY.mostMs)
      : PROBE.mostMs
    const growth = tiny ? TINY.growth : PROBE.growth
    const grownMs = Math.min(PROBE.firstMs * growth ** Math.min(this.#probes, 60), mostMs)
    const jitter = 1 - PROBE.jitter + 2 * PROBE.jitter * this.#random()
    return Math.max(grownMs * jitter, this.#slowMs(tookMs, nowMs))
  }

  /** The wait after a slow failure: at least half of its duration; for tiny processes its duration, then doubling. */
  #slowMs(tookMs: number, nowMs: number): number {
    if (tookMs === 0) return 0
    if (!this.isTiny(nowMs)) return tookMs / 2
    return Math.min(tookMs * 2 ** Math.min(this.#probes, 60), TINY.slowMostMs)
  }
}

/** The longest time a hint can close a line. */
const LONGEST_MS = 24 * 3_600_000
const SPREAD = 0.1
const TINY_SPREAD_MS = 30_000
const DISPROVED_MS = 5 * 60_000

/**
 * How long a target has asked all calls to wait, plus a random spread, so that processes with the same hint
 * do not return at the same moment. All times are milliseconds on the monotonic clock.
 */
export class Hint {
  readonly #random: () => number
  #closedUntilMs = -Infinity
  /** `#closedUntilMs` without the spread. */
  #endsMs = -Infinity
  #closedFromMs = -Infinity
  #ticket = 0
  #personalUntilMs = -Infinity

  constructor(random: () => number) {
    this.#random = random
  }

  get closedUntilMs(): number {
    return this.#closedUntilMs
  }

  /** The end of the hint itself, without the spread. */
  get endsMs(): number {
    return this.#endsMs
  }

  /** Whether the hint is over and only its spread still closes the line. */
  isSpread(nowMs: number): boolean {
    return this.#endsMs <= nowMs && nowMs < this.#closedUntilMs
  }

  /** What is left of the hint itself, in milliseconds. */
  leftMs(nowMs: number): number {
    return this.#closedUntilMs > nowMs ? Math.max(this.#endsMs - nowMs, 0) : 0
  }

  /** For how long within this period it closed the line, in milliseconds. */
  closedWithin(fromMs: number, toMs: number): number {
    return Math.max(Math.min(this.#closedUntilMs, toMs) - Math.max(this.#closedFromMs, fromMs), 0)
  }

  /**
   * Records a hint given to an attempt. `isTiny`: this process makes few calls, so it is probably one of
   * many. Returns whether the line was open until now.
   */
  told(ticket: number, hintMs: number, isTiny: boolean, nowMs: number): boolean {
    // Hints of this target were wrong a moment ago, so a new one binds only the call it is given to.
    if (nowMs < this.#personalUntilMs) return false
    const heldMs = Math.min(hintMs, LONGEST_MS)
    const untilMs = nowMs + heldMs
    this.#endsMs = Math.max(this.#endsMs, untilMs)
    // Hints with the same end share one spread.
    if (untilMs <= this.#closedUntilMs) return false
    const wasOpen = this.#closedUntilMs <= nowMs
    if (wasOpen) this.#closedFromMs = nowMs
    const spreadMs = isTiny ? Math.min(heldMs, TINY_SPREAD_MS) : heldMs * SPREAD
    this.#closedUntilMs = Math.min(untilMs + this.#random() * spreadMs, nowMs + LONGEST_MS)
    this.#ticket = ticket
    return wasOpen
  }

  /** Whether the success of this attempt shows that the hint is wrong. */
  isDisprovedBy(ticket: number, nowMs: number): boolean {
    return ticket > this.#ticket && this.#closedUntilMs > nowMs
  }

  disproved(nowMs: number): void {
    this.#endsMs = nowMs
    this.#closedUntilMs = nowMs
    this.#personalUntilMs = nowMs + DISPROVED_MS
  }
}
