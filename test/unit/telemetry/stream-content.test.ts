import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SteadyOptions } from '../../../src/index.ts'
import { callsTool, cutStream, type Fault, refusal } from '../../../src/testing/index.ts'
import { rejection, setUp } from '../../support/set-up.ts'
import { chunksOf, heldStream, keyed, sentence, streamed } from '../../support/streams.ts'
import { type Recorder, startRecording } from './recorder.ts'

let recorder: Recorder
beforeEach(() => {
  vi.stubEnv('OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT', undefined)
  recorder = startRecording()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await recorder.stop()
})

const capturing: SteadyOptions = { telemetry: { captureContent: true } }

const calls = () => recorder.spans().filter(({ name }) => name === 'chat gpt-test')
const outputs = () => calls().map(({ attributes }) => attributes['gen_ai.output.messages'])
const truncated = () => calls().map(({ attributes }) => attributes['steadycall.content.truncated'])

const saying = (content: string, finishReason?: string) => [
  {
    role: 'assistant',
    parts: [{ type: 'text', content }],
    ...(finishReason !== undefined && { finish_reason: finishReason }),
  },
]

/** What the only call shows of its answer. */
function output(): unknown {
  const [only, ...others] = outputs()
  if (others.length > 0) throw new Error('not one call')
  return only === undefined ? undefined : JSON.parse(String(only))
}

/** A stream of these deltas, each in a chunk of its own, and a finish reason. */
function deltas(all: Iterable<readonly [index: number, delta: object]>): Fault {
  return {
    name: 'deltas',
    async apply(exchange) {
      exchange.begin()
      const send = (choice: object) =>
        exchange.write(
          `data: ${JSON.stringify({ object: 'chat.completion.chunk', choices: [choice] })}\n\n`,
        )
      const indices = new Set<number>()
      for (const [index, delta] of all) {
        indices.add(index)
        await send({ index, delta, finish_reason: null })
      }
      for (const index of indices) await send({ index, delta: {}, finish_reason: 'stop' })
      exchange.response.end('data: [DONE]\n\n')
    },
  }
}

describe('the answer of a stream', () => {
  it('is shown whole, where content is captured, and nowhere else', async () => {
    const { llm } = await setUp(sentence, capturing)
    await chunksOf(llm.chat.completions.create(streamed))
    expect(output()).toEqual(saying(sentence.answer, 'stop'))
    expect(truncated()).toEqual([undefined])
    const attempts = recorder.spans().filter(({ name }) => name.startsWith('attempt '))
    expect(attempts).toHaveLength(1)
    expect(JSON.stringify(attempts.map(({ attributes }) => attributes))).not.toContain('small')
  })

  it('is not shown unasked', async () => {
    const { llm } = await setUp(sentence)
    await chunksOf(llm.chat.completions.create(streamed))
    await chunksOf(keyed(llm))
    await chunksOf(keyed(llm))
    expect(outputs()).toEqual([undefined, undefined, undefined])
    expect(await recorder.exported()).not.toContain('small')
  })

  it('is redacted whole: also what came in two pieces', async () => {
    const secret = 'card 4111 1111 1111 1111'
    const redact = vi.fn((messages: unknown) =>
      JSON.parse(JSON.stringify(messages).replaceAll(secret, '[card]')),
    )
    const { llm } = await setUp(
      { answer: `Sure, ${secret}, as asked.` },
      { telemetry: { captureContent: true, redact } },
    )
    await chunksOf(llm.chat.completions.create(streamed))
    expect(output()).toEqual(saying('Sure, [card], as asked.', 'stop'))
    expect(await recorder.exported()).not.toContain('4111')
    expect(redact.mock.calls.at(-1)?.[0]).toMatchObject([
      { role: 'assistant', content: `Sure, ${secret}, as asked.` },
    ])
  })

  it.each([
    [
      'a refusal',
      refusal(),
      { parts: [{ type: 'refusal', content: expect.stringContaining('sorry') }] },
    ],
    [
      'a tool call',
      callsTool('look_up', '{"id":"a long one, for several pieces"}'),
      {
        parts: [
          {
            type: 'tool_call',
            id: expect.any(String),
            name: 'look_up',
            arguments: '{"id":"a long one, for several pieces"}',
          },
        ],
        finish_reason: 'tool_calls',
      },
    ],
  ])('may be %s', async (_, fault, message) => {
    const { llm } = await setUp({ script: [fault] }, capturing)
    await chunksOf(llm.chat.completions.create(streamed))
    expect(output()).toMatchObject([message])
  })

  it('may be several choices, and calls of several tools, in any order', async () => {
    const call = (index: number, fields: object) => ({ tool_calls: [{ index, ...fields }] })
    const fault = deltas([
      [1, { role: 'assistant', content: 'on' }],
      [0, call(1, { id: 'call_b', function: { name: 'g', arguments: '{"b"' } })],
      [1, { content: 'e' }],
      [0, call(0, { id: 'call_a', function: { name: 'f', arguments: '{' } })],
      [0, call(1, { function: { arguments: ':1}' } })],
      [0, call(0, { function: { arguments: '}' } })],
    ])
    const { llm } = await setUp({ script: [fault] }, capturing)
    await chunksOf(llm.chat.completions.create(streamed))
    expect(output()).toEqual([
      {
        role: 'assistant',
        parts: [
          { type: 'tool_call', id: 'call_a', name: 'f', arguments: '{}' },
          { type: 'tool_call', id: 'call_b', name: 'g', arguments: '{"b":1}' },
        ],
        finish_reason: 'stop',
      },
      ...saying('one', 'stop'),
    ])
  })

  it('is what had come of it, for one who left', async () => {
    const { llm } = await setUp(sentence, capturing)
    const stream = await llm.chat.completions.create(streamed)
    let seen = 0
    for await (const _ of stream) if (++seen === 3) break
    expect(output()).toEqual(saying('a long answer, s'))
  })

  it('is not shown where the call failed, as with any call', async () => {
    const { llm } = await setUp({ ...sentence, script: [cutStream()] }, capturing)
    await rejection(chunksOf(llm.chat.completions.create(streamed)))
    expect(outputs()).toEqual([undefined])
  })

  it('is shown to its owner, to one who joined, and in a replay', async () => {
    const { fault, go } = heldStream(2)
    const { llm } = await setUp({ ...sentence, perCall: [fault] }, capturing)
    const owned = await keyed(llm)
    const joiner = keyed(llm)
    go()
    await chunksOf(owned)
    await chunksOf(joiner)
    await chunksOf(keyed(llm))
    const whole = JSON.stringify(saying(sentence.answer, 'stop'))
    expect(outputs()).toEqual([whole, whole, whole])
  })

  it('is shortened to 16 KiB', async () => {
    const { llm } = await setUp(
      { script: [deltas(Array.from({ length: 40 }, () => [0, { content: 'x'.repeat(1_000) }]))] },
      capturing,
    )
    await chunksOf(llm.chat.completions.create(streamed))
    expect(Buffer.byteLength(String(outputs()[0]))).toBeLessThan(16_385)
    expect(truncated()).toEqual([true])
  })

  it('is left out where it is too long to be held for redaction, and says so', async () => {
    const pieces = Array.from({ length: 33 }, () => [0, { content: 'y'.repeat(2 ** 15) }] as const)
    const { llm } = await setUp({ script: [deltas(pieces)] }, capturing)
    const chunks = await chunksOf(llm.chat.completions.create(streamed))
    expect(chunks).toHaveLength(34)
    expect(String(outputs()[0])).not.toContain('yy')
    expect(truncated()).toEqual([true])
  })

  it('may be anything: what is no text is left out', async () => {
    const fault = deltas([
      [0, { content: 'fine', refusal: 7, tool_calls: 'none', __proto__: { content: 'x' } }],
      [0, { tool_calls: [null, 7, { index: 'x', function: 'f' }, { index: 0, function: null }] }],
      [0, { content: { text: 'no' } }],
    ])
    const { llm } = await setUp({ script: [fault] }, capturing)
    await chunksOf(llm.chat.completions.create(streamed))
    expect(output()).toMatchObject([{ parts: [{ type: 'text', content: 'fine' }] }])
  })
})
