import type { Traffic } from './traffic.ts'

/** Tokens at the start: what the attempts of one call need beyond the first. */
const START = 2
const LEAST = -2
/** What a timeout takes beyond its retry's token: it held a place at the provider to the end. */
const TIMEOUT_COST = 2

/**
 * The retry budget of a target: retries of what may have been executed. Every success brings a
 * token and time brings a few, so that it binds only where an overload is fed by retries; whoever
 * finds it empty waits for the next token.
 */
export class Tokens {
  readonly #traffic: Traffic
  #balance = START
  #atMs: number

  constructor(traffic: Traffic, nowMs: number) {
    this.#traffic = traffic
    this.#atMs = nowMs
  }

  balance(nowMs: number): number {
    this.#accrue(nowMs)
    return this.#balance
  }

  /** When time alone brings the next whole token. */
  nextAtMs(nowMs: number): number {
    this.#accrue(nowMs)
    return nowMs + Math.max(1 - this.#balance, 0) * this.#periodMs(nowMs)
  }

  take(nowMs: number): void {
    this.#accrue(nowMs)
    this.#balance -= 1
  }

  succeeded(paid: boolean, usualInFlight: number, nowMs: number): void {
    this.#accrue(nowMs)
    const capacity = 10 * this.#traffic.successesPerSecond(nowMs) + Math.max(usualInFlight, START)
    this.#balance = Math.min(this.#balance + (paid ? 2 : 1), Math.max(capacity, this.#balance))
  }

  timedOut(nowMs: number): void {
    this.#accrue(nowMs)
    this.#balance = Math.max(this.#balance - TIMEOUT_COST, LEAST)
  }

  #accrue(nowMs: number): void {
    // Time alone fills it up to one call's retries only.
    const grown = this.#balance + (nowMs - this.#atMs) / this.#periodMs(nowMs)
    this.#balance = Math.max(this.#balance, Math.min(grown, START))
    this.#atMs = nowMs
  }

  #periodMs(nowMs: number): number {
    return Math.min(Math.max(10 * this.#traffic.gapMs(nowMs), 30_000), 300_000)
  }
}
