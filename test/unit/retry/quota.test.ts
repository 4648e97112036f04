import { describe, expect, it } from 'vitest'
import type { Allowance } from '../../../src/errors/hints.ts'
import { readLimits } from '../../../src/retry/health/limit-options.ts'
import { Line } from '../../../src/retry/health/line.ts'
import type { End } from '../../../src/retry/health/line-contract.ts'
import type { PermitRequest, TicketOrRefusal } from '../../../src/retry/health/waiting.ts'
import { VirtualClock } from './virtual-clock.ts'

const REQUEST: PermitRequest = {
  order: 1,
  requests: 0,
  notBeforeMs: 0,
  latestMs: 1e9,
  paying: false,
  nested: false,
  impatient: false,
  bulk: false,
  tokens: 0,
}

/** Requests left of a limit of 100 a minute. */
function left(remaining: number, more: Partial<Allowance> = {}): Allowance {
  return { of: 'requests', limit: 100, remaining, resetMs: 60_000, refill: 'window', ...more }
}

class Stage {
  readonly clock = new VirtualClock()
  readonly line: Line

  constructor(limits: 'auto' | 'off' = 'auto') {
    this.line = new Line(this.clock, () => 0, readLimits(limits))
  }

  enter(request: Partial<PermitRequest> = {}): number {
    return this.line.enter({ ...REQUEST, ...request })
  }

  /** Sent and answered at once. */
  answer(allowances: readonly Allowance[], end: Partial<End> = {}): void {
    const ticket = end.ticket ?? this.enter({ impatient: true })
    const sentAtMs = this.clock.monotonicMs()
    this.line.ended({
      ticket,
      sentAtMs,
      sign: 'success',
      hintMs: 0,
      paid: false,
      allowances,
      ...end,
    })
    this.line.left()
  }

  /** When those who stand in line are sent, in seconds; tokens of each. */
  waiting(calls: readonly Partial<PermitRequest>[]): number[] {
    const sentAt: number[] = []
    for (const [index, call] of calls.entries()) {
      void this.line
        .wait({ ...REQUEST, order: index + 1, ...call })
        .then((outcome: TicketOrRefusal) => {
          if (typeof outcome === 'number') sentAt.push(this.clock.monotonicMs() / 1_000)
        })
    }
    return sentAt
  }

  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) {
      this.clock.advance(500)
      await Promise.resolve()
    }
  }
}

describe('what a target says of its limits', () => {
  it('holds whoever it has nothing left for until the window ends, and nobody before', () => {
    const stage = new Stage()
    stage.answer([left(2)])
    expect([stage.enter(), stage.enter()]).toEqual([2, 3])
    expect(stage.enter()).toBe(0)
    expect(stage.line.held(REQUEST)).toMatchObject({ by: 'limit', expectedMs: 60_000, leastMs: 0 })
    stage.clock.advance(59_999)
    expect(stage.enter()).toBe(0)
    stage.clock.advance(1)
    expect(stage.enter()).toBe(4)
  })

  it('holds until the next one fits, where something comes back all the time', () => {
    const stage = new Stage()
    stage.answer([left(0, { refill: 'continuous' })])
    expect(stage.enter()).toBe(0)
    stage.clock.advance(599)
    expect(stage.enter()).toBe(0)
    stage.clock.advance(1)
    expect(stage.enter()).toBe(2)
    expect(stage.enter()).toBe(0)
  })

  it('holds nobody while more than a tenth is left, however many are in flight', () => {
    const stage = new Stage()
    stage.answer([left(11)])
    for (let sent = 0; sent < 200; sent++) expect(stage.enter()).toBe(sent + 2)
  })

  it('holds after a refusal whatever is left, and forgets that after five minutes', () => {
    const stage = new Stage()
    stage.answer([left(20, { resetMs: 1_000 })], { sign: 'limited', hintMs: 1 })
    stage.clock.advance(10)
    expect(stage.line.isRationed).toBe(true)
    stage.answer([left(20, { resetMs: 50_000 })])
    // What was learned of the target does not hold these.
    for (let sent = 0; sent < 20; sent++) expect(stage.enter({ nested: true })).toBe(sent + 3)
    expect(stage.enter({ nested: true })).toBe(0)
    stage.clock.advance(5 * 60_000)
    expect(stage.line.isRationed).toBe(false)
  })

  it('counts what was sent after the request whose answer says it, not what was sent before', () => {
    const stage = new Stage()
    const tickets = [stage.enter(), stage.enter(), stage.enter(), stage.enter()]
    stage.answer([left(3)], { ticket: tickets[1] ?? 0 })
    expect(stage.enter()).toBe(5)
    expect(stage.enter()).toBe(0)
  })

  it('learns nothing from an answer to an earlier request', () => {
    const stage = new Stage()
    const [early, late] = [stage.enter(), stage.enter()]
    stage.answer([left(0)], { ticket: late })
    stage.answer([left(5)], { ticket: early })
    expect(stage.enter()).toBe(0)
  })

  it.each([
    ['a day', left(0, { resetMs: 3_600_000 })],
    ['a reset that has come', left(0, { resetMs: 0 })],
    ['a limit of nothing', left(0, { limit: 0 })],
  ])('holds nobody for %s', (_, allowance) => {
    const stage = new Stage()
    stage.answer([allowance])
    expect(stage.enter()).toBe(2)
    stage.clock.advance(60_000)
    expect(stage.enter()).toBe(3)
  })

  it("is ignored under limits: 'off'", () => {
    const stage = new Stage('off')
    stage.answer([left(0)])
    expect(stage.enter()).toBe(2)
  })

  it('does not hold who does not wait', () => {
    const stage = new Stage()
    stage.answer([left(0)])
    expect(stage.enter({ impatient: true })).toBe(2)
  })

  it('lets no more out at the end of a window than the limit, until it is told anew or that is old', async () => {
    const stage = new Stage()
    stage.answer([left(0, { limit: 10, resetMs: 20_000 })])
    const sentAt = stage.waiting(Array.from({ length: 25 }, () => ({})))
    await stage.advance(19_500)
    expect(sentAt).toHaveLength(0)
    await stage.advance(1_000)
    expect(sentAt).toHaveLength(10)
    await stage.advance(19_000)
    expect(sentAt).toHaveLength(10)
    // No answer came: nothing is known of it any more.
    await stage.advance(1_000)
    expect(sentAt).toHaveLength(25)
  })

  it('counts tokens only once they are short, and by what requests need', () => {
    const stage = new Stage()
    const tokens = (remaining: number) => left(remaining, { of: 'tokens', limit: 10_000 })
    stage.answer([tokens(9_000)])
    expect(stage.line.countsTokens).toBe(false)
    stage.answer([tokens(900)])
    expect(stage.line.countsTokens).toBe(true)
    expect(stage.enter({ tokens: 901 })).toBe(0)
    expect(stage.enter({ tokens: 600 })).toBe(3)
    expect(stage.enter({ tokens: 600 })).toBe(0)
    expect(stage.enter({ tokens: 300 })).toBe(4)
  })

  it('lets a request that is larger than the whole limit go when the limit is whole', () => {
    const stage = new Stage()
    stage.answer([left(900, { of: 'tokens', limit: 10_000 })])
    expect(stage.enter({ tokens: 50_000 })).toBe(0)
    stage.clock.advance(60_000)
    expect(stage.enter({ tokens: 50_000 })).toBe(2)
  })

  it('takes what was sent uncounted for as much as answers say that requests use', () => {
    const stage = new Stage()
    const tokens = (remaining: number) => left(remaining, { of: 'tokens', limit: 10_000 })
    stage.answer([tokens(5_000)], { tokens: 300 })
    const first = stage.enter()
    stage.enter()
    stage.enter()
    stage.answer([tokens(900)], { ticket: first })
    expect(stage.enter({ tokens: 301 })).toBe(0)
    expect(stage.enter({ tokens: 300 })).toBe(5)
  })

  it('says what a request would meet, and for how long, to those who cannot wait so long', () => {
    const stage = new Stage()
    stage.answer([left(0, { resetMs: 45_000 })])
    expect(stage.line.seen('limit')).toEqual({ kind: 'rate_limit', status: 429 })
    expect(stage.line.toldForMs).toBe(45_000)
    expect(stage.line.closedForMs).toBe(0)
    expect(stage.line.isFree).toBe(false)
  })
})
