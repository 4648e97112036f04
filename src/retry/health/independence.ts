import type { Latency } from './latency.ts'
import type { Traffic } from './traffic.ts'

/** How many of the latest results count. */
const RESULTS = 64
const ENOUGH = 40
/** Enough where cuts have taken three quarters of the limit already: they were most of the experiment. */
const ENOUGH_FOR_FEW = 16
const CUTS = 3
/** With so few in flight there is nothing left to cut: a process that begins with refusals comes here at once. */
const FLOOR = 2
/** A target that answers sooner serves many calls a second even with few in flight. */
const QUICK_MS = 100
const WITHIN_MS = 60_000
/**
 * A lower share of failures is not worth an experiment; with a higher one a quarter of the load may
 * still be too much.
 */
const SHARE = { from: 0.05, until: 0.75 }
/** Where the usual share is known: a sign of overload is this share of the other attempts failing too. */
const BEYOND_USUAL = { sign: 0.4, followed: 0.3 }
const FAILURES = 3
const PAUSE = { firstMs: 60_000, mostMs: 16 * 60_000 }

interface Experiment {
  readonly fromTicket: number
  readonly share: number
  /** The next limit if the load is not the reason (`restore`), and if it is (`back`). */
  readonly restore: number
  readonly back: number
  results: number
  failures: number
}

export type Change = {
  readonly limit: number
  /** The limit was wrong: it may grow again as if there had been no overload. */
  readonly acquitted?: true
}

/**
 * Recognises refusals that do not depend on the load. Where cuts of the limit do not end them, an
 * experiment at a quarter of the limit decides: if refusals come as before, the limit from before the
 * cuts is restored, and from then on only a share well above the usual one is a sign of overload.
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
  /** The share of refusals that has nothing to do with the load. */
  #usual: number | undefined

  constructor(traffic: Traffic, latency: Latency) {
    this.#traffic = traffic
    this.#latency = latency
  }

  /** Is a refusal now a sign of overload? */
  get isSign(): boolean {
    if (this.#experiment !== undefined) return false
    if (this.#usual === undefined) return true
    const sign = this.#usual + BEYOND_USUAL.sign * (1 - this.#usual)
    return this.#seen >= ENOUGH && this.#share > Math.min(sign, SHARE.until)
  }

  /** An attempt is sent. */
  sent(ticket: number): void {
    const at = ticket % RESULTS
    this.#failures -= this.#failed[at] ?? 0
    this.#failed[at] = 0
    this.#sent += 1
  }

  /** The limit was cut because of a refusal; `before`: what it was, at most what was in flight. */
  cut(before: number, nowMs: number): void {
    while (this.#cuts[0] !== undefined && nowMs - this.#cuts[0].atMs > WITHIN_MS) this.#cuts.shift()
    this.#cuts.push({ atMs: nowMs, before })
    if (this.#usual !== undefined) this.#forget()
  }

  /** An attempt was answered or refused. Returns the new limit where it is to change. */
  result(
    failed: boolean,
    ticket: number,
    lastTicket: number,
    limit: number,
    nowMs: number,
  ): Change | undefined {
    this.#note(failed, ticket, lastTicket)
    const trying = this.#experiment
    if (trying !== undefined) {
      return ticket > trying.fromTicket ? this.#judge(trying, failed, lastTicket, nowMs) : undefined
    }
    if (this.#usual !== undefined) this.#follow()
    else if (this.#isAtFloor(limit) && !this.#isQuick) {
      return this.#acquit(this.#share, this.#before(limit))
    } else if (this.#isAtFloor(limit) || this.#isDue(limit, nowMs)) {
      return this.#begin(lastTicket, limit, nowMs)
    }
    return undefined
  }

  /** An outage explains the refusals so far. */
  outage(): void {
    this.#forget()
    this.#cuts.length = 0
    this.#experiment = undefined
  }

  #isDue(limit: number, nowMs: number): boolean {
    const isFew = limit <= this.#before(limit) / 4
    if (this.#seen < (isFew ? ENOUGH_FOR_FEW : ENOUGH) || nowMs < this.#nextMs) return false
    const share = this.#share
    if (share < SHARE.from || share >= SHARE.until) return false
    return this.#cuts.filter(({ atMs }) => nowMs - atMs <= WITHIN_MS).length >= CUTS
  }

  /** No cut can end what comes with so few in flight. */
  #isAtFloor(limit: number): boolean {
    if (limit > FLOOR || this.#cuts.length === 0 || this.#seen < ENOUGH_FOR_FEW) return false
    const share = this.#share
    return share >= SHARE.from && share < SHARE.until
  }

  #acquit(share: number, limit: number): Change {
    this.#forget()
    this.#cuts.length = 0
    this.#usual = share
    return { limit, acquitted: true }
  }

  #begin(lastTicket: number, limit: number, nowMs: number): Change {
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
   * A quick target is asked at a quarter of its places as often as at all of them, since refusals free
   * theirs at once. As many as it serves (Little's law) are not refused for the load.
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
  ): Change | undefined {
    trying.results += 1
    if (failed) trying.failures += 1
    if (trying.results < Math.ceil(4 / trying.share) && trying.failures < FAILURES) return undefined
    this.#experiment = undefined
    // Refusals come sooner than answers: an attempt in flight has not failed.
    const share = trying.failures / (lastTicket - trying.fromTicket)
    if (share >= 0.4 * trying.share && trying.failures >= 2) {
      return this.#acquit(trying.share, trying.restore)
    }
    // With so few in flight it costs little to try again.
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

  /** Of the latest attempts; one in flight has not failed. */
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
