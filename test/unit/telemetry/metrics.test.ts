import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StopReason } from '../../../src/errors/call-error.ts'
import { FAILURE_KINDS, isFailureKind } from '../../../src/errors/failure-kinds.ts'
import * as attributeNames from '../../../src/telemetry/attributes.ts'
import { startCall } from '../../../src/telemetry/telemetry.ts'
import { chat, type Recorder, report, settle, startRecording } from './recorder.ts'

let recorder: Recorder
beforeEach(() => {
  recorder = startRecording()
})
afterEach(() => recorder.stop())

const target = {
  'gen_ai.operation.name': 'chat',
  'gen_ai.provider.name': 'openai',
  'gen_ai.request.model': 'gpt-4.1-mini',
  'server.address': 'api.openai.com',
  'server.port': 443,
}

/** A call of 2.5 s with a rate limit, a re-ask and a repaired answer. */
function eventfulCall(): void {
  let nowMs = 1_000
  const call = startCall(chat({ clock: { monotonicMs: () => nowMs } }))
  const attempts = [
    report({ outcome: 'rate_limit', status: 429, durationMs: 50, requestId: 'req_1' }),
    report({
      number: 2,
      cause: 'retry',
      outcome: 'schema_mismatch',
      durationMs: 400,
      usage: { inputTokens: 100, outputTokens: 20 },
    }),
    report({
      number: 3,
      cause: 'reask',
      durationMs: 500,
      usage: { inputTokens: 130, outputTokens: 25 },
    }),
  ]
  for (const attempt of attempts) {
    const { number, cause, delayMs } = attempt
    call.startAttempt({ number, cause, delayMs }).end(attempt)
  }
  call.read({
    type: 'retry-scheduled',
    number: 1,
    kind: 'rate_limit',
    delayMs: 1_500,
    delaySource: 'hint',
  })
  call.read({ type: 'retries-multiplied', wireRequests: 3 })
  call.read({ type: 'call-repeated' })
  call.read({ type: 'output-repaired', rules: ['number', 'number'] })
  nowMs = 3_500
  settle(call, {
    ok: true,
    source: 'provider',
    response: { id: 'chatcmpl-1' },
    repairs: 2,
    attempts,
  })
}

async function pointsOf(name: string): Promise<unknown[]> {
  const points = await recorder.points()
  return points
    .filter((point) => point.name === name)
    .map(({ value, count, unit, attributes }) =>
      count === undefined ? [value, unit, attributes] : [value, count, unit, attributes],
    )
}

describe('metrics', () => {
  it('measure the whole call once, in seconds', async () => {
    eventfulCall()
    expect(await pointsOf('gen_ai.client.operation.duration')).toEqual([
      [
        2.5,
        1,
        's',
        { ...target, 'steadycall.outcome': 'recovered', 'steadycall.source': 'provider' },
      ],
    ])
    expect(await pointsOf('steadycall.call.attempts')).toEqual([
      [
        3,
        1,
        '{attempt}',
        { ...target, 'steadycall.outcome': 'recovered', 'steadycall.source': 'provider' },
      ],
    ])
  })

  it('count the tokens of every attempt that was billed', async () => {
    eventfulCall()
    expect(await pointsOf('gen_ai.client.token.usage')).toEqual([
      [230, 2, '{token}', { ...target, 'gen_ai.token.type': 'input' }],
      [45, 2, '{token}', { ...target, 'gen_ai.token.type': 'output' }],
    ])
  })

  it('measure each attempt by cause and outcome', async () => {
    eventfulCall()
    const byAttempt = { ...target, 'http.response.status_code': 200 }
    expect(await pointsOf('steadycall.attempt.duration')).toEqual([
      [
        0.05,
        1,
        's',
        {
          ...byAttempt,
          'http.response.status_code': 429,
          'steadycall.attempt.cause': 'initial',
          'steadycall.outcome': 'failed',
          'error.type': 'rate_limit',
        },
      ],
      [
        0.4,
        1,
        's',
        {
          ...byAttempt,
          'steadycall.attempt.cause': 'retry',
          'steadycall.outcome': 'failed',
          'error.type': 'schema_mismatch',
        },
      ],
      [
        0.5,
        1,
        's',
        { ...byAttempt, 'steadycall.attempt.cause': 'reask', 'steadycall.outcome': 'success' },
      ],
    ])
  })

  it('count retries, repairs and what others multiplied', async () => {
    eventfulCall()
    expect(await pointsOf('steadycall.retries')).toEqual([
      [1, '{retry}', { ...target, 'error.type': 'rate_limit', 'steadycall.delay.source': 'hint' }],
    ])
    expect(await pointsOf('steadycall.repairs')).toEqual([[2, '{repair}', target]])
    expect(await pointsOf('steadycall.multiplied_retries')).toEqual([
      [2, '{request}', { ...target, 'steadycall.multiplied_by': 'below' }],
      [1, '{request}', { ...target, 'steadycall.multiplied_by': 'above' }],
    ])
  })

  it('believe the outcome when it counts repairs, and count them once', async () => {
    const call = startCall(chat())
    call.read({ type: 'output-repaired', rules: ['number', 'number'] })
    settle(call, { ok: true, source: 'provider', repairs: 3, attempts: [report()] })
    expect(await pointsOf('steadycall.repairs')).toEqual([[3, '{repair}', target]])
  })

  it('tell a replay from a call, and a failure by its kind', async () => {
    settle(startCall(chat()), { ok: true, source: 'store', attempts: [] })
    settle(startCall(chat()), { ok: false, kind: 'circuit_open', attempts: [] })
    settle(startCall(chat()), { ok: false, kind: 'aborted', attempts: [] })
    settle(startCall(chat()), { ok: false, kind: 'auth', source: 'store', attempts: [] })
    const points = await recorder.points()
    const attributes = points
      .filter(({ name }) => name === 'gen_ai.client.operation.duration')
      .map((point) => point.attributes)
    expect(attributes).toEqual([
      { ...target, 'steadycall.outcome': 'success', 'steadycall.source': 'store' },
      {
        ...target,
        'steadycall.outcome': 'failed',
        'steadycall.source': 'provider',
        'error.type': 'circuit_open',
      },
      { ...target, 'steadycall.outcome': 'aborted', 'steadycall.source': 'provider' },
      {
        ...target,
        'steadycall.outcome': 'failed',
        'steadycall.source': 'store',
        'error.type': 'auth',
      },
    ])
  })

  it('carry attributes of closed sets only: no id, key, number or text', async () => {
    eventfulCall()
    const points = await recorder.points()
    const names = new Set(points.flatMap(({ attributes }) => Object.keys(attributes)))
    expect([...names].sort()).toEqual([
      'error.type',
      'gen_ai.operation.name',
      'gen_ai.provider.name',
      'gen_ai.request.model',
      'gen_ai.token.type',
      'http.response.status_code',
      'server.address',
      'server.port',
      'steadycall.attempt.cause',
      'steadycall.delay.source',
      'steadycall.multiplied_by',
      'steadycall.outcome',
      'steadycall.source',
    ])
  })

  it('of a run carry its name and nothing of generative AI', async () => {
    const call = startCall(chat({ operation: 'run', name: 'embed' }))
    call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 }).end(report())
    settle(call, { ok: true, source: 'provider', attempts: [report()] })
    const points = await recorder.points()
    expect(points.map(({ name, attributes }) => [name, attributes])).toEqual([
      [
        'steadycall.attempt.duration',
        {
          'steadycall.run.name': 'embed',
          'steadycall.attempt.cause': 'initial',
          'steadycall.outcome': 'success',
        },
      ],
      [
        'steadycall.call.attempts',
        {
          'steadycall.run.name': 'embed',
          'steadycall.outcome': 'success',
          'steadycall.source': 'provider',
        },
      ],
      ['steadycall.active_calls', { 'steadycall.run.name': 'embed' }],
    ])
  })

  it('have the boundaries of the conventions', async () => {
    eventfulCall()
    const points = await recorder.points()
    const boundaries = new Map(points.map((point) => [point.name, point.boundaries]))
    expect(boundaries.get('gen_ai.client.operation.duration')).toEqual([
      0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ])
    expect(boundaries.get('gen_ai.client.token.usage')).toEqual([
      1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
      67_108_864,
    ])
    expect(boundaries.get('steadycall.call.attempts')).toEqual([0, 1, 2, 3, 4, 5, 7, 10])
  })

  it('reach a provider that is registered after the first call, and its successor', async () => {
    await recorder.stop()
    eventfulCall()
    recorder = startRecording()
    expect(await recorder.points()).toEqual([])
    eventfulCall()
    expect(await pointsOf('steadycall.repairs')).toEqual([[2, '{repair}', target]])
    await recorder.stop()
    recorder = startRecording()
    eventfulCall()
    expect(await pointsOf('steadycall.repairs')).toEqual([[2, '{repair}', target]])
  })
})

describe('an attribute of a metric', () => {
  const kinds = Object.keys(FAILURE_KINDS).filter(isFailureKind)
  const text = fc.string({ unit: 'binary', maxLength: 400 })
  const sources = fc.constantFrom('provider', 'store', 'shared')
  const causes = fc.constantFrom('initial', 'retry', 'reask', 'fallback', 'hedge')
  /** What a provider, an end user or an attacker can put into a call, in every place there is. */
  const hostile = fc.record({
    text,
    model: text,
    host: text,
    kind: fc.constantFrom(...kinds),
    reason: fc.constantFrom<StopReason>('max_attempts', 'max_wait', 'deadline'),
    source: sources,
    cause: causes,
    waitedFor: fc.constantFrom('hint', 'limit', 'down', 'budget', 'backoff'),
    status: fc.oneof(fc.integer(), fc.double()),
    tokens: fc.nat(),
    ok: fc.boolean(),
  })

  /** What each attribute may be, whoever said what; models and hosts apart. */
  const closed: Readonly<Record<string, readonly unknown[]>> = {
    'error.type': kinds,
    'gen_ai.operation.name': ['chat'],
    'gen_ai.provider.name': ['openai'],
    'gen_ai.token.type': ['input', 'output'],
    'server.port': [443],
    'steadycall.attempt.cause': ['initial', 'retry', 'reask', 'fallback', 'hedge'],
    'steadycall.delay.source': ['backoff'],
    'steadycall.multiplied_by': ['below', 'above'],
    'steadycall.outcome': ['success', 'recovered', 'failed', 'aborted'],
    'steadycall.source': ['provider', 'store', 'shared'],
    'steadycall.stop_reason': ['max_attempts', 'max_wait', 'deadline'],
    'steadycall.target.from': ['up'],
    'steadycall.target.to': ['down'],
    'steadycall.wait.for': ['hint', 'limit', 'down', 'budget', 'backoff'],
  }

  it('is of a closed set, whatever a provider or a user says; models and hosts are few names', async () => {
    fc.assert(
      fc.property(hostile, (said) => {
        const { model, host, kind, ok, source, reason } = said
        const call = startCall(
          chat({ name: model, host, key: { hash: said.text }, isStored: true }),
        )
        const usage = { inputTokens: said.tokens, outputTokens: said.tokens, complete: true }
        const attempt = report({
          cause: said.cause,
          outcome: kind,
          status: said.status,
          code: said.text,
          requestId: said.text,
          target: said.text,
          usage,
        })
        const waits = [{ for: said.waitedFor, ms: 1 }]
        call
          .startAttempt({ number: 1, cause: said.cause, delayMs: 1, waits, model, host })
          .end(attempt)
        call.read({ type: 'retry-scheduled', number: 1, kind, delayMs: 1, delaySource: 'backoff' })
        call.read({ type: 'reask-sent', number: 1, kind, traced: { issueCount: 1 } })
        call.read({
          type: 'target-changed',
          target: said.text,
          from: 'up',
          to: 'down',
          traced: { model, host },
        })
        call.read({
          type: 'wait-started',
          target: said.text,
          for: said.waitedFor,
          expectedMs: 1,
          ahead: 0,
        })
        call.read({
          type: 'call-stopped',
          number: 1,
          reason: 'max_wait',
          kind,
          traced: { target: { model, host }, heldBy: said.waitedFor },
        })
        call.read({ type: 'retries-multiplied', wireRequests: 2 })
        call.read({ type: 'call-repeated' })
        call.read({ type: 'output-repaired', rules: [said.text] })
        const response = { id: said.text, model: said.text, finishReasons: [said.text] }
        const attempts = [attempt]
        const firstChunkMs = 1
        settle(
          call,
          ok
            ? { ok, source, response, attempts, firstChunkMs, replayedUsage: usage, repairs: 1 }
            : { ok, kind, source, reason, attempts, firstChunkMs },
        )
      }),
    )
    const points = await recorder.points()
    const seen = new Map<string, Set<unknown>>()
    for (const { attributes } of points) {
      for (const [name, value] of Object.entries(attributes)) {
        seen.set(name, (seen.get(name) ?? new Set()).add(value))
      }
    }
    const names = ['gen_ai.request.model', 'server.address']
    for (const name of names) {
      const values = [...(seen.get(name) ?? [])]
      expect(values).toContain('_OTHER')
      expect(values.length).toBeLessThanOrEqual(101)
      expect(values.filter((value) => !/^[!-~]{1,200}$/.test(String(value)))).toEqual([])
      seen.delete(name)
    }
    const statuses = [...(seen.get('http.response.status_code') ?? [])].map(Number)
    expect(statuses.filter((status) => status < 100 || status > 599)).toEqual([])
    seen.delete('http.response.status_code')
    for (const [name, values] of seen) {
      expect([name, [...values].filter((value) => !closed[name]?.includes(value))]).toEqual([
        name,
        [],
      ])
    }
    const metrics = Object.entries(attributeNames).filter(([name]) => name.startsWith('METRIC_'))
    expect(new Set(points.map(({ name }) => name))).toEqual(
      new Set(metrics.map(([, name]) => name)),
    )
  })

  it('names the first hundred models, and the rest as one', async () => {
    for (let i = 0; i < 300; i++) {
      settle(startCall(chat({ name: `model-${i}` })), {
        ok: true,
        source: 'provider',
        attempts: [],
      })
    }
    settle(startCall(chat({ name: 'model-7' })), { ok: true, source: 'provider', attempts: [] })
    const points = (await recorder.points()).filter(
      ({ name }) => name === 'gen_ai.client.operation.duration',
    )
    const counts = new Map(
      points.map(({ attributes, count }) => [attributes['gen_ai.request.model'], count]),
    )
    expect(counts.size).toBe(101)
    expect([counts.get('model-7'), counts.get('_OTHER')]).toEqual([2, 200])
  })

  it('names the first hundred names of run, and the rest as one', async () => {
    for (let i = 0; i < 300; i++) {
      const info = chat({ operation: 'run', name: `order ${i}` })
      settle(startCall(info), { ok: true, source: 'provider', attempts: [] })
    }
    const points = (await recorder.points()).filter(
      ({ name }) => name === 'steadycall.call.attempts',
    )
    expect(new Set(points.map(({ attributes }) => attributes['steadycall.run.name'])).size).toBe(
      101,
    )
  })

  it('counts a call out only where it was counted in', async () => {
    await recorder.stop()
    const before = startCall(chat())
    recorder = startRecording()
    const during = startCall(chat())
    settle(before, { ok: true, source: 'provider', attempts: [] })
    expect(await pointsOf('steadycall.active_calls')).toEqual([[1, '{call}', target]])
    settle(during, { ok: true, source: 'provider', attempts: [] })
    expect(await pointsOf('steadycall.active_calls')).toEqual([[0, '{call}', target]])
  })
})
