import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FAILURE_KINDS, type FailureKind } from '../../src/errors/failure-kinds.ts'
import { fullJitter } from '../../src/retry/backoff.ts'
import type { StepFailure } from '../../src/retry/decide.ts'
import type { Sign } from '../../src/retry/health/line-contract.ts'
import { createTargetState, type TargetState } from '../../src/retry/health/target-state.ts'
import { type LoopTarget, runAttempts, type StepResult } from '../../src/retry/loop.ts'
import { deadlineAfter } from '../../src/time.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { failureOf } from '../unit/retry/failures.ts'
import { VirtualClock } from '../unit/retry/virtual-clock.ts'

// The keys of a Record<FailureKind, …> are FailureKinds.
const KINDS = Object.keys(FAILURE_KINDS) as FailureKind[]
const kind = fc.constantFrom(...KINDS)
const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

/** Another call of the target is sent and ends so. */
function sendOne({ line }: TargetState, sign: Sign, hintMs: number): void {
  const ticket = line.enterBeside(0)
  line.ended({ ticket, sentAtMs: 0, sign, hintMs, paid: false })
  line.left()
}

describe('a call', () => {
  const failed = fc
    .record({
      kind,
      executed: fc.constantFrom('no', 'maybe', 'yes'),
      hint: fc.constantFrom(
        {},
        { retryAfterMs: 0 },
        { retryAfterMs: 900 },
        { retryAfterMs: 91_000 },
      ),
      reask: fc.constantFrom({}, { reask: 'allowed' }, { reask: 'repeated' }, { reask: 'no' }),
    })
    .map(({ kind: failedAs, executed, hint, reask }): StepFailure => {
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
    maxRequests: fc.integer({ min: 1, max: 12 }),
    maxWaitMs: fc.constantFrom(0, 3_000, 90_000),
    deadlineMs: fc.integer({ min: 0, max: 120_000 }),
    targets: fc.integer({ min: 1, max: 3 }),
    drawn: unit,
    closedMs: fc.constantFrom(0, 0, 5_000, 70_000),
    isDown: fc.boolean(),
    abortAtMs: fc.option(fc.integer({ min: 0, max: 60_000 }), { nil: undefined }),
    onUncertain: fc.constantFrom('rerun', 'fail'),
    limits: fc.constantFrom('auto' as const, 'off' as const, { concurrency: 1 }),
  })

  it('keeps to its numbers, its patience, its deadline and to every hint', async () => {
    await fc.assert(
      fc.asyncProperty(script, async (given) => {
        const clock = new VirtualClock()
        const random = () => given.drawn
        const targets = Array.from({ length: given.targets }, (_, index): LoopTarget => {
          const state = createTargetState({ clock, random, limits: given.limits })
          for (let call = 0; given.isDown && call < 5; call += 1) sendOne(state, 'error', 0)
          if (given.closedMs > 0) sendOne(state, 'limited', given.closedMs)
          return { name: `target ${index}`, state, on: new Set(KINDS) }
        })
        const controller = new AbortController()
        const stopAbort =
          given.abortAtMs === undefined
            ? () => {}
            : clock.schedule(given.abortAtMs, () => controller.abort())
        const deadline = deadlineAfter(clock, given.deadlineMs)
        const notBeforeMs: number[] = targets.map(() => given.closedMs)
        let attempts = 0
        let executed = 0
        let takenMs = 0
        const outcome = await clock.run(
          runAttempts<string>({
            policy: {
              maxAttempts: given.maxAttempts,
              maxRequests: given.maxRequests,
              maxReasks: 2,
              maxWaitMs: given.maxWaitMs,
              backoff: fullJitter(),
              onUncertain: given.onUncertain,
            },
            clock,
            random,
            signal: controller.signal,
            deadline,
            targets,
            async attempt({ number, cause, target }): Promise<StepResult<string>> {
              attempts += 1
              expect(number).toBe(attempts)
              expect(deadline.remainingMs()).toBeGreaterThanOrEqual(250)
              expect(controller.signal.aborted).toBe(false)
              // The target answers a re-ask: what it asked for before that has been lifted.
              const earliestMs = cause === 'reask' ? 0 : (notBeforeMs[target] ?? 0)
              expect(clock.monotonicMs()).toBeGreaterThanOrEqual(earliestMs)
              const scripted = given.replies[number - 1]
              if (scripted === undefined) throw new Error('not scripted')
              const tookMs = Math.min(scripted.takesMs, deadline.remainingMs())
              clock.advance(tookMs)
              takenMs += tookMs
              if (scripted.ok || scripted.failed.failure.executed !== 'no') executed += 1
              if (scripted.ok) return { ok: true, value: 'good' }
              const asked = scripted.failed.failure.retryAfterMs ?? 0
              notBeforeMs[target] = Math.max(earliestMs, clock.monotonicMs() + asked)
              return scripted.failed
            },
          }),
        )
        stopAbort()
        expect(outcome.requests).toBe(attempts)
        expect(executed).toBeLessThanOrEqual(given.maxAttempts)
        expect(attempts).toBeLessThanOrEqual(given.maxRequests)
        // Its backoff is no wait where it does not wait.
        if (given.maxWaitMs > 0) {
          expect(clock.monotonicMs() - takenMs).toBeLessThanOrEqual(given.maxWaitMs + 1)
        }
        expect(clock.monotonicMs()).toBeLessThanOrEqual(given.deadlineMs)
        expect(clock.pendingTimers).toBe(0)
        for (const { state } of targets) {
          expect(state.line.status()).toMatchObject({ inFlight: 0, waiting: 0 })
        }
      }),
      { numRuns: fuzzRuns(500) },
    )
  })
})
