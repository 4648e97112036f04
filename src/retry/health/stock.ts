import type { Allowance } from '../../errors/rate-limit-headers.ts'

const MINUTE_MS = 60_000
/** A limit with a longer reset (an hour, a day) is not used for pacing; a refusal shows when it is used up. */
const LONGEST_RESET_MS = MINUTE_MS + 1_000
/** Below this share of the limit, little is left. */
const LITTLE = 0.1

/**
 * What is left of one limit: as reported by the provider, minus what was sent since, plus what was refilled.
 * A report is valid until its reset. After that the limit is assumed to be full, minus what is sent, for the
 * same time again; then the report has expired.
 */
export class Stock {
  #limit = Infinity
  #level = Infinity
  /** Refill per millisecond. */
  #perMs = 0
  #atMs = 0
  #resetAtMs = -Infinity
  #longestResetMs = 0
  #ticket = 0
  #isLittle = false
  /** Whether nothing was sent after the request whose answer carried the report. */
  #isUntouched = true

  /** Whether little was left according to the last report. */
  get isLittle(): boolean {
    return this.#isLittle
  }

  /**
   * Records the report in the answer to this ticket. `sentSince` is what was sent after that request. Reports
   * in answers to older requests are ignored.
   */
  told(said: Allowance, ticket: number, sentSince: number, nowMs: number): void {
    if (ticket <= this.#ticket) return
    this.#ticket = ticket
    const { remaining, refill } = said
    const known = this.#limit === Infinity ? remaining : this.#limit
    const limit = Math.max(said.limit ?? known, remaining)
    const missing = limit - remaining
    const resetMs =
      said.resetMs ?? (refill === 'window' ? MINUTE_MS : share(missing, limit) * MINUTE_MS)
    this.#isLittle = remaining < limit * LITTLE
    this.#limit = limit
    this.#atMs = nowMs
    if (resetMs > LONGEST_RESET_MS) {
      this.#isLittle = false
      this.#forget()
      return
    }
    // Requests arrive almost at once, and a provider's count does not go below zero.
    this.#level = Math.max((resetMs === 0 ? limit : remaining) - sentSince, 0)
    this.#perMs = refill === 'window' ? 0 : perMsOf(missing, resetMs, limit)
    this.#isUntouched = sentSince === 0
    const resetAtMs = nowMs + resetMs
    // An answer describes the time its request arrived, so of several ends of one window the earliest is right.
    const isSameWindow = refill === 'window' && this.#resetAtMs > nowMs
    this.#resetAtMs = isSameWindow ? Math.min(this.#resetAtMs, resetAtMs) : resetAtMs
    this.#longestResetMs = Math.max(this.#longestResetMs, resetMs)
  }

  sent(cost: number, nowMs: number): void {
    this.#catchUp(nowMs)
    this.#level = Math.max(this.#level - cost, 0)
    this.#isUntouched = false
  }

  /** When enough is left for the cost, as far as known. A cost above the limit waits for a full limit. */
  freeAtMs(cost: number, nowMs: number): number {
    this.#catchUp(nowMs)
    const missing = Math.min(cost, this.#limit) - this.#level
    if (missing <= 0) return nowMs
    const refilledAtMs = this.#perMs === 0 ? Infinity : nowMs + missing / this.#perMs
    return Math.min(refilledAtMs, this.#endsAtMs(nowMs))
  }

  /** When the report, or the assumption that follows it, expires. */
  #endsAtMs(nowMs: number): number {
    return nowMs < this.#resetAtMs ? this.#resetAtMs : this.#resetAtMs + this.#longestResetMs
  }

  #catchUp(nowMs: number): void {
    const fromMs = this.#atMs
    if (nowMs <= fromMs || this.#level === Infinity) return
    this.#atMs = nowMs
    if (nowMs >= this.#resetAtMs + this.#longestResetMs) this.#forget()
    else if (this.#isReset(fromMs, nowMs)) this.#level = this.#limit
    else this.#level = Math.min(this.#level + (nowMs - fromMs) * this.#perMs, this.#limit)
  }

  /** A continuously refilling limit is full at its reset only if nothing was taken meanwhile. */
  #isReset(fromMs: number, nowMs: number): boolean {
    if (fromMs >= this.#resetAtMs || nowMs < this.#resetAtMs) return false
    return this.#perMs === 0 || this.#isUntouched
  }

  #forget(): void {
    this.#level = Infinity
    this.#resetAtMs = -Infinity
    this.#longestResetMs = 0
  }
}

function perMsOf(missing: number, resetMs: number, limit: number): number {
  return missing > 0 && resetMs > 0 ? missing / resetMs : limit / MINUTE_MS
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole
}
