import type { Allowance } from '../../errors/rate-limit-headers.ts'
import { Stock } from './stock.ts'

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
