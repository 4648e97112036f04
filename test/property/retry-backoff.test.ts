import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FAILURE_KINDS, type FailureKind } from '../../src/errors/failure-kinds.ts'
import {
  decorrelatedJitter,
  drawDelayMs,
  equalJitter,
  exponential,
  fixed,
  fullJitter,
} from '../../src/retry/backoff.ts'
import { decide } from '../../src/retry/decide.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { failureOf } from '../unit/retry/failures.ts'

// The keys of a Record<FailureKind, …> are FailureKinds.
const KINDS = Object.keys(FAILURE_KINDS) as FailureKind[]
const kind = fc.constantFrom(...KINDS)
const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const milliseconds = (max: number) => fc.double({ min: 0, max, noNaN: true })

describe('a backoff', () => {
  const options = fc.record(
    {
      baseMs: milliseconds(2 ** 31 - 1),
      rateLimitBaseMs: milliseconds(2 ** 31 - 1),
      capMs: milliseconds(2 ** 31 - 1),
    },
    { requiredKeys: ['capMs'] },
  )
  const step = fc.record({
    retry: fc.integer({ min: 1, max: 1_000_000 }),
    kind,
    previousDelayMs: fc.oneof(milliseconds(1e6), fc.constant(Infinity)),
    drawn: unit,
  })

  it.each([
    { name: 'fullJitter', create: fullJitter },
    { name: 'equalJitter', create: equalJitter },
    { name: 'decorrelatedJitter', create: decorrelatedJitter },
    { name: 'exponential', create: exponential },
    { name: 'fixed', create: ({ capMs }: { capMs: number }) => fixed(capMs) },
  ])('$name stays between 0 and its cap for any retry', ({ create }) => {
    fc.assert(
      fc.property(options, step, (given, { drawn, ...rest }) => {
        const delayMs = create(given).delayMs({ ...rest, random: () => drawn })
        expect(delayMs).toBeGreaterThanOrEqual(0)
        expect(delayMs).toBeLessThanOrEqual(given.capMs)
      }),
    )
  })
})

describe('the default backoff', () => {
  it('is finite, never negative, and bounded by what it knows, for any retry', () => {
    const step = fc.record({
      retry: fc.integer({ min: 1, max: 1_000_000_000 }),
      kind,
      previousDelayMs: milliseconds(1e6),
      isDown: fc.boolean(),
      slowMs: fc.oneof(fc.constant(0), milliseconds(1e9)),
      leftMs: milliseconds(100_000),
      waitedMs: milliseconds(20_000),
      isLast: fc.boolean(),
      drawn: unit,
    })
    fc.assert(
      fc.property(step, ({ drawn, ...rest }) => {
        const delayMs = drawDelayMs(undefined, { ...rest, random: () => drawn })
        expect(delayMs).toBeGreaterThanOrEqual(0)
        expect(delayMs).toBeLessThanOrEqual(20_000)
        if (rest.leftMs >= 500) expect(delayMs).toBeLessThan(rest.leftMs)
      }),
    )
  })
})

describe('decide', () => {
  const BY = ['hint', 'down', 'limit', 'budget', 'backoff'] as const
  const held = fc.record({
    by: fc.constantFrom(...BY),
    leastMs: fc.oneof(fc.constant(0), milliseconds(100_000)),
    expectedMs: fc.oneof(fc.constant(Infinity), milliseconds(100_000)),
    ahead: fc.nat(100_000),
  })
  const input = fc.record({
    kind,
    executed: fc.constantFrom('no', 'maybe', 'yes'),
    attempts: fc.integer({ min: 0, max: 4 }),
    requests: fc.integer({ min: 0, max: 13 }),
    reasks: fc.nat(3),
    aborted: fc.boolean(),
    hintMs: fc.oneof(fc.constant(0), milliseconds(100_000)),
    remainingMs: fc.double({ min: -1_000, max: 100_000, noNaN: true }),
    patienceMs: milliseconds(100_000),
    waits: fc.boolean(),
    backoffMs: milliseconds(100_000),
    onUncertain: fc.constantFrom('rerun', 'fail'),
    result: fc.oneof(
      fc.constant({}),
      fc.constant({ delivered: true }),
      fc.record({ held }),
      fc.record({
        permitRefusal: fc.record({
          by: fc.constantFrom(...BY),
          why: fc.constantFrom('patience', 'hopeless', 'too_long', 'full', 'aborted'),
        }),
      }),
    ),
    heldAfter: held,
    fallbacks: fc.array(fc.boolean(), { maxLength: 2 }),
  })

  function inputFor(given: typeof input extends fc.Arbitrary<infer Given> ? Given : never) {
    const { kind: failed, executed, result, heldAfter, backoffMs, fallbacks, onUncertain } = given
    return {
      ...given,
      result: { ok: false as const, failure: failureOf(failed, { executed }), ...result },
      policy: { maxAttempts: 3, maxRequests: 12, maxReasks: 2, onUncertain },
      retriedOnce: false,
      heldAfter: () => heldAfter,
      backoffMs: () => backoffMs,
      fallbacks: fallbacks.map((available, at) => ({
        target: at + 1,
        on: new Set(KINDS),
        available,
      })),
    }
  }

  it('never retries before the hint, nor so late that no attempt fits, nor beyond its patience', () => {
    fc.assert(
      fc.property(input, (given) => {
        const verdict = decide(inputFor(given))
        if (verdict.verdict !== 'retry') return
        expect(verdict.delayMs).toBeGreaterThanOrEqual(given.hintMs)
        expect(verdict.delayMs).toBeLessThanOrEqual(given.remainingMs - 250)
        const isOwnAffair = !given.waits && given.hintMs === 0
        if (!isOwnAffair) expect(verdict.delayMs).toBeLessThanOrEqual(given.patienceMs)
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })

  it('sends nothing more when anything is spent, and waits for nothing that cannot end in time', () => {
    fc.assert(
      fc.property(input, (given) => {
        const { verdict } = decide(inputFor(given))
        const isPlanned = 'held' in given.result || 'permitRefusal' in given.result
        const isSpent = !isPlanned && (given.attempts >= 3 || given.requests >= 12)
        const isOver = given.aborted || given.remainingMs < 250 || 'delivered' in given.result
        const mustNot = !isPlanned && given.onUncertain === 'fail' && given.executed !== 'no'
        if (isSpent || isOver || mustNot) expect(verdict).toBe('stop')
        if (verdict !== 'wait') return
        const { leastMs } = 'held' in given.result ? given.result.held : given.heldAfter
        expect(leastMs).toBeLessThanOrEqual(Math.min(given.remainingMs - 250, given.patienceMs))
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })

  it('falls back only to a target that can take the call now, and to the first of them', () => {
    fc.assert(
      fc.property(input, (given) => {
        const verdict = decide(inputFor(given))
        if (verdict.verdict !== 'fallback') return
        expect(verdict.target).toBe(given.fallbacks.indexOf(true) + 1)
        expect(verdict.target).toBeGreaterThan(0)
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })
})
