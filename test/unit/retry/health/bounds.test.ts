import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Rate } from '../../../../src/retry/health/rate.ts'
import { type Caller, Desk, isSent, ticketOf } from './desk.ts'

const MINUTE_MS = 60_000

/** The most that any minute has seen, its end not counted. */
function mostInAMinute(taken: readonly { readonly atMs: number; readonly cost: number }[]): number {
  let most = 0
  for (const { atMs: fromMs } of taken) {
    // Sums of fractions of a millisecond are off by less than this.
    const untilMs = fromMs + MINUTE_MS - 1e-6
    const within = taken.filter(({ atMs }) => atMs >= fromMs && atMs < untilMs)
    most = Math.max(
      most,
      within.reduce((sum, { cost }) => sum + cost, 0),
    )
  }
  return most
}

/** Asks for as much as it may, from whenever on, with pauses. */
const asks = fc.array(
  fc.record({
    cost: fc.integer({ min: 1, max: 400 }),
    pauseMs: fc.constantFrom(0, 0, 0, 7, 900, 30_000),
  }),
  { minLength: 1, maxLength: 150, size: 'max' },
)

describe('a rate set by hand', () => {
  it('lets no minute see more requests than it says', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), asks, (perMinute, given) => {
        const rate = new Rate(perMinute, 0)
        const taken: { atMs: number; cost: number }[] = []
        let nowMs = 0
        for (const { pauseMs } of given) {
          nowMs = rate.nextAtMs(1, nowMs + pauseMs)
          rate.take(1, nowMs)
          taken.push({ atMs: nowMs, cost: 1 })
        }
        expect(mostInAMinute(taken)).toBeLessThanOrEqual(perMinute)
      }),
    )
  })

  it('lets no minute see more tokens than it says, however large a request is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 400, max: 4_000 }), asks, (perMinute, given) => {
        const rate = new Rate(perMinute, 0, true)
        const taken: { atMs: number; cost: number }[] = []
        let nowMs = 0
        for (const { cost, pauseMs } of given) {
          nowMs = rate.nextAtMs(cost, nowMs + pauseMs)
          rate.take(cost, nowMs)
          taken.push({ atMs: nowMs, cost })
        }
        expect(mostInAMinute(taken)).toBeLessThanOrEqual(perMinute)
      }),
    )
  })

  it('counts what was given back no longer, and keeps the rest for its minute', () => {
    const rate = new Rate(1_000, 0, true)
    rate.take(900, 0)
    rate.take(-800, 10_000)
    expect(rate.nextAtMs(900, 20_000)).toBe(20_000)
    rate.take(900, 20_000)
    expect(rate.nextAtMs(100, 50_000)).toBeGreaterThan(60_000)
    expect(rate.nextAtMs(200, 61_000)).toBe(80_500)
  })

  it('lets one through that is larger than the whole minute, alone', () => {
    const rate = new Rate(1_000, 0, true)
    expect(rate.nextAtMs(5_000, 0)).toBe(0)
    rate.take(5_000, 0)
    expect(rate.nextAtMs(5_000, 0)).toBeGreaterThanOrEqual(MINUTE_MS)
  })

  it('stays usable for nearly all of what it says', () => {
    const rate = new Rate(6_000, 0, true)
    let nowMs = 0
    let tokens = 0
    while (nowMs < 600_000) {
      rate.take(500, nowMs)
      tokens += 500
      nowMs = rate.nextAtMs(500, nowMs)
    }
    expect(tokens / 10).toBeGreaterThan(0.97 * 6_000)
  })
})

/** Sends what the line lets through, each for so long, and counts. */
async function crowd(desk: Desk, callers: readonly Caller[], takesMs: number, untilMs: number) {
  let most = 0
  let ended = 0
  while (desk.nowMs < untilMs) {
    await desk.settle()
    most = Math.max(most, desk.status.inFlight)
    for (const caller of callers.filter(isSent).slice(ended)) {
      ended += 1
      desk.clock.schedule(takesMs, () => desk.end(ticketOf(caller), 'success'))
    }
    if (desk.clock.pending === 0) break
    await desk.clock.advanceToNext()
  }
  return most
}

describe('bounds by hand', () => {
  it('never have more calls in flight than they say', async () => {
    const desk = new Desk({ limits: { concurrency: 3, requestsPerMinute: 600 } })
    const callers = Array.from({ length: 50 }, () => desk.wait())
    expect(await crowd(desk, callers, 700, 60_000)).toBe(3)
    expect(callers.every(isSent)).toBe(true)
  })

  it('send evenly, and no more in a minute than they say', async () => {
    const desk = new Desk({ limits: { requestsPerMinute: 60 } })
    const callers = Array.from({ length: 130 }, () => desk.wait())
    await crowd(desk, callers, 100, 120_000)
    const sentAtMs = [...desk.sentAtMs.values()]
    expect(sentAtMs.slice(0, 3)).toEqual([0, 1_000, 2_000])
    expect(mostInAMinute(sentAtMs.map((atMs) => ({ atMs, cost: 1 })))).toBe(60)
  })

  it('hold for probes of a target that is down too', async () => {
    const desk = new Desk({ limits: { requestsPerMinute: 5 } })
    const sendOne = async () => {
      const caller = desk.wait()
      await desk.settle()
      while (!isSent(caller)) await desk.clock.advanceToNext()
      desk.end(ticketOf(caller), 'error')
    }
    for (let sent = 0; sent < 12; sent += 1) await sendOne()
    expect(desk.status.state).toBe('down')
    const taken = [...desk.sentAtMs.values()].map((atMs) => ({ atMs, cost: 1 }))
    expect(mostInAMinute(taken)).toBeLessThanOrEqual(5)
  })

  it('have a large request wait, and those behind it as well', async () => {
    const desk = new Desk({ limits: { tokensPerMinute: 6_000 } })
    expect(desk.line.countsTokens).toBe(true)
    const large = [desk.wait({ tokens: 4_000 }), desk.wait({ tokens: 4_000 })]
    const small = desk.wait({ tokens: 10 })
    await desk.clock.advance(60_000)
    expect([...large.map(isSent), isSent(small)]).toEqual([true, false, false])
    await desk.clock.advance(500)
    expect(large.map(isSent)).toEqual([true, true])
    await desk.clock.advance(45_000)
    expect(isSent(small)).toBe(true)
  })

  it('refuse a call that does not wait, where what is learned would not', () => {
    const desk = new Desk({ limits: { concurrency: 4 } })
    const sent = desk.send(4)
    desk.end(sent[0] ?? 0, 'refused')
    expect(desk.status.limit).toBe(3)
    desk.send(1, { impatient: true })
    expect(desk.enter({ impatient: true })).toBe(0)
  })

  it('say how long they hold at least', () => {
    const desk = new Desk({ limits: { requestsPerMinute: 60 } })
    desk.send(1)
    expect(desk.line.held(desk.request())).toMatchObject({ by: 'limit', leastMs: 1_000 })
  })

  it('hold for a hedge with its tokens', async () => {
    const desk = new Desk({ limits: { tokensPerMinute: 6_000 } })
    desk.send(1, { tokens: 5_000 })
    await desk.clock.advance(59_000)
    expect([desk.line.isWell(1_000), desk.line.isWell(1_001)]).toEqual([true, false])
  })

  it('get back what an attempt took that was not sent after all', () => {
    const desk = new Desk({ limits: { requestsPerMinute: 60 } })
    const unsent = (ticket: number, paid = false) =>
      desk.end(ticket, 'nothing', { unsent: true, paid })
    for (let turn = 0; turn < 100; turn += 1) unsent(desk.enter({ paying: true }), true)
    desk.send(1)
    expect(desk.enter()).toBe(0)
  })

  it('get no token of the retry budget back that was not taken', async () => {
    const desk = new Desk()
    desk.bringDown()
    await desk.clock.advance(1_000)
    desk.end(desk.enter({ paying: true }), 'nothing', { unsent: true, paid: true })
    await desk.clock.advance(10_000)
    desk.play(1, 'success')
    const retries = [1, 2, 3, 4].map(() => desk.enter({ paying: true }))
    expect(retries.filter((ticket) => ticket !== 0)).toHaveLength(2)
  })

  it('say nothing of what the provider said long ago', async () => {
    const desk = new Desk({ limits: { concurrency: 2 } })
    const seen = { kind: 'rate_limit', status: 429 } as const
    const [first = 0, second = 0] = desk.send(2)
    desk.end(first, 'limited', { seen })
    expect(desk.line.held(desk.request()).by).toBe('limit')
    expect(desk.line.seen('limit')).toEqual(seen)
    desk.end(second, 'success')
    await desk.clock.advance(24 * 3_600_000)
    desk.send(2)
    expect(desk.line.held(desk.request()).by).toBe('limit')
    expect(desk.line.seen('limit')).toBeUndefined()
  })
})
