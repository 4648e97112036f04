import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RetryBudget, type Withdrawal } from '../../src/retry/budget.ts'

interface World {
  readonly budget: RetryBudget
  /** Withdrawals that were not refunded. */
  readonly spent: Withdrawal[]
  inFlight: number
  peak: number
  successes: number
}

const ACTIONS = {
  start(world: World) {
    world.inFlight += 1
    world.peak = Math.max(world.peak, world.inFlight)
    world.budget.firstAttemptStarted()
  },
  succeed(world: World) {
    if (world.inFlight === 0) return
    world.inFlight -= 1
    world.successes += 1
    world.budget.firstAttemptEnded(true)
  },
  fail(world: World) {
    if (world.inFlight === 0) return
    world.inFlight -= 1
    world.budget.firstAttemptEnded(false)
  },
  withdraw(world: World) {
    const withdrawal = world.budget.withdraw(1)
    if (withdrawal !== undefined) world.spent.push(withdrawal)
  },
  refund(world: World) {
    world.spent.pop()?.refund()
  },
}
type Action = keyof typeof ACTIONS

// Starts and withdrawals come twice as often, or the bucket would rarely be anything but full.
const actions = fc.array(
  fc.constantFrom<Action>('start', 'start', 'succeed', 'fail', 'withdraw', 'withdraw', 'refund'),
  { maxLength: 300, size: 'max' },
)
const capacities = fc.integer({ min: 0, max: 200 }).map((tenths) => tenths / 10)

it('a retry budget holds 0 to capacity tokens, and pays no more than it was granted', () => {
  fc.assert(
    fc.property(actions, capacities, (sequence, capacity) => {
      const budget = new RetryBudget({ capacity })
      const world: World = { budget, spent: [], inFlight: 0, peak: 0, successes: 0 }
      for (const action of sequence) {
        ACTIONS[action](world)
        expect(budget.tokens).toBeGreaterThanOrEqual(0)
        expect(budget.tokens).toBeLessThanOrEqual(capacity)
      }
      const start = Math.min(Math.max(3, 0.2 * world.peak), capacity)
      // The margin is the binary rounding of this test's own sum.
      expect(world.spent.length).toBeLessThanOrEqual(start + 0.1 * world.successes + 1e-9)
    }),
  )
})
