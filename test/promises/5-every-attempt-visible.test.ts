import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type CallEvent, callReport } from '../../src/index.ts'
import {
  answers,
  contextLength,
  cutStream,
  insufficientQuota,
  overloaded,
  rateLimited,
  serverError,
} from '../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../support/set-up.ts'

const exporter = new InMemorySpanExporter()
const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager())
  trace.setGlobalTracerProvider(provider)
})
beforeEach(() => exporter.reset())
afterAll(async () => {
  await provider.shutdown()
  trace.disable()
  context.disable()
})

const ada = { answer: '{"name":"Ada","age":36}' }

function spans(): { calls: readonly ReadableSpan[]; attempts: readonly ReadableSpan[] } {
  const all = exporter.getFinishedSpans()
  return {
    calls: all.filter(({ name }) => name.startsWith('chat ') || name.startsWith('run ')),
    attempts: all.filter(({ name }) => name.startsWith('attempt ')),
  }
}

function parentOf(span: ReadableSpan | undefined): string | undefined {
  return span?.parentSpanContext?.spanId
}

/** Everything that an exporter would see of the finished spans. */
function exported(): string {
  return JSON.stringify(
    exporter.getFinishedSpans().map((span) => ({
      name: span.name,
      attributes: span.attributes,
      events: span.events,
      status: span.status,
      links: span.links,
      resource: span.resource.attributes,
    })),
  )
}

describe('the trace of a call', () => {
  it('has one logical span and one child span for each attempt', async () => {
    const { llm } = await setUp({
      ...ada,
      perCall: [overloaded(), answers('{"name":"Ada"}'), serverError()],
    })
    await llm.json({ ...ask('who?'), schema: person }, { maxAttempts: 5 })
    const { calls, attempts } = spans()
    expect(calls.map(({ name, kind }) => [name, kind])).toEqual([
      ['chat gpt-test', SpanKind.CLIENT],
    ])
    expect(attempts.map(({ name }) => name)).toEqual(Array(4).fill('attempt gpt-test'))
    const logical = calls[0]?.spanContext().spanId
    expect(attempts.map(parentOf)).toEqual([logical, logical, logical, logical])
    expect(attempts.map(({ attributes }) => attributes['steadycall.attempt.cause'])).toEqual([
      'initial',
      'retry',
      'reask',
      'retry',
    ])
    expect(attempts.map(({ attributes }) => attributes['error.type'])).toEqual([
      'overloaded',
      'schema_mismatch',
      'server_error',
      undefined,
    ])
  })

  it('is green when the call recovered, with its failed attempts red', async () => {
    const { llm } = await setUp({ ...ada, perCall: [overloaded()] })
    await llm.json({ ...ask('who?'), schema: person })
    const { calls, attempts } = spans()
    expect(calls[0]?.status.code).toBe(SpanStatusCode.UNSET)
    expect(calls[0]?.attributes['error.type']).toBeUndefined()
    expect(attempts.map(({ status }) => status.code)).toEqual([
      SpanStatusCode.ERROR,
      SpanStatusCode.UNSET,
    ])
  })

  it('says why it failed, in the vocabulary of the errors', async () => {
    const { llm } = await setUp({ perCall: [insufficientQuota()] })
    await rejection(llm.chat.completions.create(ask('who?')))
    const { calls, attempts } = spans()
    expect(calls[0]?.status.code).toBe(SpanStatusCode.ERROR)
    expect(calls[0]?.attributes['error.type']).toBe('quota_exhausted')
    expect(attempts[0]?.attributes['http.response.status_code']).toBe(429)
  })

  it('says what each retry waited for', async () => {
    const { llm } = await setUp({ ...ada, perCall: [rateLimited({ retryAfterMs: 20 })] })
    await llm.json({ ...ask('who?'), schema: person })
    const [event] = spans().calls[0]?.events ?? []
    expect(event?.attributes).toMatchObject({
      'error.type': 'rate_limit',
      'steadycall.delay.source': 'hint',
    })
  })

  it('nests in the span that is active, and nothing of it is lost between attempts', async () => {
    const { llm } = await setUp({ ...ada, perCall: [overloaded()] })
    const tracer = trace.getTracer('app')
    await tracer.startActiveSpan('request', async (span) => {
      await llm.json({ ...ask('who?'), schema: person })
      span.end()
    })
    const request = exporter.getFinishedSpans().find(({ name }) => name === 'request')
    expect(parentOf(spans().calls[0])).toBe(request?.spanContext().spanId)
  })

  it('of a call inside run hangs below the attempt of run', async () => {
    const { llm } = await setUp(ada)
    await llm.run('agent', () => llm.json({ ...ask('who?'), schema: person }))
    const { calls, attempts } = spans()
    const chat = calls.find(({ name }) => name === 'chat gpt-test')
    const outer = attempts.find(({ name }) => name === 'attempt agent')
    expect(parentOf(chat)).toBe(outer?.spanContext().spanId)
    expect(calls.find(({ name }) => name === 'run agent')?.kind).toBe(SpanKind.INTERNAL)
  })

  it('of a stream ends when the stream has ended, also when it was cut', async () => {
    const { llm } = await setUp({ ...ada, script: [cutStream()] })
    const stream = await llm.chat.completions.create({ ...ask('go on'), stream: true })
    expect(spans().calls).toHaveLength(0)
    await rejection(
      (async () => {
        for await (const _ of stream);
      })(),
    )
    const { calls, attempts } = spans()
    expect(calls[0]?.attributes['error.type']).toBe('network')
    expect(attempts[0]?.status.code).toBe(SpanStatusCode.ERROR)
    expect(callReport(stream)).toMatchObject({ outcome: 'network' })
  })

  it('of a stream says how soon its first content came, and what answered', async () => {
    const { llm } = await setUp({ answer: 'in a few pieces' })
    const stream = await llm.chat.completions.create({ ...ask('go on'), stream: true })
    for await (const _ of stream);
    const { attributes } = spans().calls[0] ?? {}
    expect(attributes?.['gen_ai.response.time_to_first_chunk']).toBeGreaterThan(0)
    expect(attributes?.['gen_ai.response.model']).toBe('gpt-test')
    expect(attributes?.['gen_ai.response.finish_reasons']).toEqual(['stop'])
  })

  it('of a repaired answer names the rules, never the text', async () => {
    const { llm } = await setUp({ perCall: [answers('{"name":"Ada","age":"36"}')] })
    await llm.json({ ...ask('who?'), schema: person })
    const [call] = spans().calls
    expect(call?.events.map(({ name }) => name)).toEqual(['steadycall.output.repaired'])
    expect(call?.attributes['steadycall.repair.count']).toBe(1)
  })

  it('of a stream that the caller leaves ends too', async () => {
    const { llm } = await setUp({ answer: 'a long answer in many pieces, to be left early' })
    const stream = await llm.chat.completions.create({ ...ask('go on'), stream: true })
    for await (const _ of stream) break
    expect(spans().calls.map(({ status }) => status.code)).toEqual([SpanStatusCode.UNSET])
  })

  it('of a replay has no attempts and bills nothing', async () => {
    const { llm } = await setUp(ada)
    const call = () => llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    await call()
    exporter.reset()
    await call()
    const { calls, attempts } = spans()
    expect(attempts).toHaveLength(0)
    expect(calls[0]?.attributes['steadycall.source']).toBe('store')
    expect(calls[0]?.attributes['gen_ai.usage.input_tokens']).toBeUndefined()
  })

  it("carries the key's hash on every span, the first 12 digits of the stored one", async () => {
    const { llm } = await setUp({ ...ada, perCall: [overloaded()] })
    await llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    const hashes = exporter
      .getFinishedSpans()
      .map(({ attributes }) => attributes['steadycall.idempotency.key_hash'])
    expect(new Set(hashes).size).toBe(1)
    expect(hashes[0]).toMatch(/^[0-9a-f]{12}$/)
  })
})

describe('nothing of prompt, answer or key leaves the process unasked', () => {
  const canary = 'canary-5d1e'
  const wrong = answers(`{"name":"${canary}","age":"${canary}"}`)
  const fenced = answers(`Here:\n\`\`\`json\n{"name":"${canary}","age":3}\n\`\`\``)

  it('in spans and events, whichever way a call goes', async () => {
    const events: CallEvent[] = []
    const { llm } = await setUp(
      {
        answer: `{"name":"${canary}","age":36}`,
        callOf: ({ headers }) => String(headers['x-fault-call']),
        perCall: (id) =>
          ({ reask: [wrong], repair: [fenced], fail: [wrong, wrong], gone: [contextLength()] })[
            id
          ] ?? [],
      },
      { onEvent: (event) => events.push(event) },
      { apiKey: `sk-${canary}` },
    )
    const idempotencyKey = `key-${canary}`
    for (const call of ['success', 'reask', 'repair', 'fail', 'gone', 'replay', 'replay']) {
      const requestOptions = { headers: { 'x-fault-call': call } }
      const options = { requestOptions, ...(call === 'replay' && { idempotencyKey }) }
      await llm.json({ ...ask(`${call} ${canary}`), schema: person }, options).catch(() => {})
    }
    const stream = await llm.chat.completions.create({ ...ask(canary), stream: true })
    for await (const _ of stream);
    expect(spans().calls).toHaveLength(8)
    expect(spans().attempts).toHaveLength(9)
    expect(exported()).not.toContain(canary)
    // An event names the key as the caller gave it: it is his own log.
    const told = JSON.stringify(events).replaceAll(JSON.stringify(idempotencyKey), '')
    expect(told).not.toContain(canary)
    expect(events.filter(({ type }) => type === 'call-settled')).toHaveLength(8)
  })

  it('unless captureContent asks for it, with redact first', async () => {
    const { llm } = await setUp(
      { answer: `{"name":"${canary}","age":36}` },
      {
        telemetry: {
          captureContent: true,
          redact: (messages) => JSON.parse(JSON.stringify(messages).replaceAll(canary, '[gone]')),
        },
      },
    )
    await llm.json({ ...ask(`who is ${canary}?`), schema: person })
    expect(exported()).toContain('who is [gone]?')
    expect(spans().calls[0]?.attributes['gen_ai.output.messages']).toContain('[gone]')
    expect(exported()).not.toContain(canary)
  })
})

describe('onEvent', () => {
  it('gets the documented fields of each event, and none that only the trace shows', async () => {
    const fields = new Map<string, readonly string[]>()
    const of = 'idempotencyKey operation type'.split(' ')
    const { llm } = await setUp(
      {
        callOf: ({ body }) => body.model,
        perCall: (id) =>
          id === 'gpt-test'
            ? [overloaded(), contextLength(), contextLength()]
            : [
                answers('{"name":"Ada"}'),
                answers('```json\n{"name":"Ada","age":36}\n```'),
                insufficientQuota(),
              ],
      },
      {
        fallbacks: [{ model: 'gpt-large' }],
        telemetry: { captureContent: true },
        onEvent: (event) => {
          const own = Object.keys(event).filter((name) => !of.includes(name))
          fields.set(event.type, own.sort())
          expect(Object.keys(event)).toEqual(expect.arrayContaining(of))
        },
      },
    )
    await llm.json({ ...ask('who?'), schema: person })
    await rejection(llm.json({ ...ask('and she?'), schema: person }))
    expect(Object.fromEntries(fields)).toEqual({
      'attempt-started': ['cause', 'delayMs', 'number', 'target'],
      'attempt-ended': ['attempt'],
      'retry-scheduled': ['delayMs', 'delaySource', 'kind', 'number'],
      'fallback-selected': ['kind', 'number', 'target'],
      'reask-sent': ['kind', 'number'],
      'call-stopped': ['kind', 'number', 'reason'],
      'call-settled': ['report'],
    })
    const shown = spans().calls.flatMap(({ events }) => events)
    expect(
      shown.map(({ name, attributes }) => [name, attributes?.['steadycall.fallback.from']]),
    ).toEqual([
      ['steadycall.retry.scheduled', undefined],
      ['steadycall.fallback.selected', expect.stringContaining('gpt-test')],
      ['steadycall.reask.sent', undefined],
      ['steadycall.output.repaired', undefined],
      ['steadycall.fallback.selected', expect.stringContaining('gpt-test')],
      ['steadycall.retry.stopped', undefined],
    ])
    expect(spans().calls[0]?.attributes['gen_ai.output.messages']).toContain('Ada')
  })
})

describe('without OpenTelemetry', () => {
  it('onEvent tells the same story, with frozen objects', async () => {
    const events: CallEvent[] = []
    const { llm } = await setUp(
      { ...ada, perCall: [overloaded(), answers('{"name":"Ada"}')] },
      { onEvent: (event) => events.push(event) },
    )
    await llm.json({ ...ask('who?'), schema: person })
    expect(events.map(({ type }) => type)).toEqual([
      'attempt-started',
      'attempt-ended',
      'retry-scheduled',
      'attempt-started',
      'attempt-ended',
      'reask-sent',
      'attempt-started',
      'attempt-ended',
      'call-settled',
    ])
    expect(events.every((event) => Object.isFrozen(event))).toBe(true)
  })

  it('a callback that throws changes nothing', async () => {
    const { llm } = await setUp(ada, {
      onEvent: () => {
        throw new Error('logger broke')
      },
    })
    await expect(llm.json({ ...ask('who?'), schema: person })).resolves.toBeDefined()
  })
})
