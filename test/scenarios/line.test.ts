import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { seeded } from '../../bench/storm/random.ts'
import { createRuntime } from '../../src/index.ts'
import { type Fault, overloaded, rateLimited, serverError, slow } from '../../src/testing/index.ts'
import { patientClock } from '../support/patient-clock.ts'
import { ask, person, rejection, setUp } from '../support/set-up.ts'
import { startRecording } from '../unit/telemetry/recorder.ts'
import {
  always,
  bringDown,
  callErrorOf,
  close,
  full,
  type Stage,
  stage,
  until,
} from './line-stage.ts'

describe('an outage', () => {
  it('of 3 s that 16 workers run into costs none of 240 calls, at 1.2 requests a call at most', async () => {
    const down = { fromMs: 500, untilMs: 3_500 }
    const outage: Fault = {
      name: 'outage',
      apply(exchange) {
        startedAtMs ??= patientClock.monotonicMs()
        const nowMs = patientClock.monotonicMs() - startedAtMs
        const isDown = nowMs >= down.fromMs && nowMs < down.untilMs
        return (isDown ? overloaded() : slow(100)).apply(exchange)
      },
    }
    let startedAtMs: number | undefined
    const runtime = createRuntime({ clock: patientClock, random: seeded(1) })
    const { server, llm } = await setUp(always(outage), { runtime })
    let left = 240
    const failures: unknown[] = []
    const worker = async () => {
      while (left > 0) {
        left -= 1
        const call = llm.json({ ...ask(`call ${left}`), schema: person })
        await call.catch((error: unknown) => failures.push(error))
      }
    }
    await Promise.all(Array.from({ length: 16 }, worker))
    expect(failures).toEqual([])
    expect(server.requests.filter(({ fault }) => fault === 'outage')).toHaveLength(server.count)
    expect(server.count).toBeLessThanOrEqual(1.2 * 240)
  })

  it('is met by one request at a time, and by all that wait once it is over', async () => {
    const at = await stage(always(until(20_000, overloaded())))
    const calls = Array.from({ length: 30 }, (_, index) => at.json(`call ${index}`))
    await at.drive(Promise.all(calls))
    const since = (ms: number) => at.server.requests.filter(({ atMs }) => atMs >= ms).length
    // All were sent before anything was known of it; from then on only probes.
    expect(since(1) - since(20_000)).toBeLessThanOrEqual(15)
    expect(since(20_000)).toBe(30)
    expect(at.clock.monotonicMs()).toBeLessThan(30_000)
  })

  it('of 30 s is outlasted by a lone caller within its 12 requests', async () => {
    const at = await stage(always(until(30_000, overloaded())))
    await at.drive(at.json('alone'))
    expect(at.server.count).toBeLessThanOrEqual(12)
    expect(at.clock.monotonicMs()).toBeGreaterThanOrEqual(30_000)
  })
})

describe('a hint', () => {
  it('closes the line for all calls of the target, and none is sent before it ends', async () => {
    const at = await stage({ script: [rateLimited({ retryAfterMs: 5_000 })] })
    const first = at.json('first')
    await at.quiet()
    const others = ['second', 'third', 'fourth'].map((name) => at.json(name))
    await at.quiet()
    expect(at.server.count).toBe(1)
    expect(at.llm.targets()).toMatchObject([{ closedForMs: 5_000, waiting: 4 }])
    await at.drive(Promise.all([first, ...others]))
    expect(at.server.requests.slice(1).map(({ atMs }) => atMs >= 5_000)).toEqual(
      Array(4).fill(true),
    )
    expect(at.server.count).toBe(5)
  })

  it('is not the hint of another target', async () => {
    const at = await stage({ script: [rateLimited({ retryAfterMs: 60_000 })] })
    await close(at)
    await at.llm.chat.completions.create({ ...ask('elsewhere'), model: 'gpt-other' })
    expect(at.clock.monotonicMs()).toBe(0)
  })
})

describe('a fallback', () => {
  const fallbacks = [{ model: 'gpt-other' }]
  const modelsOf = ({ server }: Stage) => server.requests.map(({ body }) => body?.model)

  it('takes a call at once that would have to wait longer than 2 s', async () => {
    const at = await stage({ script: [rateLimited({ retryAfterMs: 2_001 })] })
    await close(at)
    await at.drive(at.json('moves on', { fallbacks }))
    expect(modelsOf(at).at(-1)).toBe('gpt-other')
    expect(at.llm.targets()[0]?.closedForMs).toBe(2_001)
  })

  it('does not take one whose wait is shorter', async () => {
    const at = await stage({ script: [rateLimited({ retryAfterMs: 1_999 })] })
    await close(at)
    await at.drive(at.json('waits', { fallbacks }))
    expect(modelsOf(at)).toEqual(['gpt-test', 'gpt-test'])
    expect(at.server.requests[1]?.atMs).toBeGreaterThanOrEqual(1_999)
  })

  it('takes it where the target is down', async () => {
    const at = await stage({ script: Array.from({ length: 5 }, () => overloaded()) })
    await bringDown(at)
    await at.drive(at.json('moves on', { fallbacks }))
    expect(modelsOf(at).at(-1)).toBe('gpt-other')
  })

  it('that cannot take it either leaves it to wait', async () => {
    const at = await stage({
      script: [rateLimited({ retryAfterMs: 30_000 }), rateLimited({ retryAfterMs: 60_000 })],
    })
    await close(at)
    const elsewhere = { ...ask('closes the other'), model: 'gpt-other' }
    await rejection(at.llm.chat.completions.create(elsewhere, { steady: { maxWaitMs: 0 } }))
    await at.drive(at.json('waits', { fallbacks }))
    expect(modelsOf(at)).toEqual(['gpt-test', 'gpt-other', 'gpt-test'])
    expect(at.clock.monotonicMs()).toBeGreaterThanOrEqual(30_000)
  })
})

describe('how long a call waits', () => {
  const told = { script: [rateLimited({ retryAfterMs: 8_000 })] }

  it('maxWaitMs: 0 refuses for a hint and a target that is down, and still retries', async () => {
    const at = await stage(told, { maxWaitMs: 0 })
    await close(at)
    await rejection(at.json('held'))
    expect(at.server.count).toBe(1)
    await at.clock.advance(8_000)
    at.server.reset({ perCall: [serverError(), serverError()] })
    await at.drive(at.json('retried'))
    expect(at.server.count).toBe(3)
  })

  it('create of a client whose retries are off does not wait', async () => {
    const at = await stage(told, {}, { maxRetries: 0 })
    const error = await rejection(at.create('told'))
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(await rejection(at.create('held'))).toBeInstanceOf(OpenAI.RateLimitError)
    expect(at.server.count).toBe(1)
    expect(at.clock.monotonicMs()).toBe(0)
  })

  it('an explicit timeout of create is the most that it waits', async () => {
    const at = await stage(told)
    await close(at)
    expect(await rejection(at.create('held', { timeout: 7_999 }))).toMatchObject({ status: 429 })
    await at.drive(at.create('waits', { timeout: 8_001 }))
    expect(at.server.count).toBe(2)
  })

  it('the time in line is none of an attempt', async () => {
    const at = await stage(told)
    await close(at)
    await at.drive(at.json('waits', { attemptTimeoutMs: 500 }))
    expect(at.server.count).toBe(2)
  })

  it('create waits for a hint of a minute, as the bare client does, and 20 s for an outage', async () => {
    const at = await stage({ script: [rateLimited({ retryAfterMs: 60_000 })] })
    await close(at)
    await at.drive(at.create('patient'))
    expect(at.clock.monotonicMs()).toBeGreaterThanOrEqual(60_000)
    at.server.reset(always(overloaded()))
    await bringDown(at)
    const fromMs = at.clock.monotonicMs()
    await at.drive(rejection(at.create('held')))
    expect(at.clock.monotonicMs() - fromMs).toBeGreaterThan(15_000)
    expect(at.clock.monotonicMs() - fromMs).toBeLessThanOrEqual(20_000)
  })
})

describe('limits by hand', () => {
  it('of calls in flight are kept, in the order in which the calls came', async () => {
    const { server, llm } = await setUp(always(slow(15)), { limits: { concurrency: 3 } })
    let most = 0
    const ended: number[] = []
    const calls = Array.from({ length: 12 }, async (_, index) => {
      await llm.chat.completions.create(ask(`call ${index}`))
      most = Math.max(most, llm.targets()[0]?.inFlight ?? 0)
      ended.push(index)
    })
    await Promise.all(calls)
    expect(most).toBeLessThanOrEqual(3)
    const sent = server.requests.map(({ body }) => JSON.stringify(body?.messages))
    expect(sent.slice(0, 3).every((text) => /call [0-2]/.test(text))).toBe(true)
    expect(sent.slice(-3).every((text) => /call (9|10|11)/.test(text))).toBe(true)
    expect(llm.targets()).toMatchObject([{ inFlight: 0, waiting: 0, limit: 3 }])
  })

  it('of calls in flight are kept inside another call too', async () => {
    const { llm } = await setUp(always(slow(15)), { limits: { concurrency: 3 } })
    let most = 0
    await llm.run('agent', () =>
      Promise.all(
        Array.from({ length: 12 }, async (_, index) => {
          await llm.chat.completions.create(ask(`call ${index}`))
          for (const { inFlight } of llm.targets()) most = Math.max(most, inFlight)
        }),
      ),
    )
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(3)
  })

  it('of requests a minute are spread over it', async () => {
    const at = await stage({}, { limits: { requestsPerMinute: 60 } })
    await at.drive(Promise.all(Array.from({ length: 20 }, (_, index) => at.json(`call ${index}`))))
    const sentAtMs = at.server.requests.map(({ atMs }) => atMs)
    const gaps = sentAtMs.slice(1).map((atMs, index) => atMs - (sentAtMs[index] ?? 0))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(990)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(1_020)
  })

  it('refuse at once who does not wait, and say that nothing was sent', async () => {
    const at = await full({ maxWaitMs: 0 })
    const error = callErrorOf(await rejection(at.json('refused')))
    expect(error).toMatchObject({
      kind: 'overloaded',
      reason: 'max_wait',
      executed: 'no',
      attempts: [],
      retryable: true,
    })
    expect(error.message).toContain('a place within the limit of this target')
    expect(at.server.count).toBe(1)
  })

  it("'off' learns nothing: refusals cut nothing, and a hint still closes", async () => {
    const at = await stage(
      { script: [overloaded(), overloaded(), overloaded()] },
      { limits: 'off' },
    )
    await at.drive(Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => at.json(name))))
    expect(at.llm.targets()[0]).not.toHaveProperty('limit')
    at.server.reset({ script: [rateLimited({ retryAfterMs: 3_000 })] })
    await close(at)
    await at.drive(at.json('waits'))
    expect(at.server.requests.at(-1)?.atMs).toBeGreaterThanOrEqual(3_000)
  })

  it("'auto' learns from refusals", async () => {
    const at = await stage({ script: [overloaded(), overloaded(), overloaded()] })
    await at.drive(Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => at.json(name))))
    expect(at.llm.targets()[0]?.limit).toBeLessThanOrEqual(6)
  })
})

describe('bulk calls', () => {
  it('yield to all others', async () => {
    const at = await stage(
      { script: [rateLimited({ retryAfterMs: 5_000 })] },
      { limits: { concurrency: 1 } },
    )
    await close(at)
    const batch = ['bulk 1', 'bulk 2', 'bulk 3'].map((name) => at.json(name, { priority: 'bulk' }))
    const people = ['person 1', 'person 2'].map((name) => at.json(name))
    await at.drive(Promise.all([...batch, ...people]))
    const sent = at.server.requests.slice(1).map(({ body }) => JSON.stringify(body?.messages))
    expect(sent.map((text) => /(bulk|person) \d/.exec(text)?.[0])).toEqual([
      'person 1',
      'person 2',
      'bulk 1',
      'bulk 2',
      'bulk 3',
    ])
  })
})

describe('nothing waits for itself', () => {
  const one = { limits: { concurrency: 1 } }

  it('a call inside another call of the same target', async () => {
    const at = await stage({}, one)
    const deep = (levels: number): Promise<unknown> =>
      levels === 0 ? at.json('innermost') : at.llm.run('job', () => deep(levels - 1))
    await at.drive(deep(4))
    expect(at.clock.monotonicMs()).toBe(0)
  })

  it('a call made while a stream of the same target is read', async () => {
    const { llm } = await setUp({}, { ...one, maxWaitMs: 0 })
    const stream = await llm.chat.completions.create({ ...ask('outer'), stream: true })
    let inner = 0
    for await (const _ of stream) {
      await llm.chat.completions.create(ask('inner'))
      inner += 1
    }
    expect(inner).toBeGreaterThan(0)
  })

  it('a call made by the transport of a request to the same target', async () => {
    const checked: unknown[] = []
    const { llm } = await setUp(
      {},
      { ...one, maxWaitMs: 0 },
      {
        async fetch(url, init) {
          if (String(init?.body).includes('outer')) {
            checked.push(await llm.chat.completions.create(ask('inner')))
          }
          return fetch(url, init)
        },
      },
    )
    await llm.chat.completions.create(ask('outer'))
    expect(checked).toHaveLength(1)
  })
})

describe('a stream', () => {
  it('counts until it has ended', async () => {
    const { llm } = await setUp({}, { limits: { concurrency: 1 } })
    const stream = await llm.chat.completions.create({ ...ask('stream'), stream: true })
    expect(llm.targets()).toMatchObject([{ inFlight: 1 }])
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).not.toBe('')
    expect(llm.targets()).toMatchObject([{ inFlight: 0, waiting: 0 }])
  })
})

describe('llm.targets() and llm.reopen()', () => {
  it('show that a line is closed, and open it', async () => {
    const at = await stage({ script: [rateLimited({ retryAfterMs: 590_000 })] })
    await close(at)
    const [closed] = at.llm.targets()
    expect(closed).toMatchObject({ state: 'up', closedForMs: 590_000, downForMs: 0, waiting: 0 })
    const held = at.json('held', { maxWaitMs: 10_000_000, deadlineMs: 10_000_000 })
    await at.quiet()
    expect(at.llm.targets()).toMatchObject([{ waiting: 1 }])
    expect(at.llm.reopen(closed?.target ?? '')).toBe(true)
    await held
    expect(at.llm.targets()).toMatchObject([{ closedForMs: 0, waiting: 0 }])
    expect(at.clock.monotonicMs()).toBe(0)
  })

  it('show that a target is down, since when, and that it is not', async () => {
    const at = await stage({ script: Array.from({ length: 5 }, () => overloaded()) })
    await bringDown(at)
    await at.clock.advance(300)
    const [down] = at.llm.targets()
    expect(down).toMatchObject({ state: 'down', downForMs: 300 })
    expect(at.llm.reopen(down?.id ?? '')).toBe(true)
    expect(at.llm.targets()[0]).toMatchObject({ downForMs: 0 })
    await at.create('goes at once')
    expect(at.clock.monotonicMs()).toBe(300)
  })

  it('know no target that nobody has called', async () => {
    const at = await stage()
    expect(at.llm.targets()).toEqual([])
    expect(at.llm.reopen('somewhere else')).toBe(false)
  })
})

describe('what is told of a wait', () => {
  it('is for what, how long it may take and who is ahead; and then how long it was', async () => {
    const recorder = startRecording()
    onTestFinished(() => recorder.stop())
    const at = await stage({ script: [rateLimited({ retryAfterMs: 4_000 })] })
    await close(at)
    const first = at.json('first')
    await at.quiet()
    const second = at.json('second')
    await at.drive(Promise.all([first, second]))
    const target = at.llm.targets()[0]?.target
    const waits = at.events.filter(({ type }) => type === 'wait-started')
    expect(waits).toMatchObject([
      { target, for: 'hint', expectedMs: 4_000, ahead: 0 },
      { target, for: 'hint', expectedMs: 4_000, ahead: 1 },
    ])
    const reports = at.events.flatMap((event) =>
      event.type === 'call-settled' && event.report.outcome === 'success' ? [event.report] : [],
    )
    for (const { attempts } of reports) {
      expect(attempts).toMatchObject([
        { cause: 'initial', delayMs: 4_000, waits: [{ for: 'hint', ms: 4_000 }] },
      ])
    }
    expect(reports).toHaveLength(2)
    const waited = recorder
      .spans()
      .flatMap(({ events }) => events.filter(({ name }) => name === 'steadycall.wait'))
    expect(waited.map(({ attributes }) => attributes)).toMatchObject([
      { 'steadycall.wait.for': 'hint', 'steadycall.wait.expected': 4, 'steadycall.wait.ahead': 0 },
      { 'steadycall.wait.for': 'hint', 'steadycall.wait.expected': 4, 'steadycall.wait.ahead': 1 },
    ])
    const attempts = recorder.spans().filter(({ name }) => name.startsWith('attempt '))
    expect(attempts.map(({ attributes }) => attributes['steadycall.wait.hint'])).toEqual([
      undefined,
      4,
      4,
    ])
    const points = await recorder.points()
    const durations = points.filter(({ name }) => name === 'steadycall.wait.duration')
    expect(
      durations.map(({ attributes, count }) => [attributes['steadycall.wait.for'], count]),
    ).toEqual([['hint', 2]])
  })

  it('for a target that is down is how long nobody can know, and that it has changed', async () => {
    const at = await stage({ script: Array.from({ length: 5 }, () => overloaded()) })
    await bringDown(at)
    await at.drive(at.json('patient'))
    const [wait] = at.events.filter(({ type }) => type === 'wait-started')
    expect(wait).toMatchObject({ for: 'down', ahead: 0 })
    expect(wait).not.toHaveProperty('expectedMs')
    const changes = at.events.flatMap((event) => (event.type === 'target-changed' ? [event] : []))
    expect(changes[0]).toMatchObject({ from: 'up', to: 'down' })
    expect(changes[1]).toMatchObject({ from: 'down' })
  })
})

describe('targets', () => {
  it('are isolated: an outage of one leaves time and state of the other untouched', async () => {
    const at = await stage({ script: Array.from({ length: 5 }, () => overloaded()) })
    await bringDown(at)
    await at.llm.chat.completions.create({ ...ask('fine'), model: 'gpt-other' })
    expect(at.clock.monotonicMs()).toBe(0)
    expect(at.llm.targets()).toMatchObject([{ state: 'down' }, { state: 'up' }])
  })

  it('are forgotten when there are too many, the longest unused first', async () => {
    const at = await stage({ script: Array.from({ length: 5 }, () => overloaded()) })
    await bringDown(at)
    for (let index = 0; index < 3_000; index += 1) {
      await at.llm.run(`name ${index}`, () => index)
      // Used again and again, so it is not forgotten: it is still known to be down.
      if (index % 200 === 0) await rejection(at.json('refused', { maxWaitMs: 0 }))
    }
    expect(at.llm.targets().length).toBeLessThanOrEqual(1_000)
    expect(at.llm.targets().filter(({ state }) => state === 'down')).toHaveLength(1)
  })
})
