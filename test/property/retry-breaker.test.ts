import fc from 'fast-check'
import { expect, it } from 'vitest'
import { CircuitBreaker, type Permit } from '../../src/retry/breaker.ts'
import { VirtualClock } from '../unit/retry/virtual-clock.ts'

type Command =
  | { readonly does: 'acquire' }
  | { readonly does: 'settle'; readonly pick: number; readonly as: keyof Permit }
  | { readonly does: 'advance'; readonly byMs: number }

const acquire = fc.constant<Command>({ does: 'acquire' })
const settle = fc.record({
  does: fc.constant('settle' as const),
  pick: fc.nat(),
  // Failures come most often, or it would hardly ever open.
  as: fc.constantFrom<keyof Permit>(
    'failure',
    'failure',
    'failure',
    'success',
    'answered',
    'cancel',
  ),
})
const advance = fc.record({
  does: fc.constant('advance' as const),
  byMs: fc.constantFrom(1, 500, 999, 2_000, 3_000, 15_000, 30_000, 61_000),
})
const commands = fc.array(
  fc.oneof(
    { arbitrary: acquire, weight: 5 },
    { arbitrary: settle, weight: 5 },
    { arbitrary: advance, weight: 1 },
  ),
  { maxLength: 200, size: 'max' },
)

it('a circuit breaker does what its description says, whatever happens in whatever order', () => {
  fc.assert(
    fc.property(commands, (sequence) => {
      const pair = new Pair()
      for (const command of sequence) {
        pair.obey(command)
        expect(pair.breaker.state).toBe(pair.model.stateAt(pair.clock.monotonicMs()))
      }
    }),
    { numRuns: 500 },
  )
})

/** The breaker and its model, told the same things. */
class Pair {
  readonly clock = new VirtualClock()
  readonly breaker = new CircuitBreaker({ clock: this.clock, random: () => 0.5 })
  readonly model = new BreakerModel()
  readonly #held: { readonly permit: Permit; readonly ticket: Ticket }[] = []

  obey(command: Command): void {
    if (command.does === 'advance') this.clock.advance(command.byMs)
    else if (command.does === 'acquire') this.#acquire()
    else this.#settle(command.pick, command.as)
  }

  #acquire(): void {
    const permit = this.breaker.tryAcquire()
    const ticket = this.model.acquire(this.clock.monotonicMs())
    expect(permit !== undefined).toBe(ticket !== undefined)
    if (permit !== undefined && ticket !== undefined) this.#held.push({ permit, ticket })
  }

  #settle(pick: number, as: keyof Permit): void {
    const [held] = this.#held.splice(pick % Math.max(this.#held.length, 1), 1)
    if (held === undefined) return
    held.permit[as]()
    this.model.settle(held.ticket, as, this.clock.monotonicMs())
  }
}

interface Ticket {
  readonly era: number
  readonly leaseEndsMs: number
}

/** The breaker's description once more, as a list of everything that happened. */
class BreakerModel {
  #era = 0
  #state: 'closed' | 'open' | 'half-open' = 'closed'
  #results: { readonly atMs: number; readonly slot: number; readonly failed: boolean }[] = []
  #succeededAtMs: number | undefined
  #opensUntilMs = 0
  #closedSinceMs = 0
  #restMs = 2_000
  #probe: Ticket | undefined
  #alive = 0

  stateAt(nowMs: number): 'closed' | 'open' | 'half-open' {
    if (this.#state === 'open' && nowMs >= this.#opensUntilMs) {
      this.#change('half-open')
      this.#alive = 0
    }
    return this.#state
  }

  acquire(nowMs: number): Ticket | undefined {
    const state = this.stateAt(nowMs)
    if (state === 'open') return undefined
    const ticket = { era: this.#era, leaseEndsMs: nowMs + 30_000 }
    if (state === 'closed') return ticket
    if (this.#probe !== undefined && nowMs < this.#probe.leaseEndsMs) return undefined
    this.#probe = ticket
    return ticket
  }

  settle(ticket: Ticket, as: keyof Permit, nowMs: number): void {
    if (this.#probe === ticket) this.#probe = undefined
    if (ticket.era !== this.#era || as === 'cancel') return
    if (this.#state === 'half-open') {
      if (as === 'failure') this.#rest(nowMs)
      else this.#sawLife(nowMs)
    } else if (as !== 'answered') {
      const slot = Math.floor(nowMs / 3_000)
      this.#results.push({ atMs: nowMs, slot, failed: as === 'failure' })
      if (as === 'success') this.#succeededAtMs = nowMs
      else if (this.#tooMany(nowMs, slot)) this.#rest(nowMs)
    }
  }

  #tooMany(nowMs: number, slot: number): boolean {
    const lastEight = this.#results.slice(-8)
    const row = lastEight.length === 8 && lastEight.every(({ failed }) => failed)
    if (row && !(nowMs - (this.#succeededAtMs ?? -Infinity) < 1_000)) return true
    const recent = this.#results.filter((result) => slot - result.slot < 10)
    const failures = recent.filter(({ failed }) => failed)
    if (recent.length < 10 || failures.length * 10 < recent.length * 7) return false
    return failures.some(({ atMs }) => nowMs - atMs >= 1_000)
  }

  #sawLife(nowMs: number): void {
    this.#alive += 1
    if (this.#alive < 2) return
    this.#change('closed')
    this.#results = []
    this.#closedSinceMs = nowMs
    this.#succeededAtMs = nowMs
  }

  #rest(nowMs: number): void {
    if (this.#state === 'closed' && nowMs - this.#closedSinceMs >= 60_000) this.#restMs = 2_000
    this.#opensUntilMs = nowMs + this.#restMs
    this.#restMs = Math.min(this.#restMs * 2, 15_000)
    this.#change('open')
  }

  #change(state: 'closed' | 'open' | 'half-open'): void {
    this.#state = state
    this.#era += 1
    this.#probe = undefined
  }
}
