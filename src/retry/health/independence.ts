import type { Latency, Traffic } from './limit.ts'

/** Number of latest results that count. */
const RESULTS = 64
const ENOUGH = 40
/** Enough if cuts have already taken three quarters of the limit, because they served as most of the experiment. */
const ENOUGH_FOR_FEW = 16
const CUTS = 3
/** A limit this low cannot be cut further. A process that starts with refusals gets here at once. */
const FLOOR = 2
/** A target that answers faster serves many calls per second even with few in flight. */
const QUICK_MS = 100
const WITHIN_MS = 60_000
/**
 * A smaller share of failures is not worth an experiment. With a larger one, even a quarter of the load may
 * be too much.
 */
const SHARE = { from: 0.05, until: 0.75 }
/** If the usual share is known, overload means that this share of the remaining attempts fails as well. */
const BEYOND_USUAL = { sign: 0.4, followed: 0.3 }
const FAILURES = 3
const PAUSE = { firstMs: 60_000, mostMs: 16 * 60_000 }

interface Experiment {
  readonly fromTicket: number
  readonly share: number
  /** The next limit if the load is not the cause (`restore`), and if it is (`back`). */
  readonly restore: number
  readonly back: number
  results: number
  failures: number
}

export type LimitChange = {
  readonly limit: number
  /** Set if the cuts were wrong: the limit may grow again as if there had been no overload. */
  readonly acquitted?: true
}

/**
 * Recognises refusals that do not depend on the load. If cutting the limit does not end them, an experiment
 * at a quarter of the limit decides: if refusals stay as frequent, the limit from before the cuts is
 * restored, and from then on only a share well above the usual one is a sign of overload.
 */
export class Independence {
  readonly #traffic: Traffic
  readonly #latency: Latency
  readonly #failed = new Uint8Array(RESULTS)
  #sent = 0
  #failures = 0
  readonly #cuts: { readonly atMs: number; readonly before: number }[] = []
  #experiment: Experiment | undefined
  #nextMs = -Infinity
  #pauseMs: number = PAUSE.firstMs
  /** The share of refusals that does not depend on the load. */
  #usual: number | undefined

  constructor(traffic: Traffic, latency: Latency) {
    this.#traffic = traffic
    this.#latency = latency
  }

  /** Whether a refusal is currently a sign of overload. */
  get isSign(): boolean {
    if (this.#experiment !== undefined) return false
    if (this.#usual === undefined) return true
    const sign = this.#usual + BEYOND_USUAL.sign * (1 - this.#usual)
    return this.#seen >= ENOUGH && this.#share > Math.min(sign, SHARE.until)
  }

  /** Records that an attempt is sent. */
  sent(ticket: number): void {
    const at = ticket % RESULTS
    this.#failures -= this.#failed[at] ?? 0
    this.#failed[at] = 0
    this.#sent += 1
  }

  /** Records that the limit was cut because of a refusal. `before` is the old limit, at most what was in flight. */
  cut(before: number, nowMs: number): void {
    while (this.#cuts[0] !== undefined && nowMs - this.#cuts[0].atMs > WITHIN_MS) this.#cuts.shift()
    this.#cuts.push({ atMs: nowMs, before })
    if (this.#usual !== undefined) this.#forget()
  }

  /** Records that an attempt was answered or refused. Returns the new limit if it is to change. */
  result(
    failed: boolean,
    ticket: number,
    lastTicket: number,
    limit: number,
    nowMs: number,
  ): LimitChange | undefined {
    this.#note(failed, ticket, lastTicket)
    const trying = this.#experiment
    if (trying !== undefined) {
      return ticket > trying.fromTicket ? this.#judge(trying, failed, lastTicket, nowMs) : undefined
    }
    if (this.#usual !== undefined) this.#follow()
    else if (this.#isAtFloor(limit)) {
      if (this.#isQuick) return this.#begin(lastTicket, limit, nowMs)
      return this.#acquit(this.#share, this.#before(limit))
    } else if (this.#isDue(limit, nowMs)) return this.#begin(lastTicket, limit, nowMs)
    return undefined
  }

  /** Records an outage, which explains the refusals so far. */
  outage(): void {
    this.#forget()
    this.#cuts.length = 0
    this.#experiment = undefined
  }

  #isDue(limit: number, nowMs: number): boolean {
    const isFew = limit <= this.#before(limit) / 4
    if (this.#seen < (isFew ? ENOUGH_FOR_FEW : ENOUGH) || nowMs < this.#nextMs) return false
    if (!this.#isTestable) return false
    return this.#cuts.filter(({ atMs }) => nowMs - atMs <= WITHIN_MS).length >= CUTS
  }

  /** Whether the limit is so low that no cut could end the refusals. */
  #isAtFloor(limit: number): boolean {
    if (limit > FLOOR || this.#cuts.length === 0 || this.#seen < ENOUGH_FOR_FEW) return false
    return this.#isTestable
  }

  /** Whether an experiment on this share of failures could show anything. */
  get #isTestable(): boolean {
    return this.#share >= SHARE.from && this.#share < SHARE.until
  }

  #acquit(share: number, limit: number): LimitChange {
    this.#forget()
    this.#cuts.length = 0
    this.#usual = share
    return { limit, acquitted: true }
  }

  #begin(lastTicket: number, limit: number, nowMs: number): LimitChange {
    const restore = this.#before(limit)
    const places = Math.max(Math.min(restore / 4, this.#served(nowMs)), 1)
    this.#experiment = {
      fromTicket: lastTicket,
      share: this.#share,
      restore,
      back: limit,
      results: 0,
      failures: 0,
    }
    return { limit: places }
  }

  /**
   * With a fast target, a quarter of the places yields as many requests as all of them, because refusals free
   * their places at once. So the experiment allows only as many as the target serves (Little's law), which
   * load cannot explain.
   */
  #served(nowMs: number): number {
    if (!this.#isQuick) return Infinity
    return Math.floor(this.#traffic.successesPerSecond(nowMs) * (this.#latency.meanMs / 1_000))
  }

  get #isQuick(): boolean {
    return this.#latency.meanMs > 0 && this.#latency.meanMs < QUICK_MS
  }

  /** The limit before the cuts. */
  #before(limit: number): number {
    return Math.max(this.#cuts[0]?.before ?? limit, limit)
  }

  #judge(
    trying: Experiment,
    failed: boolean,
    lastTicket: number,
    nowMs: number,
  ): LimitChange | undefined {
    trying.results += 1
    if (failed) trying.failures += 1
    if (trying.results < Math.ceil(4 / trying.share) && trying.failures < FAILURES) return undefined
    this.#experiment = undefined
    // Refusals arrive sooner than answers, so an attempt in flight counts as not failed.
    const share = trying.failures / (lastTicket - trying.fromTicket)
    if (share >= 0.4 * trying.share && trying.failures >= 2) {
      return this.#acquit(trying.share, trying.restore)
    }
    // With so few attempts in flight, another experiment costs little.
    if (trying.back <= FLOOR) return { limit: trying.back }
    this.#cuts.length = 0
    this.#nextMs = nowMs + this.#pauseMs
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE.mostMs)
    return { limit: trying.back }
  }

  #follow(): void {
    if (this.#usual === undefined || this.#sent % ENOUGH !== 0 || this.#seen < ENOUGH) return
    const share = this.#share
    if (share < 0.3 * this.#usual) this.#usual = undefined
    else if (share <= this.#usual + BEYOND_USUAL.followed * (1 - this.#usual)) {
      this.#usual += (share - this.#usual) / 4
    }
  }

  get #seen(): number {
    return Math.min(this.#sent, RESULTS)
  }

  /** The share of failures among the latest attempts; one in flight counts as not failed. */
  get #share(): number {
    return this.#failures / Math.max(this.#seen, 1)
  }

  #note(failed: boolean, ticket: number, lastTicket: number): void {
    if (!failed || ticket <= lastTicket - this.#seen) return
    this.#failed[ticket % RESULTS] = 1
    this.#failures += 1
  }

  #forget(): void {
    this.#sent = 0
    this.#failures = 0
    this.#failed.fill(0)
  }
}
