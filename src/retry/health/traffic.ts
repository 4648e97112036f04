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
