import { describe, expect, it } from 'vitest'
import { policies, policyNamed } from '../../bench/storm/policies.ts'
import { scenarioNamed } from '../../bench/storm/scenarios.ts'
import { storm } from '../../bench/storm/storm.ts'
import { mediansOf, PATIENCE, runsOf, worstOf } from './medians-of.ts'

describe('one reset for everybody (G)', () => {
  it('loses nothing, and what comes after it is no herd', PATIENCE, async () => {
    const ours = await mediansOf('G', 'steadycall')
    expect(ours.goodput).toBeGreaterThan(99.5)
    expect(ours.peakPerS).toBeLessThanOrEqual(2 * 50)
    // One of each process is told, the others wait.
    expect(ours.inFault).toBeLessThanOrEqual(0.1)
  })
})

describe('a cold start against a rate limit (L)', () => {
  it('loses nothing', PATIENCE, async () => {
    expect((await worstOf('L', 'steadycall')).goodput).toBe(100)
    expect((await mediansOf('L', 'no retry')).goodput).toBeLessThan(75)
  })
})

describe('random failures', () => {
  it.each(['K10', 'K20'])('%s: within half a point of openai', PATIENCE, async (scenario) => {
    const ours = await mediansOf(scenario, 'steadycall')
    expect(ours.goodput).toBeGreaterThanOrEqual((await mediansOf(scenario, 'openai')).goodput - 0.5)
  })

  it('K40: a budget that successes fill costs less than two points', PATIENCE, async () => {
    const ours = await mediansOf('K40', 'steadycall')
    expect(ours.goodput).toBeGreaterThanOrEqual((await mediansOf('K40', 'openai')).goodput - 2)
  })

  it('a blip of five seconds (E) costs nobody a call', PATIENCE, async () => {
    expect((await worstOf('E', 'steadycall')).goodput).toBeGreaterThan(99.9)
  })
})

describe('hedging (J)', () => {
  it('shortens the tail for at most five percent more requests', PATIENCE, async () => {
    const hedged = await mediansOf('J', 'steadycall + hedge')
    const plain = await mediansOf('J', 'steadycall')
    expect(hedged.p99Ms).toBeLessThan(0.75 * plain.p99Ms)
    expect(hedged.amplification).toBeLessThanOrEqual(1.05)
  })
})

describe('the simulation itself', () => {
  it('has no difference between policies when nothing goes wrong', PATIENCE, async () => {
    // One answer in 22,000 takes more than 10 s: whom that meets, something has gone wrong for.
    const calm = { ...scenarioNamed('calm'), untilMs: CALM_MS, attemptTimeoutMs: 600_000 }
    for (let seed = 1; seed <= 3; seed++) {
      const hashes = new Set<string>()
      for (const policy of policies) {
        const { hash, amplification } = await storm(calm, policy, seed)
        hashes.add(hash)
        expect(amplification).toBe(1)
      }
      expect(hashes.size).toBe(1)
    }
  })

  it.each(['openai', 'steadycall', 'steadycall + fallback'])(
    '%s: the same seed gives the same events, another seed others',
    PATIENCE,
    async (name) => {
      // In this process; the others are the pool's threads, each with some of the seeds.
      const scenario = { ...scenarioNamed('N'), untilMs: SHORT_MS }
      const again = []
      for (let seed = 1; seed <= 3; seed++) {
        again.push((await storm(scenario, policyNamed(name), seed)).hash)
      }
      const runs = await runsOf('N', name, SHORT_MS)
      expect(runs.map(({ hash }) => hash)).toEqual(again.slice(0, runs.length))
      expect(new Set(again).size).toBe(3)
    },
  )
})

const CALM_MS = 30_000
/** Until half of the fault is over. */
const SHORT_MS = 150_000
