import type { Backoff } from '../retry/backoff.ts'
import type { LoopPolicy } from '../retry/loop.ts'
import { isFunction, type Job } from './job.ts'
import type { OuterUse } from './outer-use.ts'
import type { CallRecord } from './record.ts'

/** The retry loop's policy of one call. Some of its parts may change while the call runs. */
export class CallPolicy implements LoopPolicy {
  readonly maxReasks: number
  readonly maxWaitMs: number
  readonly maxHintMs: number
  readonly minAttemptMs: number
  readonly backoff: Backoff | undefined
  readonly nested: boolean
  readonly bulk: boolean
  readonly mayHedge: boolean
  readonly #record: Pick<CallRecord, 'attempts'>
  readonly #use: OuterUse
  readonly #around: { holdsPlaceIn(line: object): boolean }
  readonly #flight: { readonly onUncertain: 'rerun' | 'fail' }

  constructor(
    { options, face }: Pick<Job<unknown>, 'options' | 'face'>,
    record: Pick<CallRecord, 'attempts'>,
    use: OuterUse,
    flight: { readonly onUncertain: 'rerun' | 'fail' },
    around: { readonly isNested: boolean; holdsPlaceIn(line: object): boolean },
  ) {
    this.maxReasks = options.maxReasks
    this.maxWaitMs = options.maxWaitMs
    this.maxHintMs = options.maxHintMs
    this.minAttemptMs = options.minAttemptMs
    this.nested = around.isNested
    this.#around = around
    this.bulk = options.priority === 'bulk'
    this.backoff = options.backoff
    // A user's function may do anything; only a completion is known to be safe to ask for twice.
    this.mayHedge = !isFunction(face)
    this.#record = record
    this.#use = use
    this.#flight = flight
  }

  holdsPlaceIn(line: object): boolean {
    return this.nested && this.#around.holdsPlaceIn(line)
  }

  /** Equal requests of the same outer call spend it together. */
  get maxAttempts(): number {
    return this.#use.attemptsLeft
  }

  get maxRequests(): number {
    return this.#use.requestsLeft
  }

  /** A stricter caller may join. */
  get onUncertain(): 'rerun' | 'fail' {
    return this.#flight.onUncertain
  }

  /** A refusal after a timeout does not undo what the timeout may have left behind. */
  get mayHaveRun(): boolean {
    return this.#record.attempts.some(({ executed }) => executed !== 'no')
  }

  /** How many attempts may have been executed, and did not say. */
  get doubts(): number {
    return this.#record.attempts.filter(({ executed }) => executed === 'maybe').length
  }
}
