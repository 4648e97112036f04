import { describe, expect, it } from 'vitest'
import { mediansOf, NEVER, PATIENCE, worstOf } from './medians-of.ts'

describe.each(['B', 'C', 'F'])('after the brownout of scenario %s', (scenario) => {
  // What nested 27 does in C and F is no news, and takes a minute to play.
  it.each(['openai', 'nested 9', ...(scenario === 'B' ? ['nested 27'] : [])])(
    '%s keeps the provider down for good',
    PATIENCE,
    async (policy) => {
      const { recoveryS, goodput } = await mediansOf(scenario, policy)
      expect(recoveryS).toBe(NEVER)
      expect(goodput).toBeLessThan(35)
    },
  )

  it(
    'the AI SDK, which retries no timeout, recovers, but not before no retry',
    PATIENCE,
    async () => {
      const { recoveryS } = await mediansOf(scenario, 'AI SDK')
      expect(recoveryS).toBeLessThan(NEVER)
      const none = await mediansOf(scenario, 'no retry')
      expect(recoveryS).toBeGreaterThanOrEqual(none.recoveryS)
    },
  )

  it(
    'ours has recovered within a minute, and lost no more than without retries',
    PATIENCE,
    async () => {
      expect((await worstOf(scenario, 'steadycall')).recoveryS).toBeLessThanOrEqual(60)
      const ours = await mediansOf(scenario, 'steadycall')
      const none = await mediansOf(scenario, 'no retry')
      expect(ours.goodput).toBeGreaterThanOrEqual(none.goodput - 2)
    },
  )

  it('the budget alone recovers too', PATIENCE, async () => {
    const budget = await mediansOf(scenario, 'steadycall, no breaker')
    const none = await mediansOf(scenario, 'no retry')
    expect(budget.recoveryS).toBeLessThanOrEqual(scenario === 'C' ? 120 : 60)
    expect(budget.goodput).toBeGreaterThanOrEqual(none.goodput - 2)
  })
})

describe('other storms', () => {
  it(
    'an outage (A) costs at most two points more than without retries, and a minute',
    PATIENCE,
    async () => {
      const ours = await mediansOf('A', 'steadycall')
      expect(ours.goodput).toBeGreaterThanOrEqual((await mediansOf('A', 'no retry')).goodput - 2)
      expect((await worstOf('A', 'steadycall')).recoveryS).toBeLessThanOrEqual(60)
    },
  )

  it(
    'a thousand small clients in a brownout (H), each with tokens of its own, do not keep it down',
    PATIENCE,
    async () => {
      const worst = await worstOf('H', 'steadycall')
      expect(worst.goodput).toBeGreaterThanOrEqual(80)
      expect(worst.recoveryS).toBeLessThanOrEqual(60)
      // A quota of 35 retries for each of a thousand is none.
      expect((await mediansOf('H', 'AWS 2026')).recoveryS).toBe(NEVER)
    },
  )

  it(
    'a deploy in a brownout (M) gives fresh tokens to all, and it recovers all the same',
    PATIENCE,
    async () => {
      const worst = await worstOf('M', 'steadycall')
      expect(worst.inFault).toBeLessThanOrEqual(1.15)
      expect(worst.recoveryS).toBeLessThanOrEqual(60)
    },
  )

  it('a fallback (N) is not overrun by what the first target cannot do', PATIENCE, async () => {
    const ours = await worstOf('N', 'steadycall + fallback')
    const alone = await mediansOf('N', 'steadycall')
    expect(ours.goodput).toBeGreaterThan(alone.goodput + 3)
    expect(ours.recoveryS).toBeLessThanOrEqual(60)
    expect((await mediansOf('N', 'openai + fallback')).recoveryS).toBe(NEVER)
  })

  it(
    're-asks (O) wait for no token, and neither keep a provider down nor pay for more than they get',
    PATIENCE,
    async () => {
      expect((await worstOf('O', 'steadycall')).recoveryS).toBeLessThanOrEqual(60)
      const ours = await mediansOf('O', 'steadycall')
      expect(ours.goodput).toBeGreaterThanOrEqual((await mediansOf('B', 'no retry')).goodput - 2)
      const none = await mediansOf('O', 'no retry')
      expect(ours.tokensPerSuccess).toBeLessThanOrEqual(none.tokensPerSuccess)
    },
  )

  it(
    'timeouts that arrive when all is well again (P) do not open the breaker again',
    PATIENCE,
    async () => {
      const ours = await mediansOf('P', 'steadycall')
      expect(ours.recoveryS).toBeLessThanOrEqual(11)
      expect(ours.goodput).toBeGreaterThanOrEqual(95.8)
      // What an open breaker has refused: without one it would be nothing.
      expect(ours.refused).toBeLessThanOrEqual(1.2)
      expect(ours.refused).toBeGreaterThan(0)
    },
  )
})
