import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FAILURE_KINDS, type FailureKind } from '../../src/errors/failure-kinds.ts'
import { fullJitter } from '../../src/retry/backoff.ts'
import type { FailedAttempt } from '../../src/retry/decide.ts'
import { createTargetState } from '../../src/retry/health/target-state.ts'
import { type AttemptResult, type LoopTarget, runAttempts } from '../../src/retry/loop.ts'
import { deadlineAfter } from '../../src/time.ts'
import { failureOf } from '../unit/retry/failures.ts'
import { VirtualClock } from '../unit/retry/virtual-clock.ts'

// The keys of a Record<FailureKind, …> are FailureKinds.
const KINDS = Object.keys(FAILURE_KINDS) as FailureKind[]
const kind = fc.constantFrom(...KINDS)
const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

describe('a call', () => {
  const failed = fc
    .record({
      kind,
      executed: fc.constantFrom('no', 'maybe', 'yes'),
      hint: fc.constantFrom(
        {},
        { retryAfterMs: 0 },
        { retryAfterMs: 900 },
        { retryAfterMs: 61_000 },
      ),
      reask: fc.constantFrom({}, { reask: 'allowed' }, { reask: 'repeated' }, { reask: 'no' }),
    })
    .map(({ kind: failedAs, executed, hint, reask }): FailedAttempt => {
      return { ok: false, failure: failureOf(failedAs, { executed, ...hint }), ...reask }
    })
  const reply = fc.record({
    ok: fc.boolean(),
    failed,
    takesMs: fc.integer({ min: 0, max: 20_000 }),
  })
  const script = fc.record({
    replies: fc.array(reply, { minLength: 12, maxLength: 12 }),
    maxAttempts: fc.integer({ min: 1, max: 10 }),
    deadlineMs: fc.integer({ min: 0, max: 120_000 }),
    targets: fc.integer({ min: 1, max: 3 }),
    drawn: unit,
    gateMs: fc.constantFrom(0, 0, 5_000, 70_000),
    abortAtMs: fc.option(fc.integer({ min: 0, max: 60_000 }), { nil: undefined }),
    onUncertain: fc.constantFrom('rerun', 'fail'),
    budget: fc.constantFrom(undefined, false as const),
  })

  it('makes at most maxAttempts, ends by its deadline, and never returns before a hint', async () => {
    await fc.assert(
      fc.asyncProperty(script, async (given) => {
        const clock = new VirtualClock()
        const random = () => given.drawn
        const targets = Array.from({ length: given.targets }, (_, index): LoopTarget => {
          const state = createTargetState({ clock, random, retryBudget: given.budget })
          const failure = failureOf('rate_limit', { retryAfterMs: given.gateMs })
          if (given.gateMs > 0) state.gate.learn(failure, 0, 100_000)
          return { name: `target ${index}`, state, on: new Set(KINDS) }
        })
        const controller = new AbortController()
        const stopAbort =
          given.abortAtMs === undefined
            ? () => {}
            : clock.schedule(given.abortAtMs, () => controller.abort())
        const deadline = deadlineAfter(clock, given.deadlineMs)
        const notBeforeMs = targets.map(() => Math.min(given.gateMs, 100_000))
        let attempts = 0
        const outcome = await clock.run(
          runAttempts<string>({
            policy: {
              maxAttempts: given.maxAttempts,
              maxReasks: 2,
              maxRetryAfterMs: 60_000,
              backoff: fullJitter(),
              onUncertain: given.onUncertain,
            },
            clock,
            random,
            signal: controller.signal,
            deadline,
            targets,
            async attempt({ number, cause, target }): Promise<AttemptResult<string>> {
              attempts += 1
              expect(number).toBe(attempts)
              expect(deadline.remainingMs()).toBeGreaterThanOrEqual(250)
              expect(controller.signal.aborted).toBe(false)
              // The target answers a re-ask: what it asked for before that has been lifted.
              const earliestMs = cause === 'reask' ? 0 : (notBeforeMs[target] ?? 0)
              expect(clock.monotonicMs()).toBeGreaterThanOrEqual(earliestMs)
              const scripted = given.replies[number - 1]
              if (scripted === undefined) throw new Error('not scripted')
              clock.advance(Math.min(scripted.takesMs, deadline.remainingMs()))
              if (scripted.ok) return { ok: true, value: 'good' }
              const asked = scripted.failed.failure.retryAfterMs ?? 0
              notBeforeMs[target] = Math.max(earliestMs, clock.monotonicMs() + asked)
              return scripted.failed
            },
          }),
        )
        stopAbort()
        expect(outcome.attempts).toBe(attempts)
        expect(attempts).toBeLessThanOrEqual(given.maxAttempts)
        expect(clock.monotonicMs()).toBeLessThanOrEqual(given.deadlineMs)
        expect(clock.pendingTimers).toBe(0)
        for (const { state } of targets) expect(state.budget.tokens).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 500 },
    )
  })
})
