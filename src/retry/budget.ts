import type { Failure } from '../errors/call-error.ts'
import { type NumberOptions, readNumbers } from './number-options.ts'

export interface RetryBudgetOptions {
  /** Most tokens the bucket holds. @default 10 */
  readonly capacity?: number | undefined
  /**
   * Tokens at the start, at most `capacity`. A given number is exact.
   * @default 3, or a fifth of the most first attempts ever in flight at once, if that is more
   */
  readonly initial?: number | undefined
  /** Earned by a call whose first attempt on the target succeeds. @default 0.1 */
  readonly depositPerSuccess?: number | undefined
  /** Tokens a retry after a timeout costs: the attempt held a place at the provider to the end. @default 2 */
  readonly timeoutCost?: number | undefined
}

/** A payment that can be taken back. */
export interface Withdrawal {
  /** Gives the tokens back; only the first time counts. */
  refund(): void
}

/**
 * The retries one target may still be sent, as a token bucket shared by all calls of a process
 * (the idea of gRPC's retry throttling, proposal A6, and of the AWS SDKs' retry quota). While
 * almost all calls succeed it never binds; in an outage it keeps a process from doubling the load.
 *
 * The bucket never waits: it has the tokens or it has not.
 *
 * The start. A process that begins with a hundred calls at once has earned nothing yet, so by
 * default the start follows the load: whenever the number of first attempts in flight reaches a
 * new peak, the start is raised to max(3, 0.2 × peak), never above `capacity`, and the difference
 * is added to the balance. Each rise is granted once, however often the load comes and goes.
 *
 * Hence for the whole life of a bucket:
 * cost of withdrawals never refunded ≤ start + depositPerSuccess × successes, and start ≤ capacity.
 */
export class RetryBudget {
  // All amounts in thousandths of a token: 0.1 added ten times is not 1 in binary fractions.
  readonly #capacity: number
  readonly #deposit: number
  readonly #startFollowsLoad: boolean
  readonly #timeoutCost: number
  #start: number
  #balance: number
  #inFlight = 0

  /**
   * `false`: unlimited.
   * @throws TypeError, RangeError for a bad option.
   */
  constructor(options: RetryBudgetOptions | false = {}) {
    const { capacity, initial, depositPerSuccess, timeoutCost } = readBudget(options)
    this.#capacity = inThousandths(capacity)
    this.#deposit = inThousandths(depositPerSuccess)
    this.#timeoutCost = timeoutCost
    this.#start = inThousandths(initial)
    this.#balance = this.#start
    this.#startFollowsLoad = options !== false && options.initial === undefined
  }

  /** What the bucket holds; Infinity when unlimited. */
  get tokens(): number {
    return this.#balance / THOUSAND
  }

  /** Most it holds; Infinity when unlimited. */
  get capacity(): number {
    return this.#capacity / THOUSAND
  }

  /** Half of what it can hold or more is gone; never when unlimited. */
  get isHalfSpent(): boolean {
    return this.#balance < Infinity && this.#balance <= this.#capacity / 2
  }

  /**
   * Tokens a retry after this failure costs: 1; after a timeout `timeoutCost`. A hinted rate limit
   * costs none: its retry waits until the provider has room, and the gate holds everybody else back
   * meanwhile.
   */
  costOf(failure: Failure): number {
    if (failure.kind === 'timeout') return this.#timeoutCost
    return failure.kind === 'rate_limit' && (failure.retryAfterMs ?? 0) > 0 ? 0 : 1
  }

  has(tokens: number): boolean {
    return this.#balance >= inThousandths(tokens)
  }

  /** Takes the tokens, or takes nothing and returns undefined. */
  withdraw(tokens: number): Withdrawal | undefined {
    if (!this.has(tokens)) return undefined
    let amount = inThousandths(tokens)
    this.#balance -= amount
    return {
      refund: () => {
        this.#add(amount)
        amount = 0
      },
    }
  }

  /** A call makes its first attempt on this target. Pairs with one `firstAttemptEnded`. */
  firstAttemptStarted(): void {
    this.#inFlight += 1
    if (!this.#startFollowsLoad) return
    const grown = Math.min(this.#inFlight * START_PER_ATTEMPT, this.#capacity)
    if (grown <= this.#start) return
    this.#add(grown - this.#start)
    this.#start = grown
  }

  firstAttemptEnded(succeeded: boolean): void {
    this.#inFlight -= 1
    if (succeeded) this.#add(this.#deposit)
  }

  #add(amount: number): void {
    this.#balance = Math.min(this.#balance + amount, this.#capacity)
  }
}

const THOUSAND = 1_000
const START_PER_ATTEMPT = 200

function inThousandths(tokens: number): number {
  return Math.round(tokens * THOUSAND)
}

/** @throws TypeError, RangeError naming the option, its value and what is accepted. */
export function readBudget(
  options: RetryBudgetOptions | false,
): Record<keyof RetryBudgetOptions, number> {
  if (options === false) {
    return { capacity: Infinity, initial: Infinity, depositPerSuccess: 0, timeoutCost: 0 }
  }
  return readNumbers('retryBudget', options, budgetNumbers(options))
}

/** What each accepts: `initial` at most the capacity. */
export function budgetNumbers(
  options: RetryBudgetOptions,
): NumberOptions<keyof RetryBudgetOptions> {
  const { capacity = 10 } = Object(options) as RetryBudgetOptions
  return {
    capacity: { fallback: 10, min: 0, max: 1_000_000 },
    initial: { fallback: Math.min(3, capacity), min: 0, max: capacity },
    depositPerSuccess: { fallback: 0.1, min: 0, max: 1 },
    // AWS's retry quota prices a timeout at twice a plain failure as well.
    timeoutCost: { fallback: 2, min: 0, max: 1_000_000 },
  }
}
