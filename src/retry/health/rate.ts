const MINUTE_MS = 60_000

/**
 * So much a minute and not more, in any minute: a token bucket that holds one second's worth, so that
 * a minute's allowance is spread over it. Something that costs more than the bucket holds waits for a
 * full one and leaves a debt.
 */
export class Rate {
  readonly #capacity: number
  readonly #perMs: number
  #level: number
  #atMs: number

  constructor(perMinute: number, nowMs: number) {
    this.#capacity = Math.max(1, perMinute / 60)
    // What a full bucket adds to a minute is taken off its refill.
    this.#perMs = (perMinute - this.#capacity + 1) / MINUTE_MS
    this.#level = this.#capacity
    this.#atMs = nowMs
  }

  /** When there is enough for it. */
  nextAtMs(cost: number, nowMs: number): number {
    this.#refill(nowMs)
    const missing = Math.min(cost, this.#capacity) - this.#level
    return missing <= 0 ? nowMs : nowMs + missing / this.#perMs
  }

  /** Below zero, a debt; a negative cost gives back what was estimated too high. */
  take(cost: number, nowMs: number): void {
    this.#refill(nowMs)
    this.#level = Math.min(this.#level - cost, this.#capacity)
  }

  #refill(nowMs: number): void {
    const grown = this.#level + (nowMs - this.#atMs) * this.#perMs
    this.#level = Math.min(grown, this.#capacity)
    this.#atMs = nowMs
  }
}
