import { describe, expect, it } from 'vitest'
import { Desk, isSent, ticketOf } from './desk.ts'

const DAY_MS = 24 * 3_600_000

/** Told to wait, and nothing is learned from it but that; 0.5 of the spread is drawn. */
function told(hintMs: number, drawn = 0.5) {
  const desk = new Desk({ limits: 'off', drawn })
  const [early = 0, refused = 0] = desk.send(2)
  desk.end(refused, 'limited', { hintMs, seen: { kind: 'rate_limit', status: 429 } })
  return { desk, early, refused }
}

describe('a hint', () => {
  it.each([
    { drawn: 0, closedForMs: 4_000 },
    { drawn: 0.5, closedForMs: 4_200 },
    { drawn: 0.999, closedForMs: 4_399.6 },
  ])(
    'of 4 s closes the line for $closedForMs ms when $drawn is drawn',
    ({ drawn, closedForMs }) => {
      expect(told(4_000, drawn).desk.status.closedForMs).toBeCloseTo(closedForMs, 6)
    },
  )

  it('holds everybody until it is over, then lets them go', async () => {
    const { desk } = told(4_000)
    const callers = [desk.wait(), desk.wait({ nested: true }), desk.wait({ bulk: true })]
    expect(desk.enter()).toBe(0)
    expect(desk.enter({ impatient: true })).toBe(0)
    await desk.clock.advance(4_199)
    expect(callers.map(isSent)).toEqual([false, false, false])
    await desk.clock.advance(1)
    expect(callers.every(isSent)).toBe(true)
  })

  it('counts also on a refusal that is not a rate limit', () => {
    const desk = new Desk({ drawn: 0 })
    desk.end(desk.enter(), 'refused', { hintMs: 3_000 })
    expect(desk.status.closedForMs).toBe(3_000)
  })

  it.each(['success', 'answered', 'error', 'slow', 'nothing'] as const)(
    'on %s closes nothing',
    (sign) => {
      const desk = new Desk({ drawn: 0 })
      desk.end(desk.enter(), sign, { hintMs: 3_000 })
      expect(desk.status.closedForMs).toBe(0)
    },
  )

  it('that is shorter opens nothing earlier', async () => {
    const { desk, early } = told(4_000)
    await desk.clock.advance(1_000)
    desk.end(early, 'limited', { hintMs: 100 })
    expect(desk.status.closedForMs).toBe(3_200)
  })

  it('that is longer closes it for longer', async () => {
    const { desk, early } = told(4_000)
    await desk.clock.advance(1_000)
    desk.end(early, 'limited', { hintMs: 10_000 })
    expect(desk.status.closedForMs).toBe(10_500)
  })

  it('is kept to by a call that could not wait for the spread, which holds all others', async () => {
    const { desk } = told(4_000)
    const hasty = desk.wait({ latestMs: 4_040 })
    const less = desk.wait({ latestMs: 4_150 })
    const patient = desk.wait()
    await desk.clock.advance(3_999)
    expect(hasty.outcome).toBeUndefined()
    await desk.clock.advance(1)
    expect([hasty, less, patient].map(isSent)).toEqual([true, false, false])
    // As much before the end of its patience as a timer may be late.
    await desk.clock.advance(100)
    expect([less, patient].map(isSent)).toEqual([true, false])
    await desk.clock.advance(99)
    expect(isSent(patient)).toBe(false)
    await desk.clock.advance(1)
    expect(isSent(patient)).toBe(true)
  })

  it('gives way to no more calls than the limit allows', async () => {
    const desk = new Desk({ limits: { concurrency: 1 } })
    desk.end(desk.enter(), 'limited', { hintMs: 4_000 })
    const hasty = [desk.wait({ latestMs: 4_010 }), desk.wait({ latestMs: 4_020 })]
    await desk.clock.advance(4_015)
    expect(hasty.map(isSent)).toEqual([true, false])
    const armed = desk.armed
    await desk.clock.advance(5)
    expect(hasty[1]?.outcome).toEqual({ by: 'hint', why: 'patience' })
    expect(desk.armed - armed).toBeLessThanOrEqual(2)
  })

  it('that ends within the spread of another is kept to as well', async () => {
    const { desk, early } = told(4_000)
    await desk.clock.advance(1_000)
    desk.end(early, 'limited', { hintMs: 3_150 })
    const hasty = desk.wait({ latestMs: 4_100 })
    const patient = desk.wait({ latestMs: 4_160 })
    await desk.clock.advance(3_149)
    expect(hasty.outcome).toEqual({ by: 'hint', why: 'too_long' })
    expect(patient.outcome).toBeUndefined()
    await desk.clock.advance(1)
    expect(isSent(patient)).toBe(true)
  })

  it('beyond the patience of a call ends its wait before it begins', async () => {
    const { desk } = told(4_000)
    const caller = desk.wait({ latestMs: 3_999 })
    await desk.settle()
    expect(caller.outcome).toEqual({ by: 'hint', why: 'too_long' })
  })

  it('that comes while others wait ends those whose patience ends before it, at once', async () => {
    const desk = new Desk({ limits: { concurrency: 1 }, drawn: 0 })
    const first = desk.enter()
    const own = [{}, { notBeforeMs: 1_000 }, { bulk: true }, { paying: true }]
    const hasty = own.map((request) => desk.wait({ ...request, latestMs: 59_999 }))
    const patient = desk.wait({ latestMs: 60_000 })
    desk.end(first, 'limited', { hintMs: 60_000 })
    await desk.settle()
    for (const { outcome } of hasty) expect(outcome).toEqual({ by: 'hint', why: 'too_long' })
    expect(patient.outcome).toBeUndefined()
    expect(desk.status.waiting).toBe(1)
  })

  it.each([
    { days: 400, drawn: 0 },
    { days: 400, drawn: 0.999 },
    { days: 0.99, drawn: 0.999 },
  ])('of $days days is kept for a day, its spread of $drawn included', ({ days, drawn }) => {
    const { closedForMs } = told(days * DAY_MS, drawn).desk.status
    expect(closedForMs).toBe(DAY_MS)
  })

  it.each([Infinity, Number.MAX_VALUE])('of %d ms is kept for a day too', (hintMs) => {
    expect(told(hintMs, 0).desk.status.closedForMs).toBe(DAY_MS)
  })

  it('says what closed the line, and nothing else of the call that met it', () => {
    const { desk } = told(4_000)
    expect(desk.line.seen('hint')).toEqual({ kind: 'rate_limit', status: 429 })
    expect(desk.line.held(desk.request())).toEqual({
      by: 'hint',
      leastMs: 4_000,
      expectedMs: 4_200,
      ahead: 0,
    })
  })

  it('longer than two seconds is let out slowly after, a shorter one at once', async () => {
    for (const [hintMs, limit, state] of [
      [2_000, 5, 'up'],
      [2_001, 2, 'recovering'],
    ] as const) {
      const desk = new Desk({ drawn: 0 })
      const [first = 0] = desk.send(20)
      desk.end(first, 'limited', { hintMs })
      await desk.clock.advance(3_000)
      desk.wait()
      // A quarter of what was in flight, as nothing had come through; then two, and more by success.
      expect(desk.status, String(hintMs)).toMatchObject({ limit, state })
    }
  })
})

describe('a success of an attempt that was sent after the refused one', () => {
  /** Refused first, while a later one is still under way. */
  function overtaken(hintMs: number) {
    const desk = new Desk({ limits: 'off', drawn: 0 })
    const [early = 0, refused = 0, later = 0] = desk.send(3)
    desk.end(refused, 'limited', { hintMs })
    return { desk, early, later }
  }

  it('disproves the hint and opens the line at once', async () => {
    const { desk, later } = overtaken(60_000)
    const caller = desk.wait()
    desk.end(later, 'success')
    await desk.settle()
    expect(isSent(caller)).toBe(true)
    expect(desk.status.closedForMs).toBe(0)
  })

  it('is not what a success is that was sent before it', () => {
    const { desk, early } = overtaken(60_000)
    desk.end(early, 'success')
    expect(desk.status.closedForMs).toBe(60_000)
  })

  it('makes hints the affair of the call that gets them, for five minutes', async () => {
    const { desk, later } = overtaken(60_000)
    desk.end(later, 'success')
    await desk.clock.advance(5 * 60_000 - 1)
    desk.end(desk.enter(), 'limited', { hintMs: 60_000 })
    expect(desk.status.closedForMs).toBe(0)
    await desk.clock.advance(1)
    desk.end(desk.enter(), 'limited', { hintMs: 60_000 })
    expect(desk.status.closedForMs).toBe(60_000)
  })

  it('that ends an outage too opens the line', async () => {
    const desk = new Desk({ drawn: 0 })
    for (const ticket of desk.send(20)) desk.end(ticket, 'success')
    desk.bringDown()
    await desk.clock.advance(400)
    const probe = desk.enter()
    await desk.clock.advance(1_000)
    const next = desk.enter()
    desk.end(probe, 'refused', { hintMs: 60_000 })
    expect(desk.status).toMatchObject({ state: 'down', closedForMs: 60_000 })
    desk.end(next, 'success')
    expect(desk.status).toMatchObject({ state: 'recovering', closedForMs: 0 })
  })
})

describe('a hint of a target that is down', () => {
  it('is kept to by its probes', async () => {
    const desk = new Desk({ drawn: 0 })
    for (const _ of Array(4)) desk.end(desk.enter(), 'error')
    desk.end(desk.enter(), 'refused', { hintMs: 30_000 })
    expect(desk.status).toMatchObject({ state: 'down', closedForMs: 30_000 })
    const caller = desk.wait()
    await desk.clock.advance(29_999)
    expect(caller.outcome).toBeUndefined()
    await desk.clock.advance(1)
    expect(isSent(caller)).toBe(true)
  })

  it('beyond the patience of a call ends its wait before it begins', async () => {
    const desk = new Desk({ drawn: 0 })
    for (const _ of Array(4)) desk.end(desk.enter(), 'error')
    desk.end(desk.enter(), 'refused', { hintMs: 30_000 })
    expect(desk.line.held(desk.request())).toMatchObject({ leastMs: 30_000, expectedMs: Infinity })
    expect(await desk.line.wait(desk.request({ latestMs: 29_999 }))).toEqual({
      by: 'hint',
      why: 'too_long',
    })
  })

  it('that a probe gets makes room for the next probe, also in a process of few calls', async () => {
    const desk = new Desk({ drawn: 0 })
    await desk.clock.advance(60_000)
    desk.bringDown()
    const probe = desk.wait()
    await desk.clock.advance(1_000)
    desk.end(ticketOf(probe), 'limited', { hintMs: 2_000 })
    const next = desk.wait()
    await desk.clock.advance(120_000)
    expect(isSent(next)).toBe(true)
  })
})

describe('reopen', () => {
  it('opens a line that a hint has closed, for those who wait too', async () => {
    const { desk } = told(DAY_MS)
    const caller = desk.wait()
    await desk.clock.advance(60_000)
    desk.line.reopen()
    await desk.settle()
    expect(isSent(caller)).toBe(true)
    expect(desk.status.closedForMs).toBe(0)
  })

  it('has a target that is down tried as if it had come up', async () => {
    const desk = new Desk()
    for (const ticket of desk.send(20)) desk.end(ticket, 'success')
    desk.bringDown()
    const caller = desk.wait()
    desk.line.reopen()
    await desk.settle()
    expect(isSent(caller)).toBe(true)
    expect(desk.status).toMatchObject({ state: 'recovering', downForMs: 0 })
  })

  it('does nothing to a line that is open', () => {
    const desk = new Desk()
    desk.line.reopen()
    expect(desk.status).toMatchObject({ state: 'up', limit: Infinity })
    desk.end(desk.enter(), 'limited', { hintMs: 1_000 })
    expect(desk.status.closedForMs).toBe(1_050)
  })
})
