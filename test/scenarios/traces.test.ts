import { context, propagation, trace } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type CallEvent,
  callReport,
  createRuntime,
  memoryStore,
  runIdempotent,
  steady,
} from '../../src/index.ts'
import {
  answers,
  contextLength,
  cutStream,
  cutStreamBeforeContent,
  type Fault,
  type FaultServerOptions,
  hangs,
  malformedEvent,
  overloaded,
  rateLimited,
  slow,
  stalledStream,
  streamErrorEvent,
  virtualClock,
} from '../../src/testing/index.ts'
import { ask, clientFor, person, rejection, setUp, startServer } from '../support/set-up.ts'
import { chunksOf, heldStream, keyed as keyedStream, sentence } from '../support/streams.ts'
import { type Recorder, startRecording } from '../unit/telemetry/recorder.ts'

let recorder: Recorder
beforeEach(() => {
  recorder = startRecording()
})
afterEach(() => recorder.stop())

const ada = { answer: '{"name":"Ada","age":36}' }

function calls(): readonly ReadableSpan[] {
  return recorder.spans().filter(({ name }) => !name.startsWith('attempt '))
}

function attempts(): readonly ReadableSpan[] {
  return recorder.spans().filter(({ name }) => name.startsWith('attempt '))
}

const linksOf = (span: ReadableSpan | undefined) =>
  span?.links.map(({ context: { traceId, spanId }, attributes }) => ({
    traceId,
    spanId,
    kind: attributes?.['steadycall.link.kind'],
  }))

const idsOf = (span: ReadableSpan | undefined) => {
  const { traceId = '', spanId = '' } = span?.spanContext() ?? {}
  return { traceId, spanId }
}

describe('a call whose work another call did links to its span:', () => {
  const keyed = { idempotencyKey: 'k' }

  it('one that joined it in flight', async () => {
    const { llm } = await setUp({ ...ada, perCall: [slow(30)] })
    const call = () => llm.json({ ...ask('who?'), schema: person }, keyed)
    const results = await Promise.all([call(), call()])
    expect(results.map(({ source }) => source).sort()).toEqual(['provider', 'shared'])
    const worker = calls().find(({ attributes }) => attributes['steadycall.source'] === 'provider')
    const joiner = calls().find(({ attributes }) => attributes['steadycall.source'] === 'shared')
    expect(linksOf(joiner)).toEqual([{ ...idsOf(worker), kind: 'joined' }])
    expect(linksOf(worker)).toEqual([])
  })

  it('one that shares its failure', async () => {
    const { llm } = await setUp({ perCall: [hangs()] }, { attemptTimeoutMs: 40, maxAttempts: 1 })
    const call = () => rejection(llm.json({ ...ask('who?'), schema: person }, keyed))
    await Promise.all([call(), call()])
    const [first, second] = calls()
    const joiner = linksOf(first)?.length === 1 ? first : second
    expect(linksOf(joiner)).toEqual([
      { ...idsOf(joiner === first ? second : first), kind: 'joined' },
    ])
    expect(joiner?.attributes['error.type']).toBe('timeout')
  })

  it('a replay, also in another process with the same store', async () => {
    const store = memoryStore()
    const server = await startServer(ada)
    for (const runtime of [createRuntime(), createRuntime()]) {
      const llm = steady(clientFor(server), { store, runtime })
      await llm.json({ ...ask('who?'), schema: person }, keyed)
    }
    expect(server.count).toBe(1)
    const [worker, replay] = calls()
    expect(linksOf(replay)).toEqual([{ ...idsOf(worker), kind: 'replayed' }])
    expect(replay?.attributes).toMatchObject({
      'steadycall.source': 'store',
      'steadycall.attempt.count': 0,
      'steadycall.idempotency.persisted': true,
    })
    expect(replay?.attributes['steadycall.replayed_usage.output_tokens']).toBeGreaterThan(0)
    expect(
      Object.keys(replay?.attributes ?? {}).filter((name) => /gen_ai.usage/.test(name)),
    ).toEqual([])
  })

  it.each(['json', 'stream'])(
    'one that is given a refusal which is kept, also in another process: %s',
    async (face) => {
      const store = memoryStore()
      const server = await startServer({ script: [contextLength()] })
      for (const runtime of [createRuntime(), createRuntime()]) {
        const llm = steady(clientFor(server), { store, runtime })
        const call = () =>
          face === 'json'
            ? llm.json({ ...ask('who?'), schema: person }, keyed)
            : llm.chat.completions.create({ ...ask('who?'), stream: true }, { steady: keyed })
        await rejection(call())
      }
      expect(server.count).toBe(1)
      const [worker, told] = calls()
      expect(linksOf(told)).toEqual([{ ...idsOf(worker), kind: 'replayed' }])
      expect(told?.attributes).toMatchObject({
        'error.type': 'context_length',
        'steadycall.source': 'store',
      })
    },
  )

  it('one that waited for it in another process, and shares its failure', async () => {
    const store = memoryStore()
    const { fault, go } = heldStream(0, 'cut')
    const server = await startServer({ script: [fault] })
    const [owner, waiter] = [createRuntime(), createRuntime()].map((runtime) =>
      steady(clientFor(server), { store, runtime, maxAttempts: 1 }),
    )
    const call = (llm: typeof owner) =>
      rejection(llm?.json({ ...ask('who?'), schema: person }, keyed) ?? Promise.resolve())
    const owned = call(owner)
    await vi.waitUntil(() => server.count === 1)
    const waited = call(waiter)
    await new Promise((resolve) => setTimeout(resolve, 20))
    go()
    await Promise.all([owned, waited])
    expect(server.count).toBe(1)
    const [worker, told] = calls()
    expect(linksOf(told)).toEqual([{ ...idsOf(worker), kind: 'joined' }])
    expect(told?.attributes['steadycall.source']).toBe('shared')
  })

  it('a stream: one that joined it, and its replay in another process', async () => {
    const store = memoryStore()
    const { fault, go } = heldStream(2)
    const server = await startServer({ ...sentence, script: [fault] })
    const [first, second] = [createRuntime(), createRuntime()].map((runtime) =>
      steady(clientFor(server), { store, runtime }),
    )
    if (first === undefined || second === undefined) throw new Error('two')
    const owned = await keyedStream(first)
    const joiner = keyedStream(first)
    go()
    await chunksOf(owned)
    await chunksOf(joiner)
    await chunksOf(keyedStream(second))
    expect(server.count).toBe(1)
    const by = (source: string) =>
      calls().find(({ attributes }) => attributes['steadycall.source'] === source)
    const worker = idsOf(by('provider'))
    expect(linksOf(by('shared'))).toEqual([{ ...worker, kind: 'joined' }])
    expect(linksOf(by('store'))).toEqual([{ ...worker, kind: 'replayed' }])
  })

  it('a replayed side effect', async () => {
    const guard = { store: memoryStore(), operation: 'charge', payload: { cents: 5 } }
    await runIdempotent({ ...guard, idempotencyKey: 'order-1' }, () => 'charged')
    const value = await runIdempotent({ ...guard, idempotencyKey: 'order-1' }, () => 'again')
    expect(value).toBe('charged')
    const [worker, replay] = calls()
    expect(linksOf(replay)).toEqual([{ ...idsOf(worker), kind: 'replayed' }])
  })

  it('and replays what was kept where no span was made, without a link', async () => {
    await recorder.stop()
    const store = memoryStore()
    const { llm } = await setUp(ada, { store })
    await llm.json({ ...ask('who?'), schema: person }, keyed)
    recorder = startRecording()
    const { source, value } = await llm.json({ ...ask('who?'), schema: person }, keyed)
    expect([source, value]).toEqual(['store', { name: 'Ada', age: 36 }])
    expect(linksOf(calls()[0])).toEqual([])
  })
})

it('a call without a key says nothing of a store', async () => {
  const { llm } = await setUp(ada)
  await llm.json({ ...ask('who?'), schema: person })
  expect(calls()[0]?.attributes).not.toHaveProperty(['steadycall.idempotency.persisted'])
})

describe('the spans of a stream end, once, however it ends:', () => {
  const text = 'A long answer in many pieces, so that it can be left early.'
  const iterate = async (stream: AsyncIterable<unknown>, onChunk: () => void = () => {}) => {
    for await (const _ of stream) onChunk()
  }

  interface Path {
    readonly plan?: FaultServerOptions
    readonly read: (
      stream: AsyncIterable<unknown> & { controller: AbortController },
      abort: AbortController,
    ) => Promise<unknown>
    readonly ends: readonly [outcome: string, error?: string]
    readonly chunkIdleTimeoutMs?: number
    readonly interrupted?: boolean
  }

  const paths: Readonly<Record<string, Path>> = {
    'read to its end': { read: (stream) => iterate(stream), ends: ['success'] },
    'left by break': {
      async read(stream) {
        for await (const _ of stream) break
      },
      ends: ['success'],
    },
    'left by an error of its reader': {
      read: (stream) =>
        rejection(
          iterate(stream, () => {
            throw new Error('reader')
          }),
        ),
      ends: ['success'],
    },
    'cut by the provider': {
      plan: { script: [cutStream()] },
      read: (stream) => rejection(iterate(stream)),
      ends: ['failed', 'network'],
      interrupted: true,
    },
    'ended by an error in it': {
      plan: { script: [streamErrorEvent()] },
      read: (stream) => rejection(iterate(stream)),
      ends: ['failed', 'server_error'],
      interrupted: true,
    },
    'of which a part is no JSON': {
      plan: { script: [malformedEvent({ afterChunks: 2 })] },
      read: (stream) => rejection(iterate(stream)),
      ends: ['failed', 'server_error'],
      interrupted: true,
    },
    'left before it was begun': {
      read: async (stream) => stream[Symbol.asyncIterator]().return?.(),
      ends: ['success'],
    },
    'aborted by the caller': {
      read: (stream, abort) => rejection(iterate(stream, () => abort.abort())),
      ends: ['aborted'],
    },
    'aborted by its own controller': {
      read: (stream) => iterate(stream, () => stream.controller.abort()),
      ends: ['success'],
    },
    stalled: {
      plan: { script: [stalledStream()] },
      read: (stream) => rejection(iterate(stream)),
      ends: ['failed', 'timeout'],
      chunkIdleTimeoutMs: 50,
      interrupted: true,
    },
  }

  it.each(Object.entries(paths))('%s', async (_, path) => {
    const { plan = {}, read, ends, chunkIdleTimeoutMs = 5_000, interrupted = false } = path
    const { llm } = await setUp({ answer: text, ...plan }, { chunkIdleTimeoutMs })
    const abort = new AbortController()
    const stream = await llm.chat.completions.create(
      { ...ask('go on'), stream: true },
      { signal: abort.signal },
    )
    expect(recorder.spans()).toEqual([])
    // What openai cannot parse it prints.
    const printed = vi.spyOn(console, 'error').mockImplementation(() => {})
    await read(stream, abort)
    printed.mockRestore()
    const [outcome, error] = ends
    expect(calls().map(({ attributes }) => attributes['steadycall.outcome'])).toEqual([outcome])
    expect(attempts().map(({ attributes }) => attributes['error.type'])).toEqual([error])
    expect(calls()[0]?.attributes['gen_ai.response.time_to_first_chunk']).toBeGreaterThan(0)
    const events = attempts()[0]?.events ?? []
    expect(events.map(({ name }) => name)).toEqual(
      interrupted ? ['steadycall.stream.interrupted'] : [],
    )
    if (interrupted) expect(events[0]?.attributes?.['steadycall.stream.chunks']).toBeGreaterThan(0)
    const points = await recorder.points()
    const active = points.find(({ name }) => name === 'steadycall.active_calls')
    expect(active?.value).toBe(0)
    const first = points.find(({ name }) => name.endsWith('operation.time_to_first_chunk'))
    expect(first?.count).toBe(1)
  })

  it('that broke before content and was retried has one red attempt, without an interruption', async () => {
    const { llm } = await setUp({ answer: text, perCall: [cutStreamBeforeContent()] })
    await iterate(await llm.chat.completions.create({ ...ask('go on'), stream: true }))
    expect(attempts().map(({ attributes }) => attributes['error.type'])).toEqual([
      'network',
      undefined,
    ])
    expect(attempts().flatMap(({ events }) => events)).toEqual([])
  })
})

describe('traceparent', () => {
  const sent = async (options: Parameters<typeof setUp>[1], headers = {}) => {
    const { llm, server } = await setUp({ ...ada, perCall: [overloaded()] }, options)
    await llm.json({ ...ask('who?'), schema: person }, { requestOptions: { headers } })
    return server.requests.map((request) => request.headers['traceparent'])
  }

  it('is not sent by default', async () => {
    expect(await sent({})).toEqual([undefined, undefined])
  })

  it.each([false, true])(
    'never brings the baggage along, which the called code still has: asked for is %s',
    async (propagateTraceparent) => {
      const { llm, server } = await setUp(ada, { telemetry: { propagateTraceparent } })
      const baggage = propagation.createBaggage({ tenant: { value: 'canary' } })
      const seen: unknown[] = []
      await context.with(propagation.setBaggage(context.active(), baggage), () =>
        llm.run('agent', async () => {
          seen.push(propagation.getActiveBaggage()?.getEntry('tenant')?.value)
          await llm.json({ ...ask('who?'), schema: person })
        }),
      )
      expect(seen).toEqual(['canary'])
      expect(JSON.stringify(server.requests.map(({ headers }) => headers))).not.toMatch(
        /baggage|canary/,
      )
      expect(await recorder.exported()).not.toContain('canary')
    },
  )

  it("is each attempt's own where that is asked for", async () => {
    const headers = await sent({ telemetry: { propagateTraceparent: true } })
    expect(headers).toEqual(
      attempts().map((attempt) => {
        const { traceId, spanId } = attempt.spanContext()
        // What SDK 3 sets besides `sampled` (01) is its own affair.
        return expect.stringMatching(new RegExp(`^00-${traceId}-${spanId}-0[13]$`))
      }),
    )
    expect(new Set(headers).size).toBe(2)
  })

  it('leaves the header alone that the caller sets, and baggage', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const { llm, server } = await setUp(ada, { telemetry: { propagateTraceparent: true } })
    const requestOptions = { headers: { traceparent, baggage: 'a=1' } }
    await llm.json({ ...ask('who?'), schema: person }, { requestOptions })
    expect(server.requests[0]?.headers).toMatchObject({ traceparent, baggage: 'a=1' })
  })

  it('is not made up where no SDK is registered', async () => {
    await recorder.stop()
    expect(await sent({ telemetry: { propagateTraceparent: true } })).toEqual([
      undefined,
      undefined,
    ])
    recorder = startRecording()
  })

  it('is refused at the door when it is no boolean', async () => {
    const client = clientFor(await startServer())
    // Wrong on purpose.
    const telemetry = { propagateTraceparent: 'yes' } as never
    expect(() => steady(client, { telemetry })).toThrow(
      /telemetry\.propagateTraceparent must be true or false/,
    )
  })
})

describe('without a context manager', () => {
  beforeEach(async () => {
    await recorder.stop()
    recorder = startRecording({ contextManager: false })
  })

  it('attempts lie below their call, and a call inside run below the attempt of run', async () => {
    const { llm } = await setUp({ ...ada, perCall: [overloaded()] })
    await llm.run('agent', () => llm.json({ ...ask('who?'), schema: person }))
    const chat = recorder.span('chat gpt-test')
    expect(chat.parentSpanContext?.spanId).toBe(recorder.span('attempt agent').spanContext().spanId)
    const inner = attempts().filter(({ name }) => name === 'attempt gpt-test')
    expect(inner.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual(
      Array(2).fill(chat.spanContext().spanId),
    )
    expect(new Set(recorder.spans().map((span) => span.spanContext().traceId)).size).toBe(1)
  })
})

it('a call inside run can be given another parent, or none, by the application', async () => {
  const { llm } = await setUp(ada)
  const call = () => llm.json({ ...ask('who?'), schema: person })
  const nothing = trace.deleteSpan(context.active())
  await llm.run('agent', () => context.with(nothing, call))
  expect(recorder.span('chat gpt-test').parentSpanContext).toBeUndefined()
})

describe('a target that is down', () => {
  const down = { perCall: () => Array.from({ length: 20 }, () => overloaded()) }

  it('shows that it is down, probed and up again: in events, metrics and onEvent', async () => {
    const clock = virtualClock()
    const events: CallEvent[] = []
    const { llm, server } = await setUp(down, {
      runtime: createRuntime({ clock, random: () => 0.5 }),
      maxAttempts: 1,
      maxWaitMs: 0,
      onEvent: (event) => events.push(event),
    })
    const call = () => llm.chat.completions.create(ask('hello'))
    for (let i = 0; i < 6; i++) await rejection(call())
    expect(server.count).toBe(5)
    await clock.advance(500)
    server.reset({})
    for (let i = 0; i < 4; i++) await call()
    const seen = calls().map(({ events: own }) =>
      own
        .filter(({ name }) => name === 'steadycall.target.changed')
        .map(({ attributes }) => attributes?.['steadycall.target.to']),
    )
    expect(seen.flat()).toEqual(['down', 'up'])
    expect(seen.map((changes) => changes.length)).toEqual([0, 0, 0, 0, 1, 0, 1, 0, 0, 0])
    const probes = attempts().map(({ attributes }) => attributes['steadycall.attempt.probe'])
    expect(probes.indexOf(true)).toBe(5)
    expect(probes.filter((isProbe) => isProbe === true)).toHaveLength(1)
    expect(calls()[5]?.attributes).toMatchObject({
      'error.type': 'overloaded',
      'steadycall.stop_reason': 'max_wait',
    })
    const told = events.flatMap((event) => (event.type === 'target-changed' ? [event] : []))
    expect(told.map(({ from, to }) => `${from} ${to}`)).toEqual(['up down', 'down up'])
    const points = await recorder.points()
    const valuesOf = (name: string) =>
      points.filter((point) => point.name === name).map(({ value }) => value)
    expect(valuesOf('steadycall.target.transitions')).toEqual([1, 1])
    expect(valuesOf('steadycall.target.state')).toEqual([0])
    expect(valuesOf('steadycall.wait.in_vain')).toEqual([1])
  })
})

it('waits, re-asks, lookups and what a replay saved are counted', async () => {
  const { llm } = await setUp({
    ...ada,
    perCall: [rateLimited({ retryAfterMs: 20 }), answers('{"name":"Ada"}')],
  })
  const call = () => llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
  await call()
  const { replayedUsage } = await call()
  const points = await recorder.points()
  const of = (name: string) => points.filter((point) => point.name === name)
  expect(of('steadycall.retry.delay')[0]?.attributes['steadycall.delay.source']).toBe('hint')
  expect(of('steadycall.retry.delay')[0]?.value).toBeGreaterThanOrEqual(0.02)
  expect(of('steadycall.reasks').map(({ attributes }) => attributes['error.type'])).toEqual([
    'schema_mismatch',
  ])
  expect(
    of('steadycall.idempotency.lookups').map(({ attributes, value }) => [
      attributes['steadycall.source'],
      value,
    ]),
  ).toEqual([
    ['provider', 1],
    ['store', 1],
  ])
  expect(of('steadycall.idempotency.saved_tokens').map(({ value }) => value)).toEqual([
    replayedUsage?.inputTokens,
    replayedUsage?.outputTokens,
  ])
})

describe('tokens of the prompt cache and of reasoning', () => {
  const usage = {
    prompt_tokens: 1_100,
    completion_tokens: 90,
    total_tokens: 1_190,
    prompt_tokens_details: { cached_tokens: 1_024 },
    completion_tokens_details: { reasoning_tokens: 64 },
  }
  const choice = { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }
  const answer = (used: object): Fault => ({
    name: 'usage',
    apply: (exchange) =>
      exchange.json(200, { id: 'c', object: 'chat.completion', choices: [choice], usage: used }),
  })

  it('are in the report and on the spans, and zero for a replay', async () => {
    const { llm } = await setUp({ script: [answer(usage)] })
    const call = () => llm.chat.completions.create(ask('who?'), { steady: { idempotencyKey: 'k' } })
    const counted = {
      inputTokens: 1_100,
      outputTokens: 90,
      cachedInputTokens: 1_024,
      reasoningOutputTokens: 64,
    }
    const first = callReport(await call())
    expect(first?.attempts[0]?.usage).toEqual(counted)
    expect(first?.usage).toEqual({ ...counted, complete: true })
    expect(calls()[0]?.attributes).toMatchObject({
      'gen_ai.usage.input_tokens': 1_100,
      'gen_ai.usage.cache_read.input_tokens': 1_024,
      'gen_ai.usage.reasoning.output_tokens': 64,
    })
    const replay = callReport(await call())
    expect(replay?.usage).toEqual({ inputTokens: 0, outputTokens: 0, complete: true })
    expect(replay?.replayedUsage).toEqual({ ...counted, complete: true })
    expect(JSON.stringify(calls()[1]?.attributes)).not.toMatch(/cache_read|reasoning/)
  })

  it.each([
    ['more than the whole', { cached_tokens: 1_101 }],
    ['no number', { cached_tokens: '7' }],
    ['less than none', { cached_tokens: -1 }],
    ['nothing', null],
  ])('are left out where they are said to be %s', async (_, details) => {
    const used = { ...usage, prompt_tokens_details: details, completion_tokens_details: details }
    const { llm } = await setUp({ script: [answer(used)] })
    const report = callReport(await llm.chat.completions.create(ask('who?')))
    expect(report?.usage).toEqual({ inputTokens: 1_100, outputTokens: 90, complete: true })
  })
})

it('a stream says which tier and which system answered', async () => {
  const { llm } = await setUp(sentence)
  await chunksOf(llm.chat.completions.create({ ...ask('go on'), stream: true }))
  await chunksOf(keyedStream(llm))
  await chunksOf(keyedStream(llm))
  for (const { attributes } of calls()) {
    expect(attributes).toMatchObject({
      'openai.response.system_fingerprint': 'fp_fault_server',
      'openai.response.service_tier': 'default',
    })
  }
  expect(calls()).toHaveLength(3)
})

it('a request that asks for a format and a tier says so', async () => {
  const { llm } = await setUp({ answer: '{}' })
  await llm.chat.completions.create({
    ...ask('who?'),
    response_format: { type: 'json_object' },
    service_tier: 'flex',
    presence_penalty: 0.5,
  })
  expect(calls()[0]?.attributes).toMatchObject({
    'gen_ai.output.type': 'json',
    'openai.request.service_tier': 'flex',
    'gen_ai.request.presence_penalty': 0.5,
  })
})
