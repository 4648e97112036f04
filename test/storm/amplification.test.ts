import { describe, expect, it } from 'vitest'
import { mediansOf, PATIENCE, worstOf } from './medians-of.ts'

// What comes later does not count here.
const FAULT_ENDS_MS = 180_000
const most = ['nested 27', 'nested 9', 'openai']
const least = ['no retry', 'steadycall']

describe.each([
  { scenario: 'A', order: [...most, 'AI SDK', 'AWS 2026', ...least] },
  // The AI SDK does not retry timeouts.
  { scenario: 'B', order: [...most, 'AWS 2026', 'AI SDK', ...least] },
])('requests per call within the fault of scenario $scenario', ({ scenario, order }) => {
  it(
    'are fewer than calls, since a target that is down is asked one at a time',
    PATIENCE,
    async () => {
      expect((await worstOf(scenario, 'steadycall', FAULT_ENDS_MS)).inFault).toBeLessThanOrEqual(
        0.8,
      )
    },
  )

  it('are in the order of the policies', PATIENCE, async () => {
    const found = []
    for (const policy of order) {
      found.push((await mediansOf(scenario, policy, FAULT_ENDS_MS)).inFault)
    }
    expect(found).toEqual(found.toSorted((a, b) => b - a))
    // Each less than the one before: two that were the same policy would be in order as well.
    expect(new Set(found).size).toBe(order.length)
    expect(found[order.indexOf('no retry')]).toBe(1)
  })
})
