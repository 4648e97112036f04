import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { callReport, createRuntime, fixed, steady } from '../../src/index.ts'
import { createTargetState, type TargetState } from '../../src/retry/health/target-state.ts'
import { type HedgeOptions, Hedging } from '../../src/retry/hedge.ts'
import type { AttemptStep } from '../../src/retry/loop.ts'
import { runAttempts } from '../../src/retry/loop.ts'
import {
  type Fault,
  invalidApiKey,
  ok,
  rateLimited,
  serverError,
  slow,
  virtualClock,
} from '../../src/testing/index.ts'
import { deadlineAfter } from '../../src/time.ts'
import { ask, rejection, setUp } from '../support/set-up.ts'
import { startRecording } from '../unit/telemetry/recorder.ts'
import { down, finish, good, type Reply, stageFor } from './stage.ts'

/** One call on a target, in virtual time: each attempt takes as long as scripted, then succeeds. */
async function attempts(
  state: TargetState,
  clock: ReturnType<typeof virtualClock>,
  durationsMs: readonly number[],
  policy: {
    readonly onUncertain?: 'rerun' | 'fail'
    readonly deadlineMs?: number
    readonly maxAttempts?: number
  } = {},
) {
  const steps: AttemptStep[] = []
  const aborted: number[] = []
  const work = runAttempts<number>({
    policy: {
      maxAttempts: policy.maxAttempts ?? 3,
      maxReasks: 0,
      maxRequests: policy.maxAttempts ?? 3,
      maxWaitMs: 60_000,
      backoff: fixed(100),
      onUncertain: policy.onUncertain ?? 'rerun',
      mayHedge: true,
    },
    clock,
    random: () => 0.5,
    signal: undefined,
    deadline: deadlineAfter(clock, policy.deadlineMs ?? 600_000),
    targets: [{ name: 'host model', state, on: new Set() }],
    attempt(step) {
      steps.push(step)
      const tookMs = durationsMs[steps.length - 1] ?? 10
      return new Promise((resolve) => {
        const cancel = clock.schedule(tookMs, () => resolve({ ok: true, value: step.number }))
        step.signal?.addEventListener('abort', () => {
          cancel()
          aborted.push(step.number)
          const failure = {
            kind: 'aborted' as const,
            retryable: false,
            executed: 'maybe' as const,
            message: 'aborted',
            cause: undefined,
          }
          resolve({ ok: false, failure })
        })
      })
    },
  })
  let settled = false
  const done = () => {
    settled = true
  }
  work.then(done, done)
  while (!settled) {
    await new Promise((resolve) => setImmediate(resolve))
    if (!settled && clock.pending > 0) await clock.advanceToNext()
  }
  return { outcome: await work, steps, aborted }
}

function hedgingTarget(
  clock: ReturnType<typeof virtualClock>,
  hedge: HedgeOptions = { delayMs: 500 },
) {
  return createTargetState({
    clock,
    random: () => 0.5,
    hedge: { maxExtraLoad: 1, ...hedge },
  })
}

describe('a hedge', () => {
  it('is one extra attempt at most, and wins against one that hangs', async () => {
    const clock = virtualClock()
    const state = hedgingTarget(clock)
    const { outcome, steps, aborted } = await attempts(state, clock, [60_000, 50])
    expect(outcome).toMatchObject({ ok: true, value: 2, requests: 2 })
    expect(steps.map(({ number, cause, delayMs }) => [number, cause, delayMs])).toEqual([
      [1, 'initial', 0],
      [2, 'hedge', 500],
    ])
    expect(aborted).toEqual([1])
    expect(clock.monotonicMs()).toBe(550)
    expect(clock.pending).toBe(0)
  })

  it('is aborted when the first attempt wins after all', async () => {
    const clock = virtualClock()
    const { outcome, aborted } = await attempts(hedgingTarget(clock), clock, [600, 5_000])
    expect(outcome).toMatchObject({ ok: true, value: 1 })
    expect(aborted).toEqual([2])
    expect(clock.monotonicMs()).toBe(600)
  })

  it('is not sent beside an attempt that is fast enough', async () => {
    const clock = virtualClock()
    const { steps } = await attempts(hedgingTarget(clock), clock, [499])
    expect(steps).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  it.each([
    // Every hundredth is a spike: each of them is hedged, once enough is known.
    { hedge: true, isSpike: (call: number) => call % 100 === 99, least: 95, most: 100 },
    // All are slow: with the delay given the allowance alone decides.
    { hedge: { delayMs: 200 }, isSpike: () => true, least: 450, most: 500 },
    // All have become slow: the percentile follows, and nothing is hedged in vain.
    { hedge: true, isSpike: (call: number) => call >= 5_000, least: 1, most: 60 },
  ])(
    'adds 5 % of load at most, over 10,000 calls ($hedge)',
    async ({ hedge, isSpike, ...bounds }) => {
      const clock = virtualClock()
      const state = createTargetState({
        clock,
        random: () => 0.5,
        hedge,
      })
      let hedges = 0
      for (let call = 0; call < 10_000; call += 1) {
        const firstMs = isSpike(call) ? 20_000 : 100 + (call % 50)
        const { steps } = await attempts(state, clock, [firstMs, 100])
        hedges += steps.length - 1
      }
      expect(hedges).toBeGreaterThanOrEqual(bounds.least)
      expect(hedges).toBeLessThanOrEqual(bounds.most)
    },
  )

  it.each([
    ['a failure may be the first of an outage', (state: TargetState) => fail(state, 1)],
    ['the target is down', (state: TargetState) => fail(state, 5)],
    ['a rate limit holds the target back', (state: TargetState) => fail(state, 1, 5_000)],
  ])('is not sent while %s', async (_why, spoil) => {
    const clock = virtualClock()
    const state = hedgingTarget(clock)
    clock.schedule(250, () => spoil(state))
    const { steps } = await attempts(state, clock, [2_000])
    expect(steps.map(({ cause }) => cause)).toEqual(['initial'])
  })

  it('is sent where no limit is learned', async () => {
    const clock = virtualClock()
    const hedge = { delayMs: 500, maxExtraLoad: 1 }
    const state = createTargetState({ clock, random: () => 0.5, limits: 'off', hedge })
    const { steps } = await attempts(state, clock, [2_000])
    expect(steps.map(({ cause }) => cause)).toEqual(['initial', 'hedge'])
  })

  it('is left to those who may be hedged by those who have no attempt left for it', async () => {
    const clock = virtualClock()
    const state = hedgingTarget(clock, { delayMs: 500, maxExtraLoad: 0.5 })
    for (let call = 0; call < 2; call += 1) {
      const { steps } = await attempts(state, clock, [1_000], { maxAttempts: 1 })
      expect(steps).toHaveLength(1)
    }
    const { steps } = await attempts(state, clock, [1_000])
    expect(steps).toHaveLength(2)
  })

  it.each([
    ['of the first', 2_000, undefined],
    ['of the second', undefined, 2_000],
    ['that is longer', 2_000, 1_000],
  ])('that fails too is followed by a retry not before the hint %s', async (_, first, second) => {
    const failing = (afterMs: number, hintMs: number | undefined): Reply => ({
      ...down,
      afterMs,
      headers: hintMs === undefined ? {} : { 'retry-after-ms': `${hintMs}` },
    })
    const stage = stageFor({
      replies: [failing(40, first), failing(100, second), good('fine')],
      options: { hedge: { delayMs: 20, maxExtraLoad: 1 } },
    })
    const call = stage.llm.chat.completions.create(ask('both'))
    await finish(stage, call)
    const { attempts: reported = [] } = callReport(await call) ?? {}
    expect(reported.map(({ cause }) => cause)).toEqual(['initial', 'hedge', 'retry'])
    const [, , retry] = reported
    expect(retry?.startedAtMs).toBeGreaterThanOrEqual(stage.clock.wallMs() - 10)
    expect(stage.clock.monotonicMs()).toBeGreaterThanOrEqual(2_000 + 10 + 40)
  })

  it('that fails after the hint of the first is over is followed by a retry without it', async () => {
    const stage = stageFor({
      replies: [
        { ...down, afterMs: 40, headers: { 'retry-after-ms': '1000' } },
        { ...down, afterMs: 1_500 },
        good('fine'),
      ],
      options: {
        hedge: { delayMs: 20, maxExtraLoad: 1 },
        backoff: fixed(5),
      },
    })
    const call = stage.llm.chat.completions.create(ask('both'))
    await finish(stage, call)
    expect(callReport(await call)?.attempts[2]).toMatchObject({
      delayMs: 5,
      delaySource: 'backoff',
    })
  })

  it('that fails for good has no hint of the first one’s in its error, and no free retry', async () => {
    const { llm } = await setUp(
      {
        script: [slow(40, rateLimited({ retryAfterMs: 7_000 })), slow(80, invalidApiKey())],
      },
      { hedge: { delayMs: 20, maxExtraLoad: 1 } },
    )
    const error = await rejection(llm.json({ ...ask('both'), schema: { type: 'object' } }))
    expect(error).toMatchObject({ kind: 'auth' })
    expect(error).not.toHaveProperty('retryAfterMs', 7_000)
  })

  it('that succeeds in the same moment as the first leaves the span as the answer is', async () => {
    const recorder = startRecording()
    onTestFinished(() => recorder.stop())
    const answers: (() => void)[] = []
    const fetch = () =>
      new Promise<Response>((resolve) => {
        const id = `answer-${answers.length}`
        answers.push(() => resolve(Response.json({ ...(good('fine').body as object), id })))
        if (answers.length === 2) for (const answer of answers) answer()
      })
    const client = new OpenAI({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch })
    const llm = steady(client, {
      runtime: createRuntime(),
      hedge: { delayMs: 1, maxExtraLoad: 1 },
    })
    const { id } = await llm.chat.completions.create(ask('both'))
    const { attributes } = recorder.span('chat gpt-test')
    expect(attributes['gen_ai.response.id']).toBe(id)
  })

  it('is not sent where the outcome must not be left in doubt', async () => {
    const clock = virtualClock()
    const { steps } = await attempts(hedgingTarget(clock), clock, [2_000], { onUncertain: 'fail' })
    expect(steps).toHaveLength(1)
  })

  it('is not sent when the deadline leaves it less than an attempt takes as a rule', async () => {
    const clock = virtualClock()
    const state = hedgingTarget(clock)
    for (let index = 0; index < 60; index += 1) state.hedging?.attemptSucceeded(3_000)
    const { steps } = await attempts(state, clock, [3_100], { deadlineMs: 3_400 })
    expect(steps).toHaveLength(1)
  })

  it('waits for the 95th percentile of what it has seen, at least half a second', () => {
    const hedging = new Hedging()
    for (let index = 0; index < 49; index += 1) hedging.attemptSucceeded(1_000)
    expect(hedging.delayMs).toBeUndefined()
    hedging.attemptSucceeded(1_000)
    expect(hedging.delayMs).toBe(1_000)
    for (let index = 0; index < 200; index += 1) hedging.attemptSucceeded(index * 10)
    expect(hedging.delayMs).toBe(1_900)
    for (let index = 0; index < 200; index += 1) hedging.attemptSucceeded(20)
    expect(hedging.delayMs).toBe(500)
  })
})

describe('hedging over real sockets', () => {
  const options = {
    hedge: { delayMs: 20, maxExtraLoad: 1 },
  } as const
  const hedged = (script: readonly Fault[], more = {}) => setUp({ script }, { ...options, ...more })

  it('answers from the second request, reports both, and gives them different keys', async () => {
    const { server, llm } = await hedged([slow(5_000), ok()])
    const completion = await llm.chat.completions.create(ask('hedge me'))
    const report = callReport(completion)
    expect(report?.attempts.map(({ number, cause, outcome }) => [number, cause, outcome])).toEqual([
      [1, 'initial', 'aborted'],
      [2, 'hedge', 'success'],
    ])
    expect(report?.usage.complete).toBe(false)
    const keys = server.requests.map(({ headers }) => headers['idempotency-key'])
    expect(new Set(keys).size).toBe(2)
  })

  it('never sends more than maxAttempts', async () => {
    const { server, llm } = await hedged([slow(60), ok()], { maxAttempts: 1 })
    await llm.chat.completions.create(ask('one'))
    expect(server.requests).toHaveLength(1)
  })

  it('waits for the other when one fails with what passes', async () => {
    const { server, llm } = await hedged([slow(60), serverError()])
    const completion = await llm.chat.completions.create(ask('two'))
    expect(callReport(completion)?.attempts).toHaveLength(2)
    expect(server.requests).toHaveLength(2)
  })

  it('ends both when one fails for good', async () => {
    const { llm } = await hedged([slow(5_000), invalidApiKey()])
    const error = await llm.chat.completions.create(ask('three')).catch((caught) => caught)
    expect(callReport(error)).toMatchObject({ outcome: 'auth' })
    expect(callReport(error)?.attempts).toHaveLength(2)
  })

  it('retries when both fail, within the same limit', async () => {
    const { server, llm } = await hedged([slow(40, serverError()), slow(60, serverError()), ok()])
    const completion = await llm.chat.completions.create(ask('four'))
    expect(callReport(completion)?.attempts.map(({ cause }) => cause)).toEqual([
      'initial',
      'hedge',
      'retry',
    ])
    expect(server.requests).toHaveLength(3)
  })

  it('releases one stream, of the request that had content first', async () => {
    const { llm } = await hedged([slow(5_000), ok()])
    const stream = await llm.chat.completions.create({ ...ask('five'), stream: true })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).not.toBe('')
    const report = callReport(stream)
    expect(report?.outcome).toBe('success')
    expect(report?.attempts.map(({ cause }) => cause).sort()).toEqual(['hedge', 'initial'])
  })

  it('leaves no timer and no listener, also when the caller aborts with both in flight', async () => {
    const clock = virtualClock()
    const runtime = createRuntime({ clock, random: () => 0 })
    const { server, llm } = await hedged([slow(5_000), slow(5_000)], { runtime })
    const caller = new AbortController()
    const done = llm.chat.completions
      .create(ask('six'), { signal: caller.signal })
      .catch((error: unknown) => error)
    await until(() => server.requests.length === 1)
    await clock.advance(20)
    await until(() => server.requests.length === 2)
    caller.abort()
    expect(callReport(await done)).toMatchObject({ outcome: 'aborted' })
    expect(callReport(await done)?.attempts).toHaveLength(2)
    expect(clock.pending).toBe(0)
  })

  it('is never used for a function', async () => {
    const { llm } = await hedged([])
    let runs = 0
    await llm.run('job', () => {
      runs += 1
      return new Promise((resolve) => setTimeout(resolve, 60))
    })
    expect(runs).toBe(1)
  })
})

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}

/** So many other calls fail, or are told to wait. */
function fail({ line }: TargetState, times: number, hintMs = 0): void {
  for (let index = 0; index < times; index += 1) {
    const ticket = line.enterBeside(0)
    const sign = hintMs > 0 ? 'limited' : 'error'
    line.ended({ ticket, sentAtMs: 0, sign, hintMs, paid: false })
    line.left()
  }
}
