import { type NumberOptions, readNumbers } from './health/limit-options.ts'

/** When and how often a slow first attempt gets a second one in parallel. */
export interface HedgeOptions {
  /**
   * How long a first attempt may run before a second one is sent in parallel, in milliseconds.
   * @default the 95th percentile of the last 200 successful ones, at least 500; no hedges before there are 50
   */
  readonly delayMs?: number | undefined
  /** Maximum share of first attempts that are hedged, from 0 to 1. @default 0.05 */
  readonly maxExtraLoad?: number | undefined
}

/**
 * Decides when slow first attempts at a target get a second one in parallel, and limits how often. These are
 * the hedged requests of "The Tail at Scale" (Dean and Barroso, CACM 2013), sent after the 95th percentile of
 * the latency, which adds about 5 % of load. An allowance earned only by first attempts, without a minimum
 * rate (as in Finagle's BackupRequestFilter), enforces that share: a target that has become slow as a whole
 * does not get twice the requests.
 */
export class Hedging {
  readonly #fixedDelayMs: number
  readonly #share: number
  readonly #samples: number[] = []
  #next = 0
  #fresh = 0
  #p50Ms = 0
  #p95Ms = 0
  #allowance = 0

  /** @throws TypeError, RangeError for an invalid option. */
  constructor(options: HedgeOptions = {}) {
    const { delayMs, maxExtraLoad } = readHedge(options)
    this.#fixedDelayMs = delayMs
    this.#share = Math.round(maxExtraLoad * THOUSAND)
  }

  /** Records that a first attempt is sent, which earns its share of a hedge. */
  attemptStarted(): void {
    this.#allowance = Math.min(this.#allowance + this.#share, MAX_ALLOWANCE)
  }

  /** Records the duration of a first attempt; for one that lost to its hedge, a lower bound. */
  attemptSucceeded(durationMs: number): void {
    this.#samples[this.#next] = durationMs
    this.#next = (this.#next + 1) % MOST_SAMPLES
    this.#fresh += 1
  }

  /** How long to wait before hedging; undefined while too little is known. */
  get delayMs(): number | undefined {
    if (!Number.isNaN(this.#fixedDelayMs)) return this.#fixedDelayMs
    if (this.#samples.length < FEWEST_SAMPLES) return undefined
    this.#refresh()
    return Math.max(this.#p95Ms, LEAST_DELAY_MS)
  }

  /** The median duration: with less time left, a hedge could not end before the deadline. */
  get usualMs(): number {
    this.#refresh()
    return this.#p50Ms
  }

  /** Whether a hedge may be sent. */
  get isAllowed(): boolean {
    return this.#allowance >= THOUSAND
  }

  /** Records that a hedge is sent. */
  spend(): void {
    this.#allowance -= THOUSAND
  }

  // Not on every call: sorting 200 numbers would be the most expensive part of a call here.
  #refresh(): void {
    if (this.#fresh < REFRESH_EVERY && this.#p95Ms > 0) return
    this.#fresh = 0
    const sorted = [...this.#samples].sort((a, b) => a - b)
    this.#p50Ms = sorted[Math.floor(sorted.length * 0.5)] ?? 0
    this.#p95Ms = sorted[Math.floor(sorted.length * 0.95)] ?? 0
  }
}

const THOUSAND = 1_000
// Limits a burst of hedges after a long calm.
const MAX_ALLOWANCE = 10 * THOUSAND
const MOST_SAMPLES = 200
const FEWEST_SAMPLES = 50
const REFRESH_EVERY = 20
const LEAST_DELAY_MS = 500

/** @throws TypeError, RangeError naming the option, its value and what is allowed. */
export function readHedge(options: HedgeOptions): Record<keyof HedgeOptions, number> {
  const read = readNumbers('hedge', options, HEDGE_NUMBERS)
  return options.delayMs === undefined ? { ...read, delayMs: Number.NaN } : read
}

export const HEDGE_NUMBERS: NumberOptions<keyof HedgeOptions> = {
  // The fallback is not used: `readHedge` replaces it by NaN, which no given delay can be.
  delayMs: { fallback: 0, min: 0, max: 2 ** 31 - 1 },
  maxExtraLoad: { fallback: 0.05, min: 0, max: 1 },
}
