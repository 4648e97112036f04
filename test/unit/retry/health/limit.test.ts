import { describe, expect, it } from 'vitest'
import { Desk, isSent, ticketOf } from './desk.ts'

/** Ends those, and sends as many again. */
function renew(desk: Desk, tickets: readonly number[]): number[] {
  for (const ticket of tickets) desk.end(ticket, 'success')
  return desk.send(tickets.length)
}

describe('the learned limit', () => {
  it.each([
    // Seven tenths of what was in flight; a rate limit, with nothing served, leaves a quarter.
    { sign: 'refused' as const, limit: 14 },
    { sign: 'limited' as const, limit: 5 },
    { sign: 'slow' as const, limit: 5 },
  ])('is $limit after 20 in flight and one that is $sign', ({ sign, limit }) => {
    const desk = new Desk()
    const [first = 0] = desk.send(20)
    expect(desk.status.limit).toBe(Infinity)
    desk.end(first, sign)
    expect(desk.status.limit).toBe(limit)
  })

  it('is cut by the first refusal after the last cut, in a run that began with an older one too', () => {
    const desk = new Desk()
    const [first = 0, second = 0, ...others] = desk.send(10)
    desk.end(first, 'refused')
    expect(desk.status.limit).toBe(7)
    for (const ticket of others.slice(0, 4)) desk.end(ticket, 'success')
    const [third = 0, fourth = 0] = desk.send(2)
    // The run is over; another one begins with a refusal from before the cut.
    desk.end(third, 'success')
    desk.end(second, 'refused')
    expect(desk.status.limit).toBeGreaterThan(desk.status.inFlight)
    desk.end(fourth, 'refused')
    expect(desk.status.limit).toBeLessThan(5)
  })

  it.each(['error', 'answered', 'nothing', 'success'] as const)('is not cut by %s', (sign) => {
    const desk = new Desk()
    const [first = 0] = desk.send(20)
    desk.end(first, sign)
    expect(desk.status.limit).toBe(Infinity)
  })

  it('leaves a rate limit half more than was served', async () => {
    const desk = new Desk()
    await desk.clock.advance(500)
    // Ten a second, a second each; 110 in the ten and a half seconds that are looked at.
    for (let second = 0; second < 12; second += 1) {
      const sent = desk.send(10)
      await desk.clock.advance(1_000)
      for (const ticket of sent) desk.end(ticket, 'success')
    }
    const [first = 0] = desk.send(40)
    desk.end(first, 'limited')
    expect(desk.status.limit).toBe(16)
  })

  it.each([
    { what: 'whole answers', streams: false },
    { what: 'streams, which begin soon and hold their places long', streams: true },
  ])('leaves a rate limit seven tenths of $what', async ({ streams }) => {
    const desk = new Desk()
    // One every 300 ms, 30 s each: a hundred in flight.
    for (let ms = 0; ms < 180_000; ms += 300) {
      await desk.clock.advance(300)
      const [ticket = 0] = desk.send(1)
      if (streams) {
        desk.clock.schedule(200, () => {
          const sentAtMs = desk.nowMs - 200
          desk.line.ended({ ticket, sentAtMs, sign: 'success', hintMs: 0, paid: false })
          const close = desk.line.streams({ idleForMs: () => 0 }, () => 0)
          desk.clock.schedule(29_800, close)
        })
      } else desk.clock.schedule(30_000, () => desk.end(ticket, 'success'))
    }
    const { inFlight } = desk.status
    expect(inFlight).toBe(100)
    const [last = 0] = desk.send(1)
    desk.end(last, 'limited')
    expect(desk.status.limit).toBe(71)
  })

  it('is cut once by all that were sent together', () => {
    const desk = new Desk()
    const sent = desk.send(20)
    for (const ticket of sent.slice(0, 4)) desk.end(ticket, 'refused')
    expect(desk.status.limit).toBe(14)
  })

  it('is cut again by one that was sent after', () => {
    const desk = new Desk()
    const sent = desk.send(20)
    for (const ticket of sent.slice(0, 10)) desk.end(ticket, 'refused')
    const [good = 0, later = 0] = desk.send(2)
    desk.end(good, 'success')
    desk.end(later, 'refused')
    // Of 11 in flight.
    expect(desk.status.limit).toBe(8)
  })

  it('is cut to no less than is in flight while nothing but refusals comes', () => {
    const desk = new Desk()
    const sent = desk.send(20)
    for (const ticket of sent.slice(0, 10)) desk.end(ticket, 'refused')
    const [later = 0] = desk.send(1)
    desk.end(later, 'refused')
    expect(desk.status.limit).toBe(11)
  })

  it('is never less than one', () => {
    const desk = new Desk()
    for (const sign of ['limited', 'refused', 'slow', 'limited', 'refused'] as const) {
      desk.play(1, 'success')
      desk.play(2, sign)
    }
    expect(desk.status).toMatchObject({ state: 'up', limit: 1 })
    expect(desk.enter()).not.toBe(0)
  })

  it('grows by one per round trip where it is what holds calls back', () => {
    const desk = new Desk()
    const [first = 0, ...others] = desk.send(20)
    desk.end(first, 'refused')
    let sent = others.slice(0, 14)
    for (const ticket of others.slice(14)) desk.end(ticket, 'success')
    // Those of before the cut say nothing.
    sent = renew(desk, sent)
    expect(desk.status.limit).toBe(14)
    sent = renew(desk, sent)
    expect(desk.status.limit).toBe(15)
  })

  it('does not grow while less than four fifths of it are in use', () => {
    const desk = new Desk()
    const sent = desk.send(20)
    desk.end(sent[0] ?? 0, 'refused')
    for (const ticket of sent.slice(1)) desk.end(ticket, 'success')
    for (let turn = 0; turn < 20; turn += 1) {
      for (const ticket of desk.send(10)) desk.end(ticket, 'success')
    }
    expect(desk.status.limit).toBe(14)
  })

  /** Twenty in flight, one refused, all ended: a limit of 14. */
  function cut() {
    const desk = new Desk()
    const sent = desk.send(20)
    desk.end(sent[0] ?? 0, 'refused')
    for (const ticket of sent.slice(1)) desk.end(ticket, 'success')
    return desk
  }

  it.each([
    { quietMs: 60_000, burst: 14 },
    { quietMs: 60_001, burst: 100 },
    { quietMs: 24 * 3_600_000, burst: 100 },
  ])(
    'lets $burst of a burst of 100 go after $quietMs ms of silence',
    async ({ quietMs, burst }) => {
      const desk = cut()
      await desk.clock.advance(quietMs)
      let count = 0
      while (count < 100 && desk.enter() !== 0) count += 1
      expect(count).toBe(burst)
    },
  )

  it('is forgotten after a quiet minute in which it held nobody, whoever looks', async () => {
    const desk = cut()
    for (let second = 0; second < 60; second += 1) {
      await desk.clock.advance(1_000)
      for (const ticket of desk.send(14)) desk.end(ticket, 'success')
    }
    expect(desk.status.limit).toBeLessThan(20)
    await desk.clock.advance(1)
    expect(desk.status.limit).toBe(Infinity)
  })

  it('is kept while it holds calls back, however long their turn takes to come', async () => {
    const desk = cut()
    const sent = desk.send(14)
    const held = desk.wait()
    await desk.clock.advance(10 * 60_000)
    expect(desk.enter()).toBe(0)
    expect(desk.status).toMatchObject({ limit: 14, waiting: 1 })
    desk.end(sent[0] ?? 0, 'success')
    await desk.settle()
    expect(isSent(held)).toBe(true)
    expect(desk.status).toMatchObject({ limit: 15, inFlight: 14 })
    await desk.clock.advance(60_001)
    expect(desk.status.limit).toBe(Infinity)
  })

  it('is kept while it sends calls elsewhere', async () => {
    const desk = cut()
    desk.send(14)
    for (let second = 0; second < 120; second += 1) {
      await desk.clock.advance(1_000)
      expect(desk.enter()).toBe(0)
    }
    expect(desk.status.limit).toBe(14)
  })

  it('of a caller who comes alone after an outage is forgotten with its recovery', async () => {
    const desk = new Desk()
    for (const ticket of desk.send(20)) desk.end(ticket, 'success')
    desk.bringDown()
    await desk.clock.advance(1_000)
    desk.play(1, 'success')
    for (let second = 0; second < 59; second += 1) {
      await desk.clock.advance(1_000)
      desk.play(1, 'success')
    }
    expect(desk.status).toMatchObject({ state: 'recovering', limit: 5 })
    await desk.clock.advance(1_001)
    expect(desk.line.health).toBe('up')
    expect(desk.status).toMatchObject({ state: 'up', limit: Infinity })
  })

  it('is cut where even the fastest answers take three times as long', async () => {
    const desk = new Desk()
    const round = async (tookMs: number) => {
      const sent = desk.send(12)
      await desk.clock.advance(tookMs)
      for (const ticket of sent) desk.end(ticket, 'success')
    }
    for (let turn = 0; turn < 4; turn += 1) await round(1_000)
    await round(2_900)
    expect(desk.status.limit).toBe(Infinity)
    await round(10_000)
    await round(10_000)
    await round(10_000)
    expect(desk.status.limit).toBeLessThan(12)
  })

  it('is not cut by a mixture of short and long answers', async () => {
    const desk = new Desk()
    for (let turn = 0; turn < 10; turn += 1) {
      const sent = desk.send(24)
      await desk.clock.advance(100)
      for (const ticket of sent.slice(0, 12)) desk.end(ticket, 'success')
      await desk.clock.advance(9_900)
      for (const ticket of sent.slice(12)) desk.end(ticket, 'success')
    }
    expect(desk.status.limit).toBe(Infinity)
  })

  it('is raised again where refusals come as often with a quarter of it', async () => {
    const desk = new Desk()
    let turn = 0
    const limits = new Set<number>()
    const states = new Set<string>()
    let inFlight: number[] = []
    for (let ms = 0; ms < 30_000; ms += 100) {
      // Every fifth is refused, whatever the load.
      for (const ticket of inFlight) {
        turn += 1
        desk.end(ticket, turn % 5 === 0 ? 'refused' : 'success')
      }
      inFlight = []
      for (let call = 0; call < 20; call += 1) {
        const ticket = desk.enter()
        if (ticket !== 0) inFlight.push(ticket)
      }
      limits.add(desk.status.limit)
      states.add(desk.status.state)
      await desk.clock.advance(100)
    }
    expect(Math.min(...limits)).toBeLessThanOrEqual(5)
    expect(inFlight).toHaveLength(20)
    // Nothing was down.
    expect([...states]).toEqual(['up'])
  })

  it('does not keep a process at one call in flight that begins with refusals of whatever load', async () => {
    const desk = new Desk()
    let turn = 0
    for (let second = 0; second < 40; second += 1) {
      const ticket = desk.enter()
      await desk.clock.advance(1_000)
      turn += 1
      if (ticket !== 0) desk.end(ticket, turn % 4 === 1 ? 'refused' : 'success')
    }
    const waiting = new Set(Array.from({ length: 300 }, () => desk.wait()))
    for (let round = 0; round < 7; round += 1) {
      await desk.clock.advance(1_000)
      const sent = [...waiting].filter(isSent)
      for (const caller of sent) {
        waiting.delete(caller)
        desk.end(ticketOf(caller), 'success')
      }
      await desk.settle()
    }
    expect(desk.status.inFlight).toBeGreaterThan(40)
  })

  it.each(['off', 'none'] as const)("with limits '%s' is never learned", (limits) => {
    const desk = new Desk({ limits })
    for (const ticket of desk.send(20)) desk.end(ticket, 'refused')
    expect(desk.status.limit).toBe(Infinity)
  })
})

describe('a token of the retry budget', () => {
  /** Retries that go out at once. */
  function retries(desk: Desk): number {
    let count = 0
    while (count < 1_000) {
      const ticket = desk.enter({ paying: true })
      if (ticket === 0) return count
      desk.end(ticket, 'nothing')
      count += 1
    }
    return count
  }

  it('is there for all retries of one call at the start, and for two after a first success', () => {
    expect(retries(new Desk())).toBe(6)
    const desk = new Desk()
    desk.play(1, 'success')
    // The success has brought one.
    expect(retries(desk)).toBe(3)
  })

  it('cannot come sooner than time brings it while nothing is in flight', () => {
    const desk = new Desk()
    while (desk.enter({ paying: true }) !== 0);
    const paying = desk.request({ paying: true })
    expect(desk.line.held(paying)).toMatchObject({ by: 'budget', leastMs: 0 })
    for (const ticket of desk.sentAtMs.keys()) desk.end(ticket, 'nothing')
    expect(desk.line.held(paying)).toMatchObject({ by: 'budget', leastMs: 30_000 })
  })

  it('comes with every success, and is given back by a retry that succeeds', () => {
    const desk = new Desk()
    desk.send(50).forEach((ticket) => {
      desk.end(ticket, 'success')
    })
    expect(retries(desk)).toBe(52)
    const [first = 0] = desk.send(1)
    desk.end(first, 'success')
    const [again = 0] = desk.send(1, { paying: true })
    desk.end(again, 'success', { paid: true })
    expect(retries(desk)).toBe(2)
  })

  it('is taken by timeouts, two for each, down to two below nothing', () => {
    const desk = new Desk()
    desk.play(2, 'slow')
    desk.play(1, 'answered')
    desk.play(2, 'slow')
    desk.play(1, 'answered')
    desk.play(2, 'slow')
    desk.play(1, 'answered')
    desk.play(2, 'success')
    expect(retries(desk)).toBe(0)
    desk.play(1, 'success')
    expect(retries(desk)).toBe(1)
  })

  it('comes with time, to one call that waits for it, and arms one timer', async () => {
    const desk = new Desk()
    for (let second = 0; second < 31; second += 1) {
      await desk.clock.advance(1_000)
      desk.play(1, 'success')
    }
    retries(desk)
    const caller = desk.wait({ paying: true })
    expect(desk.line.held(desk.request({ paying: true }))).toMatchObject({ by: 'budget' })
    await desk.clock.advance(29_999)
    expect(caller.outcome).toBeUndefined()
    expect(desk.clock.pending).toBe(1)
    await desk.clock.advance(100_000)
    expect(isSent(caller)).toBe(true)
  })

  it('is no affair of a call that does not wait, nor of a line that learns nothing', () => {
    const desk = new Desk()
    expect(desk.send(100, { paying: true, impatient: true })).toHaveLength(100)
    expect(new Desk({ limits: 'off' }).send(100, { paying: true })).toHaveLength(100)
  })

  it('does not hold those who come with a first attempt', async () => {
    const desk = new Desk()
    retries(desk)
    const retry = desk.wait({ paying: true })
    expect(desk.enter()).not.toBe(0)
    const [first = 0] = desk.send(1)
    desk.end(first, 'success')
    await desk.settle()
    expect(isSent(retry)).toBe(true)
  })
})
