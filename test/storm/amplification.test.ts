import { describe, expect, it } from 'vitest'
import { mediansOf, PATIENCE } from './medians-of.ts'

// What comes later does not count here.
const FAULT_ENDS_MS = 180_000

describe.each(['A', 'B'])('requests per call within the fault of scenario %s', (scenario) => {
  const inFault = async (policy: string) =>
    (await mediansOf(scenario, policy, FAULT_ENDS_MS)).inFault

  it('are bounded by the budget, and less than one where the breaker rests', PATIENCE, async () => {
    expect(await inFault('steadycall, no breaker')).toBeLessThanOrEqual(1.3)
    expect(await inFault('steadycall')).toBeLessThanOrEqual(0.8)
  })

  it('are in the order of the policies', PATIENCE, async () => {
    const order = [
      'nested 27',
      'nested 9',
      'openai',
      'AWS 2026',
      'steadycall, no breaker',
      'no retry',
      'steadycall',
    ]
    const found = []
    for (const policy of order) found.push(await inFault(policy))
    expect(found).toEqual(found.toSorted((a, b) => b - a))
    expect(await inFault('no retry')).toBe(1)
    // Two retries each: what differs is when.
    const ratio = (await inFault('AI SDK')) / (await inFault('openai'))
    expect(Math.abs(ratio - 1)).toBeLessThan(0.1)
  })
})
