import type { Allowance } from '../../errors/rate-limit-headers.ts'

const MINUTE_MS = 60_000
/** What comes back later is no pace: whether it is spent is for the provider's own refusal to say. */
const LONGEST_RESET_MS = MINUTE_MS + 1_000
/** Less than this share of the limit is little. */
const LITTLE = 0.1

/**
 * What is left of one limit by the provider's word, less what was sent since, plus what has come back.
 * Its word holds until its own reset. From then on the limit is thought to be whole, less what is sent
 * after, for as long again; then nothing is known of it any more.
 */
export class Stock {
  #limit = Infinity
  #level = Infinity
  /** Comes back in a millisecond. */
  #perMs = 0
  #atMs = 0
  #resetAtMs = -Infinity
  #longestResetMs = 0
  #ticket = 0
  #isLittle = false
  /** Nothing was sent since the request whose answer told of it. */
  #isUntouched = true

  /** Little was left of it when it was told last. */
  get isLittle(): boolean {
    return this.#isLittle
  }

  /**
   * With the answer to this ticket; `sentSince`: what was sent after it. An older one than it has
   * heard of says nothing new.
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
    // Requests arrive within moments, and a provider's own count does not go below zero.
    this.#level = Math.max((resetMs === 0 ? limit : remaining) - sentSince, 0)
    this.#perMs = refill === 'window' ? 0 : perMsOf(missing, resetMs, limit)
    this.#isUntouched = sentSince === 0
    const resetAtMs = nowMs + resetMs
    // An answer says how things were when its request arrived: of one window's ends the first is true.
    const isSameWindow = refill === 'window' && this.#resetAtMs > nowMs
    this.#resetAtMs = isSameWindow ? Math.min(this.#resetAtMs, resetAtMs) : resetAtMs
    this.#longestResetMs = Math.max(this.#longestResetMs, resetMs)
  }

  sent(cost: number, nowMs: number): void {
    this.#catchUp(nowMs)
    this.#level = Math.max(this.#level - cost, 0)
    this.#isUntouched = false
  }

  /** When there is enough for it, as far as is known. More than the whole limit is never waited for. */
  freeAtMs(cost: number, nowMs: number): number {
    this.#catchUp(nowMs)
    const missing = Math.min(cost, this.#limit) - this.#level
    if (missing <= 0) return nowMs
    const refilledAtMs = this.#perMs === 0 ? Infinity : nowMs + missing / this.#perMs
    return Math.min(refilledAtMs, this.#endsAtMs(nowMs))
  }

  /** When the word that holds now, or what is thought after it, is void. */
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

  /** What comes back all the time is whole at the reset only where nothing was taken meanwhile. */
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
