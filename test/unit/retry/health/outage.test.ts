import { describe, expect, it } from 'vitest'
import { type Caller, Desk, isSent, ticketOf } from './desk.ts'

/** Down, with so many waiting; every second draw is the middle: no jitter. */
function down(waiting = 1) {
  const desk = new Desk()
  desk.bringDown()
  return { desk, callers: Array.from({ length: waiting }, () => desk.wait()) }
}

const sent = (callers: readonly Caller[]) => callers.filter(isSent)

describe('a row of failures', () => {
  it.each([
    ['refused', 5],
    ['error', 5],
    ['limited', 5],
    // A timeout has had its time, and counts twice.
    ['slow', 3],
  ] as const)('of %s is an outage at the %ith', (sign, length) => {
    const desk = new Desk()
    desk.play(length - 1, sign)
    expect(desk.status.state).toBe('up')
    desk.play(1, sign)
    expect(desk.status.state).toBe('down')
  })

  it.each(['success', 'answered'] as const)('is ended by %s', (sign) => {
    const desk = new Desk()
    desk.play(4, 'error')
    desk.play(1, sign)
    desk.play(4, 'error')
    expect(desk.status.state).toBe('up')
  })

  it('is not ended by a success of an attempt sent before it began', () => {
    const desk = new Desk()
    const [old = 0] = desk.send(1)
    desk.play(4, 'error')
    desk.end(old, 'success')
    desk.play(1, 'error')
    expect(desk.status.state).toBe('down')
  })

  it('has to be longer after rows that the first probe has shown to be chance', async () => {
    const desk = new Desk()
    const rowOf = () => {
      let length = 0
      while (desk.status.state !== 'down' && length < 30) {
        desk.play(1, 'error')
        length += 1
      }
      return length
    }
    const lengths: number[] = []
    for (let outage = 0; outage < 6; outage += 1) {
      lengths.push(rowOf())
      await desk.clock.advance(1_000)
      desk.play(1, 'success')
    }
    expect(lengths[0]).toBe(5)
    expect(lengths.at(-1)).toBeGreaterThan(8)
  })

  it('neither grows nor ends by attempts that say nothing', () => {
    const desk = new Desk()
    desk.play(4, 'error')
    desk.play(50, 'nothing')
    expect(desk.status.state).toBe('up')
    desk.play(1, 'error')
    expect(desk.status.state).toBe('down')
  })

  it('of attempts that were sent together is one event', () => {
    const desk = new Desk()
    for (const ticket of desk.send(64)) desk.end(ticket, 'error')
    expect(desk.status.state).toBe('up')
    desk.play(4, 'error')
    expect(desk.status.state).toBe('down')
  })

  it('says little while many that were sent since are still under way', () => {
    const desk = new Desk()
    desk.play(1, 'refused')
    const pending = desk.send(20, { nested: true })
    for (const _ of Array(10)) desk.end(desk.enter({ nested: true }), 'error')
    expect(desk.status.state).toBe('up')
    for (const ticket of pending) desk.end(ticket, 'error')
    expect(desk.status.state).toBe('down')
  })

  it('may be longer where half of the calls fail by chance', () => {
    const desk = new Desk()
    for (let turn = 0; turn < 200; turn += 1) desk.play(1, turn % 2 === 0 ? 'error' : 'success')
    desk.play(12, 'error')
    expect(desk.status.state).toBe('up')
    desk.play(1, 'error')
    expect(desk.status.state).toBe('down')
  })

  it('of rate limits with hints is none', () => {
    const desk = new Desk()
    for (const ticket of desk.send(50)) desk.end(ticket, 'limited', { hintMs: 1_000 })
    expect(desk.status.state).toBe('up')
  })

  it.each([['off', 'down'] as const, ['none', 'up'] as const])(
    "with limits '%s' makes the target %s",
    (limits, state) => {
      const desk = new Desk({ limits })
      desk.play(5, 'error')
      expect(desk.status.state).toBe(state)
    },
  )
})

describe('a target that is down', () => {
  it('says so, since when, and that a wait may take for ever', async () => {
    const { desk } = down(3)
    await desk.clock.advance(300)
    expect(desk.status).toMatchObject({ state: 'down', downForMs: 300, waiting: 3, inFlight: 0 })
    expect(desk.line.held(desk.request())).toEqual({
      by: 'down',
      leastMs: 0,
      expectedMs: Infinity,
      ahead: 3,
    })
  })

  it('gets one probe at a time', async () => {
    const { desk, callers } = down(10)
    await desk.clock.advance(499)
    expect(sent(callers)).toHaveLength(0)
    await desk.clock.advance(1)
    expect(sent(callers)).toHaveLength(1)
    // No sooner than the next interval ends, 750 ms, and the lease of a second.
    await desk.clock.advance(999)
    expect(sent(callers)).toHaveLength(1)
  })

  it('gets probes at growing intervals, up to five seconds', async () => {
    const { desk, callers } = down(20)
    const atMs: number[] = []
    while (atMs.length < 11) {
      await desk.clock.advanceToNext()
      for (const caller of sent(callers).slice(atMs.length)) {
        atMs.push(desk.nowMs)
        desk.end(ticketOf(caller), 'refused')
      }
    }
    const intervals = atMs.map((at, probe) => Math.round(at - (atMs[probe - 1] ?? 0)))
    expect(intervals).toEqual([
      500, 500, 750, 1_125, 1_688, 2_531, 3_797, 5_000, 5_000, 5_000, 5_000,
    ])
  })

  it('gets the probes from the calls with the fewest requests, the first of them first', async () => {
    const desk = new Desk()
    desk.bringDown()
    const twice = desk.wait({ requests: 2 })
    const once = desk.wait({ requests: 1 })
    const fresh = desk.wait()
    const fresher = desk.wait()
    const order: Caller[] = []
    for (const _ of Array(4)) {
      const before = sent([twice, once, fresh, fresher])
      await desk.clock.advanceToNext()
      const [now] = sent([twice, once, fresh, fresher]).filter((one) => !before.includes(one))
      if (now === undefined) break
      order.push(now)
      desk.end(ticketOf(now), 'error')
    }
    expect(order).toEqual([fresh, fresher, once, twice])
  })

  it('is asked by the next where a probe hangs for a second', async () => {
    const { desk, callers } = down(2)
    await desk.clock.advance(500)
    await desk.clock.advance(999)
    expect(sent(callers)).toHaveLength(1)
    await desk.clock.advance(1)
    expect(sent(callers)).toHaveLength(2)
  })

  it('has longer for a probe where its answers take longer: five times as long', async () => {
    const desk = new Desk()
    const [first = 0] = desk.send(1)
    await desk.clock.advance(2_000)
    desk.end(first, 'success')
    desk.bringDown()
    const callers = [desk.wait(), desk.wait()]
    await desk.clock.advance(500)
    await desk.clock.advance(9_999)
    expect(sent(callers)).toHaveLength(1)
    await desk.clock.advance(1)
    expect(sent(callers)).toHaveLength(2)
  })

  it('gives the place of a probe that was aborted to the next, when it is due', async () => {
    const { desk, callers } = down(2)
    await desk.clock.advance(500)
    for (const caller of sent(callers)) desk.end(ticketOf(caller), 'nothing')
    await desk.clock.advance(500)
    expect(sent(callers)).toHaveLength(2)
  })

  it('is left alone for half of the time that a probe took to time out', async () => {
    const { desk, callers } = down(2)
    await desk.clock.advance(500)
    const [probe] = sent(callers)
    // The lease ends meanwhile, and the next one is sent; it times out as well.
    await desk.clock.advance(10_000)
    for (const caller of sent(callers)) desk.end(ticketOf(caller), 'slow')
    const late = desk.wait()
    expect(probe).toBeDefined()
    await desk.clock.advance(4_499)
    expect(late.outcome).toBeUndefined()
    await desk.clock.advance(501)
    expect(isSent(late)).toBe(true)
  })

  it.each(['success', 'answered'] as const)(
    'is up again by a probe that ends by %s',
    async (sign) => {
      const desk = new Desk()
      for (const ticket of desk.send(20)) desk.end(ticket, 'success')
      desk.bringDown()
      const caller = desk.wait()
      await desk.clock.advance(500)
      desk.end(ticketOf(caller), sign)
      expect(desk.status).toMatchObject({ state: 'recovering', downForMs: 0 })
    },
  )

  it('is not up again by a success of an attempt that was sent before', () => {
    const desk = new Desk()
    const [old = 0] = desk.send(1)
    desk.bringDown()
    desk.end(old, 'success')
    expect(desk.status.state).toBe('down')
  })

  it('refuses a call that does not wait, unless a probe is due', async () => {
    const { desk } = down(0)
    expect(desk.enter({ impatient: true })).toBe(0)
    await desk.clock.advance(500)
    expect(desk.enter({ impatient: true })).not.toBe(0)
    expect(desk.enter({ impatient: true })).toBe(0)
  })

  it('that never comes back lets everybody end', async () => {
    const desk = new Desk()
    desk.bringDown()
    const callers = Array.from({ length: 200 }, () => desk.wait({ latestMs: 90_000 }))
    let ended = 0
    while (desk.clock.pending > 0) {
      await desk.clock.advanceToNext()
      const probes = sent(callers)
      for (const caller of probes.slice(ended)) desk.end(ticketOf(caller), 'refused')
      ended = probes.length
    }
    expect(desk.nowMs).toBe(90_000)
    expect(callers.filter(({ outcome }) => outcome === undefined)).toEqual([])
    // Every 5 s at last; from 30 s on, a process that nobody has answered asks ever less often.
    expect(ended).toBe(11)
    expect(desk.status).toMatchObject({ waiting: 0, inFlight: 0 })
  })
})

describe('a process of few calls', () => {
  it('probes ever less often, and never beside a probe that hangs', async () => {
    const desk = new Desk()
    await desk.clock.advance(60_000)
    desk.bringDown()
    const callers = Array.from({ length: 8 }, () => desk.wait())
    await desk.clock.advance(500)
    expect(sent(callers)).toHaveLength(1)
    await desk.clock.advance(300_000)
    expect(sent(callers)).toHaveLength(1)
    const atMs: number[] = []
    while (atMs.length < 7) {
      if (sent(callers).length === atMs.length) await desk.clock.advanceToNext()
      for (const caller of sent(callers).slice(atMs.length)) {
        atMs.push(desk.nowMs)
        desk.end(ticketOf(caller), 'refused')
      }
      await desk.settle()
    }
    const intervals = atMs.slice(1).map((at, probe) => Math.round(at - (atMs[probe] ?? 0)))
    // The first was due while the one before it hung.
    expect(intervals).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000])
  })
})

describe('a target that is up again', () => {
  /** So many in flight when it went down, and a crowd that waits. */
  async function recovered(inFlight: number) {
    const desk = new Desk()
    for (const ticket of desk.send(inFlight)) desk.end(ticket, 'success')
    desk.bringDown()
    const callers = Array.from({ length: 200 }, () => desk.wait())
    await desk.clock.advance(500)
    const [probe] = sent(callers)
    if (probe !== undefined) desk.end(ticketOf(probe), 'success')
    await desk.settle()
    return { desk, callers }
  }

  it.each([
    { inFlight: 40, first: 10 },
    { inFlight: 4, first: 2 },
  ])('gets $first at once where $inFlight were in flight before', async ({ inFlight, first }) => {
    const { desk } = await recovered(inFlight)
    expect(desk.status).toMatchObject({ state: 'recovering', limit: first, inFlight: first })
  })

  it('gets one more for every success, and is up when it has what was good before', async () => {
    const { desk, callers } = await recovered(40)
    let ended = 1
    for (let answers = 0; answers < 29; answers += 1) {
      const next = sent(callers)[ended]
      if (next !== undefined) desk.end(ticketOf(next), 'success')
      ended += 1
      await desk.settle()
    }
    expect(desk.status).toMatchObject({ state: 'recovering', limit: 39, inFlight: 39 })
    const next = sent(callers)[ended]
    if (next !== undefined) desk.end(ticketOf(next), 'success')
    expect(desk.status).toMatchObject({ state: 'up', limit: 40 })
  })

  it('gets half as many at once where it went down again within ten seconds', async () => {
    const { desk, callers } = await recovered(40)
    for (const caller of sent(callers).slice(1)) desk.end(ticketOf(caller), 'error')
    await desk.settle()
    let ended = 11
    for (const _ of Array(10)) {
      for (const caller of sent(callers).slice(ended)) {
        ended += 1
        desk.end(ticketOf(caller), 'error')
      }
      await desk.settle()
    }
    expect(desk.status.state).toBe('down')
    await desk.clock.advance(600)
    const probe = sent(callers)[ended]
    if (probe !== undefined) desk.end(ticketOf(probe), 'success')
    // A quarter of half of 10, but two at least.
    expect(desk.status).toMatchObject({ state: 'recovering', limit: 2 })
  })
})
