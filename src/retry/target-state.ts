import type { Clock } from '../time.ts'
import {
  type Breaker,
  type BreakerOptions,
  CircuitBreaker,
  NEVER_OPEN,
  readBreaker,
} from './breaker.ts'
import { RetryBudget, type RetryBudgetOptions, readBudget } from './budget.ts'
import { Gate } from './gate.ts'
import { type HedgeOptions, Hedging, readHedge } from './hedge.ts'
import { type ConcurrencyOptions, readConcurrency, Slots } from './slots.ts'

/** What all calls to one target (host, model, credential) share. */
export interface TargetState {
  readonly budget: RetryBudget
  readonly breaker: Breaker
  readonly gate: Gate
  /** Only with a concurrency limit. */
  readonly slots?: Slots
  /** Only with hedging. */
  readonly hedging?: Hedging
}

/** How one target is treated; equal settings share one state. */
export interface TargetSettings {
  /** `false`: retries are not limited by a budget. */
  readonly retryBudget?: RetryBudgetOptions | false | undefined
  /** `false`: the breaker never opens. */
  readonly breaker?: BreakerOptions | boolean | undefined
  readonly concurrency?: ConcurrencyOptions | number | undefined
  readonly hedge?: HedgeOptions | boolean | undefined
}

export interface TargetStateOptions extends TargetSettings {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** @throws TypeError, RangeError for a bad option. */
export function createTargetState(options: TargetStateOptions): TargetState {
  const { clock, random, retryBudget, breaker, concurrency, hedge = false } = options
  return {
    budget: new RetryBudget(retryBudget),
    breaker:
      breaker === false ? NEVER_OPEN : new CircuitBreaker({ clock, random }, limitsOf(breaker)),
    gate: new Gate(),
    ...(concurrency !== undefined && { slots: new Slots(concurrency, clock) }),
    ...(hedge !== false && { hedging: new Hedging(limitsOf(hedge)) }),
  }
}

/** The same text for settings that come to the same, however they are written; '' for the defaults. */
export function settingsKey(settings: TargetSettings): string {
  const text = canonical(settings)
  return text === DEFAULTS ? '' : ` ${text}`
}

function canonical({
  retryBudget = {},
  breaker = true,
  concurrency,
  hedge = false,
}: TargetSettings): string {
  return JSON.stringify([
    readBudget(retryBudget),
    // Not given it follows the load.
    retryBudget !== false && retryBudget.initial === undefined,
    breaker !== false && readBreaker(limitsOf(breaker) ?? {}),
    concurrency !== undefined && readConcurrency(concurrency),
    hedge !== false && readHedge(limitsOf(hedge) ?? {}),
  ])
}

const DEFAULTS = canonical({})

/** `true` stands for the defaults. */
function limitsOf<Options extends object>(given: Options | true | undefined): Options | undefined {
  return given === true ? undefined : given
}
