import type { Clock } from '../time.ts'
import { type Breaker, CircuitBreaker, NEVER_OPEN } from './breaker.ts'
import { RetryBudget, type RetryBudgetOptions } from './budget.ts'
import { Gate } from './gate.ts'

/** What all calls to one target (host, model, credential) share. */
export interface TargetState {
  readonly budget: RetryBudget
  readonly breaker: Breaker
  readonly gate: Gate
}

export interface TargetStateOptions {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** `false`: retries are not limited by a budget. */
  readonly retryBudget?: RetryBudgetOptions | false | undefined
  /** `false`: the breaker never opens. */
  readonly breaker?: boolean | undefined
}

/** @throws TypeError, RangeError for a bad option of the budget. */
export function createTargetState(options: TargetStateOptions): TargetState {
  const { clock, random, retryBudget, breaker } = options
  return {
    budget: new RetryBudget(retryBudget),
    breaker: breaker === false ? NEVER_OPEN : new CircuitBreaker({ clock, random }),
    gate: new Gate(),
  }
}
