import { describe, expect, it } from 'vitest'
import { type Answer, Provider, type ProviderSettings } from '../../bench/storm/provider.ts'
import { VirtualTime } from '../../bench/storm/virtual-time.ts'

const plain: ProviderSettings = {
  slots: 2,
  serviceMs: 1_000,
  queue: 3,
  faults: [],
  abandoned: 'computed',
}
/** A service time of the mean, 1,500 tokens. */
const UNIFORM = 1 - Math.exp(-1)
const draws = (...numbers: readonly number[]) => {
  let drawn = 0
  return () => numbers[drawn++ % numbers.length] ?? 0
}

/** Asks at these times and lists what is answered when; a caller leaves after `patienceMs`. */
async function play(
  settings: Partial<ProviderSettings>,
  atMs: readonly number[],
  patienceMs = Number.POSITIVE_INFINITY,
) {
  const time = new VirtualTime()
  const provider = new Provider(time, draws(UNIFORM, 0.5, 0.5, 0.5), { ...plain, ...settings })
  const answers: (readonly [atMs: number, answer: Answer])[] = []
  for (const at of atMs) {
    time.after(at, () => {
      const ticket = provider.ask((answer) => answers.push([Math.round(time.nowMs), answer]))
      if (patienceMs < Number.POSITIVE_INFINITY) time.after(patienceMs, () => ticket.abandon())
    })
  }
  await time.run()
  return { answers, work: provider.work }
}

const good: Answer = { status: 200 }

describe('the modelled provider', () => {
  it('computes as many as it has slots, the others wait in the order they came', async () => {
    const { answers } = await play({}, [0, 0, 0, 0])
    expect(answers).toEqual([
      [1_000, good],
      [1_000, good],
      [2_000, good],
      [2_000, good],
    ])
  })

  it('refuses what its queue cannot hold, at once and without a hint', async () => {
    const { answers } = await play({}, [0, 0, 0, 0, 0, 0])
    expect(answers[0]).toEqual([20, { status: 429 }])
    expect(answers.slice(1)).toHaveLength(5)
  })

  it('without a queue serves whom it has a slot for', async () => {
    const { answers } = await play({ queue: 0 }, [0, 0, 0])
    expect(answers).toEqual([
      [20, { status: 429 }],
      [1_000, good],
      [1_000, good],
    ])
  })

  it('has fewer slots in a brownout, and all of them the moment it ends', async () => {
    const faults = [{ fromMs: 0, untilMs: 1_500, fault: { kind: 'slow', slots: 0.5 } as const }]
    const { answers } = await play({ faults }, [0, 0, 0])
    expect(answers.map(([atMs]) => atMs)).toEqual([1_000, 2_000, 2_500])
  })

  it('computes and bills what nobody waits for, and tells nobody', async () => {
    const { answers, work } = await play({}, [0, 0, 0, 0], 1_500)
    expect(answers.map(([atMs]) => atMs)).toEqual([1_000, 1_000])
    expect(work).toEqual({
      attempts: 4,
      busyMs: expect.closeTo(4_000),
      wastedMs: expect.closeTo(2_000),
      tokens: 6_000,
    })
  })

  it('drops queued work of callers who have left where it can, and has its place in the queue back', async () => {
    const settings = { abandoned: 'dropped', slots: 1, queue: 1 } as const
    const { answers, work } = await play(settings, [0, 0, 600, 700], 500)
    // The first is under way and computed to its end; the second leaves the queue at 500 to the third,
    // who is under way from 1,000 on; the fourth finds no place.
    expect(work).toMatchObject({ busyMs: expect.closeTo(2_000), tokens: 3_000 })
    expect(answers).toEqual([[720, { status: 429 }]])
  })

  it('refuses everything in an outage, names the reset in a limit, swallows in silence', async () => {
    const during = (fault: ProviderSettings['faults'][number]['fault']) => ({
      faults: [{ fromMs: 0, untilMs: 30_000, fault }],
    })
    const outage = await play(during({ kind: 'unavailable' }), [100])
    expect(outage.answers).toEqual([[120, { status: 503 }]])
    const limit = await play(during({ kind: 'limited' }), [100])
    expect(limit.answers).toEqual([[120, { status: 429, retryAfterMs: 29_900 }]])
    const silence = await play(during({ kind: 'silent' }), [100, 30_000])
    expect(silence.answers).toEqual([[31_000, good]])
    expect(silence.work.attempts).toBe(2)
  })

  it('counts requests by the minute, and names the end of it', async () => {
    const limit = { unit: 'requests', perMinute: 2, style: 'window' } as const
    const { answers } = await play({ limit, slots: 9 }, [10_000, 20_000, 50_000, 60_000])
    expect(answers.filter(([, { status }]) => status === 429)).toEqual([
      [50_020, { status: 429, retryAfterMs: 10_000 }],
    ])
  })

  it('counts tokens in a bucket of ten seconds, and says when this one request would fit', async () => {
    // 1,500 tokens each; 150 are refilled a second, and 1,500 are the most it holds.
    const limit = { unit: 'tokens', perMinute: 9_000, style: 'bucket' } as const
    const { answers } = await play({ limit, slots: 9 }, [0, 4_000, 10_000])
    expect(answers).toEqual([
      [1_000, good],
      [4_020, { status: 429, retryAfterMs: 6_000 }],
      [11_000, good],
    ])
  })
})
