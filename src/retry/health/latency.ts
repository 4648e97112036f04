/** How many of the latest answers count. */
const RECENT = 24
/** One answer moves the baseline by at most this share, and by the share of a minute that it took to come. */
const FOLLOW = 1 / 100
const FOLLOW_MS = 60_000
const CALM = Math.log(2)
const SLOW = Math.log(3)

/**
 * How long the latest answers took, compared with calm times. Means are of logarithms: a mixture of
 * short and long calls must not look like a change.
 */
export class Latency {
  readonly #logs: number[] = []
  #next = 0
  #known = 0
  #baseLog = 0
  #meanMs = 0
  #notedMs = 0
  #bornMs: number | undefined

  /** Mean of calm times, milliseconds; 0 before anything is known. */
  get meanMs(): number {
    return this.#meanMs
  }

  /** The latest answers take less than twice what they take in calm times. */
  get isCalm(): boolean {
    return this.#logs.length === 0 || this.#recentLog() < this.#baseLog + CALM
  }

  /** Even the fastest of the latest answers takes three times as long. */
  get isSlow(): boolean {
    if (this.#logs.length < RECENT || this.#known < RECENT) return false
    const limit = this.#baseLog + SLOW
    return this.#logs.every((log) => log > limit)
  }

  /** `quiet`: nothing has shown an overload lately, so this may be what calm times are like. */
  note(durationMs: number, quiet: boolean, nowMs: number): void {
    const log = Math.log(Math.max(durationMs, 1))
    this.#logs[this.#next] = log
    this.#next = (this.#next + 1) % RECENT
    if (!quiet) return
    this.#known += 1
    this.#bornMs ??= nowMs
    // In a young process only short calls have ended.
    const isYoung = nowMs - this.#bornMs < FOLLOW_MS
    const followed = isYoung ? FOLLOW : Math.min(FOLLOW, (nowMs - this.#notedMs) / FOLLOW_MS)
    const weight = this.#known <= RECENT ? 1 / this.#known : followed
    this.#notedMs = nowMs
    this.#baseLog += (log - this.#baseLog) * weight
    this.#meanMs += (durationMs - this.#meanMs) * weight
  }

  /** The latest answers have been acted upon. */
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
