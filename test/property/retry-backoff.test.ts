import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FAILURE_KINDS, type FailureKind } from '../../src/errors/failure-kinds.ts'
import {
  decorrelatedJitter,
  equalJitter,
  exponential,
  fixed,
  fullJitter,
} from '../../src/retry/backoff.ts'
import { decide } from '../../src/retry/decide.ts'
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

describe('decide', () => {
  it('never retries before the hint, nor so late that no attempt fits', () => {
    const input = fc.record({
      kind: fc.constantFrom('rate_limit', 'overloaded', 'network'),
      hintMs: fc.oneof(fc.constant(0), milliseconds(100_000)),
      remainingMs: milliseconds(100_000),
      backoffMs: milliseconds(100_000),
      drawn: unit,
    })
    fc.assert(
      fc.property(input, ({ kind: failed, hintMs, remainingMs, backoffMs, drawn }) => {
        const verdict = decide({
          result: { ok: false, failure: failureOf(failed) },
          policy: { maxAttempts: 3, maxReasks: 2, maxRetryAfterMs: 60_000, onUncertain: 'rerun' },
          attempts: 1,
          reasks: 0,
          aborted: false,
          remainingMs,
          hintMs,
          retriedOnce: false,
          breakerClosed: true,
          tokenAvailable: true,
          backoffMs: () => backoffMs,
          random: () => drawn,
          fallbacks: [],
        })
        const waitMs = hintMs > 0 ? hintMs : backoffMs
        const possible = hintMs <= 60_000 && waitMs <= remainingMs - 250 && remainingMs >= 250
        expect(verdict.verdict).toBe(possible ? 'retry' : 'stop')
        if (verdict.verdict !== 'retry') return
        expect(verdict.delayMs).toBeGreaterThanOrEqual(hintMs)
        expect(verdict.delayMs).toBeLessThanOrEqual(remainingMs - 250)
      }),
    )
  })
})
