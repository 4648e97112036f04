import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { type Caller, Desk, isSent, ticketOf } from './desk.ts'

/** One place, and it is taken. */
async function occupied() {
  const desk = new Desk({ limits: { concurrency: 1 } })
  const [first = 0] = desk.send(1)
  return { desk, first }
}

/** Ends one after the other, and says in which order those who waited were sent. */
async function orderOf(desk: Desk, first: number, callers: readonly Caller[]) {
  const order: number[] = []
  let current = first
  for (let turn = 0; turn < callers.length; turn += 1) {
    desk.end(current, 'success')
    await desk.settle()
    const next = callers.find((caller) => isSent(caller) && !order.includes(caller.order))
    if (next === undefined) break
    order.push(next.order)
    current = ticketOf(next)
  }
  return order
}

describe('a free line', () => {
  it('lets everybody through at once, and arms no timer', () => {
    const desk = new Desk()
    expect(desk.send(1_000)).toHaveLength(1_000)
    expect(desk.armed).toBe(0)
    expect(desk.status).toEqual({
      state: 'up',
      limit: Infinity,
      inFlight: 1_000,
      waiting: 0,
      closedForMs: 0,
      downForMs: 0,
    })
  })

  it('is not held up by a retry that waits for its own backoff', async () => {
    const desk = new Desk()
    const retry = desk.wait({ notBeforeMs: 500 })
    expect(desk.line.isFree).toBe(true)
    expect(desk.enter()).not.toBe(0)
    await desk.clock.advance(499)
    expect(retry.outcome).toBeUndefined()
    await desk.clock.advance(1)
    expect(isSent(retry)).toBe(true)
  })

  it('is not held up by a retry without a token', () => {
    const desk = new Desk()
    desk.send(6, { paying: true })
    desk.wait({ paying: true })
    expect(desk.status.waiting).toBe(1)
    expect(desk.enter()).not.toBe(0)
  })
})

describe('the order of a line', () => {
  it('is that in which the calls came, whenever they began to wait', async () => {
    const { desk, first } = await occupied()
    const [a, b, c] = [desk.line.arrive(), desk.line.arrive(), desk.line.arrive()]
    const callers = [desk.wait({ order: c }), desk.wait({ order: a }), desk.wait({ order: b })]
    expect(await orderOf(desk, first, callers)).toEqual([a, b, c])
  })

  it('keeps the place of a call for its retry', async () => {
    const desk = new Desk({ limits: { concurrency: 1 } })
    const order = desk.line.arrive()
    const first = desk.enter({ order })
    const [second, third] = [desk.wait(), desk.wait()]
    desk.end(first, 'error')
    const again = desk.wait({ order, requests: 1 })
    await desk.settle()
    desk.end(ticketOf(second), 'success')
    await desk.settle()
    expect([isSent(again), isSent(third)]).toEqual([true, false])
  })

  it('passes over a retry whose own wait has not ended, and then lets it go first', async () => {
    const { desk, first } = await occupied()
    const retry = desk.wait({ order: 0, notBeforeMs: 500 })
    const [b, c] = [desk.wait(), desk.wait()]
    desk.end(first, 'success')
    await desk.clock.advance(500)
    expect([isSent(b), isSent(retry), isSent(c)]).toEqual([true, false, false])
    desk.end(ticketOf(b), 'success')
    await desk.settle()
    expect([isSent(retry), isSent(c)]).toEqual([true, false])
  })

  it('holds a newcomer behind those who wait already', async () => {
    const { desk, first } = await occupied()
    const waiting = desk.wait()
    expect(desk.enter()).toBe(0)
    desk.end(first, 'success')
    expect(desk.enter()).toBe(0)
    await desk.settle()
    expect(isSent(waiting)).toBe(true)
  })
})

describe('a call that no learned limit holds', () => {
  it.each([{ impatient: true }, { nested: true }])('is not behind those that wait: %o', (own) => {
    const desk = new Desk()
    const [first = 0] = desk.send(10)
    desk.end(first, 'refused')
    desk.wait()
    expect(desk.line.held(desk.request())).toMatchObject({ by: 'limit' })
    expect(desk.line.held(desk.request(own))).toMatchObject({ by: 'backoff', expectedMs: 0 })
    expect(desk.enter(own)).not.toBe(0)
  })
})

describe('a bulk call', () => {
  it('yields to all others, and gets every twentieth place', async () => {
    const { desk, first } = await occupied()
    const bulk = Array.from({ length: 3 }, () => desk.wait({ bulk: true }))
    const normal = Array.from({ length: 60 }, () => desk.wait())
    const order = await orderOf(desk, first, [...bulk, ...normal])
    const isBulk = order.map((place) => bulk.some((caller) => caller.order === place))
    const places = isBulk.flatMap((yes, at) => (yes ? [at + 1] : []))
    expect(order).toHaveLength(63)
    // Of the first twenty places one, and so on: never two within nineteen.
    expect(places).toHaveLength(3)
    expect(places[0]).toBeLessThanOrEqual(20)
    expect(places.slice(1).map((place, at) => place - (places[at] ?? 0))).toEqual([20, 20])
  })

  it('takes every place where nobody else waits', async () => {
    const { desk, first } = await occupied()
    const bulk = Array.from({ length: 30 }, () => desk.wait({ bulk: true }))
    expect(await orderOf(desk, first, bulk)).toHaveLength(30)
  })
})

describe('a nested call', () => {
  it('is never held by a learned limit', () => {
    const desk = new Desk()
    const [first = 0] = desk.send(2)
    desk.end(first, 'refused')
    desk.send(1)
    desk.wait()
    expect(desk.status).toMatchObject({ limit: 2, inFlight: 2, waiting: 1 })
    expect(desk.enter({ nested: true })).not.toBe(0)
  })

  it('waits for a limit set by hand, before those that are not nested', async () => {
    const { desk, first } = await occupied()
    const outer = desk.wait()
    const inner = [desk.wait({ nested: true }), desk.wait({ nested: true })]
    expect(desk.enter({ nested: true })).toBe(0)
    expect(desk.line.held(desk.request({ nested: true }))).toMatchObject({ by: 'limit', ahead: 2 })
    expect(await orderOf(desk, first, [outer, ...inner])).toEqual([
      ...inner.map(({ order }) => order),
      outer.order,
    ])
  })

  it('does not wait for itself: where it is made within a place, that limit holds it neither', async () => {
    const { desk } = await occupied()
    const nested = desk.wait({ nested: true })
    expect(desk.enter({ nested: true, reentrant: true })).not.toBe(0)
    desk.send(6, { nested: true, reentrant: true, paying: true })
    const poor = desk.wait({ nested: true, reentrant: true, paying: true })
    await desk.clock.advance(300_001)
    expect([isSent(nested), isSent(poor)]).toEqual([false, true])
  })

  it('that repeats what may have run waits for a token, though no place comes free', async () => {
    const desk = new Desk({ limits: { concurrency: 1 } })
    desk.send(1)
    for (let taken = 0; taken < 6; taken += 1) {
      desk.end(desk.enter({ nested: true, reentrant: true, paying: true }), 'nothing')
    }
    const inner = desk.wait({ nested: true, reentrant: true, paying: true })
    await desk.clock.advance(29_999)
    expect(inner.outcome).toBeUndefined()
    // Time brings a token in five minutes at the latest.
    await desk.clock.advance(270_002)
    expect(isSent(inner)).toBe(true)
  })

  it('waits out a hint like every other', async () => {
    const desk = new Desk()
    desk.end(desk.enter(), 'limited', { hintMs: 1_000 })
    const inner = desk.wait({ nested: true })
    await desk.clock.advance(999)
    expect(inner.outcome).toBeUndefined()
    await desk.clock.advance(51)
    expect(isSent(inner)).toBe(true)
  })
})

describe('a crowd', () => {
  it('of 100,000 waits on one timer; one more is refused at once', async () => {
    const { desk } = await occupied()
    const first = desk.wait({ latestMs: 90_000 })
    for (let caller = 1; caller < 100_000; caller += 1) {
      void desk.line.wait(desk.request({ latestMs: 90_000 }))
    }
    expect(desk.status.waiting).toBe(100_000)
    const oneMore = desk.wait({ latestMs: 90_000 })
    await desk.settle()
    expect(oneMore.outcome).toEqual({ by: 'limit', why: 'full' })
    expect(first.outcome).toBeUndefined()
    expect(desk.clock.pending).toBe(1)
    expect(desk.armed).toBe(1)
  })

  it('leaves together when its patience ends', async () => {
    const { desk } = await occupied()
    const outcomes: unknown[] = []
    for (let caller = 0; caller < 10_000; caller += 1) {
      void desk.line
        .wait(desk.request({ latestMs: 1_000 + (caller % 7) }))
        .then((outcome) => outcomes.push(outcome))
    }
    await desk.clock.advance(1_006)
    expect(outcomes).toHaveLength(10_000)
    expect(desk.status.waiting).toBe(0)
    expect(desk.clock.pending).toBe(0)
  })
})

describe('an abort', () => {
  it('ends the wait in the same tick, whatever holds it', async () => {
    const desk = new Desk({ limits: { concurrency: 1 } })
    desk.send(1)
    const controller = new AbortController()
    const caller = desk.wait({}, controller.signal)
    const other = desk.wait({})
    controller.abort()
    expect(desk.status.waiting).toBe(1)
    await desk.settle()
    expect(caller.outcome).toEqual({ by: 'limit', why: 'aborted' })
    expect(other.outcome).toBeUndefined()
  })

  it('of one that waited first lets the next go', async () => {
    const { desk, first } = await occupied()
    const controller = new AbortController()
    desk.wait({}, controller.signal)
    const next = desk.wait()
    controller.abort()
    desk.end(first, 'success')
    await desk.settle()
    expect(isSent(next)).toBe(true)
  })

  it('before the wait refuses it, and after it changes nothing', async () => {
    const { desk, first } = await occupied()
    expect(await desk.line.wait(desk.request(), AbortSignal.abort())).toEqual({
      by: 'limit',
      why: 'aborted',
    })
    const controller = new AbortController()
    const caller = desk.wait({}, controller.signal)
    desk.end(first, 'success')
    controller.abort()
    await desk.settle()
    expect(isSent(caller)).toBe(true)
    expect(desk.status.inFlight).toBe(1)
  })

  it('has one listener for all that share a signal, and none when nobody waits any more', async () => {
    const { desk, first } = await occupied()
    const { signal } = new AbortController()
    const callers = Array.from({ length: 1_000 }, () => desk.wait({}, signal))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await orderOf(desk, first, callers.slice(0, 999))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    for (const caller of callers.slice(998, 999)) desk.end(ticketOf(caller), 'success')
    await desk.settle()
    expect(callers.every(isSent)).toBe(true)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('of all of a crowd keeps no timer', async () => {
    const { desk } = await occupied()
    const controller = new AbortController()
    for (let caller = 0; caller < 1_000; caller += 1) {
      void desk.line.wait(desk.request({ latestMs: 5_000 }), controller.signal)
    }
    controller.abort()
    expect(desk.status.waiting).toBe(0)
    expect(desk.clock.pending).toBe(0)
  })
})

describe('a stream whose reader is idle', () => {
  /** So many streams, of which the first are read; says which still have their places. */
  function streaming(count: number, read: number) {
    const desk = new Desk({ limits: { concurrency: count } })
    let looks = 0
    const left: number[] = []
    const close = desk.send(count).map((ticket, at) => {
      desk.line.ended({ ticket, sentAtMs: 0, sign: 'success', hintMs: 0, paid: false })
      const idleForMs = () => {
        looks += 1
        return at < read ? 0 : desk.nowMs
      }
      return desk.line.streams({ idleForMs }, () => {
        left.push(at)
        return 0
      })
    })
    return { desk, close, left, looks: () => looks }
  }

  it('gives up its place to a call that needs it, and no other does', async () => {
    const { desk, left } = streaming(10, 5)
    await desk.clock.advance(5_000)
    const callers = [desk.wait(), desk.wait()]
    await desk.settle()
    expect(callers.every(isSent)).toBe(true)
    expect(left).toHaveLength(2)
    expect(desk.status.inFlight).toBe(10)
  })

  it('is looked for once a second, whatever happens', async () => {
    const { desk, close, looks } = streaming(100, 100)
    const callers = Array.from({ length: 50 }, () => desk.wait())
    for (const end of close.slice(0, 20)) end()
    await desk.settle()
    expect(callers.filter(isSent)).toHaveLength(20)
    expect(looks()).toBe(100)
    await desk.clock.advance(999)
    expect(looks()).toBe(100)
    await desk.clock.advance(1)
    expect(looks()).toBe(180)
  })

  it('is looked for by few timers while a retry waits for a token too', async () => {
    const { desk } = streaming(1, 1)
    for (let taken = 0; taken < 6; taken += 1) {
      desk.end(desk.enter({ nested: true, reentrant: true, paying: true }), 'nothing')
    }
    desk.wait({ paying: true })
    await desk.clock.advance(10_000)
    expect(desk.armed).toBeLessThanOrEqual(12)
  })

  it('keeps its place where its reader has gone on since', async () => {
    const desk = new Desk({ limits: { concurrency: 2 } })
    let idleForMs = 6_000
    for (const ticket of desk.send(2)) {
      desk.line.ended({ ticket, sentAtMs: 0, sign: 'success', hintMs: 0, paid: false })
      desk.line.streams({ idleForMs: () => idleForMs }, () => 0)
    }
    const first = desk.wait()
    await desk.settle()
    idleForMs = 0
    const second = desk.wait()
    await desk.settle()
    expect([first, second].map(isSent)).toEqual([true, false])
  })
})
