import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startCall } from '../../../src/telemetry/telemetry.ts'
import { chat, type Recorder, report, startRecording } from './recorder.ts'

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
  call.retryScheduled({ number: 1, kind: 'rate_limit', delayMs: 1_500, delaySource: 'hint' })
  call.multipliedRetries({ wireRequests: 3 })
  call.callRepeated()
  call.repaired({ count: 2, rules: ['number'] })
  nowMs = 3_500
  call.end({ ok: true, source: 'provider', response: { id: 'chatcmpl-1' }, attempts })
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
    call.repaired({ count: 2 })
    call.end({ ok: true, source: 'provider', repairs: 3, attempts: [report()] })
    expect(await pointsOf('steadycall.repairs')).toEqual([[3, '{repair}', target]])
  })

  it('tell a replay from a call, and a failure by its kind', async () => {
    startCall(chat()).end({ ok: true, source: 'store', attempts: [] })
    startCall(chat()).end({ ok: false, kind: 'circuit_open', attempts: [] })
    startCall(chat()).end({ ok: false, kind: 'aborted', attempts: [] })
    startCall(chat()).end({ ok: false, kind: 'auth', source: 'store', attempts: [] })
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
    call.end({ ok: true, source: 'provider', attempts: [report()] })
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
