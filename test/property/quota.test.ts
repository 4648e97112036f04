import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Allowance } from '../../src/errors/hints.ts'
import { readLimits } from '../../src/retry/health/limit-options.ts'
import { Line } from '../../src/retry/health/line.ts'
import type { PermitRequest } from '../../src/retry/health/waiting.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { VirtualClock } from '../unit/retry/virtual-clock.ts'

/** Held by nothing that is learned: what was told of limits is alone. */
const CALL: PermitRequest = {
  order: 1,
  requests: 0,
  notBeforeMs: 0,
  latestMs: 1e12,
  paying: false,
  nested: true,
  impatient: false,
  bulk: false,
  tokens: 0,
}
const LIMIT = 100
const STEP_MS = 250

/** A target with as many calls as it takes, told whatever comes. */
class Crowd {
  readonly clock = new VirtualClock()
  readonly line = new Line(this.clock, () => 0, readLimits('auto'))
  readonly inFlight: number[] = []
  sent = 0
  lastEventMs = 0
  longestResetMs = 0
  /** What was told with the answer to the latest ticket. */
  word = { ticket: 0, remaining: Infinity, resetAtMs: -Infinity }

  get nowMs(): number {
    return this.clock.monotonicMs()
  }

  /** Sends until it is held; `onSent` sees how many were sent after the word's own request. */
  send(onSent: (after: number) => void): void {
    for (let sent = 0; sent < 150; sent++) {
      const ticket = this.line.enter(CALL)
      if (ticket === 0) return
      this.sent = ticket
      this.lastEventMs = this.nowMs
      this.inFlight.push(ticket)
      onSent(ticket - this.word.ticket)
    }
  }

  answer(index: number, said: Omit<Allowance, 'of' | 'limit'>): void {
    const [ticket] = this.inFlight.splice(index % this.inFlight.length, 1)
    if (ticket === undefined) return
    const { remaining, refill, resetMs = 60_000 } = said
    if (ticket > this.word.ticket) {
      const before = this.word.resetAtMs
      const resetAtMs = this.nowMs + resetMs
      const isSame = refill === 'window' && before > this.nowMs
      this.word = { ticket, remaining, resetAtMs: isSame ? Math.min(before, resetAtMs) : resetAtMs }
      this.longestResetMs = Math.max(this.longestResetMs, resetMs)
      this.lastEventMs = this.nowMs
    }
    this.line.ended({
      ticket,
      sentAtMs: this.nowMs,
      sign: 'success',
      hintMs: 0,
      paid: false,
      allowances: [{ of: 'requests', limit: LIMIT, ...said }],
    })
    this.line.left()
  }
}

// The first word is of little, and what it says binds for minutes.
const remaining = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 9 }) }, fc.nat(LIMIT))
const resetMs = fc.oneof(fc.constantFrom(60_000, 1_000), fc.integer({ min: 100, max: 60_000 }))
const steps = fc.array(
  fc.record({
    advanceMs: fc.nat(5_000),
    answers: fc.nat(3),
    index: fc.nat(50),
    remaining,
    resetMs,
  }),
  { minLength: 1, maxLength: 25 },
)

describe('what a target says of its limits', () => {
  it('is obeyed until its reset: no request beyond what is left of a window', () => {
    fc.assert(
      fc.property(steps, (told) => {
        const crowd = new Crowd()
        let beyond = 0
        crowd.send(() => {})
        crowd.answer(0, { remaining: 0, resetMs: 1_000, refill: 'window' })
        for (const { advanceMs, answers, index, ...said } of told) {
          for (let passed = 0; passed <= advanceMs; passed += STEP_MS) {
            crowd.clock.advance(STEP_MS)
            crowd.send((after) => {
              const { word, nowMs } = crowd
              if (nowMs < word.resetAtMs && after > word.remaining) beyond += 1
            })
          }
          for (let n = 0; n < answers; n++) crowd.answer(index, { ...said, refill: 'window' })
        }
        expect(beyond).toBe(0)
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  it.each(['window', 'continuous'] as const)(
    'never stops a target for longer than the longest reset it has named (%s)',
    (refill) => {
      fc.assert(
        fc.property(steps, (told) => {
          const crowd = new Crowd()
          let stoodMs = 0
          crowd.send(() => {})
          crowd.answer(0, { remaining: 0, resetMs: 1_000, refill })
          for (const { advanceMs, answers, index, ...said } of told) {
            for (let n = 0; n < answers; n++) crowd.answer(index, { ...said, refill })
            for (let passed = 0; passed <= advanceMs * 20; passed += STEP_MS) {
              crowd.clock.advance(STEP_MS)
              crowd.send(() => {})
              stoodMs = Math.max(stoodMs, crowd.nowMs - crowd.lastEventMs - crowd.longestResetMs)
            }
          }
          expect(stoodMs).toBeLessThanOrEqual(STEP_MS)
        }),
        { numRuns: fuzzRuns(20) },
      )
    },
  )

  it('lets an honest bucket refuse next to nothing, and uses nearly all of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 20, max: 200 }),
        (n, limit) => {
          const bucket = new Bucket(limit, n * 300)
          bucket.first()
          for (let atMs = 0; atMs < 12 * 60_000; atMs += 200) bucket.pass(200)
          // Fractions of a request add up otherwise here than there.
          expect(bucket.refused).toBeLessThanOrEqual(bucket.served / 200)
          expect(bucket.served).toBeGreaterThan(limit * 11)
        },
      ),
      { numRuns: fuzzRuns(12) },
    )
  })
})

/** A target that is what it says of itself, and has all the calls in the world. */
class Bucket {
  readonly #clock = new VirtualClock()
  readonly #line = new Line(this.#clock, () => 0, readLimits('auto'))
  readonly #limit: number
  readonly #latencyMs: number
  #level = 0
  served = 0
  refused = 0

  constructor(limit: number, latencyMs: number) {
    this.#limit = limit
    this.#latencyMs = latencyMs
  }

  /** Told of an empty bucket, before anybody else comes. */
  first(): void {
    this.#answer(this.#line.enter(CALL))
    this.#clock.advance(this.#latencyMs)
  }

  pass(ms: number): void {
    this.#clock.advance(ms)
    this.#level = Math.min(this.#level + (ms * this.#limit) / 60_000, this.#limit)
    for (let sent = 0; sent < 1_000; sent++) {
      const ticket = this.#line.enter(CALL)
      if (ticket === 0) return
      if (this.#level < 1) this.refused += 1
      else {
        this.#level -= 1
        this.served += 1
      }
      this.#answer(ticket)
    }
  }

  #answer(ticket: number): void {
    const said: Allowance = {
      of: 'requests',
      limit: this.#limit,
      remaining: Math.floor(this.#level),
      resetMs: ((this.#limit - this.#level) * 60_000) / this.#limit,
      refill: 'continuous',
    }
    const sentAtMs = this.#clock.monotonicMs()
    this.#clock.schedule(this.#latencyMs, () => {
      const end = { ticket, sentAtMs, sign: 'success', hintMs: 0, paid: false } as const
      this.#line.ended({ ...end, allowances: [said] })
      this.#line.left()
    })
  }
}
