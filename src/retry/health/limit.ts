import type { Latency } from './latency.ts'
import type { Sign } from './signs.ts'
import type { Traffic } from './traffic.ts'

/** What one sign of overload leaves of the limit. */
const CUT = 0.7
/** A cut by the measured rate leaves at least this share. */
const MOST_OF_A_CUT = 0.25
/** Room above what the target has just served. */
const HEADROOM = 1.5
/** The limit grows only where it is what holds calls back. */
const IN_USE = 0.8
const FORGET_MS = 60_000
/**
 * Near where it was cut last it grows slowly for a while: there is nothing to be had beyond, and
 * each time it is tried costs a refusal. (The plateau of CUBIC, RFC 9438, for the same reason.)
 */
const PLATEAU = { from: 0.75, slowness: 0.15, forMs: 20_000 }
/** After an outage the limit begins at this share of what was good before it. */
const FIRST_SHARE = 0.25
/** What a success adds once the limit is back at what was good. */
const AFTER_GOOD = 0.1

/** What a limit is cut at. */
interface CutAt {
  /** Of the attempt sent last. */
  readonly lastTicket: number
  readonly inFlight: number
  /** Those in flight whose answers have begun. */
  readonly streaming: number
  /** The cut leaves at least this. */
  readonly least: number
}

/**
 * How many attempts one target may have in flight, learned from it: unlimited until it first shows
 * an overload, cut by each sign of it, raised by success, forgotten after a minute in which it held
 * nobody back.
 *
 * What an attempt says counts only if it was sent after the last cut: the others were under way
 * already and would cut again for the same overload.
 */
export class Limit {
  readonly #traffic: Traffic
  readonly #latency: Latency
  #value = Infinity
  #cutTicket = 0
  #signMs = -Infinity
  /** Where it was cut last. */
  #ceiling = Infinity
  /** Up to here it may grow fast: nothing that was learned speaks against it. */
  #good: number | undefined
  #isAfterOutage = false
  /** When it last held a call back. */
  #heldMs = -Infinity

  constructor(traffic: Traffic, latency: Latency) {
    this.#traffic = traffic
    this.#latency = latency
  }

  get value(): number {
    return this.#value
  }

  /** Time since the last sign of overload, milliseconds. */
  quietMs(nowMs: number): number {
    return nowMs - this.#signMs
  }

  /** It recovers from an outage and is still below what was good before. */
  get isRecovering(): boolean {
    return this.#isAfterOutage && this.#good !== undefined && this.#value < this.#good
  }

  /** It holds a call back. */
  held(nowMs: number): void {
    this.#heldMs = nowMs
  }

  /**
   * Forgets a limit that neither a sign of overload nor a call that it held back has confirmed for a
   * minute; says whether it did so now.
   */
  forgetUnused(nowMs: number): boolean {
    if (this.#value === Infinity) return false
    if (nowMs - Math.max(this.#signMs, this.#heldMs) <= FORGET_MS) return false
    this.#value = Infinity
    this.#good = undefined
    this.#isAfterOutage = false
    return true
  }

  /** Was this attempt sent after the last cut? */
  isNews(ticket: number): boolean {
    return ticket > this.#cutTicket
  }

  /** A sign of overload. */
  cut(sign: Sign, { lastTicket, inFlight, streaming, least }: CutAt, nowMs: number): void {
    const level = Math.min(this.#value, Math.max(inFlight, 1))
    let next = level * CUT
    if (sign !== 'refused') {
      const perSecond = Math.max(
        this.#traffic.bestSecond(nowMs),
        this.#traffic.successesPerSecond(nowMs),
      )
      // Little's law, of the time until an answer begins; the streams that are open are served for sure.
      const served = perSecond * (this.#latency.meanMs / 1_000) + streaming
      next = Math.min(next, Math.max(served * HEADROOM, level * MOST_OF_A_CUT))
    }
    this.set(Math.max(next, Math.min(least, level)), lastTicket, nowMs)
    this.#ceiling = level
    this.#latency.forgetRecent()
  }

  /** Sets the limit itself, as after a sign of overload. */
  set(value: number, lastTicket: number, nowMs: number): void {
    this.#value = Math.max(value, 1)
    this.#cutTicket = lastTicket
    this.#signMs = nowMs
    this.#good = undefined
    this.#isAfterOutage = false
  }

  /** A good answer to an attempt that was sent after the last cut. */
  succeeded(inFlight: number, nowMs: number): void {
    if (this.#value === Infinity) return
    if (inFlight < this.#value * IN_USE) return
    if (this.#good !== undefined) this.#value += this.#value < this.#good ? 1 : AFTER_GOOD
    else if (this.#latency.isCalm) {
      // One more per round trip or per second, whichever is longer.
      const step = 1 / Math.max(this.#value, this.#traffic.successesPerSecond(nowMs))
      this.#value += step * (this.#isNearCeiling(nowMs) ? PLATEAU.slowness : 1)
    }
  }

  #isNearCeiling(nowMs: number): boolean {
    return this.#value >= this.#ceiling * PLATEAU.from && this.quietMs(nowMs) < PLATEAU.forMs
  }

  /** The cuts had nothing to do with the load: the limit is restored. */
  resume(good: number, lastTicket: number, nowMs: number): void {
    this.set(good, lastTicket, nowMs)
    // Calls have queued up meanwhile, and no overload is known: it grows fast until one shows.
    this.#good = Infinity
  }

  /**
   * An outage or a long hint has ended: the waiting calls are released gradually, at first `least` at
   * once or a share of what was good.
   */
  letOut(good: number, least: number, lastTicket: number, nowMs: number): void {
    this.set(Math.max(least, good * FIRST_SHARE), lastTicket, nowMs)
    this.#good = good
    this.#isAfterOutage = true
  }
}
