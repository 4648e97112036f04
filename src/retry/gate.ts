import type { Failure } from '../errors/call-error.ts'

/**
 * Holds a target's traffic back after a rate limit that said for how long. The provider told one
 * call; the gate tells the others, so that they wait instead of being refused one by one.
 *
 * All times are milliseconds of the monotonic clock.
 */
export class Gate {
  #notBeforeMs = -Infinity

  /**
   * Closes the gate after a `rate_limit` with a hint, for the hint or `maxRetryAfterMs`, whichever
   * is shorter, and never reopens it earlier than a previous hint said. Every other failure leaves
   * it alone: one request that is too large, or a spent quota, says nothing about the next second.
   */
  learn(failure: Failure, nowMs: number, maxRetryAfterMs: number): void {
    if (failure.kind !== 'rate_limit' || failure.retryAfterMs === undefined) return
    const holdMs = Math.min(failure.retryAfterMs, maxRetryAfterMs)
    this.#notBeforeMs = Math.max(this.#notBeforeMs, nowMs + holdMs)
  }

  /** How much longer the gate is closed; 0 when it is open. */
  waitMs(nowMs: number): number {
    return Math.max(this.#notBeforeMs - nowMs, 0)
  }
}
