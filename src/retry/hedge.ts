import { type NumberOptions, readNumbers } from './number-options.ts'

export interface HedgeOptions {
  /**
   * How long a first attempt may run before a second one is sent beside it, milliseconds.
   * @default the 95th percentile of the last 200 successful ones, at least 500; none before there are 50
   */
  readonly delayMs?: number | undefined
  /** Hedges as a share of first attempts, at most. @default 0.05 */
  readonly maxExtraLoad?: number | undefined
}

/**
 * When one target's slow first attempts get a second one beside them, and how often at most: the
 * hedged requests of "The Tail at Scale" (Dean and Barroso, CACM 2013), which are sent after the
 * 95th percentile of the latency and so add about 5 % of load. That share is kept by an allowance
 * earned by first attempts alone, without a minimum rate (as Finagle's BackupRequestFilter keeps
 * its): a target that has become slow as a whole is not asked twice for everything.
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

  /** @throws TypeError, RangeError for a bad option. */
  constructor(options: HedgeOptions = {}) {
    const { delayMs, maxExtraLoad } = readHedge(options)
    this.#fixedDelayMs = delayMs
    this.#share = Math.round(maxExtraLoad * THOUSAND)
  }

  /** A first attempt is sent: it earns its share of a hedge. */
  attemptStarted(): void {
    this.#allowance = Math.min(this.#allowance + this.#share, MAX_ALLOWANCE)
  }

  /** How long a first attempt took; one that lost to its hedge took at least this long. */
  attemptSucceeded(durationMs: number): void {
    this.#samples[this.#next] = durationMs
    this.#next = (this.#next + 1) % MOST_SAMPLES
    this.#fresh += 1
  }

  /** How long to wait before hedging, or undefined while too little is known. */
  get delayMs(): number | undefined {
    if (!Number.isNaN(this.#fixedDelayMs)) return this.#fixedDelayMs
    if (this.#samples.length < FEWEST_SAMPLES) return undefined
    this.#refresh()
    return Math.max(this.#p95Ms, LEAST_DELAY_MS)
  }

  /** What an attempt takes as a rule: with less time left a hedge could not end before the deadline. */
  get usualMs(): number {
    this.#refresh()
    return this.#p50Ms
  }

  /** May one be sent? */
  get isAllowed(): boolean {
    return this.#allowance >= THOUSAND
  }

  /** One is sent. */
  spend(): void {
    this.#allowance -= THOUSAND
  }

  // Sorting 200 numbers for every call would be the dearest thing a call does here.
  #refresh(): void {
    if (this.#fresh < REFRESH_EVERY && this.#p95Ms > 0) return
    this.#fresh = 0
    const sorted = [...this.#samples].sort((a, b) => a - b)
    this.#p50Ms = sorted[Math.floor(sorted.length * 0.5)] ?? 0
    this.#p95Ms = sorted[Math.floor(sorted.length * 0.95)] ?? 0
  }
}

const THOUSAND = 1_000
// A burst of hedges after a long calm is bounded as well.
const MAX_ALLOWANCE = 10 * THOUSAND
const MOST_SAMPLES = 200
const FEWEST_SAMPLES = 50
const REFRESH_EVERY = 20
const LEAST_DELAY_MS = 500

/** @throws TypeError, RangeError naming the option, its value and what is accepted. */
export function readHedge(options: HedgeOptions): Record<keyof HedgeOptions, number> {
  const read = readNumbers('hedge', options, HEDGE_NUMBERS)
  return options.delayMs === undefined ? { ...read, delayMs: Number.NaN } : read
}

export const HEDGE_NUMBERS: NumberOptions<keyof HedgeOptions> = {
  // The fallback is told apart from any delay that can be given.
  delayMs: { fallback: 0, min: 0, max: 2 ** 31 - 1 },
  maxExtraLoad: { fallback: 0.05, min: 0, max: 1 },
}
