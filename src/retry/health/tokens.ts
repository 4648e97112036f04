import type { Traffic } from './traffic.ts'

/** Tokens at the start: as many as the retries of one call may take, even after timeouts. */
const START = 6
/** The first success reduces the balance to at most this, and time alone fills it up to this. */
const USUAL = 2
const LEAST = -2
/** What a timeout costs on top of its retry's token, because it occupied a place at the provider to the end. */
const TIMEOUT_COST = 2

/**
 * The retry budget of a target, for retries of attempts that may have been executed. Every success adds a
 * token and time adds a few, so that the budget matters only if retries feed an overload. A retry that finds
 * it empty waits for the next token.
 */
export class Tokens {
  readonly #traffic: Traffic
  #balance = START
  #hasSucceeded = false
  #atMs: number

  constructor(traffic: Traffic, nowMs: number) {
    this.#traffic = traffic
    this.#atMs = nowMs
  }

  balance(nowMs: number): number {
    this.#accrue(nowMs)
    return this.#balance
  }

  /** When the next whole token arrives without a success. */
  nextAtMs(nowMs: number): number {
    this.#accrue(nowMs)
    return nowMs + Math.max(1 - this.#balance, 0) * this.#periodMs(nowMs)
  }

  take(nowMs: number): void {
    this.#accrue(nowMs)
    this.#balance -= 1
  }

  /** Returns the token of a retry that was not sent. */
  giveBack(nowMs: number): void {
    this.#accrue(nowMs)
    this.#balance += 1
  }

  succeeded(paid: boolean, usualInFlight: number, nowMs: number): void {
    this.#accrue(nowMs)
    // What a process may spend before it knows its target would be too much for every process of a fleet.
    if (!this.#hasSucceeded) this.#balance = Math.min(this.#balance, USUAL)
    this.#hasSucceeded = true
    const capacity = 10 * this.#traffic.successesPerSecond(nowMs) + Math.max(usualInFlight, USUAL)
    this.#balance = Math.min(this.#balance + (paid ? 2 : 1), Math.max(capacity, this.#balance))
  }

  timedOut(nowMs: number): void {
    this.#accrue(nowMs)
    this.#balance = Math.max(this.#balance - TIMEOUT_COST, LEAST)
  }

  #accrue(nowMs: number): void {
    const grown = this.#balance + (nowMs - this.#atMs) / this.#periodMs(nowMs)
    this.#balance = Math.max(this.#balance, Math.min(grown, USUAL))
    this.#atMs = nowMs
  }

  #periodMs(nowMs: number): number {
    return Math.min(Math.max(10 * this.#traffic.gapMs(nowMs), 30_000), 300_000)
  }
}
