/** No hint closes a line for longer. */
const LONGEST_MS = 24 * 3_600_000
const SPREAD = 0.1
const TINY_SPREAD_MS = 30_000
const DISPROVED_MS = 5 * 60_000

/**
 * How long a target has asked all calls to wait, and a little longer, chosen at random, so that
 * processes with the same hint do not return together. All times are milliseconds of the monotonic
 * clock.
 */
export class Hint {
  readonly #random: () => number
  #closedUntilMs = -Infinity
  /** The same without the spread. */
  #endsMs = -Infinity
  #closedFromMs = -Infinity
  #ticket = 0
  #personalUntilMs = -Infinity

  constructor(random: () => number) {
    this.#random = random
  }

  get closedUntilMs(): number {
    return this.#closedUntilMs
  }

  /** What was said, without the spread. */
  get endsMs(): number {
    return this.#endsMs
  }

  /** What was said is over; only its spread closes the line. */
  isSpread(nowMs: number): boolean {
    return this.#endsMs <= nowMs && nowMs < this.#closedUntilMs
  }

  /** How much of what was said is left. */
  leftMs(nowMs: number): number {
    return this.#closedUntilMs > nowMs ? Math.max(this.#endsMs - nowMs, 0) : 0
  }

  /** How long of this time it has closed the line. */
  closedWithin(fromMs: number, toMs: number): number {
    return Math.max(Math.min(this.#closedUntilMs, toMs) - Math.max(this.#closedFromMs, fromMs), 0)
  }

  /**
   * An attempt was told so; `isTiny`: by a process that makes few calls, and must be one of many. Says
   * whether the line was open until now.
   */
  told(ticket: number, hintMs: number, isTiny: boolean, nowMs: number): boolean {
    // Hints of this target were wrong a moment ago: they bind the call that is given one.
    if (nowMs < this.#personalUntilMs) return false
    const heldMs = Math.min(hintMs, LONGEST_MS)
    const untilMs = nowMs + heldMs
    this.#endsMs = Math.max(this.#endsMs, untilMs)
    // One spread for all that are told of the same end.
    if (untilMs <= this.#closedUntilMs) return false
    const wasOpen = this.#closedUntilMs <= nowMs
    if (wasOpen) this.#closedFromMs = nowMs
    const spreadMs = isTiny ? Math.min(heldMs, TINY_SPREAD_MS) : heldMs * SPREAD
    this.#closedUntilMs = Math.min(untilMs + this.#random() * spreadMs, nowMs + LONGEST_MS)
    this.#ticket = ticket
    return wasOpen
  }

  /** An attempt has succeeded; says whether that shows the hint to be wrong. */
  isDisprovedBy(ticket: number, nowMs: number): boolean {
    return ticket > this.#ticket && this.#closedUntilMs > nowMs
  }

  disproved(nowMs: number): void {
    this.#endsMs = nowMs
    this.#closedUntilMs = nowMs
    this.#personalUntilMs = nowMs + DISPROVED_MS
  }
}
