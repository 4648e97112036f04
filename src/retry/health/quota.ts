import type { Allowance } from '../../errors/rate-limit-headers.ts'
import { Stock } from './stock.ts'

/** So long after the last sign that it matters, what is left of the limits binds. */
const BINDS_MS = 5 * 60_000
/** Weight of one answer in what requests use on average. */
const NEW = 0.1

/** An attempt's end, as far as limits are read of it. */
export interface ToldWith {
  readonly ticket: number
  /** Of the attempt sent last. */
  readonly lastTicket: number
  /** It was refused for a limit. */
  readonly isRefused: boolean
  readonly allowances: readonly Allowance[] | undefined
  /** Tokens it used, where it says so. */
  readonly tokens: number | undefined
}

/**
 * What a target says of its own limits, with its answers. It binds from the first refusal, or from
 * when little is left of one of them, until neither has been seen for minutes: a target far from its
 * limits costs nobody a wait. It may be wrong, and others may draw on the same limits: what is
 * learned of the target holds beside it.
 */
export class Quota {
  readonly #stocks: Partial<Record<Allowance['of'], Stock>> = {}
  /** Tokens of all that was sent, and how many they were when each that is in flight was. */
  #sentTokens = 0
  readonly #sentAt = new Map<number, number>()
  #meanTokens = 0
  #bindsUntilMs = -Infinity

  /** Does what is left hold calls back? */
  binds(nowMs: number): boolean {
    return nowMs < this.#bindsUntilMs
  }

  /** Is there any use in knowing how many tokens a request needs? */
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

  /** When what is left is enough for a request of so many tokens. */
  freeAtMs(tokens: number, nowMs: number): number {
    if (!this.binds(nowMs)) return nowMs
    const { requests, tokens: stock } = this.#stocks
    const atMs = Math.max(
      requests?.freeAtMs(1, nowMs) ?? nowMs,
      stock?.freeAtMs(tokens, nowMs) ?? nowMs,
    )
    // Where it holds calls back, its answers need not show that little is left.
    if (atMs > nowMs) this.#bindsUntilMs = nowMs + BINDS_MS
    return atMs
  }

  #learn(tokens: number): void {
    const mean = this.#meanTokens
    this.#meanTokens = mean === 0 ? tokens : mean + NEW * (tokens - mean)
  }

  /** What was sent before anybody counted is taken for as much as requests use on average. */
  #tokensAfter(ticket: number, lastTicket: number): number {
    const then = this.#sentAt.get(ticket)
    return then === undefined ? (lastTicket - ticket) * this.#meanTokens : this.#sentTokens - then
  }
}
