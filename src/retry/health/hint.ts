/** The longest time a hint can close a line. */
const LONGEST_MS = 24 * 3_600_000
const SPREAD = 0.1
const TINY_SPREAD_MS = 30_000
const DISPROVED_MS = 5 * 60_000

/**
 * How long a target has asked all calls to wait, plus a random spread, so that processes with the same hint
 * do not return at the same moment. All times are milliseconds on the monotonic clock.
 */
export class Hint {
  readonly #random: () => number
  #closedUntilMs = -Infinity
  /** `#closedUntilMs` without the spread. */
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

  /** The end of the hint itself, without the spread. */
  get endsMs(): number {
    return this.#endsMs
  }

  /** Whether the hint is over and only its spread still closes the line. */
  isSpread(nowMs: number): boolean {
    return this.#endsMs <= nowMs && nowMs < this.#closedUntilMs
  }

  /** What is left of the hint itself, in milliseconds. */
  leftMs(nowMs: number): number {
    return this.#closedUntilMs > nowMs ? Math.max(this.#endsMs - nowMs, 0) : 0
  }

  /** For how long within this period it closed the line, in milliseconds. */
  closedWithin(fromMs: number, toMs: number): number {
    return Math.max(Math.min(this.#closedUntilMs, toMs) - Math.max(this.#closedFromMs, fromMs), 0)
  }

  /**
   * Records a hint given to an attempt. `isTiny`: this process makes few calls, so it is probably one of
   * many. Returns whether the line was open until now.
   */
  told(ticket: number, hintMs: number, isTiny: boolean, nowMs: number): boolean {
    // Hints of this target were wrong a moment ago, so a new one binds only the call it is given to.
    if (nowMs < this.#personalUntilMs) return false
    const heldMs = Math.min(hintMs, LONGEST_MS)
    const untilMs = nowMs + heldMs
    this.#endsMs = Math.max(this.#endsMs, untilMs)
    // Hints with the same end share one spread.
    if (untilMs <= this.#closedUntilMs) return false
    const wasOpen = this.#closedUntilMs <= nowMs
    if (wasOpen) this.#closedFromMs = nowMs
    const spreadMs = isTiny ? Math.min(heldMs, TINY_SPREAD_MS) : heldMs * SPREAD
    this.#closedUntilMs = Math.min(untilMs + this.#random() * spreadMs, nowMs + LONGEST_MS)
    this.#ticket = ticket
    return wasOpen
  }

  /** Whether the success of this attempt shows that the hint is wrong. */
  isDisprovedBy(ticket: number, nowMs: number): boolean {
    return ticket > this.#ticket && this.#closedUntilMs > nowMs
  }

  disproved(nowMs: number): void {
    this.#endsMs = nowMs
    this.#closedUntilMs = nowMs
    this.#personalUntilMs = nowMs + DISPROVED_MS
  }
}
