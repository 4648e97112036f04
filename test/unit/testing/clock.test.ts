import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { virtualClock } from '../../../src/testing/clock.ts'
import { sleep } from '../../../src/time.ts'
import { fuzzRuns } from '../../support/fuzz-runs.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('advance', () => {
  it('fires a timer on its instant and not a millisecond before', async () => {
    const clock = virtualClock()
    const fired = vi.fn()
    clock.schedule(500, fired)

    await clock.advance(499)
    expect(fired).not.toHaveBeenCalled()
    await clock.advance(1)
    expect(fired).toHaveBeenCalledTimes(1)
    await clock.advance(10_000)
    expect(fired).toHaveBeenCalledTimes(1)
  })

  it('fires in time order, and at one instant in the order the timers were armed', async () => {
    const clock = virtualClock()
    const fired: string[] = []
    clock.schedule(20, () => fired.push('late'))
    clock.schedule(10, () => fired.push('early, armed first'))
    clock.schedule(10, () => fired.push('early, armed second'))
    clock.schedule(0, () => fired.push('at once'))

    await clock.advance(20)

    expect(fired).toEqual(['at once', 'early, armed first', 'early, armed second', 'late'])
  })

  it('shows each callback the time of its own timer', async () => {
    const clock = virtualClock(1_700_000_000_000)
    const seen: [number, number][] = []
    for (const delayMs of [30, 70]) {
      clock.schedule(delayMs, () => seen.push([clock.monotonicMs(), clock.wallMs()]))
    }

    await clock.advance(100)

    expect(seen).toEqual([
      [30, 1_700_000_000_030],
      [70, 1_700_000_000_070],
    ])
    expect(clock.monotonicMs()).toBe(100)
  })

  it('runs promise chains out between two timers', async () => {
    const clock = virtualClock()
    const order: string[] = []
    const first = sleep(clock, 10).then(async () => {
      await Promise.resolve()
      await new Promise((resolve) => setImmediate(resolve))
      order.push('what the first timer started')
    })
    clock.schedule(11, () => order.push('the second timer'))

    await clock.advance(11)
    await first

    expect(order).toEqual(['what the first timer started', 'the second timer'])
  })

  it('reaches waits that begin on the way', async () => {
    const clock = virtualClock()
    const wokeAt: number[] = []
    const waits = (async () => {
      for (let round = 0; round < 3; round++) {
        await sleep(clock, 100)
        wokeAt.push(clock.monotonicMs())
      }
    })()

    await clock.advance(300)
    await waits

    expect(wokeAt).toEqual([100, 200, 300])
  })

  it('never fires a timer inside schedule, not even one for a time gone by', async () => {
    const clock = virtualClock()
    const fired = vi.fn()
    clock.schedule(-5, fired)
    expect(fired).not.toHaveBeenCalled()

    await clock.advance(0)

    expect(fired).toHaveBeenCalledTimes(1)
    expect(clock.monotonicMs()).toBe(0)
  })

  it('rejects with what a callback throws and goes on from that timer', async () => {
    const clock = virtualClock()
    const after = vi.fn()
    clock.schedule(10, () => {
      throw new Error('from the callback')
    })
    clock.schedule(20, after)

    await expect(clock.advance(50)).rejects.toThrow('from the callback')
    expect(clock.monotonicMs()).toBe(10)
    await clock.advance(10)
    expect(after).toHaveBeenCalledTimes(1)
  })

  it('refuses a second advance while the first is running', async () => {
    const clock = virtualClock()
    const first = clock.advance(10)

    await expect(clock.advance(10)).rejects.toThrow('already advancing')
    await first
    expect(clock.monotonicMs()).toBe(10)
  })

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses to move by %d', async (ms) => {
    await expect(virtualClock().advance(ms)).rejects.toThrow(
      `virtualClock: advance(ms) is ${ms}; allowed is a finite number from 0 up`,
    )
  })

  it('moves while fake timers hold the globals', async () => {
    vi.useFakeTimers()
    const clock = virtualClock()
    const fired = vi.fn()
    clock.schedule(5, fired)

    await clock.advance(5)

    expect(fired).toHaveBeenCalledTimes(1)
  })

  it('fires every timer once, sorted, at its own time, whatever the delays and steps', async () => {
    const delays = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 12 })
    const steps = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(delays, steps, async (delaysMs, stepsMs) => {
        const clock = virtualClock()
        const firedAt: number[] = []
        for (const delayMs of delaysMs) {
          clock.schedule(delayMs, () => {
            expect(clock.monotonicMs()).toBe(delayMs)
            firedAt.push(delayMs)
          })
        }
        for (const ms of stepsMs) await clock.advance(ms)
        const endMs = clock.monotonicMs()
        const due = delaysMs.filter((delayMs) => delayMs <= endMs)
        expect(firedAt).toEqual(due.toSorted((one, other) => one - other))
        expect(clock.pending).toBe(delaysMs.length - due.length)
      }),
      { numRuns: fuzzRuns(50) },
    )
  })
})

describe('advanceToNext', () => {
  it('moves to the next timer, fires all of that instant and tells how far it was', async () => {
    const clock = virtualClock()
    const fired: number[] = []
    for (const delayMs of [400, 150, 150]) clock.schedule(delayMs, () => fired.push(delayMs))

    expect(await clock.advanceToNext()).toBe(150)
    expect(fired).toEqual([150, 150])
    expect(await clock.advanceToNext()).toBe(250)
    expect(fired).toEqual([150, 150, 400])
  })

  it('sees a timer that a pending promise chain is about to arm', async () => {
    const clock = virtualClock()
    const waited = Promise.resolve()
      .then(() => null)
      .then(() => sleep(clock, 30))

    expect(await clock.advanceToNext()).toBe(30)
    await waited
  })

  it.each([
    ['no timer', () => undefined],
    ['only a timer that never falls due', () => Number.POSITIVE_INFINITY],
  ])('rejects when there is %s', async (_case, delay) => {
    const clock = virtualClock()
    const delayMs = delay()
    if (delayMs !== undefined) clock.schedule(delayMs, () => undefined)

    await expect(clock.advanceToNext()).rejects.toThrow('found no timer armed')
  })
})

describe('pending', () => {
  it('counts timers that are armed, and not those that fired or were cancelled', async () => {
    const clock = virtualClock()
    const fired = vi.fn()
    const cancel = clock.schedule(10, fired)
    clock.schedule(20, () => undefined)
    clock.schedule(30, () => undefined)
    expect(clock.pending).toBe(3)

    cancel()
    cancel()
    expect(clock.pending).toBe(2)
    await clock.advance(20)
    expect(clock.pending).toBe(1)
    expect(fired).not.toHaveBeenCalled()
  })

  it('is 0 once a sleep was aborted', async () => {
    const clock = virtualClock()
    const caller = new AbortController()
    const slept = sleep(clock, 1_000, caller.signal)
    expect(clock.pending).toBe(1)

    caller.abort(new Error('changed my mind'))

    await expect(slept).rejects.toThrow('changed my mind')
    expect(clock.pending).toBe(0)
  })
})

it('jumpWall moves the wall clock alone and fires nothing', async () => {
  const clock = virtualClock(10_000)
  const fired = vi.fn()
  clock.schedule(5, fired)

  clock.jumpWall(3_600_000)
  expect(clock.wallMs()).toBe(3_610_000)
  clock.jumpWall(-3_605_000)
  expect(clock.wallMs()).toBe(5_000)

  expect(clock.monotonicMs()).toBe(0)
  await clock.advance(4)
  expect(clock.wallMs()).toBe(5_004)
  expect(fired).not.toHaveBeenCalled()
})

it('refuses a timer for NaN, which a real clock would fire at once', () => {
  expect(() => virtualClock().schedule(Number.NaN, () => undefined)).toThrow('NaN')
})

it('refuses a start that is no number', () => {
  expect(() => virtualClock(Number.NaN)).toThrow('virtualClock: startMs is NaN')
})
