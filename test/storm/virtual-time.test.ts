import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VirtualTime } from '../../bench/storm/virtual-time.ts'

describe('virtual time', () => {
  it('fires in the order of time, then of arming, and nothing that was cancelled', async () => {
    const event = fc.record({ atMs: fc.integer({ min: 0, max: 20 }), cancelled: fc.boolean() })
    const events = fc.array(event, { maxLength: 200, size: 'max' })
    await fc.assert(
      fc.asyncProperty(events, async (given) => {
        const time = new VirtualTime()
        const fired: (readonly [atMs: number, index: number])[] = []
        given.forEach(({ atMs, cancelled }, index) => {
          const cancel = time.after(atMs, () => fired.push([time.nowMs, index]))
          if (cancelled) cancel()
        })
        await time.run()
        const meant = given
          .map(({ atMs, cancelled }, index) => ({ atMs, cancelled, index }))
          .filter(({ cancelled }) => !cancelled)
          .toSorted((a, b) => a.atMs - b.atMs)
        expect(fired).toEqual(meant.map(({ atMs, index }) => [atMs, index]))
      }),
    )
  })

  it('lets promises run to their next wait before the next event', async () => {
    const time = new VirtualTime()
    const order: string[] = []
    const work = async () => {
      await new Promise<void>((resolve) => void time.clock.schedule(5, resolve))
      for (let step = 0; step < 50; step += 1) await Promise.resolve()
      order.push(`work at ${time.nowMs}`)
    }
    const done = work()
    time.after(5, () => order.push('event at 5'))
    time.after(6, () => order.push('event at 6'))
    await time.run()
    await done
    // Both events of the fifth millisecond are due; the promise was resolved by the first of them.
    expect(order).toEqual(['work at 5', 'event at 5', 'event at 6'])
  })
})
