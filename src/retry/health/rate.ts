import type { Allowance } from '../../errors/hints.ts'

/** How long reported limits apply after the last sign that they are relevant. */
const BINDS_MS = 5 * 60_000
/** Weight of one answer in the mean of tokens per request. */
const NEW = 0.1

/** The end of an attempt, as far as limits are concerned. */
export interface ToldWith {
  readonly ticket: number
  /** The ticket of the attempt sent last. */
  readonly lastTicket: number
  /** Whether it was refused because of a limit. */
  readonly isRefused: boolean
  readonly allowances: readonly Allowance[] | undefined
  /** Number of tokens used, if reported. */
  readonly tokens: number | undefined
}

/**
 * The limits that a target reports in response headers. They apply from the first refusal, or once one of
 * them is nearly used up, until neither has been seen for minutes, so that a target far from its limits holds
 * no call back. Reports may be wrong, and other clients may use the same limits, so the learned limit applies
 * as well.
 */
export class Quota {
  readonly #stocks: Partial<Record<Allowance['of'], Stock>> = {}
  /** Total tokens of all requests sent, and that total at the time each attempt in flight was sent. */
  #sentTokens = 0
  readonly #sentAt = new Map<number, number>()
  #meanTokens = 0
  #bindsUntilMs = -Infinity

  /** Whether the reported limits apply. */
  binds(nowMs: number): boolean {
    return nowMs < this.#bindsUntilMs
  }

  /** Whether a reported token limit applies. */
  countsTokens(nowMs: number): boolean {
    return this.#stocks.tokens !== undefined && this.binds(nowMs)
  }

  told(end: ToldWith, nowMs: number): void {
    const { ticket, lastTicket, isRefused, allowances = [], tokens } = end
    if (tokens !== undefined) this.#learn(tokens)
    const sentSince = {
      requests: lastTicket - ticket,
      tokens: this.#tokensAfter(ticket, lastTicket),
    }
    this.#sentAt.delete(ticket)
    if (isRefused) this.#bindsUntilMs = nowMs + BINDS_MS
    for (const said of allowances) {
      const stock = this.#stocks[said.of] ?? new Stock()
      this.#stocks[said.of] = stock
      stock.told(said, ticket, sentSince[said.of], nowMs)
      if (stock.isLittle) this.#bindsUntilMs = nowMs + BINDS_MS
    }
  }

  sent(ticket: number, tokens: number, nowMs: number): void {
    if (!this.binds(nowMs)) return
    const cost = tokens === 0 ? this.#meanTokens : tokens
    this.#sentTokens += cost
    this.#sentAt.set(ticket, this.#sentTokens)
    this.#stocks.requests?.sent(1, nowMs)
    this.#stocks.tokens?.sent(cost, nowMs)
  }

  /** When enough is left for a request of this many tokens. */
  freeAtMs(tokens: number, nowMs: number): number {
    if (!this.binds(nowMs)) return nowMs
    const { requests, tokens: stock } = this.#stocks
    const atMs = Math.max(
      requests?.freeAtMs(1, nowMs) ?? nowMs,
      stock?.freeAtMs(tokens, nowMs) ?? nowMs,
    )
    // Extends the period while calls are held back, because answers then need not show that little is left.
    if (atMs > nowMs) this.#bindsUntilMs = nowMs + BINDS_MS
    return atMs
  }

  #learn(tokens: number): void {
    const mean = this.#meanTokens
    this.#meanTokens = mean === 0 ? tokens : mean + NEW * (tokens - mean)
  }

  /** Requests sent before tokens were counted are assumed to have the mean size. */
  #tokensAfter(ticket: number, lastTicket: number): number {
    const then = this.#sentAt.get(ticket)
    return then === undefined ? (lastTicket - ticket) * this.#meanTokens : this.#sentTokens - then
  }
}

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
