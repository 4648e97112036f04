import type { Latency } from './latency.ts'
import type { Sign } from './signs.ts'
import type { Traffic } from './traffic.ts'

/** The share of the limit that remains after a sign of overload. */
const CUT = 0.7
/** A cut by the measured rate leaves at least this share. */
const MOST_OF_A_CUT = 0.25
/** Room above what the target has recently served. */
const HEADROOM = 1.5
/** The limit grows only if at least this share of it is in use. */
const IN_USE = 0.8
const FORGET_MS = 60_000
/**
 * Close to the point of its last cut, the limit grows slowly for a while: little can be gained beyond it, and
 * each try costs a refusal. (The plateau of CUBIC, RFC 9438, has the same purpose.)
 */
const PLATEAU = { from: 0.75, slowness: 0.15, forMs: 20_000 }
/** After an outage the limit starts at this share of what the target handled before. */
const FIRST_SHARE = 0.25
/** What a success adds once the limit is back at that level. */
const AFTER_GOOD = 0.1

/** The circumstances of a cut. */
interface CutAt {
  /** The ticket of the attempt sent last. */
  readonly lastTicket: number
  readonly inFlight: number
  /** How many of those in flight have become streams. */
  readonly streaming: number
  /** Lower bound of the new limit. */
  readonly least: number
}

/**
 * The learned number of attempts that may be in flight at one target: unlimited until the target first shows
 * overload, cut at each sign of overload, raised by successes, and forgotten after a minute without holding
 * any call back.
 *
 * Only attempts sent after the last cut count: earlier ones were already on their way and would cut again for
 * the same overload.
 */
export class Limit {
  readonly #traffic: Traffic
  readonly #latency: Latency
  #value = Infinity
  #cutTicket = 0
  #signMs = -Infinity
  /** The level at the last cut. */
  #ceiling = Infinity
  /** Up to here the limit may grow fast, because nothing that was learned speaks against it. */
  #good: number | undefined
  #isAfterOutage = false
  /** When the limit last held a call back. */
  #heldMs = -Infinity

  constructor(traffic: Traffic, latency: Latency) {
    this.#traffic = traffic
    this.#latency = latency
  }

  get value(): number {
    return this.#value
  }

  /** Time since the last sign of overload, in milliseconds. */
  quietMs(nowMs: number): number {
    return nowMs - this.#signMs
  }

  /** Whether it is recovering from an outage, still below what the target handled before. */
  get isRecovering(): boolean {
    return this.#isAfterOutage && this.#good !== undefined && this.#value < this.#good
  }

  /** Records that the limit holds a call back. */
  held(nowMs: number): void {
    this.#heldMs = nowMs
  }

  /**
   * Forgets a limit that was not confirmed for a minute, neither by a sign of overload nor by holding a call.
   * Returns whether it was forgotten now.
   */
  forgetUnused(nowMs: number): boolean {
    if (this.#value === Infinity) return false
    if (nowMs - Math.max(this.#signMs, this.#heldMs) <= FORGET_MS) return false
    this.#value = Infinity
    this.#good = undefined
    this.#isAfterOutage = false
    return true
  }

  /** Whether this attempt was sent after the last cut. */
  isNews(ticket: number): boolean {
    return ticket > this.#cutTicket
  }

  /** Cuts the limit after a sign of overload. */
  cut(sign: Sign, { lastTicket, inFlight, streaming, least }: CutAt, nowMs: number): void {
    const level = Math.min(this.#value, Math.max(inFlight, 1))
    let next = level * CUT
    if (sign !== 'refused') {
      const perSecond = Math.max(
        this.#traffic.bestSecond(nowMs),
        this.#traffic.successesPerSecond(nowMs),
      )
      // Little's law for the time until an answer begins; open streams are certainly being served.
      const served = perSecond * (this.#latency.meanMs / 1_000) + streaming
      next = Math.min(next, Math.max(served * HEADROOM, level * MOST_OF_A_CUT))
    }
    this.set(Math.max(next, Math.min(least, level)), lastTicket, nowMs)
    this.#ceiling = level
    this.#latency.forgetRecent()
  }

  /** Sets the limit, as after a sign of overload. */
  set(value: number, lastTicket: number, nowMs: number): void {
    this.#value = Math.max(value, 1)
    this.#cutTicket = lastTicket
    this.#signMs = nowMs
    this.#good = undefined
    this.#isAfterOutage = false
  }

  /** Records a good answer to an attempt sent after the last cut. */
  succeeded(inFlight: number, nowMs: number): void {
    if (this.#value === Infinity) return
    if (inFlight < this.#value * IN_USE) return
    if (this.#good !== undefined) this.#value += this.#value < this.#good ? 1 : AFTER_GOOD
    else if (this.#latency.isCalm) {
      // Grows by one per round trip or per second, whichever is longer.
      const step = 1 / Math.max(this.#value, this.#traffic.successesPerSecond(nowMs))
      this.#value += step * (this.#isNearCeiling(nowMs) ? PLATEAU.slowness : 1)
    }
  }

  #isNearCeiling(nowMs: number): boolean {
    return this.#value >= this.#ceiling * PLATEAU.from && this.quietMs(nowMs) < PLATEAU.forMs
  }

  /** Restores the limit, because the cuts had nothing to do with the load. */
  resume(good: number, lastTicket: number, nowMs: number): void {
    this.set(good, lastTicket, nowMs)
    // Calls have queued up meanwhile and no overload is known, so it grows fast until one shows.
    this.#good = Infinity
  }

  /**
   * After an outage or a long hint, releases the waiting calls gradually: at first a share of what the target
   * handled before, but at least `least`.
   */
  letOut(good: number, least: number, lastTicket: number, nowMs: number): void {
    this.set(Math.max(least, good * FIRST_SHARE), lastTicket, nowMs)
    this.#good = good
    this.#isAfterOutage = true
  }
}
