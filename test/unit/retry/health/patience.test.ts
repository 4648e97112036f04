import { describe, expect, it } from 'vitest'
import { Desk, isSent, ticketOf } from './desk.ts'

const HOUR_MS = 3_600_000

describe('patience', () => {
  it.each([
    { what: 'a limit', by: 'limit' as const },
    { what: 'a target that is down', by: 'down' as const },
    { what: 'a token', by: 'budget' as const },
    { what: 'its own backoff', by: 'backoff' as const },
  ])('ends a wait for $what to the millisecond', async ({ by }) => {
    const desk = new Desk(by === 'limit' ? { limits: { concurrency: 1 } } : {})
    if (by === 'limit') desk.send(1)
    if (by === 'down') desk.bringDown()
    if (by === 'budget') desk.send(6, { paying: true })
    // Before the first probe is due.
    const caller = desk.wait({
      latestMs: 400,
      paying: by === 'budget',
      notBeforeMs: by === 'backoff' ? 10_000 : 0,
    })
    await desk.clock.advance(399)
    expect(caller.outcome).toBeUndefined()
    await desk.clock.advance(1)
    expect(caller.outcome).toEqual({ by, why: 'patience' })
    expect(desk.status.waiting).toBe(0)
    expect(desk.clock.pending).toBe(0)
  })

  it('that ends as the turn comes still sends', async () => {
    const desk = new Desk({ drawn: 0 })
    desk.end(desk.enter(), 'limited', { hintMs: 1_000 })
    const caller = desk.wait({ latestMs: 1_000 })
    await desk.clock.advance(1_000)
    expect(isSent(caller)).toBe(true)
  })
})

describe('a timer that fires late', () => {
  it.each([
    { lateMs: 0, sent: true },
    { lateMs: 49, sent: true },
    { lateMs: 51, sent: false },
  ])('by $lateMs ms: a call whose turn came with its patience is sent: $sent', async (given) => {
    const desk = new Desk({ drawn: 0 })
    desk.end(desk.enter(), 'limited', { hintMs: 1_000 })
    const caller = desk.wait({ latestMs: 1_000 })
    desk.suspend(given.lateMs)
    await desk.clock.advance(1_000)
    expect(isSent(caller)).toBe(given.sent)
  })

  it('gives nobody more patience whose turn has not come', async () => {
    const desk = new Desk({ limits: { concurrency: 1 } })
    desk.send(1)
    const caller = desk.wait({ latestMs: 1_000 })
    desk.suspend(20)
    await desk.clock.advance(1_000)
    expect(caller.outcome).toEqual({ by: 'limit', why: 'patience' })
  })

  it('does not keep a call whose patience ends within the spread of a hint from being sent', async () => {
    const desk = new Desk({ drawn: 0.99 })
    desk.end(desk.enter(), 'limited', { hintMs: 1_000 })
    const caller = desk.wait({ latestMs: 1_070 })
    desk.suspend(45)
    await desk.clock.advance(1_020)
    expect(isSent(caller)).toBe(true)
  })
})

describe('a hopeless wait', () => {
  it.each([
    { downForMs: 5 * 60_000, patient: true },
    { downForMs: 5 * 60_000 + 1, patient: false },
  ])('after $downForMs ms of an outage: patient is $patient', async ({ downForMs, patient }) => {
    const desk = new Desk()
    desk.bringDown()
    // A probe hangs all the while, so that those who come now are not sent.
    await desk.clock.advance(60_000)
    desk.send(1)
    await desk.clock.advance(downForMs - 60_000)
    const caller = desk.wait({ latestMs: HOUR_MS })
    await desk.clock.advance(2_000)
    expect(caller.outcome).toEqual(patient ? undefined : { by: 'down', why: 'hopeless' })
  })

  it('is none for a bulk call', async () => {
    const desk = new Desk()
    desk.bringDown()
    await desk.clock.advance(60_000)
    desk.send(1)
    await desk.clock.advance(5 * 60_000)
    const caller = desk.wait({ latestMs: HOUR_MS, bulk: true })
    await desk.clock.advance(60_000)
    expect(caller.outcome).toBeUndefined()
  })

  /** Ten calls of a second each in flight for so long, and the last ten still are. */
  async function busy(seconds: number) {
    const desk = new Desk({ limits: { concurrency: 10 } })
    for (let second = 0; second < seconds; second += 1) {
      const sent = desk.send(10)
      await desk.clock.advance(1_000)
      for (const ticket of sent) desk.end(ticket, 'success')
    }
    return { desk, sent: desk.send(10) }
  }

  it('is a line three times as long as its rate can serve within the patience', async () => {
    const { desk } = await busy(12)
    const latestMs = desk.nowMs + 10_000
    for (let caller = 0; caller < 331; caller += 1) desk.wait({ latestMs })
    const hopeless = desk.wait({ latestMs })
    await desk.clock.advance(1_999)
    expect(hopeless.outcome).toBeUndefined()
    await desk.clock.advance(1)
    expect(hopeless.outcome).toEqual({ by: 'limit', why: 'hopeless' })
  })

  it('is no line that is shorter', async () => {
    const { desk } = await busy(12)
    const latestMs = desk.nowMs + 10_000
    for (let caller = 0; caller < 290; caller += 1) desk.wait({ latestMs })
    const patient = desk.wait({ latestMs })
    await desk.clock.advance(2_000)
    expect(patient.outcome).toBeUndefined()
  })

  it.each([
    { what: 'only bulk calls wait', bulk: true, request: {}, ahead: 0 },
    {
      what: 'it is a retry that goes first',
      bulk: false,
      request: { order: 1, requests: 1 },
      ahead: 0,
    },
    { what: 'it is a retry', bulk: false, request: { requests: 1 }, ahead: 3_000 },
    { what: 'it is nested', bulk: false, request: { nested: true }, ahead: 0 },
  ])('is none where $what', async ({ bulk, request, ahead }) => {
    const { desk } = await busy(12)
    for (let caller = 0; caller < 3_000; caller += 1) desk.wait({ bulk, order: 100 + caller })
    const latestMs = desk.nowMs + 10_000
    const held = desk.line.held(desk.request({ ...request, latestMs }))
    expect(held.ahead).toBe(ahead)
    if (ahead === 0) expect(held.expectedMs).toBeLessThan(200)
    // Nothing of this ends in time: only patience does.
    const patient = desk.wait({ ...request, notBeforeMs: desk.nowMs + 60_000, latestMs })
    await desk.clock.advance(9_999)
    expect(patient.outcome).toBeUndefined()
    await desk.clock.advance(1)
    expect(patient.outcome).toMatchObject({ why: 'patience' })
  })

  it('is none for a retry of a call, however long the target has been down', async () => {
    const desk = new Desk()
    desk.bringDown()
    await desk.clock.advance(60_000)
    desk.send(1)
    await desk.clock.advance(10 * 60_000)
    const retry = desk.wait({ requests: 3, latestMs: desk.nowMs + 60_000 })
    await desk.clock.advance(59_999)
    expect(retry.outcome).toBeUndefined()
  })

  it.each([0, 1_500, 3_000, 6_500, 8_900, 9_100, 11_000])(
    'is none because a hint stopped the calls, %i ms after it came',
    async (afterMs) => {
      const desk = new Desk({ limits: { concurrency: 100 }, drawn: 0 })
      for (let turn = 0; turn < 120; turn += 1) {
        const sent = desk.send(10)
        await desk.clock.advance(100)
        for (const ticket of sent) desk.end(ticket, 'success')
      }
      const [first = 0] = desk.send(1)
      desk.end(first, 'limited', { hintMs: 9_000 })
      // A hundred a second were served: these need fifteen seconds.
      for (let caller = 0; caller < 1_500; caller += 1) desk.wait()
      await desk.clock.advance(afterMs)
      const patient = desk.wait({ latestMs: desk.nowMs + 20_000 })
      await desk.clock.advance(2_001)
      expect(patient.outcome).toBeUndefined()
    },
  )

  it('is still sent where its turn comes within two seconds', async () => {
    const { desk, sent } = await busy(12)
    const latestMs = desk.nowMs + 100
    for (let caller = 0; caller < 9; caller += 1) desk.wait({ latestMs: desk.nowMs + 60_000 })
    const hasty = desk.wait({ latestMs })
    for (const ticket of sent) desk.end(ticket, 'success')
    await desk.settle()
    expect(isSent(hasty)).toBe(true)
  })
})

describe('a process that was suspended', () => {
  it('sends nothing for calls whose time is long over', async () => {
    const desk = new Desk({ drawn: 0 })
    desk.end(desk.enter(), 'limited', { hintMs: 30_000 })
    const late = desk.wait({ latestMs: 60_000 })
    const patient = desk.wait({ latestMs: 2 * HOUR_MS })
    desk.suspend(HOUR_MS)
    await desk.clock.advance(30_000)
    expect(late.outcome).toEqual({ by: 'limit', why: 'patience' })
    expect(isSent(patient)).toBe(true)
    expect(desk.status).toMatchObject({ waiting: 0, inFlight: 1 })
  })

  it('lets nobody hang, and no crowd through at once', async () => {
    const desk = new Desk()
    for (const ticket of desk.send(40)) desk.end(ticket, 'success')
    desk.bringDown()
    const callers = Array.from({ length: 500 }, () => desk.wait({ latestMs: 3 * HOUR_MS }))
    desk.suspend(HOUR_MS)
    await desk.clock.advance(1_000)
    expect(callers.filter(isSent)).toHaveLength(1)
    for (const caller of callers.filter(isSent)) desk.end(ticketOf(caller), 'success')
    await desk.settle()
    expect(desk.status).toMatchObject({ inFlight: 10, limit: 10, waiting: 489 })
    for (let turn = 0; turn < 200 && desk.status.waiting > 0; turn += 1) {
      for (const caller of callers.filter(isSent)) {
        if (desk.sentAtMs.delete(ticketOf(caller))) desk.end(ticketOf(caller), 'success')
      }
      await desk.clock.advance(10)
    }
    expect(callers.every(isSent)).toBe(true)
  })

  it('has saved up no more of a bound by hand than a second brings', async () => {
    const desk = new Desk({ limits: { requestsPerMinute: 600 } })
    desk.send(10)
    const callers = Array.from({ length: 100 }, () => desk.wait())
    desk.suspend(HOUR_MS)
    await desk.clock.advance(200)
    // Ten, and two more in 200 ms.
    expect(callers.filter(isSent).length).toBeLessThanOrEqual(12)
  })

  it('reports nothing below zero', async () => {
    const desk = new Desk()
    const [early = 0] = desk.send(1)
    desk.bringDown()
    desk.end(early, 'limited', { hintMs: 5_000 })
    desk.wait({ latestMs: 90_000 })
    for (const ms of [HOUR_MS, 1, 1e10, 0.5]) {
      desk.suspend(ms)
      const { limit, inFlight, waiting, closedForMs, downForMs } = desk.status
      const held = desk.line.held(desk.request())
      for (const value of [
        inFlight,
        waiting,
        closedForMs,
        downForMs,
        held.leastMs,
        held.expectedMs,
      ]) {
        expect(value).toBeGreaterThanOrEqual(0)
      }
      expect(limit).toBeGreaterThanOrEqual(1)
    }
  })

  it('is told how long of a wait was for a hint, and for an outage', async () => {
    const desk = new Desk({ drawn: 0 })
    desk.end(desk.enter(), 'limited', { hintMs: 1_000 })
    await desk.clock.advance(1_500)
    expect(desk.line.reasonsSince(400)).toEqual({ hintMs: 600, downMs: 0 })
    expect(desk.line.reasonsSince(1_200)).toEqual({ hintMs: 0, downMs: 0 })
  })
})

describe('the reasons of a wait', () => {
  it('are not counted twice where a hint came during an outage', async () => {
    const desk = new Desk({ drawn: 0 })
    desk.bringDown()
    await desk.clock.advance(1_000)
    desk.end(desk.enter(), 'limited', { hintMs: 5_000 })
    await desk.clock.advance(7_000)
    // A second down, five of the hint, two down.
    expect(desk.line.reasonsSince(0)).toEqual({ hintMs: 5_000, downMs: 3_000 })
    expect(desk.line.reasonsSince(2_000)).toEqual({ hintMs: 4_000, downMs: 2_000 })
    desk.end(desk.enter(), 'success')
    await desk.clock.advance(1_000)
    expect(desk.line.reasonsSince(0)).toEqual({ hintMs: 5_000, downMs: 3_000 })
    expect(desk.line.reasonsSince(6_500)).toEqual({ hintMs: 0, downMs: 1_500 })
  })
})

describe('a wall clock that is set', () => {
  it.each([HOUR_MS, -HOUR_MS])('by %d ms neither opens nor holds anything', async (byMs) => {
    const desk = new Desk({ drawn: 0 })
    desk.end(desk.enter(), 'limited', { hintMs: 1_000 })
    const caller = desk.wait({ latestMs: 5_000 })
    desk.clock.jumpWall(byMs)
    await desk.clock.advance(999)
    expect(caller.outcome).toBeUndefined()
    await desk.clock.advance(1)
    expect(isSent(caller)).toBe(true)
  })
})
