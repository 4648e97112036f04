import { describe, expect, it } from 'vitest'
import type { FailureKind } from '../../../src/errors/failure-kinds.ts'
import { type Backoff, fixed } from '../../../src/retry/backoff.ts'
import type { StepFailure } from '../../../src/retry/decide.ts'
import type { Sign } from '../../../src/retry/health/line-contract.ts'
import {
  createTargetState,
  type TargetStateOptions,
} from '../../../src/retry/health/target-state.ts'
import {
  type AttemptStep,
  type LoopOutcome,
  type LoopRequest,
  type LoopTarget,
  runAttempts,
  type StepResult,
  type VerdictEvent,
} from '../../../src/retry/loop.ts'
import { deadlineAfter } from '../../../src/time.ts'
import { failureOf } from './failures.ts'
import { microtasks, VirtualClock } from './virtual-clock.ts'

type Reply = StepResult<string>
const GOOD: Reply = { ok: true, value: 'good' }
const failing = (...given: Parameters<typeof failureOf>): StepFailure => ({
  ok: false,
  failure: failureOf(...given),
})
const DOWN = failing('server_error')
const LIMITED = failing('rate_limit', { executed: 'no', status: 429, retryAfterMs: 2_000 })

interface Script {
  readonly clock?: VirtualClock
  readonly targets?: readonly LoopTarget[]
  readonly policy?: Partial<LoopRequest<string>['policy']>
  readonly signal?: AbortSignal
  readonly deadlineMs?: number
  /** For attempts beyond those that are scripted. */
  readonly replyAll?: Reply | (() => Reply)
  /** What every draw of the call gives. @default 0.5 */
  readonly drawn?: number
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

/** One call of the target is sent and ends so. */
function sendOne({ state: { line } }: LoopTarget, sign: Sign, hintMs = 0): void {
  const ticket = line.enter({ ...ONE, order: line.arrive(), nested: true })
  line.ended({
    ticket,
    sentAtMs: 0,
    sign,
    hintMs,
    paid: false,
    seen: { kind: sign === 'limited' ? 'rate_limit' : 'overloaded', status: 503 },
  })
  line.left()
}

/** Another call of the target was told to wait, a moment ago. */
function told(target: LoopTarget, hintMs: number): LoopTarget {
  sendOne(target, 'limited', hintMs)
  return target
}

/** Others have found it to be down. */
function broughtDown(target: LoopTarget): LoopTarget {
  for (let call = 0; call < 5; call += 1) sendOne(target, 'refused')
  return target
}

const ONE = {
  requests: 0,
  notBeforeMs: 0,
  latestMs: 0,
  paying: false,
  nested: false,
  impatient: false,
  bulk: false,
  tokens: 0,
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
      maxRequests: 12,
      maxReasks: 2,
      maxWaitMs: 90_000,
      backoff: fixed(400),
      onUncertain: 'rerun',
      ...script.policy,
    },
    clock,
    random: () => script.drawn ?? 0.5,
    signal: script.signal,
    deadline: deadlineAfter(clock, script.deadlineMs ?? 100_000),
    targets,
    async attempt(step) {
      steps.push(step)
      startedAtMs.push(clock.monotonicMs())
      if (script.takesMs !== undefined) clock.advance(script.takesMs)
      const { replyAll } = script
      const reply =
        replies[steps.length - 1] ?? (typeof replyAll === 'function' ? replyAll() : replyAll)
      if (reply === undefined) throw new Error(`attempt ${step.number} was not scripted`)
      return reply
    },
    onVerdict: ({ verdict }: VerdictEvent) => verdicts.push(verdict.verdict),
  })
  return { clock, targets, steps, startedAtMs, verdicts, work, end: () => clock.run(work) }
}

/** Retries that it would let out at once. */
function tokensOf({ state: { line } }: LoopTarget): number {
  let tokens = 0
  while (
    tokens < 100 &&
    line.enter({ ...ONE, order: line.arrive(), paying: true, nested: true }) !== 0
  ) {
    tokens += 1
  }
  return tokens
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
    expect(await call.work).toEqual({ ok: true, value: 'good', requests: 1 })
    expect(listeners).toBe(0)
    expect(call.steps).toEqual([{ number: 1, cause: 'initial', target: 0, delayMs: 0 }])
    expect(call.verdicts).toEqual(['accept'])
  })

  it('is the only one after a permanent failure', async () => {
    const call = start([failing('auth', { executed: 'no' })])
    expect(failed(await call.end())).toMatchObject({ reason: 'not_retryable', requests: 1 })
  })

  it('is not made for a caller who has aborted', async () => {
    const reason = new Error('gone')
    const call = start([], { signal: AbortSignal.abort(reason) })
    const outcome = failed(await call.end())
    expect(outcome).toMatchObject({ reason: 'aborted', requests: 0 })
    expect(outcome.failure).toMatchObject({ kind: 'aborted', executed: 'no' })
    expect(outcome.failure.cause).toBe(reason)
  })

  it.each([
    { deadlineMs: 249, replies: [], expected: { ok: false, reason: 'deadline', requests: 0 } },
    { deadlineMs: 250, replies: [GOOD], expected: { ok: true, requests: 1 } },
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
    expect(await call.end()).toEqual({ ok: true, value: 'good', requests: 2 })
    expect(call.startedAtMs).toEqual([0, 400])
    expect(call.steps[1]).toEqual({
      number: 2,
      cause: 'retry',
      target: 0,
      delayMs: 400,
      waits: [{ for: 'backoff', ms: 400 }],
      delaySource: 'backoff',
    })
    expect(call.verdicts).toEqual(['retry', 'accept'])
  })

  it('never starts earlier than the provider asked', async () => {
    const call = start([LIMITED, GOOD])
    await call.end()
    // 2 s, and half of the spread of a tenth of it.
    expect(call.startedAtMs).toEqual([0, 2_100])
    expect(call.steps[1]).toMatchObject({
      delayMs: 2_100,
      delaySource: 'hint',
      waits: [{ for: 'hint', ms: 2_100 }],
    })
  })

  it('is never made beyond maxAttempts', async () => {
    const outcome = failed(await start([DOWN, DOWN, DOWN]).end())
    expect(outcome).toMatchObject({ reason: 'max_attempts', requests: 3, deterministic: false })
    expect(outcome.failure.kind).toBe('server_error')
  })

  it('of a request that was refused unexecuted is no attempt', async () => {
    const busy = failing('overloaded', { executed: 'no', status: 503 })
    const call = start([busy, DOWN, busy, DOWN, busy, DOWN])
    const outcome = failed(await call.end())
    expect(outcome).toMatchObject({ reason: 'max_attempts', requests: 6 })
    expect(call.steps.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('is never made beyond maxRequests, whatever they met', async () => {
    const busy = failing('overloaded', { executed: 'no', status: 503 })
    const outcome = failed(await start(Array(12).fill(busy)).end())
    expect(outcome).toMatchObject({ reason: 'max_requests', requests: 12 })
    expect(outcome.failure).toMatchObject({ kind: 'overloaded', status: 503 })
  })

  it('keeps the last of few requests until an outage of four seconds is over', async () => {
    const clock = new VirtualClock()
    const busy = failing('overloaded', { executed: 'no', status: 503 })
    const policy = { maxAttempts: 3, maxRequests: 3, backoff: undefined }
    const call = start([busy, busy, GOOD], { clock, policy })
    expect(await call.end()).toMatchObject({ ok: true, requests: 3 })
    expect(call.startedAtMs[1]).toBeLessThan(1_000)
    expect(call.startedAtMs[2]).toBeGreaterThan(4_000)
    expect(call.startedAtMs[2]).toBeLessThan(8_000)
  })

  it.each([
    { outageMs: 70_000, maxWaitMs: 90_000 },
    { outageMs: 17_000, maxWaitMs: 20_000 },
  ])('of a lone caller come until the end of its patience: $outageMs ms of 503', async (given) => {
    const { outageMs, maxWaitMs } = given
    for (const drawn of [0, 0.5, 0.99]) {
      const clock = new VirtualClock()
      const busy = failing('overloaded', { executed: 'no', status: 503 })
      const policy = { backoff: undefined, maxWaitMs }
      const replyAll = () => (clock.monotonicMs() < outageMs ? busy : GOOD)
      const call = start([], { clock, policy, replyAll, drawn })
      expect(await call.end()).toMatchObject({ ok: true })
    }
  })

  it('obey a hint that closes no line to its end, however long others may wait', async () => {
    const hinted = failing('server_error', { status: 500, retryAfterMs: 40_000 })
    const policy = { maxWaitMs: 20_000, maxHintMs: 60_000 }
    const call = start([hinted, GOOD], { policy })
    expect(await call.end()).toMatchObject({ ok: true, requests: 2 })
    expect(call.startedAtMs).toEqual([0, 40_000])
  })

  it('leave a hint behind with the target that gave it', async () => {
    const hinted = failing('overloaded', { executed: 'no', status: 503, retryAfterMs: 100_000 })
    const clock = new VirtualClock()
    const targets = [targetOf(clock), targetOf(clock, {}, ['overloaded'])]
    const call = start([hinted, DOWN, GOOD], { clock, targets })
    expect(await call.end()).toMatchObject({ ok: true, requests: 3 })
    expect(call.startedAtMs).toEqual([0, 0, 400])
  })

  it('say that they wait for a target that is down as well', async () => {
    const busy = failing('overloaded', { executed: 'no', status: 503 })
    const clock = new VirtualClock()
    const call = start([busy, GOOD], { clock, targets: [broughtDown(targetOf(clock))] })
    await call.end()
    expect(call.verdicts.slice(0, 1)).toEqual(['wait'])
    expect(call.verdicts.filter((verdict) => verdict === 'wait').length).toBeGreaterThan(1)
    expect(call.verdicts.at(-1)).toBe('accept')
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
    expect(outcome).toMatchObject({ reason: 'not_retryable', requests: 2 })
  })

  it('survives whatever the failure was caused by, a TypeError too', async () => {
    const call = start([failing('network', { cause: new TypeError('bug') }), GOOD])
    expect(await call.end()).toMatchObject({ ok: true, requests: 2 })
  })

  it('arms no timer for a hint that is too long, and keeps the hint', async () => {
    const call = start([failing('rate_limit', { retryAfterMs: 91_000 })])
    await microtasks()
    const outcome = failed(await call.work)
    expect(outcome).toMatchObject({ reason: 'hint_exceeds_wait', requests: 1, waitedMs: 0 })
    expect(outcome.failure).toMatchObject({ kind: 'rate_limit', retryAfterMs: 91_000 })
  })

  it('arms no timer for a hint beyond the deadline', async () => {
    const call = start([LIMITED], { deadlineMs: 2_249 })
    await microtasks()
    expect(failed(await call.work).reason).toBe('hint_exceeds_deadline')
  })

  it("waits for another call's hint as well", async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    const call = start([DOWN, GOOD], { clock, targets: [target] })
    clock.schedule(100, () => told(target, 3_000))
    await call.end()
    // Told at 100 ms: until 3.1 s, and half of the spread.
    expect(call.startedAtMs).toEqual([0, 3_250])
    expect(call.steps[1]).toMatchObject({
      delayMs: 3_250,
      delaySource: 'backoff',
      waits: [
        { for: 'backoff', ms: 400 },
        { for: 'hint', ms: 2_850 },
      ],
    })
    expect(call.verdicts).toEqual(['retry', 'accept'])
  })

  it('that its line holds up is neither counted nor paid for twice', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    const call = start([DOWN, GOOD], { clock, targets: [target] })
    clock.schedule(100, () => told(target, 3_000))
    expect(await call.end()).toMatchObject({ ok: true, requests: 2 })
    expect(tokensOf(target)).toBe(4)
  })

  it('keeps its place in the line', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock, { limits: { concurrency: 1 } })]
    const first = start([failing('overloaded', { executed: 'no' }), GOOD], {
      clock,
      targets,
      takesMs: 100,
      policy: { backoff: fixed(0) },
    })
    const others = [1, 2, 3].map(() => start([GOOD], { clock, targets, takesMs: 100 }))
    await clock.run(Promise.all([first, ...others].map(({ work }) => work)))
    const begins = others.map(({ startedAtMs }) => startedAtMs[0] ?? 0)
    // One of those who waited took the place as it came free; then it was the first one's turn again.
    expect(begins.filter((ms) => ms < (first.startedAtMs[1] ?? 0))).toHaveLength(1)
  })

  it('ends as outcome_unknown where the work may have been done and must not be redone', async () => {
    const cause = new Error('reset')
    const call = start([failing('network', { cause })], { policy: { onUncertain: 'fail' } })
    const outcome = failed(await call.end())
    expect(outcome).toMatchObject({ reason: 'outcome_unknown', requests: 1 })
    expect(outcome.failure).toMatchObject({ kind: 'outcome_unknown', executed: 'maybe', cause })
  })
})

describe('a re-ask', () => {
  const bad = failing('schema_mismatch', { executed: 'yes' })

  it('waits for nothing and spends an attempt', async () => {
    const call = start([bad, bad, bad])
    expect(failed(await call.end())).toMatchObject({ reason: 'max_attempts', requests: 3 })
    expect(call.steps.map(({ cause }) => cause)).toEqual(['initial', 'reask', 'reask'])
    expect(call.startedAtMs).toEqual([0, 0, 0])
  })

  it('stops at a repeated answer and calls it deterministic', async () => {
    const outcome = failed(await start([bad, { ...bad, reask: 'repeated' }]).end())
    expect(outcome).toMatchObject({ reason: 'repeated_answer', deterministic: true, requests: 2 })
  })

  it('calls the answer deterministic also when attempts are spent as it repeats', async () => {
    const policy = { maxAttempts: 2 }
    const outcome = failed(await start([bad, { ...bad, reask: 'repeated' }], { policy }).end())
    expect(outcome).toMatchObject({ reason: 'max_attempts', deterministic: true })
  })

  it('waits for its line as every request does', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    const call = start([bad, GOOD], { clock, targets: [target] })
    broughtDown(target)
    expect(await call.end()).toMatchObject({ ok: true, requests: 2 })
    expect(call.startedAtMs).toEqual([0, 500])
    expect(call.verdicts).toEqual(['reask', 'wait', 'accept'])
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
    expect(outcome).toMatchObject({ ok: false, reason: 'aborted', requests: 1 })
    expect(outcome).toHaveProperty('failure.kind', 'aborted')
    expect(outcome).toHaveProperty('failure.executed', 'maybe')
    expect(outcome).toHaveProperty('failure.cause', reason)
    expect(call.targets.map(tokensOf)).toEqual([6])
  })

  it.each([
    ['a hint', (target: LoopTarget) => told(target, 3_000)],
    ['a target that is down', broughtDown],
  ])('during the wait for %s ends the call before any attempt', async (_, held) => {
    const clock = new VirtualClock()
    const targets = [held(targetOf(clock))]
    const controller = new AbortController()
    const call = start([], { clock, targets, signal: controller.signal })
    await microtasks()
    expect(clock.pendingTimers).toBe(1)
    controller.abort()
    expect(failed(await call.work)).toMatchObject({ reason: 'aborted', requests: 0 })
    expect(clock.pendingTimers).toBe(0)
    expect(targets[0]?.state.line.status()).toMatchObject({ waiting: 0, inFlight: 0 })
  })

  it("that meets a provider's failure counts as the caller's", async () => {
    const controller = new AbortController()
    const clock = new VirtualClock()
    clock.schedule(10, () => controller.abort('bye'))
    const call = start([DOWN], { clock, signal: controller.signal, takesMs: 20 })
    const outcome = failed(await call.end())
    expect(outcome).toMatchObject({ reason: 'aborted', failure: { kind: 'aborted', cause: 'bye' } })
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
  it.each([
    { what: 'a retry of what may have run costs one', replies: [DOWN, failing('auth')], left: 5 },
    { what: 'a retry of a refusal costs none', replies: [LIMITED, failing('auth')], left: 6 },
    { what: 'a timeout takes two more', replies: [failing('timeout')], maxAttempts: 1, left: 4 },
    { what: 'a first success brings one', replies: [GOOD], left: 3 },
    { what: 'a success after a retry gives it back as well', replies: [DOWN, GOOD], left: 4 },
  ])('$what', async ({ replies, left, maxAttempts = 3 }) => {
    const call = start(replies, { policy: { maxAttempts } })
    await call.end()
    expect(call.targets.map(tokensOf)).toEqual([left])
  })

  it('empty, has a retry wait for the next token, and fails nobody', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    const calls = [1, 2, 3].map(() => start([DOWN, GOOD], { clock, targets: [target] }))
    const outcomes = await clock.run(Promise.all(calls.map(({ work }) => work)))
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    // Two have a token each; the third gets one of those that their successes bring.
    expect(calls.map(({ startedAtMs }) => startedAtMs)).toEqual([
      [0, 400],
      [0, 400],
      [0, 400],
    ])
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

describe('a line that is full', () => {
  const crowd = (clock: VirtualClock) => {
    const target = told(targetOf(clock), 60_000)
    for (let caller = 0; caller < 100_000; caller += 1) {
      void target.state.line.wait({ ...ONE, order: caller, latestMs: 90_000 })
    }
    return target
  }

  it('refuses a call as overloaded, whatever has closed it', async () => {
    const clock = new VirtualClock()
    const call = start([], { clock, targets: [crowd(clock)] })
    await microtasks()
    const outcome = failed(await call.work)
    expect(outcome).toMatchObject({ reason: 'line_full', requests: 0 })
    expect(outcome.failure).toMatchObject({ kind: 'overloaded', retryable: true, executed: 'no' })
    expect(outcome.failure).not.toHaveProperty('status')
    expect(outcome.failure).not.toHaveProperty('retryAfterMs')
  })

  it('leaves a call the error that its own attempt met', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    const call = start([], {
      clock,
      targets: [target],
      replyAll: () => {
        for (let caller = 0; caller < 100_000; caller += 1) {
          void target.state.line.wait({ ...ONE, order: caller, notBeforeMs: 9_000, latestMs: 9e4 })
        }
        return LIMITED
      },
    })
    await microtasks()
    const outcome = failed(await call.work)
    expect(outcome).toMatchObject({ reason: 'line_full', requests: 1 })
    expect(outcome.failure).toMatchObject({ kind: 'rate_limit', status: 429 })
  })
})

describe('a line closed by a hint', () => {
  it('refuses a call that does not wait, whatever it would wait for hints', async () => {
    const clock = new VirtualClock()
    const targets = [told(targetOf(clock), 3_000)]
    const call = start([], { clock, targets, policy: { maxWaitMs: 0, maxHintMs: 60_000 } })
    await microtasks()
    expect(failed(await call.work)).toMatchObject({ reason: 'hint_exceeds_wait', requests: 0 })
  })

  it('holds a first attempt back, spread, at no cost', async () => {
    const clock = new VirtualClock()
    const call = start([GOOD], { clock, targets: [told(targetOf(clock), 3_000)] })
    expect(await call.end()).toMatchObject({ ok: true, requests: 1 })
    expect(call.steps).toEqual([
      {
        number: 1,
        cause: 'initial',
        target: 0,
        delayMs: 3_150,
        waits: [{ for: 'hint', ms: 3_150 }],
      },
    ])
    expect(call.verdicts).toEqual(['wait', 'accept'])
    expect(call.targets.map(tokensOf)).toEqual([3])
  })

  it('is closed for others by what one call was told', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock)]
    const limited = start([LIMITED, GOOD], { clock, targets })
    await microtasks()
    const other = start([GOOD], { clock, targets })
    await clock.run(Promise.all([limited.work, other.work]))
    expect(other.startedAtMs).toEqual([2_100])
  })

  it.each([
    { deadlineMs: 3_249, maxWaitMs: 90_000, reason: 'hint_exceeds_deadline' },
    { deadlineMs: 100_000, maxWaitMs: 2_999, reason: 'hint_exceeds_wait' },
    { deadlineMs: 100_000, maxWaitMs: 0, reason: 'hint_exceeds_wait' },
  ])('fails a first attempt that could not wait for it, at once: $reason', async (given) => {
    const { deadlineMs, maxWaitMs, reason } = given
    const clock = new VirtualClock()
    const targets = [told(targetOf(clock), 3_000)]
    const call = start([], { clock, targets, deadlineMs, policy: { maxWaitMs } })
    await microtasks()
    const outcome = failed(await call.work)
    expect(outcome).toMatchObject({ reason, requests: 0, waitedMs: 0, heldBy: 'hint' })
    expect(outcome.failure).toMatchObject({
      kind: 'rate_limit',
      executed: 'no',
      status: 503,
      retryAfterMs: 3_000,
    })
    expect(outcome.failure.cause).toBeUndefined()
  })

  it('gives a hint more time than other waits have, where the policy says so', async () => {
    const clock = new VirtualClock()
    const policy = { maxWaitMs: 20_000, maxHintMs: 60_000 }
    const targets = [told(targetOf(clock), 50_000)]
    expect(await start([GOOD], { clock, targets, policy }).end()).toMatchObject({ ok: true })
    expect(clock.monotonicMs()).toBe(52_500)
    const down = [broughtDown(targetOf(clock))]
    const outcome = failed(await start([], { clock, targets: down, policy, replyAll: DOWN }).end())
    expect(outcome.reason).not.toBe('hint_exceeds_wait')
    expect(clock.monotonicMs()).toBeLessThanOrEqual(72_500)
  })

  it('lets a fallback take what it holds for more than two seconds', async () => {
    const clock = new VirtualClock()
    const targets = [told(targetOf(clock), 3_000), targetOf(clock)]
    const call = start([GOOD], { clock, targets })
    expect(await call.end()).toMatchObject({ ok: true, requests: 1 })
    expect(call.steps).toEqual([{ number: 1, cause: 'fallback', target: 1, delayMs: 0 }])
  })

  it('is waited for where it is closed for less', async () => {
    const clock = new VirtualClock()
    const targets = [told(targetOf(clock), 1_800), targetOf(clock)]
    const call = start([GOOD], { clock, targets })
    await call.end()
    expect(call.steps[0]).toMatchObject({ cause: 'initial', target: 0, delayMs: 1_890 })
  })

  it.each([
    { hintMs: 30_000, endedMs: 36_500, ok: true },
    { hintMs: 61_000, endedMs: 5_000, ok: false },
  ])('of $hintMs ms that comes during another wait: $ok, $endedMs ms later', async (given) => {
    const clock = new VirtualClock()
    const target = targetOf(clock, { limits: { concurrency: 1 } })
    const { line } = target.state
    const early = line.enter({ ...ONE, order: line.arrive() })
    clock.schedule(5_000, () => {
      const { hintMs } = given
      line.ended({ ticket: early, sentAtMs: 0, sign: 'limited', hintMs, paid: false })
      line.left()
    })
    const policy = { maxWaitMs: 20_000, maxHintMs: 60_000 }
    const outcome = await start([GOOD], { clock, targets: [target], policy }).end()
    expect(outcome.ok).toBe(given.ok)
    expect(clock.monotonicMs()).toBe(given.endedMs)
    if (!outcome.ok) expect(outcome).toMatchObject({ reason: 'hint_exceeds_wait', heldBy: 'hint' })
  })

  it('is waited for on when it is closed for longer meanwhile', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock)
    const { line } = target.state
    const early = line.enter({ ...ONE, order: line.arrive() })
    told(target, 3_000)
    clock.schedule(2_000, () => {
      line.ended({ ticket: early, sentAtMs: 0, sign: 'limited', hintMs: 5_000, paid: false })
      line.left()
    })
    const call = start([GOOD], { clock, targets: [target] })
    await call.end()
    expect(call.startedAtMs).toEqual([7_250])
  })
})

describe('a target that is down', () => {
  it('holds a first attempt until it may probe', async () => {
    const clock = new VirtualClock()
    const call = start([GOOD], { clock, targets: [broughtDown(targetOf(clock))] })
    expect(await call.end()).toMatchObject({ ok: true, requests: 1 })
    expect(call.steps).toEqual([
      { number: 1, cause: 'initial', target: 0, delayMs: 500, waits: [{ for: 'down', ms: 500 }] },
    ])
  })

  it('gets one probe at a time from many calls, and then serves them all', async () => {
    const clock = new VirtualClock()
    const targets = [broughtDown(targetOf(clock))]
    const calls = Array.from({ length: 30 }, () => start([GOOD], { clock, targets }))
    const outcomes = await clock.run(Promise.all(calls.map(({ work }) => work)))
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    expect(clock.monotonicMs()).toBe(500)
  })

  it('that stays down ends a call when its patience ends, with what closed the line', async () => {
    const clock = new VirtualClock()
    const target = broughtDown(targetOf(clock))
    // A probe of somebody else hangs, in a process of few calls: nobody else is sent.
    clock.advance(60_000)
    const { line } = target.state
    expect(line.enter({ ...ONE, order: line.arrive() })).not.toBe(0)
    const outcome = failed(await start([], { clock, targets: [target] }).end())
    expect(outcome).toMatchObject({ reason: 'max_wait', requests: 0, waitedMs: 90_000 })
    expect(outcome).toMatchObject({ heldBy: 'down' })
    expect(outcome.failure).toMatchObject({ kind: 'overloaded', executed: 'no', status: 503 })
    expect(outcome.failure.cause).toBeUndefined()
  })

  it('holds nobody beyond the deadline', async () => {
    const clock = new VirtualClock()
    const target = broughtDown(targetOf(clock))
    clock.advance(60_000)
    const { line } = target.state
    line.enter({ ...ONE, order: line.arrive() })
    const call = start([], { clock, targets: [target], deadlineMs: 10_000 })
    expect(failed(await call.end())).toMatchObject({ reason: 'deadline', requests: 0 })
    expect(clock.monotonicMs()).toBe(69_750)
  })

  it('refuses a call that does not wait, at once', async () => {
    const clock = new VirtualClock()
    const targets = [broughtDown(targetOf(clock))]
    const call = start([], { clock, targets, policy: { maxWaitMs: 0 } })
    await microtasks()
    const outcome = failed(await call.work)
    expect(outcome).toMatchObject({ reason: 'max_wait', requests: 0, heldBy: 'down' })
    expect(outcome.failure).toMatchObject({ kind: 'overloaded', status: 503 })
  })

  it('sends a call to the fallback', async () => {
    const clock = new VirtualClock()
    const targets = [
      broughtDown(targetOf(clock)),
      targetOf(clock, {}, ['overloaded'], 'api.example other'),
    ]
    const call = start([GOOD], { clock, targets })
    expect(await call.end()).toMatchObject({ ok: true, requests: 1 })
    expect(call.steps).toEqual([{ number: 1, cause: 'fallback', target: 1, delayMs: 0 }])
  })

  it('is known from the attempts of calls, and outlasted by their retries', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock)]
    const busy = failing('overloaded', { executed: 'no', status: 503 })
    const calls = Array.from({ length: 10 }, () => {
      const call = start([busy, busy, busy, GOOD], { clock, targets })
      return call
    })
    const outcomes = await clock.run(Promise.all(calls.map(({ work }) => work)))
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    expect(targets[0]?.state.line.status().state).not.toBe('down')
  })
})

describe('a call that does not wait', () => {
  it('keeps its backoff, which is no wait in a line', async () => {
    const call = start([DOWN, GOOD], { policy: { maxWaitMs: 0 } })
    expect(await call.end()).toMatchObject({ ok: true, requests: 2 })
    expect(call.startedAtMs).toEqual([0, 400])
    expect(call.steps[1]).toMatchObject({ delayMs: 400, waits: [{ for: 'backoff', ms: 400 }] })
  })

  it('is not held by what is learned, nor by the retry budget', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock)]
    for (let call = 0; call < 6; call += 1) {
      const policy = { maxWaitMs: 0, maxAttempts: 2 }
      const work = start([DOWN, failing('auth')], { clock, targets, policy })
      expect(failed(await work.end())).toMatchObject({ reason: 'not_retryable', requests: 2 })
    }
  })

  it('is refused by a bound set by hand', async () => {
    const clock = new VirtualClock()
    const target = targetOf(clock, { limits: { concurrency: 1 } })
    target.state.line.enter({ ...ONE, order: target.state.line.arrive() })
    const call = start([], { clock, targets: [target], policy: { maxWaitMs: 0 } })
    expect(failed(await call.end())).toMatchObject({ reason: 'max_wait', heldBy: 'limit' })
  })
})

describe('an attempt that was withheld in the last moment', () => {
  const withheld: StepFailure = {
    ...failing('outcome_unknown', { executed: 'no' }),
    withheld: true,
  }

  it('gives back all that it took of the limits', async () => {
    const clock = new VirtualClock()
    const bounded = targetOf(clock, { limits: { requestsPerMinute: 60 } })
    await start([withheld], { clock, targets: [bounded] }).end()
    expect(bounded.state.line.isFree).toBe(true)
    const free = targetOf(clock)
    const retried = start([failing('server_error'), withheld], { clock, targets: [free] })
    expect(failed(await retried.end()).requests).toBe(1)
    expect(tokensOf(free)).toBe(6)
  })

  it('is no request, and gives its place back', async () => {
    const call = start([withheld])
    expect(failed(await call.end())).toMatchObject({ reason: 'not_retryable', requests: 0 })
    expect(call.targets[0]?.state.line.status()).toMatchObject({ inFlight: 0, state: 'up' })
  })
})

describe('a fallback', () => {
  const QUOTA = failing('quota_exhausted', { executed: 'no', status: 429 })
  const takesQuota = (clock: VirtualClock, options: Partial<TargetStateOptions> = {}) =>
    targetOf(clock, options, ['quota_exhausted'], 'api.example other')

  it('follows at once, with a request of the same count', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock), takesQuota(clock)]
    const call = start([QUOTA, failing('auth')], { clock, targets })
    expect(failed(await call.end())).toMatchObject({ reason: 'not_retryable', requests: 2 })
    expect(call.steps[1]).toEqual({ number: 2, cause: 'fallback', target: 1, delayMs: 0 })
    expect(targets.map(tokensOf)).toEqual([6, 6])
  })

  it.each([
    ['down', broughtDown],
    ['closed by a hint', (target: LoopTarget) => told(target, 100)],
  ])('is passed over when it is %s', async (_, held) => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock), held(takesQuota(clock)), takesQuota(clock)]
    const call = start([QUOTA, GOOD], { clock, targets })
    await call.end()
    expect(call.steps[1]).toMatchObject({ number: 2, cause: 'fallback', target: 2 })
  })

  it('is passed over when all its places are taken', async () => {
    const clock = new VirtualClock()
    const full = takesQuota(clock, { limits: { concurrency: 1 } })
    full.state.line.enter({ ...ONE, order: full.state.line.arrive() })
    const call = start([QUOTA, GOOD], {
      clock,
      targets: [targetOf(clock), full, takesQuota(clock)],
    })
    await call.end()
    expect(call.steps[1]).toMatchObject({ cause: 'fallback', target: 2 })
  })

  it('gets the last attempt that the policy allows', async () => {
    const clock = new VirtualClock()
    const targets = [targetOf(clock), targetOf(clock)]
    const call = start([DOWN, DOWN, GOOD], { clock, targets })
    await call.end()
    expect(call.steps.map(({ cause }) => cause)).toEqual(['initial', 'retry', 'fallback'])
  })

  it('takes over at once when the hint is longer than two seconds', async () => {
    const clock = new VirtualClock()
    const call = start([LIMITED, GOOD], { clock, targets: [targetOf(clock), targetOf(clock)] })
    await call.end()
    expect(call.startedAtMs).toEqual([0, 0])
    expect(call.steps[1]).toMatchObject({ cause: 'fallback', target: 1 })
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
    expect(outcome).toMatchObject({ reason: 'not_retryable', requests: 1 })
  })
})

describe('an attempt that rejects, against its contract', () => {
  it('rejects the call and leaves nothing behind', async () => {
    const clock = new VirtualClock()
    const target = broughtDown(targetOf(clock))
    await expect(start([], { clock, targets: [target] }).end()).rejects.toThrow('not scripted')
    expect(target.state.line.status()).toMatchObject({ inFlight: 0, waiting: 0 })
    expect(clock.pendingTimers).toBe(0)
    expect(await start([GOOD], { clock, targets: [target] }).end()).toMatchObject({ ok: true })
  })

  it('gives its place back where the random numbers fail', async () => {
    const clock = new VirtualClock()
    const random = () => {
      throw new Error('no random number')
    }
    const target = targetOf(clock, { random })
    const call = start([LIMITED], { clock, targets: [target] })
    await expect(call.end()).rejects.toThrow('no random number')
    expect(target.state.line.status()).toMatchObject({ inFlight: 0, waiting: 0 })
  })
})
