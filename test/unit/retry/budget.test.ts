import { describe, expect, it } from 'vitest'
import { RetryBudget } from '../../../src/retry/budget.ts'
import { failureOf } from './failures.ts'

function withInFlight(count: number, budget: RetryBudget = new RetryBudget()): RetryBudget {
  for (let call = 0; call < count; call += 1) budget.firstAttemptStarted()
  return budget
}

describe('RetryBudget', () => {
  it.each([
    { inFlight: 0, tokens: 3 },
    { inFlight: 15, tokens: 3 },
    { inFlight: 16, tokens: 3.2 },
    { inFlight: 40, tokens: 8 },
    { inFlight: 50, tokens: 10 },
    { inFlight: 500, tokens: 10 },
  ])('starts with $tokens tokens for $inFlight first attempts at once', ({ inFlight, tokens }) => {
    expect(withInFlight(inFlight).tokens).toBe(tokens)
  })

  it('grants the rise of the start once, however often the load comes back', () => {
    const budget = withInFlight(30)
    for (let token = 0; token < 6; token += 1) expect(budget.withdraw(1)).toBeDefined()
    for (let call = 0; call < 30; call += 1) budget.firstAttemptEnded(false)
    withInFlight(30, budget)
    expect(budget.tokens).toBe(0)
    budget.firstAttemptStarted()
    expect(budget.tokens).toBe(0.2)
  })

  it('keeps a start that was given, whatever the load', () => {
    expect(withInFlight(100, new RetryBudget({ initial: 1 })).tokens).toBe(1)
  })

  it('earns a whole token from exactly ten successes', () => {
    const budget = new RetryBudget({ initial: 0 })
    for (let call = 0; call < 9; call += 1) {
      budget.firstAttemptStarted()
      budget.firstAttemptEnded(true)
    }
    expect(budget.withdraw(1)).toBeUndefined()
    budget.firstAttemptStarted()
    budget.firstAttemptEnded(true)
    expect(budget.withdraw(1)).toBeDefined()
    expect(budget.tokens).toBe(0)
  })

  it('earns nothing from a failed first attempt', () => {
    const budget = withInFlight(1)
    budget.firstAttemptEnded(false)
    expect(budget.tokens).toBe(3)
  })

  it('never holds more than its capacity', () => {
    const budget = new RetryBudget({ capacity: 3.05 })
    budget.firstAttemptStarted()
    budget.firstAttemptEnded(true)
    expect(budget.tokens).toBe(3.05)
  })

  it('takes nothing when it cannot pay in full', () => {
    const budget = new RetryBudget({ initial: 1 })
    expect(budget.withdraw(2)).toBeUndefined()
    expect(budget.tokens).toBe(1)
  })

  it('refunds a withdrawal once', () => {
    const budget = new RetryBudget()
    const withdrawal = budget.withdraw(2)
    expect(budget.tokens).toBe(1)
    withdrawal?.refund()
    withdrawal?.refund()
    expect(budget.tokens).toBe(3)
  })

  it('is never empty when switched off', () => {
    const budget = withInFlight(100, new RetryBudget(false))
    for (let retry = 0; retry < 1_000; retry += 1) expect(budget.withdraw(2)).toBeDefined()
    budget.firstAttemptEnded(true)
    expect(budget.tokens).toBe(Infinity)
  })

  it('lets a small capacity lower the default start', () => {
    expect(new RetryBudget({ capacity: 1 }).tokens).toBe(1)
  })

  it.each([
    [{ capacity: -1 }, 'retryBudget: capacity is -1; accepted is a number from 0 to 1000000'],
    [{ capacity: 5, initial: 6 }, 'retryBudget: initial is 6; accepted is a number from 0 to 5'],
    [
      { depositPerSuccess: 2 },
      'retryBudget: depositPerSuccess is 2; accepted is a number from 0 to 1',
    ],
  ])('refuses %j and says what it accepts', (options, message) => {
    expect(() => new RetryBudget(options)).toThrow(new RangeError(message))
  })
})

describe('the cost of a retry', () => {
  it.each([
    { kind: 'server_error', over: {}, cost: 1 },
    { kind: 'timeout', over: {}, cost: 2 },
    { kind: 'rate_limit', over: {}, cost: 1 },
    { kind: 'rate_limit', over: { retryAfterMs: 2_000 }, cost: 0 },
    // A hint of nothing makes nobody wait, so it does not make the retry free.
    { kind: 'rate_limit', over: { retryAfterMs: 0 }, cost: 1 },
    { kind: 'overloaded', over: { retryAfterMs: 2_000 }, cost: 1 },
  ] as const)('$kind $over costs $cost', ({ kind, over, cost }) => {
    expect(new RetryBudget().costOf(failureOf(kind, over))).toBe(cost)
  })
})
