import { describe, expect, it } from 'vitest'
import type { FailureKind } from '../../../src/errors/failure-kinds.ts'
import { type Backoff, fixed } from '../../../src/retry/backoff.ts'
import type { FailedAttempt } from '../../../src/retry/decide.ts'
import {
  createTargetState,
  type TargetStateOptions,
} from '../../../src/retry/health/target-state.ts'
import {
  type AttemptResult,
  type AttemptStep,
  type LoopOutcome,
  type LoopRequest,
  type LoopTarget,
  runAttempts,
  type VerdictEvent,
} from '../../../src/retry/loop.ts'
import { deadlineAfter } from '../../../src/time.ts'
import { failureOf } from './failures.ts'
import { microtasks, VirtualClock } from './virtual-clock.ts'

type Reply = AttemptResult<string>
const GOOD: Reply = { ok: true, value: 'good' }
const failing = (...given: Parameters<typeof failureOf>): FailedAttempt => ({
  ok: false,
  failure: failureOf(...given),
})
const DOWN = failing('server_error')
const LIMITED = failing('rate_limit', { executed: 'no', status: 429, retryAfterMs: 2_000 })

interface Script {
  readonly clock?: VirtualClock
  readonly targets?: readonly LoopTarget[]
  readonly policy?: Partial<LoopRequest<string>['policy']>
  readonly backoff?: Backoff
  readonly signal?: AbortSignal
  readonly deadlineMs?: number
  /** How long each attempt takes. @default 0 */
  readonly takesMs?: number
}

function targetOf(
  clock: VirtualClock,
  options: Partial<TargetStateOptions> = {},
  on: readonly FailureKind[] = ['server_error', 'rate_limit', 'circuit_open'],
  name = 'api.example gpt',
): LoopTarget {
  return {
    name,
    state: createTargetState({ clock, random: () => 0.5, ...options }),
    on: new Set(on),
  }
}

/** Starts a call whose attempts end as scripted, and notes every step and verdict. */
function start(replies: readonly Reply[], script: Script = {}) {
  const clock = script.clock ?? new VirtualClock()
  const targets = script.targets ?? [targetOf(clock)]
  const steps: AttemptStep[] = []
  const startedAtMs: number[] = []
  const verdicts: string[] = []
  const work = runAttempts<string>({
    policy: {
      maxAttempts: 3,
      maxReasks: 2,
      maxRetryAfterMs: 60_000,
      backoff: fixed(400),
      onUncertain: 'rerun',
      ...script.policy,
    },
    clock,
    random: () => 0.5,
    signal: script.signal,
    deadline: deadlineAfter(clock, script.deadlineMs ?? 100_000),
    targets,
    async attempt(step) {
      steps.push(step)
      startedAtMs.push(clock.monotonicMs())
      if (script.takesMs !== undefined) clock.advance(script.takesMs)
      const reply = replies[steps.length - 1]
      if (reply === undefined) throw new Error(`attempt ${step.number} was not scripted`)
      return reply
    },
    onVerdict: ({ verdict }: VerdictEvent) => verdicts.push(verdict.verdict),
  })
  return { clock, targets, steps, startedAtMs, verdicts, work, end: () => clock.run(work) }
}

function failed(outcome: LoopOutcome<string>) {
  if (outcome.ok) throw new Error('the call succeeded')
  return outcome
}

describe('the first attempt', () => {
  it('costs no timer and no listener when it succeeds', async () => {
    const signal = new AbortController().signal
    let listeners = 0
    signal.addEventListener = () => {
      listeners += 1
    }
    const call = start([GOOD], { signal })
    await microtasks()
    expect(call.clock.pendingTimers).toBe(0)
    expect(await call.work).toEqual({ ok: true, value: 'good', attempts: 1 })
    expect(listeners).toBe(0)
    expect(call.steps).toEqual([{ number: 1, cause: 'initial', target: 0, delayMs: 0 }])
    expect(call.verdicts).toEqual(['accept'])
  })

  it('is the only one after a permanent failure', async () => {
    const call = start([failing('auth', { executed: 'no' })])
    expect(failed(await call.end())).toMatchObject({ reason: 'not_retryable', attempts: 1 })
  })

  it('is not made for a caller who has aborted', async () => {
    const reason = new Error('gone')
    const call = start([], { signal: AbortSignal.abort(reason) })
    const outcome = failed(await call.end())
    expect(outcome).toMatchObject({ reason: 'aborted', attempts: 0 })
    expect(outcome.failure).toMatchObject({ kind: 'aborted', executed: 'no' })
    expect(outcome.failure.cause).toBe(reason)
  })

  it.each([
    { deadlineMs: 249, replies: [], expected: { ok: false, reason: 'deadline', attempts: 0 } },
    { deadlineMs: 250, replies: [GOOD], expected: { ok: true, attempts: 1 } },
  ])('needs 250 ms: with $deadlineMs ms → $expected', async ({ deadlineMs, replies, expected }) => {
    expect(await start(replies, { deadlineMs }).end()).toMatchObject(expected)
  })

  it('says deadline where there is no time for it', async () => {
    const outcome = failed(await start([], { deadlineMs: 100 }).end())
    expect(outcome.failure).toMatchObject({ kind: 'deadline', executed: 'no' })
  })
})

describe('a retry', () => {
  it('waits for the backoff and says so', async () => {
    const call = start([DOWN, GOOD])
    expect(await call.end()).toEqual({ ok: true, value: 'good', attempts: 2 })
    expect(call.startedAtMs).toEqual([0, 400])
    expect(call.steps[1]).toEqual({
      number: 2,
      cause: 'retry',
      target: 0,
      delayMs: 400,
      delaySource: 'backoff',
    })
    expect(call.verdicts).toEqual(['retry', 'accept'])
  })

  it('never starts earlier than the provider asked', async () => {
    const call = start([LIMITED, GOOD])
    await call.end()
    // 2 s, and half of the spread of one second.
    expect(call.startedAtMs).toEqual([0, 2_500])
    expect(call.steps[1]).toMatchObject({ delayMs: 2_500, delaySource: 'hint' })
  })

  it('is never made beyond maxAttempts', async () => {
    const outcome = failed(await start([DOWN, DOWN, DOWN]).end())
    expect(outcome).toMatchObject({ reason: 'max_attempts', attempts: 3, deterministic: false })
    expect(outcome.failure.kind).toBe('server_error')
  })

  it('gives the backoff its number, the kind and the wait before', async () => {
    const seen: unknown[] = []
    const backoff: Backoff = {
      delayMs({ retry, kind, previousDelayMs }) {
        seen.push({ retry, kind, previousDelayMs })
        return retry * 100
      },
    }
    await start([DOWN, failing('network'), GOOD], { policy: { backoff } }).end()
    expect(seen).toEqual([
      { retry: 1, kind: 'server_error', previousDelayMs: 0 },
      { retry: 2, kind: 'network', previousDelayMs: 100 },
    ])
  })

  it('follows an empty response once', async () => {
    const empty = failing('empty_response', { executed: 'yes' })
    const outcome = failed(await start([empty, empty]).end())
    expect(outcome).toMatchObject({ reason: 'not_retryable', attempts: 2 })
  })

  it('survives whatever the failure was caused by, a TypeError too', async () => {
    const call = start([failing('network', { cause: new TypeError('bug') }), GOOD])
    expect(await call.end()).toMatchObject({ ok: true, attempts: 2 })
  })

  it('arms no timer for a hint that is too long, and keeps the hint', async () => {
    const call = start([failing('rate_limit', { retryAfterMs: 61_000 })])
    await microtasks()
    const outcome = failed(await call.work)
    expect(outcome).toMatchObject({ reason: 'hint_exceeds_max', attempts: 1 })
    expect(outcome.failure).toMatchObject({ kind: 'rate_limit', retryAfterMs: 61_000 })
  })

  it('arms no timer for a hint beyond the deadline', async () => {
    const call = start([LIMITED], { deadlineMs: 2_249 })
    await microtasks()
    expect(failed(await call.work).reason).toBe('hint_exceeds_deadline')
  })

  it("waits for another call's hint as well", async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock)]
    const call = start([DOWN, GOOD], { clock, targets })
    clock.schedule(100, () => {
      targets[0]?.state.gate.learn(failureOf('rate_limit', { retryAfterMs: 3_000 }), 100, 60_000)
    })
    await call.end()
    // Learned during the 400 ms: the 2.7 s still left follow, 1.5 times the 0.3 s that it came after
    // the hint, and half of the spread of all 3 s.
    expect(call.startedAtMs).toEqual([0, 4_300])
    expect(call.steps[1]).toMatchObject({ delayMs: 4_300, delaySource: 'hint' })
  })

  it('waits for a hint that another call got before it failed, and only once', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock)]
    const call = start([DOWN, GOOD], { clock, targets })
    targets[0]?.state.gate.learn(failureOf('rate_limit', { retryAfterMs: 3_000 }), 0, 60_000)
    await call.end()
    expect(call.startedAtMs).toEqual([0, 3_750])
    expect(call.verdicts).toEqual(['retry', 'accept'])
  })

  it('that the gate holds up is neither counted nor paid for twice', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock, { retryBudget: { initial: 1 } })]
    const call = start([failing('empty_response', { executed: 'yes' }), GOOD], { clock, targets })
    clock.schedule(100, () => {
      targets[0]?.state.gate.learn(failureOf('rate_limit', { retryAfterMs: 3_000 }), 100, 60_000)
    })
    expect(await call.end()).toMatchObject({ ok: true, attempts: 2 })
    expect(targets[0]?.state.budget.tokens).toBe(1)
  })

  it('ends as outcome_unknown where the work may have been done and must not be redone', async () => {
    const cause = new Error('reset')
    const call = start([failing('network', { cause })], { policy: { onUncertain: 'fail' } })
    const outcome = failed(await call.end())
    expect(outcome).toMatchObject({ reason: 'outcome_unknown', attempts: 1 })
    expect(outcome.failure).toMatchObject({ kind: 'outcome_unknown', executed: 'maybe', cause })
  })
})

describe('a re-ask', () => {
  const bad = failing('schema_mismatch', { executed: 'yes' })

  it('waits for nothing and spends an attempt', async () => {
    const call = start([bad, bad, bad])
    expect(failed(await call.end())).toMatchObject({ reason: 'max_attempts', attempts: 3 })
    expect(call.steps.map(({ cause }) => cause)).toEqual(['initial', 'reask', 'reask'])
    expect(call.startedAtMs).toEqual([0, 0, 0])
  })

  it('stops at a repeated answer and calls it deterministic', async () => {
    const outcome = failed(await start([bad, { ...bad, reask: 'repeated' }]).end())
    expect(outcome).toMatchObject({ reason: 'repeated_answer', deterministic: true, attempts: 2 })
  })

  it('calls the answer deterministic also when attempts are spent as it repeats', async () => {
    const policy = { maxAttempts: 2 }
    const outcome = failed(await start([bad, { ...bad, reask: 'repeated' }], { policy }).end())
    expect(outcome).toMatchObject({ reason: 'max_attempts', deterministic: true })
  })

  it('is sent though the breaker has opened meanwhile', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    const call = start([bad, GOOD], { clock, targets: [target] })
    for (let other = 0; other < 8; other += 1) target.state.breaker.tryAcquire()?.failure()
    expect(await call.end()).toMatchObject({ ok: true, attempts: 2 })
  })
})

describe('an abort', () => {
  it('during a wait ends the call in the same tick and leaves no timer', async () => {
    const controller = new AbortController()
    const call = start([DOWN], { signal: controller.signal })
    let outcome: LoopOutcome<string> | undefined
    call.work.then((value) => {
      outcome = value
    }, expect.unreachable)
    await microtasks()
    expect(call.clock.pendingTimers).toBe(1)
    const reason = new Error('gone')
    controller.abort(reason)
    await microtasks()
    expect(call.clock.pendingTimers).toBe(0)
    expect(outcome).toMatchObject({ ok: false, reason: 'aborted', attempts: 1 })
    expect(outcome).toHaveProperty('failure.kind', 'aborted')
    expect(outcome).toHaveProperty('failure.executed', 'maybe')
    expect(outcome).toHaveProperty('failure.cause', reason)
    expect(call.targets[0]?.state.budget.tokens).toBe(3)
  })

  it('during the wait at the gate ends the call before any attempt', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock)]
    targets[0]?.state.gate.learn(failureOf('rate_limit', { retryAfterMs: 3_000 }), 0, 60_000)
    const controller = new AbortController()
    const call = start([], { clock, targets, signal: controller.signal })
    await microtasks()
    expect(clock.pendingTimers).toBe(1)
    controller.abort()
    expect(failed(await call.work)).toMatchObject({ reason: 'aborted', attempts: 0 })
    expect(clock.pendingTimers).toBe(0)
  })

  it("that meets a provider's failure counts as the caller's", async () => {
    const controller = new AbortController()
    const clock = new VirtualClock()
    clock.schedule(10, () => controller.abort('bye'))
    const call = start([DOWN], { clock, signal: controller.signal, takesMs: 20 })
    const outcome = failed(await call.end())
    expect(outcome).toMatchObject({ reason: 'aborted', failure: { kind: 'aborted', cause: 'bye' } })
  })

  it('during a retry gives its token back', async () => {
    const controller = new AbortController()
    const clock = new VirtualClock()
    clock.schedule(450, () => controller.abort())
    const cut = failing('aborted')
    const call = start([DOWN, cut], { clock, signal: controller.signal, takesMs: 40 })
    expect(failed(await call.end())).toMatchObject({ reason: 'aborted', attempts: 2 })
    expect(call.targets[0]?.state.budget.tokens).toBe(3)
  })

  it('does not take away an answer that came', async () => {
    const controller = new AbortController()
    const clock = new VirtualClock()
    clock.schedule(10, () => controller.abort())
    const call = start([GOOD], { clock, signal: controller.signal, takesMs: 20 })
    expect(await call.end()).toMatchObject({ ok: true })
  })
})

describe('the retry budget', () => {
  const tokens = ({ targets }: { targets: readonly LoopTarget[] }) =>
    targets.map(({ state }) => state.budget.tokens)

  it.each([
    { what: 'a failure costs one token', replies: [DOWN, DOWN, DOWN], left: 1 },
    { what: 'a timeout costs two', replies: [failing('timeout'), failing('auth')], left: 1 },
    { what: 'a hinted rate limit costs none', replies: [LIMITED, LIMITED, LIMITED], left: 3 },
    { what: 'a success after a retry gives it back', replies: [DOWN, GOOD], left: 3 },
    { what: 'a success gives back the last one only', replies: [DOWN, DOWN, GOOD], left: 2 },
    { what: 'a first success earns a tenth', replies: [GOOD], left: 3.1 },
  ])('$what', async ({ replies, left }) => {
    const call = start(replies)
    await call.end()
    expect(tokens(call)).toEqual([left])
  })

  it('empty, ends the call at once with the evidence of the provider', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock, { retryBudget: { initial: 0 } })]
    const cause = new Error('503')
    const down = failing('overloaded', { status: 503, code: 'busy', requestId: 'r1', cause })
    const outcome = failed(await start([down], { clock, targets }).end())
    expect(outcome).toMatchObject({ reason: 'retry_budget', attempts: 1 })
    expect(outcome.failure).toEqual({
      kind: 'overloaded',
      retryable: true,
      executed: 'maybe',
      message: 'overloaded',
      status: 503,
      code: 'busy',
      requestId: 'r1',
      cause,
    })
  })

  it('loses none of 100 concurrent cold calls of which 30 meet a hinted rate limit', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock)]
    const calls = Array.from({ length: 100 }, (_, index) =>
      start(index < 30 ? [LIMITED, GOOD] : [GOOD], { clock, targets }),
    )
    const outcomes = await clock.run(Promise.all(calls.map(({ work }) => work)))
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(100)
  })
})

describe('the gate', () => {
  function closedFor(clock: VirtualClock, retryAfterMs: number): LoopTarget {
    const target = targetOf(clock)
    target.state.gate.learn(failureOf('rate_limit', { retryAfterMs }), 0, 60_000)
    return target
  }

  it('holds a first attempt back, spread, at no cost', async () => {
    const clock = new VirtualClock()
    const call = start([GOOD], { clock, targets: [closedFor(clock, 3_000)] })
    expect(await call.end()).toMatchObject({ ok: true, attempts: 1 })
    expect(call.startedAtMs).toEqual([3_750])
    expect(call.steps[0]).toEqual({
      number: 1,
      cause: 'initial',
      target: 0,
      delayMs: 3_750,
      delaySource: 'hint',
    })
    expect(call.targets[0]?.state.budget.tokens).toBe(3.1)
  })

  it('closes for others by what one call was told', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock)]
    const limited = start([LIMITED, GOOD], { clock, targets })
    await microtasks()
    const other = start([GOOD], { clock, targets })
    await clock.run(Promise.all([limited.work, other.work]))
    expect(other.startedAtMs).toEqual([2_500])
  })

  it('is waited for before the breaker is asked, which may be ready for a probe by then', async () => {
    const clock = new VirtualClock()
    const target = closedFor(clock, 3_000)
    for (let call = 0; call < 8; call += 1) target.state.breaker.tryAcquire()?.failure()
    expect(await start([GOOD], { clock, targets: [target] }).end()).toMatchObject({ ok: true })
  })

  it('fails a first attempt that it would hold beyond the deadline, before it is sent', async () => {
    const clock = new VirtualClock()
    const call = start([], { clock, targets: [closedFor(clock, 3_000)], deadlineMs: 3_249 })
    await microtasks()
    const outcome = failed(await call.work)
    expect(outcome).toMatchObject({ reason: 'hint_exceeds_deadline', attempts: 0 })
    expect(outcome.failure).toMatchObject({
      kind: 'rate_limit',
      executed: 'no',
      retryAfterMs: 3_000,
    })
  })

  it('lets a fallback take what it holds for too long', async () => {
    const clock = new VirtualClock()
    const targets = [closedFor(clock, 3_000), targetOf(clock)]
    const call = start([GOOD], { clock, targets, deadlineMs: 2_000 })
    expect(await call.end()).toMatchObject({ ok: true, attempts: 1 })
    expect(call.steps[0]).toMatchObject({ number: 1, cause: 'fallback', target: 1, delayMs: 0 })
  })

  it('waits on when it is closed for longer meanwhile', async () => {
    const clock = new VirtualClock()
    const target = closedFor(clock, 3_000)
    clock.schedule(2_000, () =>
      target.state.gate.learn(failureOf('rate_limit', { retryAfterMs: 5_000 }), 2_000, 60_000),
    )
    const call = start([GOOD], { clock, targets: [target] })
    await call.end()
    // 3.75 s, then what is left until 7 s (3.25 s), 1.5 times the 1.75 s it came after the second
    // hint, and half of the spread of the 5 s that were told.
    expect(call.startedAtMs).toEqual([10_875])
  })
})

describe('the breaker', () => {
  function opened(clock: VirtualClock): LoopTarget {
    const target = targetOf(clock)
    for (let call = 0; call < 8; call += 1) target.state.breaker.tryAcquire()?.failure()
    return target
  }

  it('open, fails a call before any attempt', async () => {
    const clock = new VirtualClock()
    const outcome = failed(await start([], { clock, targets: [opened(clock)] }).end())
    expect(outcome).toMatchObject({ reason: 'circuit_open', attempts: 0 })
    expect(outcome.failure).toMatchObject({
      kind: 'circuit_open',
      executed: 'no',
      retryAfterMs: 2_000,
    })
  })

  it('open, sends a call to the fallback', async () => {
    const clock = new VirtualClock()
    const call = start([GOOD], { clock, targets: [opened(clock), targetOf(clock)] })
    expect(await call.end()).toMatchObject({ ok: true, attempts: 1 })
    expect(call.steps).toEqual([{ number: 1, cause: 'fallback', target: 1, delayMs: 0 }])
  })

  it('learns from attempts, and ends the retries of a call when it opens', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    for (let call = 0; call < 7; call += 1) target.state.breaker.tryAcquire()?.failure()
    const outcome = failed(await start([DOWN], { clock, targets: [target] }).end())
    expect(outcome).toMatchObject({ reason: 'circuit_open', attempts: 1 })
    expect(outcome.failure.kind).toBe('server_error')
  })

  it('that opens during a wait keeps the retry from being sent, at no cost', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    const call = start([DOWN], { clock, targets: [target] })
    clock.schedule(100, () => {
      for (let other = 0; other < 8; other += 1) target.state.breaker.tryAcquire()?.failure()
    })
    const outcome = failed(await call.end())
    expect(outcome).toMatchObject({ reason: 'circuit_open', attempts: 1 })
    expect(outcome.failure.kind).toBe('server_error')
    expect(target.state.budget.tokens).toBe(3)
  })

  it('closes again after two calls that succeed as probes', async () => {
    const clock = new VirtualClock()
    const targets = [opened(clock)]
    clock.advance(2_000)
    await start([GOOD], { clock, targets }).end()
    await start([GOOD], { clock, targets }).end()
    expect(targets[0]?.state.breaker.state).toBe('closed')
  })

  it('switched off, never refuses a call', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock, { breaker: false, retryBudget: false })]
    for (let call = 0; call < 20; call += 1) {
      expect(await start([DOWN, DOWN, DOWN], { clock, targets }).end()).toMatchObject({
        attempts: 3,
      })
    }
  })
})

describe('a fallback', () => {
  const QUOTA = failing('quota_exhausted', { executed: 'no', status: 429 })
  const takesQuota = (clock: VirtualClock, options: Partial<TargetStateOptions> = {}) =>
    targetOf(clock, options, ['quota_exhausted', 'circuit_open'], 'api.example other')

  it('follows at once, with an attempt of the same count and a token of its own', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock), takesQuota(clock)]
    const call = start([QUOTA, failing('auth')], { clock, targets })
    expect(failed(await call.end())).toMatchObject({ reason: 'not_retryable', attempts: 2 })
    expect(call.steps[1]).toEqual({ number: 2, cause: 'fallback', target: 1, delayMs: 0 })
    expect(targets.map(({ state }) => state.budget.tokens)).toEqual([3, 2])
  })

  it('that succeeds gets its token back, and earns as a first success', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock), takesQuota(clock)]
    await start([QUOTA, GOOD], { clock, targets }).end()
    expect(targets.map(({ state }) => state.budget.tokens)).toEqual([3, 3.1])
  })

  it('is passed over when its budget is empty', async () => {
    const clock = new VirtualClock()
    const empty = takesQuota(clock, { retryBudget: { initial: 0 } })
    const targets = [targetOf(clock), empty, takesQuota(clock)]
    const call = start([QUOTA, GOOD], { clock, targets })
    await call.end()
    expect(call.steps[1]).toMatchObject({ cause: 'fallback', target: 2 })
  })

  it('is passed over when its breaker is open', async () => {
    const clock = new VirtualClock()
    const resting = takesQuota(clock)
    for (let call = 0; call < 8; call += 1) resting.state.breaker.tryAcquire()?.failure()
    const targets = [targetOf(clock), resting, targetOf(clock, {}, ['quota_exhausted'])]
    const call = start([QUOTA, GOOD], { clock, targets })
    await call.end()
    expect(call.steps[1]).toMatchObject({ cause: 'fallback', target: 2 })
  })

  it('gives its token back when its breaker admits no other probe', async () => {
    const clock = new VirtualClock()
    const probed = takesQuota(clock)
    for (let call = 0; call < 8; call += 1) probed.state.breaker.tryAcquire()?.failure()
    clock.advance(2_000)
    probed.state.breaker.tryAcquire()
    const targets = [targetOf(clock), probed, takesQuota(clock)]
    const call = start([QUOTA, GOOD], { clock, targets })
    await call.end()
    expect(call.steps[1]).toMatchObject({ number: 2, cause: 'fallback', target: 2 })
    expect(probed.state.budget.tokens).toBe(3)
  })

  it('starts its own backoff', async () => {
    const clock = new VirtualClock()
    const retries: number[] = []
    const backoff: Backoff = {
      delayMs({ retry }) {
        retries.push(retry)
        return 0
      },
    }
    const targets = [targetOf(clock), takesQuota(clock)]
    await start([DOWN, QUOTA, DOWN, GOOD], {
      clock,
      targets,
      policy: { backoff, maxAttempts: 4 },
    }).end()
    expect(retries).toEqual([1, 1])
  })

  it('is refused where nobody takes the kind', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock), takesQuota(clock)]
    const outcome = failed(await start([failing('auth')], { clock, targets }).end())
    expect(outcome).toMatchObject({ reason: 'not_retryable', attempts: 1 })
  })
})

describe('an attempt that rejects, against its contract', () => {
  it('rejects the call and leaves nothing behind', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    for (let call = 0; call < 8; call += 1) target.state.breaker.tryAcquire()?.failure()
    clock.advance(2_000)
    await expect(start([], { clock, targets: [target] }).end()).rejects.toThrow('not scripted')
    expect(target.state.breaker.tryAcquire()).toBeDefined()
    expect(target.state.budget.tokens).toBe(3)
  })
})
