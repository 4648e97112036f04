const MINUTE_MS = 60_000

/**
 * A limit per minute: a token bucket that holds one second's worth, so that requests are spread evenly. A
 * cost above the bucket's capacity waits for a full bucket and leaves a debt; if such costs occur, the total
 * of the last minute is limited too.
 */
export class Rate {
  readonly #capacity: number
  readonly #perMs: number
  readonly #lastMinute: LastMinute | undefined
  #level: number
  #atMs: number

  /** `inLumps`: a single cost may exceed what one second adds. */
  constructor(perMinute: number, nowMs: number, inLumps = false) {
    this.#capacity = Math.max(1, perMinute / 60)
    // The refill is reduced by what a full bucket adds to a minute.
    this.#perMs = (perMinute - this.#capacity + 1) / MINUTE_MS
    this.#lastMinute = inLumps ? new LastMinute(perMinute) : undefined
    this.#level = this.#capacity
    this.#atMs = nowMs
  }

  /** When there is enough for the cost. */
  nextAtMs(cost: number, nowMs: number): number {
    this.#refill(nowMs)
    const missing = Math.min(cost, this.#capacity) - this.#level
    // Rounded up, because rounding down would return a moment too early.
    const atMs = missing <= 0 ? nowMs : Math.ceil(nowMs + missing / this.#perMs)
    return Math.max(atMs, this.#lastMinute?.nextAtMs(cost, nowMs) ?? nowMs)
  }

  /** May leave a debt. A negative cost returns what was overestimated. */
  take(cost: number, nowMs: number): void {
    this.#refill(nowMs)
    this.#level = Math.min(this.#level - cost, this.#capacity)
    this.#lastMinute?.take(cost, nowMs)
  }

  #refill(nowMs: number): void {
    const grown = this.#level + (nowMs - this.#atMs) * this.#perMs
    this.#level = Math.min(grown, this.#capacity)
    this.#atMs = nowMs
  }
}

const SLOT_MS = 500
/** A minute, plus the current slot. */
const SLOTS = MINUTE_MS / SLOT_MS + 1

/** The total of the last minute in slots of half a second, so rounded up to slightly more than a minute. */
class LastMinute {
  readonly #most: number
  readonly #taken = new Float64Array(SLOTS)
  #sum = 0
  #slot = 0

  constructor(most: number) {
    this.#most = most
  }

  /** When the cost fits within the limit; a cost above the limit waits until nothing else counts. */
  nextAtMs(cost: number, nowMs: number): number {
    this.#moveTo(nowMs)
    let excess = this.#sum + Math.min(cost, this.#most) - this.#most
    if (excess <= 0) return nowMs
    for (let back = SLOTS - 1; back >= 0; back -= 1) {
      excess -= this.#taken[this.#at(back)] ?? 0
      if (excess <= 0) return (this.#slot - back + SLOTS) * SLOT_MS
    }
    return nowMs
  }

  take(cost: number, nowMs: number): void {
    this.#moveTo(nowMs)
    if (cost >= 0) {
      this.#taken[this.#at(0)] = (this.#taken[this.#at(0)] ?? 0) + cost
      this.#sum += cost
      return
    }
    // Returned from the oldest slot on, so that what remains does not expire too early.
    let left = -cost
    for (let back = SLOTS - 1; back >= 0 && left > 0; back -= 1) {
      const part = Math.min(this.#taken[this.#at(back)] ?? 0, left)
      this.#taken[this.#at(back)] = (this.#taken[this.#at(back)] ?? 0) - part
      this.#sum -= part
      left -= part
    }
  }

  #moveTo(nowMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS)
    for (let passed = Math.min(slot - this.#slot, SLOTS); passed > 0; passed -= 1) {
      const oldest = (slot - passed + 1 + SLOTS) % SLOTS
      this.#sum -= this.#taken[oldest] ?? 0
      this.#taken[oldest] = 0
    }
    this.#slot = Math.max(slot, this.#slot)
  }

  #at(back: number): number {
    return (this.#slot - back + SLOTS) % SLOTS
  }
}
