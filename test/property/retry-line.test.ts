import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Tokens, Traffic } from '../../src/retry/health/limit.ts'
import type { Sign } from '../../src/retry/health/line-contract.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { type Caller, Desk, isSent, ticketOf } from '../unit/retry/health/desk.ts'

type Command =
  | { readonly does: 'come'; readonly patienceMs: number; readonly as: keyof typeof KINDS }
  | { readonly does: 'end'; readonly pick: number; readonly sign: Sign; readonly hintMs: number }
  | { readonly does: 'abort'; readonly pick: number }
  | { readonly does: 'pass'; readonly ms: number }
  | { readonly does: 'suspend'; readonly ms: number }
  | { readonly does: 'reopen' }

/** Calls of every sort; a retry comes after a wait of its own. */
const KINDS = {
  plain: {},
  bulk: { bulk: true },
  nested: { nested: true },
  paying: { paying: true, requests: 1 },
  delayed: { requests: 2 },
} as const

const signs: readonly Sign[] = [
  'success',
  'answered',
  'limited',
  'refused',
  'slow',
  'error',
  'nothing',
]
const commands = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        does: fc.constant('come' as const),
        patienceMs: fc.constantFrom(0, 50, 3_000, 90_000, 600_000),
        // The keys of KINDS.
        as: fc.constantFrom(...(Object.keys(KINDS) as (keyof typeof KINDS)[])),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        does: fc.constant('end' as const),
        pick: fc.nat(),
        sign: fc.constantFrom(...signs, 'success', 'refused'),
        hintMs: fc.constantFrom(0, 0, 0, 500, 5_000, 1e9),
      }),
    },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('abort' as const), pick: fc.nat() }) },
    {
      weight: 4,
      arbitrary: fc.record({
        does: fc.constant('pass' as const),
        ms: fc.constantFrom(0, 1, 100, 700, 5_000, 61_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant('suspend' as const),
        ms: fc.constantFrom(50, 3_600_000),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ does: 'reopen' as const }) },
  ),
  { maxLength: 120, size: 'max' },
)
const limits = fc.constantFrom(
  'auto' as const,
  'off' as const,
  { concurrency: 3 },
  { requestsPerMinute: 30 },
)

/** A line in use, and what has to be true of it at every moment. */
class World {
  readonly desk: Desk
  readonly #most: number
  readonly #perMinute: number
  readonly #waiting: { caller: Caller; controller: AbortController; latestMs: number }[] = []
  readonly #inFlight: { ticket: number; nested: boolean }[] = []
  readonly #sentAtMs: number[] = []
  #nested = 0
  #settled = 0
  #came = 0

  constructor(given: 'auto' | 'off' | { concurrency?: number; requestsPerMinute?: number }) {
    this.desk = new Desk({ limits: given, drawn: 0.3 })
    const byHand = typeof given === 'string' ? {} : given
    this.#most = byHand.concurrency ?? Infinity
    this.#perMinute = byHand.requestsPerMinute ?? Infinity
  }

  async obey(command: Command): Promise<void> {
    const { desk } = this
    const { by, leastMs } = desk.line.held(desk.request({ order: 1 }))
    const isClosed = by === 'hint' && leastMs > 0
    const before = this.#sentAtMs.length
    switch (command.does) {
      case 'come':
        this.#come(command.patienceMs, command.as)
        break
      case 'end': {
        const [ended] = this.#inFlight.splice(command.pick % Math.max(this.#inFlight.length, 1), 1)
        if (ended === undefined) break
        if (ended.nested) this.#nested -= 1
        desk.end(ended.ticket, command.sign, { hintMs: command.hintMs })
        break
      }
      case 'abort':
        this.#waiting[command.pick % Math.max(this.#waiting.length, 1)]?.controller.abort()
        break
      case 'pass':
        await desk.clock.advance(command.ms)
        break
      case 'suspend':
        desk.suspend(command.ms)
        break
      case 'reopen':
        desk.line.reopen()
    }
    await desk.settle()
    this.#look(command)
    if (command.does === 'come' && isClosed) expect(this.#sentAtMs).toHaveLength(before)
    this.#check()
  }

  /** Time passes until nobody waits: everybody ends, and nothing is left behind. */
  async end(): Promise<void> {
    const { desk } = this
    for (let turn = 0; this.#waiting.length > 0 && turn < 5_000; turn += 1) {
      for (const { ticket } of this.#inFlight.splice(0)) desk.end(ticket, 'refused')
      this.#nested = 0
      await desk.settle()
      if (this.#waiting.some(({ caller }) => caller.outcome === undefined)) {
        await desk.clock.advanceToNext()
      }
      this.#look()
    }
    for (const { ticket } of this.#inFlight.splice(0)) desk.end(ticket, 'success')
    expect(this.#settled).toBe(this.#came)
    expect(desk.status).toMatchObject({ waiting: 0, inFlight: 0 })
    expect(desk.clock.pending).toBe(0)
  }

  #come(patienceMs: number, as: keyof typeof KINDS): void {
    const { desk } = this
    const { nowMs } = desk
    const latestMs = nowMs + patienceMs
    const notBeforeMs = as === 'delayed' ? nowMs + Math.min(patienceMs, 400) : 0
    const controller = new AbortController()
    this.#came += 1
    const caller = desk.wait({ ...KINDS[as], latestMs, notBeforeMs }, controller.signal)
    this.#waiting.push({ caller, controller, latestMs })
    if (as === 'nested') this.#nestedOrders.add(caller.order)
  }
  readonly #nestedOrders = new Set<number>()

  /** Who has ended since: nobody twice, and nobody is sent when its time is over. */
  #look(command?: Command): void {
    for (let at = this.#waiting.length - 1; at >= 0; at -= 1) {
      const { caller, latestMs } = this.#waiting[at] ?? {}
      if (caller?.outcome === undefined || latestMs === undefined) continue
      this.#waiting.splice(at, 1)
      this.#settled += 1
      if (!isSent(caller)) continue
      const ticket = ticketOf(caller)
      const atMs = this.desk.sentAtMs.get(ticket) ?? Number.NaN
      // A timer may be late by less than 50 ms.
      expect(atMs, command?.does).toBeLessThan(latestMs + 50)
      this.#sentAtMs.push(atMs)
      const nested = this.#nestedOrders.has(caller.order)
      if (nested) this.#nested += 1
      this.#inFlight.push({ ticket, nested })
    }
  }

  #check(): void {
    const { status, nowMs } = this.desk
    expect(status.inFlight).toBe(this.#inFlight.length)
    expect(status.waiting).toBe(this.#waiting.length)
    expect(status.limit).toBeGreaterThanOrEqual(1)
    expect(this.#inFlight.length - this.#nested).toBeLessThanOrEqual(this.#most)
    const minute = this.#sentAtMs.filter((atMs) => atMs > nowMs - 60_000)
    expect(minute.length).toBeLessThanOrEqual(this.#perMinute)
    expect(status.closedForMs).toBeGreaterThanOrEqual(0)
    expect(status.closedForMs).toBeLessThanOrEqual(24 * 3_600_000)
    expect(status.downForMs).toBeGreaterThanOrEqual(0)
    // One timer, however many wait.
    expect(this.desk.clock.pending).toBeLessThanOrEqual(1)
  }
}

describe('a line', () => {
  it('keeps what it promises whatever comes in whatever order, and lets nobody hang', async () => {
    await fc.assert(
      fc.asyncProperty(limits, commands, async (given, sequence) => {
        const world = new World(given)
        for (const command of sequence) await world.obey(command)
        await world.end()
      }),
      { numRuns: fuzzRuns(150) },
    )
  })

  it('sends nothing while a hint closes it, and one probe per second at most while it is down', async () => {
    const callers = fc.integer({ min: 1, max: 30 })
    const hints = fc.array(fc.constantFrom(0, 0, 0, 800, 3_000, 12_000), {
      minLength: 30,
      maxLength: 30,
    })
    const drawn = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    await fc.assert(
      fc.asyncProperty(callers, hints, drawn, async (count, given, draw) => {
        const desk = new Desk({ drawn: draw })
        desk.bringDown()
        const waiting = Array.from({ length: count }, () => desk.wait({ latestMs: 120_000 }))
        let probes = 0
        let notBeforeMs = 0
        while (desk.clock.pending > 0) {
          await desk.clock.advanceToNext()
          const sent = waiting.filter(isSent).slice(probes)
          expect(sent.length).toBeLessThanOrEqual(1)
          for (const caller of sent) {
            expect(desk.nowMs).toBeGreaterThanOrEqual(notBeforeMs)
            const hintMs = given[probes] ?? 0
            notBeforeMs = desk.nowMs + (hintMs > 0 ? hintMs : 0)
            probes += 1
            desk.end(ticketOf(caller), 'refused', { hintMs })
          }
        }
        await desk.settle()
        expect(waiting.every(({ outcome }) => outcome !== undefined)).toBe(true)
      }),
    )
  })
})

describe('the tokens of a target', () => {
  it('stay within -2 and what was ever allowed', () => {
    const happens = fc.constantFrom('success', 'paid', 'timeout', 'take', 'take')
    const steps = fc.array(
      fc.record({ happens, ms: fc.constantFrom(0, 10, 1_000, 40_000, 1e8), usual: fc.nat(50) }),
      { maxLength: 300, size: 'max' },
    )
    fc.assert(
      fc.property(steps, (given) => {
        let nowMs = 0
        const traffic = new Traffic(nowMs)
        const tokens = new Tokens(traffic, nowMs)
        // At the start.
        let most = 6
        for (const { happens: what, ms, usual } of given) {
          nowMs += ms
          if (what === 'timeout') tokens.timedOut(nowMs)
          else if (what === 'take') {
            if (tokens.balance(nowMs) >= 1) tokens.take(nowMs)
          } else {
            traffic.succeeded(nowMs)
            tokens.succeeded(what === 'paid', usual, nowMs)
            most = Math.max(most, 10 * traffic.successesPerSecond(nowMs) + Math.max(usual, 2))
          }
          const balance = tokens.balance(nowMs)
          expect(balance).toBeGreaterThanOrEqual(-2)
          expect(balance).toBeLessThanOrEqual(most)
          expect(tokens.nextAtMs(nowMs)).toBeLessThanOrEqual(nowMs + 3 * 300_000)
        }
      }),
    )
  })
})
