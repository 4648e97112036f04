import type { Sign } from './line-contract.ts'

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

/** Tokens at the start: as many as the retries of one call may take, even after timeouts. */
const START = 6
/** The first success reduces the balance to at most this, and time alone fills it up to this. */
const USUAL = 2
const LEAST = -2
/** What a timeout costs on top of its retry's token, because it occupied a place at the provider to the end. */
const TIMEOUT_COST = 2

/**
 * The retry budget of a target, for retries of attempts that may have been executed. Every success adds a
 * token and time adds a few, so that the budget matters only if retries feed an overload. A retry that finds
 * it empty waits for the next token.
 */
export class Tokens {
  readonly #traffic: Traffic
  #balance = START
  #hasSucceeded = false
  #atMs: number

  constructor(traffic: Traffic, nowMs: number) {
    this.#traffic = traffic
    this.#atMs = nowMs
  }

  balance(nowMs: number): number {
    this.#accrue(nowMs)
    return this.#balance
  }

  /** When the next whole token arrives without a success. */
  nextAtMs(nowMs: number): number {
    this.#accrue(nowMs)
    return nowMs + Math.max(1 - this.#balance, 0) * this.#periodMs(nowMs)
  }

  take(nowMs: number): void {
    this.#accrue(nowMs)
    this.#balance -= 1
  }

  /** Returns the token of a retry that was not sent. */
  giveBack(nowMs: number): void {
    this.#accrue(nowMs)
    this.#balance += 1
  }

  succeeded(paid: boolean, usualInFlight: number, nowMs: number): void {
    this.#accrue(nowMs)
    // What a process may spend before it knows its target would be too much for every process of a fleet.
    if (!this.#hasSucceeded) this.#balance = Math.min(this.#balance, USUAL)
    this.#hasSucceeded = true
    const capacity = 10 * this.#traffic.successesPerSecond(nowMs) + Math.max(usualInFlight, USUAL)
    this.#balance = Math.min(this.#balance + (paid ? 2 : 1), Math.max(capacity, this.#balance))
  }

  timedOut(nowMs: number): void {
    this.#accrue(nowMs)
    this.#balance = Math.max(this.#balance - TIMEOUT_COST, LEAST)
  }

  #accrue(nowMs: number): void {
    const grown = this.#balance + (nowMs - this.#atMs) / this.#periodMs(nowMs)
    this.#balance = Math.max(this.#balance, Math.min(grown, USUAL))
    this.#atMs = nowMs
  }

  #periodMs(nowMs: number): number {
    return Math.min(Math.max(10 * this.#traffic.gapMs(nowMs), 30_000), 300_000)
  }
}

/** How many seconds back the rates and the peaks look. */
const RATE_S = 10
const PEAK_S = 30

/** One slot more than the peaks look back, for the current second. */
const RING = PEAK_S + 1

/** Successes per second and peak attempts in flight over the last seconds. Constant in size. */
export class Traffic {
  readonly #bornMs: number
  readonly #successes = new Float64Array(RING)
  readonly #peaks = new Float64Array(RING)
  #second: number
  /** Exponentially decaying count of successes (half a minute). */
  #recent = 0
  #recentAtMs: number

  constructor(nowMs: number) {
    this.#bornMs = nowMs
    this.#recentAtMs = nowMs
    this.#second = Math.floor(nowMs / 1_000)
  }

  inFlight(count: number, nowMs: number): void {
    const at = this.#at(nowMs)
    if (count > (this.#peaks[at] ?? 0)) this.#peaks[at] = count
  }

  succeeded(nowMs: number): void {
    const at = this.#at(nowMs)
    this.#successes[at] = (this.#successes[at] ?? 0) + 1
    this.#recent = this.#decayed(nowMs) + 1
    this.#recentAtMs = nowMs
  }

  /** Successes per second, averaged over ten seconds or the life of the process. */
  successesPerSecond(nowMs: number): number {
    this.#at(nowMs)
    let sum = 0
    for (let back = 0; back <= RATE_S; back += 1) {
      sum += this.#successes[(this.#second - back + RING * 2) % RING] ?? 0
    }
    return sum / this.rateSpanS(nowMs)
  }

  /** The number of seconds that `successesPerSecond` averages over. */
  rateSpanS(nowMs: number): number {
    const ageS = (nowMs - this.#bornMs) / 1_000
    return Math.min(Math.max(ageS, 1), RATE_S + (nowMs / 1_000 - Math.floor(nowMs / 1_000)))
  }

  /**
   * Successes in the best of the last three seconds. When an overload starts, the mean still shows the time
   * before.
   */
  bestSecond(nowMs: number): number {
    this.#at(nowMs)
    let best = 0
    for (let back = 0; back <= 3; back += 1) {
      best = Math.max(best, this.#successes[(this.#second - back + RING * 2) % RING] ?? 0)
    }
    return best
  }

  /** The maximum number of attempts in flight in the last half minute. */
  peak(nowMs: number): number {
    this.#at(nowMs)
    let most = 0
    for (const peak of this.#peaks) if (peak > most) most = peak
    return most
  }

  /**
   * The usual time between this process's own successes, in milliseconds; 0 if the process is younger than
   * half a minute and does not know yet.
   */
  gapMs(nowMs: number): number {
    if (nowMs - this.#bornMs < MEMORY_MS) return 0
    return MEMORY_MS / Math.max(this.#decayed(nowMs), 1e-6)
  }

  #decayed(nowMs: number): number {
    return this.#recent * Math.exp((this.#recentAtMs - nowMs) / MEMORY_MS)
  }

  /** The slot of the current second; clears the slots of the seconds in between. */
  #at(nowMs: number): number {
    const second = Math.floor(nowMs / 1_000)
    if (second > this.#second) {
      const passed = Math.min(second - this.#second, RING)
      for (let step = 1; step <= passed; step += 1) {
        const at = (second - passed + step) % RING
        this.#successes[at] = 0
        this.#peaks[at] = 0
      }
      this.#second = second
    }
    return this.#second % RING
  }
}

const MEMORY_MS = 30_000

/** Number of latest answers that count. */
const RECENT = 24
/** One answer moves the baseline by at most this share, and at most by the share of a minute since the last one. */
const FOLLOW = 1 / 100
const FOLLOW_MS = 60_000
const CALM = Math.log(2)
const SLOW = Math.log(3)

/**
 * Compares the durations of the latest answers with those of calm times. Uses means of logarithms, so that a
 * mixture of short and long calls does not look like a change.
 */
export class Latency {
  readonly #logs: number[] = []
  #next = 0
  #known = 0
  #baseLog = 0
  #meanMs = 0
  #notedMs = 0
  #bornMs: number | undefined

  /** Mean duration in calm times, in milliseconds; 0 while unknown. */
  get meanMs(): number {
    return this.#meanMs
  }

  /** Whether the latest answers take less than twice as long as in calm times. */
  get isCalm(): boolean {
    return this.#logs.length === 0 || this.#recentLog() < this.#baseLog + CALM
  }

  /** Whether even the fastest of the latest answers takes three times as long as in calm times. */
  get isSlow(): boolean {
    if (this.#logs.length < RECENT || this.#known < RECENT) return false
    const limit = this.#baseLog + SLOW
    return this.#logs.every((log) => log > limit)
  }

  /** Records an answer. `quiet`: there was no recent sign of overload, so it may represent calm times. */
  note(durationMs: number, quiet: boolean, nowMs: number): void {
    const log = Math.log(Math.max(durationMs, 1))
    this.#logs[this.#next] = log
    this.#next = (this.#next + 1) % RECENT
    if (!quiet) return
    this.#known += 1
    this.#bornMs ??= nowMs
    // In a young process only short calls have ended, so the baseline follows faster.
    const isYoung = nowMs - this.#bornMs < FOLLOW_MS
    const followed = isYoung ? FOLLOW : Math.min(FOLLOW, (nowMs - this.#notedMs) / FOLLOW_MS)
    const weight = this.#known <= RECENT ? 1 / this.#known : followed
    this.#notedMs = nowMs
    this.#baseLog += (log - this.#baseLog) * weight
    this.#meanMs += (durationMs - this.#meanMs) * weight
  }

  /** Drops the latest answers after they have been acted on. */
  forgetRecent(): void {
    this.#logs.length = 0
    this.#next = 0
  }

  #recentLog(): number {
    let sum = 0
    for (const log of this.#logs) sum += log
    return sum / this.#logs.length
  }
}
