import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type CallInfo, startCall } from '../../../src/telemetry/telemetry.ts'
import { chat, type Recorder, report, settle, startRecording } from './recorder.ts'

const CANARY = 'canary tweets in the prompt'
const messages = [{ role: 'user', content: CANARY }]
const completion = {
  id: 'chatcmpl-1',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'Hello.' } }],
}

let recorder: Recorder
beforeEach(() => {
  vi.stubEnv('OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT', undefined)
  recorder = startRecording()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await recorder.stop()
})

function succeed(info: CallInfo, answer: unknown = completion): Readonly<Record<string, unknown>> {
  settle(startCall(info), { ok: true, source: 'provider', answer, attempts: [report()] })
  const [span] = recorder.spans().slice(-1)
  return span?.attributes ?? {}
}

const contentOf = (attributes: Readonly<Record<string, unknown>>, name: string): unknown =>
  JSON.parse(String(attributes[`gen_ai.${name}.messages`]))

describe('without an opt-in', () => {
  it('exports nothing of prompt, answer, key, error text or unknown provider strings', async () => {
    const failure = new Error(CANARY)
    const failed = { ...report({ outcome: 'auth', requestId: CANARY, status: 401 }), failure }
    const call = startCall(chat({ key: { hash: CANARY }, content: { capture: false, messages } }))
    const attempt = call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 })
    expect(() =>
      attempt.run(() => {
        throw failure
      }),
    ).toThrow(failure)
    attempt.end(failed)
    call.read({
      type: 'call-stopped',
      number: 1,
      reason: 'not_retryable',
      kind: 'auth',
      traced: { target: {} },
    })
    settle(call, { ok: false, kind: 'auth', attempts: [failed] })
    settle(startCall(chat({ content: { messages } })), {
      ok: true,
      source: 'provider',
      answer: [{ role: 'assistant', content: CANARY }],
      response: {
        id: CANARY,
        model: CANARY,
        systemFingerprint: CANARY,
        finishReasons: ['stop', CANARY],
      },
      attempts: [report({ requestId: CANARY })],
    })
    expect(recorder.spans()).toHaveLength(3)
    expect(recorder.spans().at(-1)?.attributes['gen_ai.response.finish_reasons']).toEqual([
      'stop',
      '_OTHER',
    ])
    expect(await recorder.exported()).toContain('error.type')
    expect(await recorder.exported()).not.toContain('canary')
  })

  it.each(['sk-secret', 'order-4711', '0123456789ab', `${'0'.repeat(64)}0`, `${'g'.repeat(64)}`])(
    'shows no part of %s, which is no hash',
    (hash) => {
      expect(succeed(chat({ key: { hash } }))).not.toHaveProperty([
        'steadycall.idempotency.key_hash',
      ])
    },
  )

  it.each([
    ['a status that HTTP does not have', { status: 7_777 }],
    ['a status that is no integer', { status: 200.5 }],
    ['an endless request id', { requestId: 'r'.repeat(201) }],
    ['a request id with a line break', { requestId: 'req_1\ninjected' }],
  ])('leaves out %s', (_, changes) => {
    const call = startCall(chat())
    const attempt = call.startAttempt({ number: 1, cause: 'initial', delayMs: 0 })
    attempt.end({ ...report({ status: 200, requestId: 'req_1' }), ...changes })
    const shown = Object.keys(recorder.span('attempt gpt-4.1-mini').attributes)
    expect(shown.filter((name) => name.startsWith('http.'))).toHaveLength(1)
  })
})

describe('with the opt-in', () => {
  it('shows messages in the form of the conventions', () => {
    const toolCalls = [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } }]
    const info = chat({
      content: {
        capture: true,
        messages: [
          { role: 'system', content: 'Be brief.' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What is this?' },
              { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
            ],
          },
          { role: 'assistant', content: null, tool_calls: toolCalls },
          { role: 'tool', tool_call_id: 'call_1', content: 'done' },
        ],
      },
    })
    const attributes = succeed(info)
    expect(contentOf(attributes, 'input')).toEqual([
      { role: 'system', parts: [{ type: 'text', content: 'Be brief.' }] },
      {
        role: 'user',
        parts: [{ type: 'text', content: 'What is this?' }, { type: 'image_url' }],
      },
      {
        role: 'assistant',
        parts: [{ type: 'tool_call', id: 'call_1', name: 'f', arguments: '{}' }],
      },
      { role: 'tool', parts: [{ type: 'tool_call_response', id: 'call_1', response: 'done' }] },
    ])
    expect(contentOf(attributes, 'output')).toEqual([
      {
        role: 'assistant',
        parts: [{ type: 'text', content: 'Hello.' }],
        finish_reason: 'stop',
      },
    ])
    expect(attributes).not.toHaveProperty(['steadycall.content.truncated'])
  })

  it('redacts before anything is shown, and leaves the messages themselves alone', () => {
    const sent = structuredClone(messages)
    const redact = vi.fn((copy: unknown) => {
      if (!Array.isArray(copy)) return []
      for (const message of copy) message.content = '[redacted]'
      return copy
    })
    const attributes = succeed(chat({ content: { capture: true, redact, messages: sent } }))
    expect(contentOf(attributes, 'input')).toEqual([
      { role: 'user', parts: [{ type: 'text', content: '[redacted]' }] },
    ])
    expect(contentOf(attributes, 'output')).toMatchObject([
      { parts: [{ type: 'text', content: '[redacted]' }] },
    ])
    expect(sent).toEqual(messages)
    expect(completion.choices[0]?.message.content).toBe('Hello.')
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error(CANARY)
      },
    ],
    ['returns a promise that rejects', () => Promise.reject(new Error(CANARY))],
    ['returns nothing', () => undefined],
    ['returns a string', () => CANARY],
  ])('leaves the content out and the rest in when redact %s', async (_, redact) => {
    const attributes = succeed(chat({ content: { capture: true, redact, messages } }))
    expect(attributes['steadycall.outcome']).toBe('success')
    expect(Object.keys(attributes).filter((name) => name.endsWith('messages'))).toEqual([])
    expect(await recorder.exported()).not.toContain('canary')
  })

  it('shortens long texts, so that valid JSON of at most 16 KiB is shown', () => {
    const long = [
      { role: 'user', content: 'é'.repeat(100_000) },
      { role: 'user', content: 'last' },
    ]
    const attributes = succeed(chat({ content: { capture: true, messages: long } }))
    expect(Buffer.byteLength(String(attributes['gen_ai.input.messages']))).toBeLessThan(16_385)
    expect(contentOf(attributes, 'input')).toEqual([
      { role: 'user', parts: [{ type: 'text', content: 'é'.repeat(4_096) }] },
      { role: 'user', parts: [{ type: 'text', content: 'last' }] },
    ])
    expect(attributes['steadycall.content.truncated']).toBe(true)
  })

  it('drops the oldest of too many messages', () => {
    const many = Array.from({ length: 5_000 }, (_, n) => ({
      role: 'user',
      content: `message ${n}`,
    }))
    const attributes = succeed(chat({ content: { capture: true, messages: many } }))
    const shown = String(attributes['gen_ai.input.messages'])
    expect(shown.length).toBeLessThan(16_385)
    expect(shown).toContain('message 4999')
    expect(shown).not.toContain('message 3999')
    expect(attributes['steadycall.content.truncated']).toBe(true)
  })

  it('shows at most 16 KiB of JSON, and never throws, whatever the messages are', () => {
    const capture = true
    fc.assert(
      fc.property(fc.anything(), fc.array(fc.object()), (one, many) => {
        for (const hostile of [one, [one], many, [{ role: one, content: many }]]) {
          const info = chat({ content: { capture, messages: hostile } })
          const attributes = succeed(info, { choices: [{ message: one, finish_reason: one }] })
          for (const name of ['input', 'output']) {
            const json = attributes[`gen_ai.${name}.messages`]
            if (json === undefined) continue
            expect(Array.isArray(JSON.parse(String(json)))).toBe(true)
            expect(Buffer.byteLength(String(json))).toBeLessThan(16_385)
          }
        }
      }),
    )
  })

  it('never looks at the content of a run', async () => {
    const content = { capture: true, messages }
    succeed(chat({ operation: 'run', name: 'embed', content }), messages)
    expect(await recorder.exported()).not.toContain('canary')
  })

  it.each([
    ['true', undefined, true],
    ['TRUE', undefined, true],
    ['true', false, false],
    ['false', true, true],
    ['false', undefined, false],
    [undefined, undefined, false],
  ])('with the environment at %s and the option at %s: %s', (variable, capture, shown) => {
    vi.stubEnv('OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT', variable)
    const attributes = succeed(chat({ content: { capture, messages } }))
    expect('gen_ai.input.messages' in attributes).toBe(shown)
    expect('gen_ai.output.messages' in attributes).toBe(shown)
  })
})
