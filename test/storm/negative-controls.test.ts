import { describe, expect, it } from 'vitest'
import { mediansOf, NEVER, PATIENCE } from './medians-of.ts'

// Each part is taken out, one at a time, and an assertion of these tests has to fail: the numbers
// here are on the other side of those there.
describe('without', () => {
  it(
    'the budget, a brownout is for good: "after the brownout of scenario B"',
    PATIENCE,
    async () => {
      const { recoveryS, goodput } = await mediansOf('B', 'no budget, no breaker')
      expect(recoveryS).toBe(NEVER)
      expect(goodput).toBeLessThan(35)
    },
  )

  it(
    'the budget but with the breaker, "a thousand small clients" keep a provider down',
    PATIENCE,
    async () => {
      const { recoveryS, goodput } = await mediansOf('H', 'no budget')
      expect(recoveryS).toBeGreaterThan(60)
      expect(goodput).toBeLessThan(80)
    },
  )

  it('anything added to a hint, "one reset for everybody" makes a herd', PATIENCE, async () => {
    const { goodput, peakPerS } = await mediansOf('G', 'no spread after a hint')
    expect(goodput).toBeLessThan((await mediansOf('G', 'no retry')).goodput)
    expect(peakPerS).toBeGreaterThan(2.5 * 50)
  })

  it(
    'a turn for those who came later, the random part alone is too short: "one reset"',
    PATIENCE,
    async () => {
      const { goodput } = await mediansOf('G', 'steadycall, stretch 0')
      expect(goodput).toBeLessThan((await mediansOf('G', 'no retry')).goodput)
    },
  )

  it('the refund, "random failures" of 20 % cost more than 1.5 points', PATIENCE, async () => {
    const { goodput } = await mediansOf('K20', 'no refund')
    expect(goodput).toBeLessThan((await mediansOf('K20', 'openai')).goodput - 1.5)
  })

  it(
    'the generations of the breaker, "timeouts that arrive when all is well" open it again',
    PATIENCE,
    async () => {
      const { goodput, recoveryS } = await mediansOf('P', 'no generations')
      expect(recoveryS).toBeGreaterThan(11)
      expect(goodput).toBeLessThan(95.8)
    },
  )
})
