import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Child, startChild } from '../../bench/child.ts'
import { cpuRatio } from '../../bench/overhead/latency.ts'

// The goal of bench/RESULTS.md, with room for the noise of a shared machine.
const GOAL = 1.1
const SLACK = 1.3
const TRIES = 3

let provider: Child<object, string>

beforeAll(async () => {
  provider = await startChild(new URL('../../bench/overhead/provider.ts', import.meta.url))
})
afterAll(() => provider.close())

describe('a valid first answer costs a bare client and steadycall much the same CPU', () => {
  it.each(['plain', 'structured'] as const)(
    '%s, one call at a time',
    async (kind) => {
      let least = Number.POSITIVE_INFINITY
      for (let tries = 0; tries < TRIES && least > GOAL * SLACK; tries++) {
        const ratio = await cpuRatio(provider.first, { kind, atOnce: 1, calls: 100 }, 15)
        least = Math.min(least, ratio)
      }
      expect(least).toBeLessThanOrEqual(GOAL * SLACK)
    },
    120_000,
  )
})
