import type { Failure } from '../errors/call-error.ts'

/**
 * Holds a target's traffic back after a rate limit that said for how long. The provider told one
 * call; the gate tells the others, so that they wait instead of being refused one by one.
 *
 * All times are milliseconds of the monotonic clock.
 */
export class Gate {
  #notBeforeMs = -Infinity
  #toldMs = 0

  /**
   * Closes the gate after a `rate_limit` with a hint, for the hint or `maxRetryAfterMs`, whichever
   * is shorter, and never reopens it earlier than a previous hint said. Every other failure leaves
   * it alone: one request that is too large, or a spent quota, says nothing about the next second.
   */
  learn(failure: Failure, nowMs: number, maxRetryAfterMs: number): void {
    if (failure.kind !== 'rate_limit' || failure.retryAfterMs === undefined) return
    const holdMs = Math.min(failure.retryAfterMs, maxRetryAfterMs)
    this.#toldMs = Math.max(holdMs, this.toldMs(nowMs))
    this.#notBeforeMs = Math.max(this.#notBeforeMs, nowMs + holdMs)
  }

  /**
   * The longest hint that keeps it closed; 0 when it is open. Everybody who waits has to spread over
   * a part of this, not of what is left: those who come shortly before it opens are as many, and
   * would all go through in its first moment.
   */
  toldMs(nowMs: number): number {
    return this.waitMs(nowMs) === 0 ? 0 : this.#toldMs
  }

  /** How much longer the gate is closed; 0 when it is open. */
  waitMs(nowMs: number): number {
    return Math.max(this.#notBeforeMs - nowMs, 0)
  }
}
