import { describe, expect, it } from 'vitest'
import { crowdAfterReset, mediansOf, NEVER, PATIENCE, runsOf } from './medians-of.ts'

// Each part is taken out, one at a time, and an assertion of these tests has to fail: the numbers
// here are on the other side of those there.
// A storm that has not ended two minutes after its fault does not end: B's and H's are played longer.
const SOON_MS = 300_000

describe('without', () => {
  it(
    'budget and breaker, a brownout is for good: "after the brownout of scenario B"',
    PATIENCE,
    async () => {
      const { recoveryS, goodput } = await mediansOf('B', 'no budget, no breaker')
      expect(recoveryS).toBe(NEVER)
      expect(goodput).toBeLessThan(35)
    },
  )

  it(
    'the breaker, the target is not rested: "less than one where the breaker rests"',
    PATIENCE,
    async () => {
      for (const scenario of ['A', 'B']) {
        const { inFault } = await mediansOf(scenario, 'steadycall, no breaker', SOON_MS)
        expect(inFault).toBeGreaterThan(0.8)
      }
    },
  )

  it(
    'budget and breaker, an outage is met with a multiple: "bounded by the budget"',
    PATIENCE,
    async () => {
      const { inFault } = await mediansOf('A', 'no budget, no breaker', SOON_MS)
      expect(inFault).toBeGreaterThan(1.3)
    },
  )

  it(
    'the budget but with the breaker, "a deploy in a brownout" is met with more',
    PATIENCE,
    async () => {
      expect((await mediansOf('M', 'no budget', SOON_MS)).inFault).toBeGreaterThan(1.15)
    },
  )

  it('budget and breaker, "a fallback" is overrun as well', PATIENCE, async () => {
    const { recoveryS } = await mediansOf('N', 'no budget, no breaker + fallback', SOON_MS)
    expect(recoveryS).toBe(NEVER)
  })

  it('budget and breaker, what is paid for "re-asks" is a multiple', PATIENCE, async () => {
    const { recoveryS, tokensPerSuccess } = await mediansOf('O', 'no budget, no breaker', SOON_MS)
    expect(recoveryS).toBe(NEVER)
    const none = await mediansOf('O', 'no retry')
    expect(tokensPerSuccess).toBeGreaterThan(none.tokensPerSuccess)
  })

  it(
    'the budget but with the breaker, "a thousand small clients" keep a provider down',
    PATIENCE,
    async () => {
      const { recoveryS, goodput } = await mediansOf('H', 'no budget')
      expect(recoveryS).toBeGreaterThan(60)
      expect(goodput).toBeLessThan(80)
    },
  )

  it(
    'the gate, everybody has to be told of "one reset for everybody" by a request of his own',
    PATIENCE,
    async () => {
      expect((await mediansOf('G', 'no gate')).inFault).toBeGreaterThan(0.5)
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

  it('the random part alone, those of "a cold start" come back all at once', PATIENCE, async () => {
    const runs = await runsOf('L', 'no random part after a hint')
    expect(crowdAfterReset(runs)).toBeGreaterThan(50)
  })

  it('the refund, "random failures" of 20 % cost more than 1.5 points', PATIENCE, async () => {
    const { goodput } = await mediansOf('K20', 'no refund')
    expect(goodput).toBeLessThan((await mediansOf('K20', 'openai')).goodput - 1.5)
  })

  it(
    'the generations of the breaker, "timeouts that arrive when all is well" open it again',
    PATIENCE,
    async () => {
      const { goodput, recoveryS, refused } = await mediansOf('P', 'no generations')
      expect(recoveryS).toBeGreaterThan(11)
      expect(goodput).toBeLessThan(95.8)
      expect(refused).toBeGreaterThan(1.2)
    },
  )
})
