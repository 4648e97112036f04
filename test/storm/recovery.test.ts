import { describe, expect, it } from 'vitest'
import { mediansOf, NEVER, PATIENCE, worstOf } from './medians-of.ts'

describe.each(['B', 'C', 'F'])('after the brownout of scenario %s', (scenario) => {
  // What nested 27 does is no news, and takes a minute to play.
  it.each(['openai', 'nested 9'])(
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

  it('ours loses next to nothing, and keeps nothing down', PATIENCE, async () => {
    const worst = await worstOf(scenario, 'steadycall')
    // At 85 % load what has gathered is served so slowly that some wait longer than they can.
    expect(worst.goodput).toBeGreaterThanOrEqual(scenario === 'C' ? 97.5 : 99)
    expect(worst.recoveryS).toBeLessThanOrEqual(scenario === 'C' ? 180 : 10)
  })
})

describe('other storms', () => {
  it('an outage (A) costs nobody a call', PATIENCE, async () => {
    const worst = await worstOf('A', 'steadycall')
    expect(worst.goodput).toBeGreaterThanOrEqual(98)
    expect(worst.recoveryS).toBeLessThanOrEqual(10)
  })

  it('a thousand small clients in a brownout (H) do not keep it down', PATIENCE, async () => {
    const worst = await worstOf('H', 'steadycall')
    expect(worst.goodput).toBeGreaterThanOrEqual(75)
    // Those who wait come back for two minutes.
    expect(worst.recoveryS).toBeLessThanOrEqual(150)
    // A quota of 35 retries for each of a thousand is none.
    expect((await mediansOf('H', 'AWS 2026')).recoveryS).toBe(NEVER)
  })

  it(
    'a deploy in a brownout (M) starts all afresh, and it recovers all the same',
    PATIENCE,
    async () => {
      const worst = await worstOf('M', 'steadycall')
      expect(worst.inFault).toBeLessThanOrEqual(1.15)
      expect(worst.recoveryS).toBeLessThanOrEqual(60)
    },
  )

  it('a fallback (N) is not overrun by what the first target cannot do', PATIENCE, async () => {
    const ours = await worstOf('N', 'steadycall + fallback')
    expect(ours.goodput).toBeGreaterThan(97)
    expect(ours.recoveryS).toBeLessThanOrEqual(60)
    expect((await mediansOf('N', 'openai + fallback')).recoveryS).toBe(NEVER)
  })

  it(
    're-asks (O) neither keep a provider down nor pay for more than they get',
    PATIENCE,
    async () => {
      expect((await worstOf('O', 'steadycall')).recoveryS).toBeLessThanOrEqual(60)
      const ours = await mediansOf('O', 'steadycall')
      expect(ours.goodput).toBeGreaterThanOrEqual((await mediansOf('B', 'no retry')).goodput - 2)
      const none = await mediansOf('O', 'no retry')
      expect(ours.tokensPerSuccess).toBeLessThanOrEqual(none.tokensPerSuccess)
    },
  )

  it('timeouts that arrive when all is well again (P) take nothing down', PATIENCE, async () => {
    const ours = await mediansOf('P', 'steadycall')
    expect(ours.recoveryS).toBeLessThanOrEqual(11)
    expect(ours.goodput).toBeGreaterThanOrEqual(99)
    expect(ours.refused).toBe(0)
  })
})
