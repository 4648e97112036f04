import type { Breaker, Permit } from '../../src/retry/breaker.ts'
import { RetryBudget, type Withdrawal } from '../../src/retry/budget.ts'
import { Gate } from '../../src/retry/gate.ts'
import type { Policy } from './policies.ts'
import type { ShippedPolicy } from './shipped-client.ts'

/** Our policy with one part taken out: what that part is there for has to show. */
const parts = {
  'no budget': { retryBudget: false },
  'no budget, no breaker': { retryBudget: false, breaker: false },
  'no spread after a hint': { call: { hintSpread: { ratio: 0, minMs: 0, maxMs: 0, stretch: 0 } } },
  'no random part after a hint': { call: { hintSpread: { ratio: 0, minMs: 0, maxMs: 0 } } },
  'no budget, no breaker + fallback': { retryBudget: false, breaker: false, fallsBack: true },
  'no gate': { spoil: (state) => ({ ...state, gate: new Ajar() }) },
  'no refund': { spoil: (state) => ({ ...state, budget: new Unrefunded() }) },
  'no generations': {
    spoil: (state) => ({ ...state, breaker: new Ungenerated(state.breaker) }),
  },
} as const satisfies Readonly<Record<string, ShippedPolicy>>

export const spoiled: readonly Policy[] = Object.entries<ShippedPolicy>(parts).map(
  ([name, shipped]) => ({ name, shipped }),
)

/** Each call has to be told of the limit itself. */
class Ajar extends Gate {
  override learn(): void {}
}

class Unrefunded extends RetryBudget {
  override withdraw(cost: number): Withdrawal | undefined {
    const paid = super.withdraw(cost)
    return paid === undefined ? undefined : { refund() {} }
  }
}

/** Takes the result of an old permit for news, as a breaker does that does not number its states. */
class Ungenerated implements Breaker {
  readonly #breaker: Breaker
  #generation = 0
  #state: Breaker['state'] = 'closed'

  constructor(breaker: Breaker) {
    this.#breaker = breaker
  }

  get state(): Breaker['state'] {
    const { state } = this.#breaker
    if (state !== this.#state) this.#generation += 1
    this.#state = state
    return state
  }

  get retryAtMs(): number | undefined {
    return this.#breaker.retryAtMs
  }

  tryAcquire(): Permit | undefined {
    this.#look()
    const permit = this.#breaker.tryAcquire()
    if (permit === undefined) return undefined
    const generation = this.#generation
    let settled = false
    const settle = (how: keyof Permit) => () => {
      if (settled) return
      settled = true
      this.#look()
      if (generation !== this.#generation) {
        permit.cancel()
        // As if it had been made in the state of now.
        this.#breaker.tryAcquire()?.[how]()
      } else {
        permit[how]()
      }
      this.#look()
    }
    return {
      success: settle('success'),
      failure: settle('failure'),
      answered: settle('answered'),
      cancel: settle('cancel'),
    }
  }

  #look(): void {
    void this.state
  }
}
