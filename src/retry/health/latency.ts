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
