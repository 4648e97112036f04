import { readFileSync } from 'node:fs'
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FAILURE_KINDS, isFailureKind } from '../../../src/errors/failure-kinds.ts'
import { startCall } from '../../../src/telemetry/telemetry.ts'
import { chat, type Outcome, type Recorder, report, settle, startRecording } from './recorder.ts'

let recorder: Recorder
beforeEach(() => {
  recorder = startRecording()
})
afterEach(() => recorder.stop())

const failedOnce = report({
  outcome: 'overloaded',
  retryable: true,
  executed: 'no',
  status: 503,
  requestId: 'req_1',
})
const second = report({
  number: 2,
  cause: 'retry',
  delayMs: 750,
  delaySource: 'backoff',
  requestId: 'req_2',
  usage: { inputTokens: 11, outputTokens: 7 },
})

/** A call whose first attempt meets a 503 and whose second succeeds. */
function recoveringCall(): void {
  const call = startCall(chat())
  call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 }).end(failedOnce)
  call.read({
    type: 'retry-scheduled',
    number: 1,
    kind: 'overloaded',
    delayMs: 750,
    delaySource: 'backoff',
  })
  call.startAttempt({ number: 2, cause: 'retry', delayMs: 750, delaySource: 'backoff' }).end(second)
  settle(call, {
    ok: true,
    source: 'provider',
    response: { id: 'chatcmpl-1', model: 'gpt-4.1-mini-2025-04-14', finishReasons: ['stop'] },
    usage: { inputTokens: 11, outputTokens: 7, complete: true },
    attempts: [failedOnce, second],
  })
}

describe('a chat call', () => {
  it('is a CLIENT span with a CLIENT child per attempt', () => {
    recoveringCall()
    const [first, retried, call] = recorder.spans()
    expect(recorder.spans().map(({ name, kind }) => [name, kind])).toEqual([
      ['attempt gpt-4.1-mini', SpanKind.CLIENT],
      ['attempt gpt-4.1-mini', SpanKind.CLIENT],
      ['chat gpt-4.1-mini', SpanKind.CLIENT],
    ])
    expect(call?.parentSpanContext).toBeUndefined()
    expect(first?.parentSpanContext?.spanId).toBe(call?.spanContext().spanId)
    expect(retried?.parentSpanContext?.spanId).toBe(call?.spanContext().spanId)
    expect(recorder.spans().flatMap(({ links }) => links)).toEqual([])
  })

  it('leaves the status unset and no error when it recovers, and shows the failed attempt', () => {
    recoveringCall()
    const [first, retried, call] = recorder.spans()
    expect(call?.status).toEqual({ code: SpanStatusCode.UNSET })
    expect(call?.attributes).not.toHaveProperty(['error.type'])
    expect(call?.attributes['steadycall.outcome']).toBe('recovered')
    expect(first?.status).toEqual({ code: SpanStatusCode.ERROR })
    expect(first?.attributes['error.type']).toBe('overloaded')
    expect(retried?.status).toEqual({ code: SpanStatusCode.UNSET })
  })

  it('carries every attribute of the conventions that is known, and ours', () => {
    recoveringCall()
    expect(recorder.span('chat gpt-4.1-mini').attributes).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-4.1-mini',
      'server.address': 'api.openai.com',
      'server.port': 443,
      'openai.api.type': 'chat_completions',
      'gen_ai.response.id': 'chatcmpl-1',
      'gen_ai.response.model': 'gpt-4.1-mini-2025-04-14',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': 11,
      'gen_ai.usage.output_tokens': 7,
      'steadycall.usage.complete': true,
      'steadycall.deadline': 60,
      'steadycall.idempotency.key_hash': '0123456789ab',
      'steadycall.attempt.count': 2,
      'steadycall.outcome': 'recovered',
      'steadycall.source': 'provider',
    })
  })

  it('says of each attempt what it was, and never anything under gen_ai', () => {
    recoveringCall()
    const [first, retried] = recorder.spans()
    expect(first?.attributes).toEqual({
      'steadycall.attempt.number': 1,
      'steadycall.attempt.cause': 'initial',
      'server.address': 'api.openai.com',
      'server.port': 443,
      'steadycall.idempotency.key_hash': '0123456789ab',
      'steadycall.outcome': 'failed',
      'error.type': 'overloaded',
      'steadycall.attempt.retryable': true,
      'steadycall.attempt.executed': 'no',
      'http.response.status_code': 503,
      'http.response.header.x-request-id': ['req_1'],
    })
    expect(retried?.attributes).toEqual({
      'steadycall.attempt.number': 2,
      'steadycall.attempt.cause': 'retry',
      'server.address': 'api.openai.com',
      'server.port': 443,
      'http.request.resend_count': 1,
      'steadycall.delay.duration': 0.75,
      'steadycall.delay.source': 'backoff',
      'steadycall.idempotency.key_hash': '0123456789ab',
      'steadycall.outcome': 'success',
      'steadycall.attempt.usage.input_tokens': 11,
      'steadycall.attempt.usage.output_tokens': 7,
      'http.response.status_code': 200,
      'http.response.header.x-request-id': ['req_2'],
    })
  })

  it('names its scope, the version of this package and the schema', () => {
    recoveringCall()
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
    expect(recorder.span('chat gpt-4.1-mini').instrumentationScope).toMatchObject({
      name: 'steadycall',
      version,
      schemaUrl: 'https://opentelemetry.io/schemas/1.41.0',
    })
  })

  it('shows the parameters of the request', () => {
    const request = {
      maxTokens: 200,
      temperature: 0.2,
      topP: 0.9,
      seed: 42,
      stop: ['END'],
      choiceCount: 2,
      stream: true,
      outputType: 'json',
    } as const
    settle(startCall(chat({ request })), { ok: true, source: 'store', attempts: [] })
    expect(recorder.span('chat gpt-4.1-mini').attributes).toMatchObject({
      'gen_ai.request.max_tokens': 200,
      'gen_ai.request.temperature': 0.2,
      'gen_ai.request.top_p': 0.9,
      'gen_ai.request.seed': 42,
      'gen_ai.request.stop_sequences': ['END'],
      'gen_ai.request.choice.count': 2,
      'gen_ai.request.stream': true,
      'gen_ai.output.type': 'json',
    })
  })

  it('leaves out a choice count of 1 and a stream that is none', () => {
    const request = { choiceCount: 1, stream: false, stop: 'END' }
    settle(startCall(chat({ request })), { ok: true, source: 'store', attempts: [] })
    const { attributes } = recorder.span('chat gpt-4.1-mini')
    expect(attributes).not.toHaveProperty(['gen_ai.request.choice.count'])
    expect(attributes).not.toHaveProperty(['gen_ai.request.stream'])
    expect(attributes['gen_ai.request.stop_sequences']).toEqual(['END'])
  })

  it('sums the usage of all attempts, for each was billed', () => {
    const attempts = [
      report({ outcome: 'schema_mismatch', usage: { inputTokens: 100, outputTokens: 20 } }),
      report({ number: 2, outcome: 'network', executed: 'maybe' }),
      report({ number: 3, usage: { inputTokens: 130, outputTokens: 25 } }),
    ]
    const usage = { inputTokens: 230, outputTokens: 45, complete: false }
    settle(startCall(chat()), { ok: true, source: 'provider', usage, attempts })
    expect(recorder.span('chat gpt-4.1-mini').attributes).toMatchObject({
      'gen_ai.usage.input_tokens': 230,
      'gen_ai.usage.output_tokens': 45,
      'steadycall.usage.complete': false,
    })
  })

  it('shows the tokens read from a cache and spent on reasoning, where a provider told them', () => {
    const attempts = [
      report({
        outcome: 'schema_mismatch',
        usage: { inputTokens: 100, outputTokens: 20, cachedInputTokens: 0 },
      }),
      report({
        number: 2,
        usage: {
          inputTokens: 130,
          outputTokens: 25,
          cachedInputTokens: 96,
          reasoningOutputTokens: 12,
        },
      }),
    ]
    const call = startCall(chat())
    for (const attempt of attempts) {
      call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 }).end(attempt)
    }
    const usage = { inputTokens: 230, outputTokens: 45, complete: true }
    settle(call, { ok: true, source: 'provider', usage, attempts })
    const [failed, good, whole] = recorder
      .spans()
      .map(({ attributes }) =>
        Object.fromEntries(
          Object.entries(attributes).filter(([name]) => /cache|reasoning/.test(name)),
        ),
      )
    expect(failed).toEqual({ 'steadycall.attempt.usage.cache_read.input_tokens': 0 })
    expect(good).toEqual({
      'steadycall.attempt.usage.cache_read.input_tokens': 96,
      'steadycall.attempt.usage.reasoning.output_tokens': 12,
    })
    expect(whole).toEqual({
      'gen_ai.usage.cache_read.input_tokens': 96,
      'gen_ai.usage.reasoning.output_tokens': 12,
    })
  })

  it.each(['store', 'shared'] as const)('shows no usage when the answer is from %s', (source) => {
    const attempts = [report({ usage: { inputTokens: 100, outputTokens: 20 } })]
    const usage = { inputTokens: 0, outputTokens: 0, complete: true }
    const info = chat({ isStored: true })
    settle(startCall(info), { ok: true, source, persisted: true, usage, attempts })
    const { attributes } = recorder.span('chat gpt-4.1-mini')
    expect(Object.keys(attributes).filter((name) => name.includes('usage'))).toEqual([])
    expect(attributes['steadycall.source']).toBe(source)
    expect(attributes['steadycall.idempotency.persisted']).toBe(true)
  })

  it('tells times to the first chunk in seconds', () => {
    const call = startCall(chat())
    const attempt = call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 })
    attempt.end(report(), { firstChunkMs: 340 })
    settle(call, { ok: true, source: 'provider', firstChunkMs: 1_500, attempts: [report()] })
    expect(recorder.span('attempt gpt-4.1-mini').attributes).toMatchObject({
      'steadycall.attempt.time_to_first_chunk': 0.34,
    })
    expect(recorder.span('chat gpt-4.1-mini').attributes).toMatchObject({
      'gen_ai.response.time_to_first_chunk': 1.5,
    })
  })

  it('counts resends of the same request, and starts again with a new one', () => {
    const call = startCall(chat())
    const causes = ['initial', 'retry', 'hedge', 'retry', 'reask', 'retry', 'fallback'] as const
    for (const [index, cause] of causes.entries()) {
      call.startAttempt({ number: index + 1, cause, delayMs: 0 }).end(report())
    }
    expect(recorder.spans().map((span) => span.attributes['http.request.resend_count'])).toEqual([
      undefined,
      1,
      undefined,
      2,
      undefined,
      1,
      undefined,
    ])
  })

  it("shows a fallback's own model and host", () => {
    const call = startCall(chat())
    const fallback = { number: 2, cause: 'fallback', delayMs: 0 } as const
    call.startAttempt({ ...fallback, model: 'gpt-4.1' }).end(report())
    call.startAttempt({ ...fallback, model: 'llama-3.3-70b', host: 'api.groq.com' }).end(report())
    expect(recorder.span('attempt gpt-4.1').attributes).toMatchObject({
      'server.address': 'api.openai.com',
      'server.port': 443,
    })
    const other = recorder.span('attempt llama-3.3-70b').attributes
    expect(other['server.address']).toBe('api.groq.com')
    expect(other).not.toHaveProperty(['server.port'])
  })
})

describe('a call that fails', () => {
  const attempts = [failedOnce]

  it.each(
    Object.keys(FAILURE_KINDS)
      .filter(isFailureKind)
      .filter((kind) => kind !== 'aborted'),
  )('has status ERROR, no description and error.type %s', (kind) => {
    const call = startCall(chat())
    call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 }).end(report({ outcome: kind }))
    settle(call, { ok: false, kind, reason: 'max_attempts', attempts })
    for (const span of recorder.spans()) {
      expect(span.status).toEqual({ code: SpanStatusCode.ERROR })
      expect(span.attributes['error.type']).toBe(kind)
      expect(span.attributes['steadycall.outcome']).toBe('failed')
    }
    expect(recorder.span('chat gpt-4.1-mini').attributes['steadycall.stop_reason']).toBe(
      'max_attempts',
    )
  })

  it("is no error when the caller aborted it, neither the call's nor the attempt's", () => {
    const call = startCall(chat())
    const aborted = report({ outcome: 'aborted', executed: 'maybe' })
    call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 }).end(aborted)
    settle(call, { ok: false, kind: 'aborted', reason: 'aborted', attempts: [aborted] })
    expect(recorder.spans()).toHaveLength(2)
    for (const span of recorder.spans()) {
      expect(span.status).toEqual({ code: SpanStatusCode.UNSET })
      expect(span.attributes).not.toHaveProperty(['error.type'])
      expect(span.attributes['steadycall.outcome']).toBe('aborted')
    }
  })

  it('still shows what it was billed', () => {
    const billed = report({
      outcome: 'schema_mismatch',
      usage: { inputTokens: 100, outputTokens: 20 },
    })
    settle(startCall(chat()), { ok: false, kind: 'schema_mismatch', attempts: [billed] })
    expect(recorder.span('chat gpt-4.1-mini').attributes).toMatchObject({
      'gen_ai.usage.input_tokens': 100,
      'gen_ai.usage.output_tokens': 20,
    })
  })
})

describe('a run', () => {
  it('is INTERNAL, as are its attempts, and knows neither gen_ai nor HTTP', () => {
    const call = startCall(chat({ operation: 'run', name: 'embed' }))
    const attempt = { number: 2, cause: 'retry', delayMs: 10, delaySource: 'hint' } as const
    call.startAttempt(attempt).end(report({ requestId: 'req_1' }))
    const usage = { inputTokens: 1, outputTokens: 1, complete: true }
    settle(call, {
      ok: true,
      source: 'provider',
      response: { id: 'x' },
      usage,
      attempts: [report()],
    })
    expect(recorder.spans().map(({ name, kind }) => [name, kind])).toEqual([
      ['attempt embed', SpanKind.INTERNAL],
      ['run embed', SpanKind.INTERNAL],
    ])
    const names = recorder.spans().flatMap(({ attributes }) => Object.keys(attributes))
    expect(names.filter((name) => /^(gen_ai|openai|http)\./.test(name))).toEqual([])
  })
})

describe('events', () => {
  it('tell each decision on the logical span, with the key hash', () => {
    const call = startCall(chat())
    call.read({
      type: 'retry-scheduled',
      number: 1,
      kind: 'rate_limit',
      delayMs: 2_000,
      delaySource: 'hint',
    })
    call.read({ type: 'reask-sent', number: 2, kind: 'schema_mismatch', traced: { issueCount: 3 } })
    call.read({
      type: 'fallback-selected',
      number: 3,
      kind: 'overloaded',
      target: 'b',
      traced: { from: 'a' },
    })
    call.read({ type: 'retries-multiplied', wireRequests: 3 })
    call.read({ type: 'call-repeated' })
    call.read({ type: 'output-repaired', rules: ['strip-fence', 'number', 'number'] })
    call.read({
      type: 'call-stopped',
      number: 1,
      reason: 'max_attempts',
      kind: 'timeout',
      traced: { target: {} },
    })
    settle(call, { ok: false, kind: 'timeout', attempts: [] })
    const key = { 'steadycall.idempotency.key_hash': '0123456789ab' }
    const { events } = recorder.span('chat gpt-4.1-mini')
    expect(events.map(({ name, attributes }) => [name, attributes])).toEqual([
      [
        'steadycall.retry.scheduled',
        {
          ...key,
          'steadycall.attempt.number': 1,
          'error.type': 'rate_limit',
          'steadycall.delay.duration': 2,
          'steadycall.delay.source': 'hint',
        },
      ],
      [
        'steadycall.reask.sent',
        {
          ...key,
          'steadycall.attempt.number': 2,
          'error.type': 'schema_mismatch',
          'steadycall.reask.issue_count': 3,
        },
      ],
      [
        'steadycall.fallback.selected',
        {
          ...key,
          'steadycall.attempt.number': 3,
          'steadycall.fallback.from': 'a',
          'steadycall.fallback.to': 'b',
          'error.type': 'overloaded',
        },
      ],
      [
        'steadycall.retries.multiplied',
        { ...key, 'steadycall.multiplied_by': 'below', 'steadycall.attempt.wire_requests': 3 },
      ],
      ['steadycall.retries.multiplied', { ...key, 'steadycall.multiplied_by': 'above' }],
      [
        'steadycall.output.repaired',
        {
          ...key,
          'steadycall.repair.count': 3,
          'steadycall.repair.rules': ['strip-fence', 'number'],
        },
      ],
      [
        'steadycall.retry.stopped',
        { ...key, 'steadycall.stop_reason': 'max_attempts', 'error.type': 'timeout' },
      ],
    ])
  })
})

describe('nesting', () => {
  const outcome: Outcome = { ok: true, source: 'provider', attempts: [report()] }

  it("makes the caller's active span the parent of the call", () => {
    const tracer = trace.getTracer('application')
    tracer.startActiveSpan('request', (span) => {
      settle(startCall(chat()), outcome)
      span.end()
    })
    expect(recorder.span('chat gpt-4.1-mini').parentSpanContext?.spanId).toBe(
      recorder.span('request').spanContext().spanId,
    )
  })

  it('makes the attempt the parent of what its function starts, also after an await', async () => {
    const call = startCall(chat())
    const attempt = call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 })
    const value = await attempt.run(async () => {
      await Promise.resolve()
      trace.getTracer('http').startSpan('POST').end()
      return 'answer'
    })
    attempt.end(report())
    settle(call, outcome)
    expect(value).toBe('answer')
    expect(recorder.span('POST').parentSpanContext?.spanId).toBe(
      recorder.span('attempt gpt-4.1-mini').spanContext().spanId,
    )
  })

  it("offers the call's context to code between attempts", () => {
    const call = startCall(chat())
    context.with(call.context, () => trace.getTracer('application').startSpan('store').end())
    settle(call, outcome)
    expect(recorder.span('store').parentSpanContext?.spanId).toBe(
      recorder.span('chat gpt-4.1-mini').spanContext().spanId,
    )
  })

  it('keeps attempts below their call without a context manager', async () => {
    await recorder.stop()
    recorder = startRecording({ contextManager: false })
    const call = startCall(chat())
    const attempt = call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 })
    expect(attempt.run(() => context.active())).toBe(ROOT_CONTEXT)
    attempt.end(report())
    settle(call, outcome)
    expect(recorder.span('attempt gpt-4.1-mini').parentSpanContext?.spanId).toBe(
      recorder.span('chat gpt-4.1-mini').spanContext().spanId,
    )
  })

  it('reports an end once and with its first outcome, however often it is told', async () => {
    const call = startCall(chat())
    const attempt = call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 })
    attempt.end(report())
    attempt.end(failedOnce)
    settle(call, outcome)
    settle(call, { ok: false, kind: 'deadline', attempts: [] })
    expect(recorder.spans().map(({ status }) => status.code)).toEqual([
      SpanStatusCode.UNSET,
      SpanStatusCode.UNSET,
    ])
    expect((await recorder.points()).map(({ name, count }) => [name, count])).toEqual([
      ['gen_ai.client.operation.duration', 1],
      ['steadycall.attempt.duration', 1],
      ['steadycall.call.attempts', 1],
      ['steadycall.active_calls', undefined],
    ])
  })
})
