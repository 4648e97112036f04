import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Heap } from '../../bench/storm/line/heap.ts'
import { Line } from '../../bench/storm/line/line.ts'
import { policyNamed } from '../../bench/storm/policies.ts'
import { scenarioNamed } from '../../bench/storm/scenarios.ts'
import { storm } from '../../bench/storm/storm.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { PATIENCE } from './medians-of.ts'

describe('the candidate line', () => {
  it.each([
    ['pool3', 99, 1.2],
    ['pool30', 99, 1.2],
    ['open30', 99, 1.2],
    ['lone30', 99, 1.2],
    ['x2-503-60', 99, 1.2],
    ['x2-long-60', 99, 1.2],
    ['x2-queue-60', 99, 1.2],
    ['K20-503', 99.5, 1.32],
    ['hidden-window', 99, 1.02],
  ] as const)(
    '%s: at least %d %% of the calls, with at most %d requests each',
    PATIENCE,
    async (id, share, requests) => {
      const { goodput, amplification } = await storm(scenarioNamed(id), policyNamed('line'), 1)
      expect(goodput).toBeGreaterThanOrEqual(share)
      expect(amplification).toBeLessThanOrEqual(requests)
    },
  )

  it('sends in the order in which the calls came, whatever they wait for', async () => {
    const clock = virtualClock()
    const line = new Line(clock, () => 0.5)
    const wish = {
      requests: 0,
      notBeforeMs: 0,
      latestMs: 60_000,
      paying: false,
      nested: false,
      bulk: false,
    }
    const first = line.enter({ ...wish, order: 0 })
    line.ended({ ticket: first, sentAtMs: 0, sign: 'limited', hintMs: 1_000, paid: false })
    line.left()
    const sent: number[] = []
    const waits = [3, 1, 2].map(async (order) => {
      const ticket = Number(await line.wait({ ...wish, order }))
      sent.push(order)
      line.ended({ ticket, sentAtMs: 0, sign: 'success', hintMs: 0, paid: false })
      line.left()
    })
    expect(sent).toEqual([])
    await clock.advance(1_200)
    await Promise.all(waits)
    expect(sent).toEqual([1, 2, 3])
  })
})

describe('a heap of those who wait', () => {
  it('gives them in order, without those who have left', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ at: fc.nat(50), leaves: fc.boolean() })), (all) => {
        const items = all.map(({ at, leaves }) => ({ at, leaves, hasLeft: false }))
        const heap = new Heap<(typeof items)[number]>((a, b) => a.at < b.at)
        for (const item of items) heap.add(item)
        for (const item of items.filter(({ leaves }) => leaves)) {
          item.hasLeft = true
          heap.dropped()
        }
        const found: number[] = []
        for (let first = heap.first(); first !== undefined; first = heap.first()) {
          found.push(first.at)
          heap.takeFirst()
        }
        const kept = items.filter(({ leaves }) => !leaves).map(({ at }) => at)
        expect(found).toEqual(kept.toSorted((a, b) => a - b))
      }),
    )
  })
})
