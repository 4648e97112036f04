import type { Backoff } from '../retry/backoff.ts'
import type { HintSpread } from '../retry/decide.ts'
import type { LoopPolicy } from '../retry/loop.ts'
import { isFunction, type Job } from './job.ts'

/** The retry loop's policy of one call. Two of its parts may change while the call runs. */
export class CallPolicy implements LoopPolicy {
  readonly maxReasks: number
  readonly maxRetryAfterMs: number
  readonly minAttemptMs: number
  readonly hintSpread: HintSpread
  readonly backoff: Backoff
  readonly mayHedge: boolean
  readonly #use: { readonly attemptsLeft: number }
  readonly #flight: { readonly onUncertain: 'rerun' | 'fail' }

  constructor(
    { options, face }: Pick<Job<unknown>, 'options' | 'face'>,
    use: { readonly attemptsLeft: number },
    flight: { readonly onUncertain: 'rerun' | 'fail' },
  ) {
    this.maxReasks = options.maxReasks
    this.maxRetryAfterMs = options.maxRetryAfterMs
    this.minAttemptMs = options.minAttemptMs
    this.hintSpread = options.hintSpread
    this.backoff = options.backoff
    // A user's function may do anything; only a completion is known to be safe to ask for twice.
    this.mayHedge = !isFunction(face)
    this.#use = use
    this.#flight = flight
  }

  /** Equal requests of the same outer call spend it together. */
  get maxAttempts(): number {
    return this.#use.attemptsLeft
  }

  /** A stricter caller may join. */
  get onUncertain(): 'rerun' | 'fail' {
    return this.#flight.onUncertain
  }
}
