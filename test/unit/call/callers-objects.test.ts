import OpenAI from 'openai'
import type { ChatCompletionChunk } from 'openai/resources/chat/completions'
import { describe, expect, it, vi } from 'vitest'
import {
  callReport,
  createRuntime,
  fixed,
  memoryStore,
  runIdempotent,
  steady,
} from '../../../src/index.ts'
import { hangs, overloaded, virtualClock } from '../../../src/testing/index.ts'
import { ask, person, rejection, type SetUp, setUp } from '../../support/set-up.ts'

type Face = (set: SetUp, metadata: never) => PromiseLike<unknown>

const faces: readonly (readonly [string, Face])[] = [
  ['create', ({ llm }, metadata) => llm.chat.completions.create({ ...ask('hi'), metadata })],
  [
    'create, its head alone',
    ({ llm }, metadata) => llm.chat.completions.create({ ...ask('hi'), metadata }).asResponse(),
  ],
  [
    'create under a key',
    ({ llm }, metadata) =>
      llm.chat.completions.create(
        { ...ask('hi'), metadata },
        { steady: { idempotencyKey: crypto.randomUUID() } },
      ),
  ],
  [
    'create through a fallback',
    ({ llm }, metadata) =>
      llm.chat.completions.create(
        { ...ask('hi'), metadata },
        { steady: { fallbacks: [{ model: 'other' }] } },
      ),
  ],
  [
    'a stream',
    ({ llm }, metadata) => llm.chat.completions.create({ ...ask('hi'), metadata, stream: true }),
  ],
  [
    'the stream helper',
    ({ llm }, metadata) =>
      // openai's helper wraps whatever its request throws.
      llm.chat.completions
        .stream({ ...ask('hi'), metadata })
        .finalChatCompletion()
        .catch((error: unknown) => Promise.reject(Reflect.get(Object(error), 'cause'))),
  ],
  ['parse', ({ llm }, metadata) => llm.chat.completions.parse({ ...ask('hi'), metadata })],
  ['json', ({ llm }, metadata) => llm.json({ ...ask('hi'), metadata, schema: person })],
  [
    'a retry in a run',
    ({ llm }, metadata) =>
      llm
        .run('outer', () => llm.chat.completions.create({ ...ask('hi'), metadata }))
        .catch((error: unknown) => Promise.reject(Reflect.get(Object(error), 'cause'))),
  ],
]

/** As like a rate limit as an error can be. */
const looksRetryable = () =>
  Object.assign(new Error('Rate limit reached'), { status: 429, headers: new Headers() })

describe("what the caller's own objects throw", () => {
  describe.each(faces)('reaches the caller of %s as it is, and nothing is sent', (_name, call) => {
    it.each<[string, (failure: unknown) => unknown]>([
      ['a toJSON', (failure) => ({ x: { toJSON: () => raise(failure) } })],
      [
        'a hidden toJSON',
        (failure) => ({
          x: Object.defineProperty([], 'toJSON', { value: () => raise(failure) }),
        }),
      ],
      [
        'a getter',
        (failure) => ({
          get x() {
            return raise(failure)
          },
        }),
      ],
      ['a proxy', (failure) => ({ x: new Proxy({ a: 1 }, { get: () => raise(failure) }) })],
    ])('%s', async (_, metadataOf) => {
      const set = await setUp()
      for (const failure of [looksRetryable(), new TypeError('mine')]) {
        const error = await rejection(call(set, metadataOf(failure) as never))
        expect(error).toBe(failure)
      }
      expect(set.server.count).toBe(0)
    })

    it('and JSON’s own refusal of a cycle and of a BigInt', async () => {
      const set = await setUp()
      const cycle: { again?: unknown } = {}
      cycle.again = [cycle]
      for (const value of [cycle, { x: 1n }]) {
        const bare = await rejection(
          set.client.chat.completions.create({ ...ask('hi'), metadata: value as never }),
        )
        const ours = await rejection(call(set, value as never))
        expect(bare).toBeInstanceOf(TypeError)
        expect(ours).toBeInstanceOf(TypeError)
        expect(String(ours)).toBe(String(bare))
      }
      expect(set.server.count).toBe(0)
    })
  })

  it('passes through where it stands in a payload, too', async () => {
    class Mine extends Error {}
    const mine = new Mine('not today')
    const fail = () => {
      throw mine
    }
    const payload = { deep: [{ toJSON: fail }] }
    const getter = Object.defineProperty({}, 'deep', { enumerable: true, get: fail })
    const { llm, server } = await setUp()
    for (const given of [payload, getter]) {
      const options = { idempotencyKey: 'k', payload: given }
      const calls = [
        () => llm.run('embed', async () => 1, options),
        () => llm.run('embed', async () => 1, { idempotency: 'derive', payload: given }),
        () => llm.json({ ...ask('hi'), schema: person }, options),
        async () => llm.chat.completions.create(ask('hi'), { steady: options }),
        () =>
          runIdempotent(
            { store: memoryStore(), operation: 'ticket', payload: given },
            async () => 1,
          ),
      ]
      for (const call of calls) expect(await rejection(call())).toBe(mine)
    }
    expect(server.count).toBe(0)
  })

  it('need not be an error', async () => {
    const { llm, server } = await setUp()
    for (const failure of ['text', 42, { a: 1 }, null]) {
      const metadata = { toJSON: () => raise(failure) } as never
      const error = await rejection(llm.chat.completions.create({ ...ask('hi'), metadata }))
      expect(error).toBe(failure)
    }
    expect(server.count).toBe(0)
  })

  it('is told in the report as an attempt that was not executed', async () => {
    const set = await setUp()
    const failure = looksRetryable()
    const error = await rejection(
      set.llm.chat.completions.create({
        ...ask('hi'),
        metadata: { toJSON: () => raise(failure) } as never,
      }),
    )
    expect(callReport(error)).toMatchObject({
      outcome: 'unknown',
      attempts: [{ outcome: 'unknown', retryable: false, executed: 'no' }],
    })
  })

  it.each([undefined, null])(
    '%s for parameters is refused as by the bare client',
    async (params) => {
      const { llm, client, server } = await setUp()
      const bare = await rejection(client.chat.completions.create(params as never))
      const ours = await rejection(llm.chat.completions.create(params as never))
      expect(String(ours)).toBe(String(bare))
      expect(server.count).toBe(0)
    },
  )
})

describe("the caller's own objects", () => {
  it('are asked once, however many attempts there are', async () => {
    const { llm, server } = await setUp({ perCall: [overloaded(), overloaded()] })
    const toJSON = vi.fn(() => ({ at: toJSON.mock.calls.length }))
    const read = vi.fn(() => 'x')
    const metadata = Object.defineProperty({ toJSON }, 'x', { get: read, enumerable: true })
    const messages = [
      Object.defineProperty({ role: 'user' }, 'content', { get: read, enumerable: true }),
    ]
    await llm.chat.completions.create({ model: 'm', messages, metadata } as never)
    const bodies = server.requests.map(({ body }) => body)
    expect(bodies).toEqual([
      { model: 'm', messages: [{ role: 'user', content: 'x' }], metadata: { at: 1 } },
      { model: 'm', messages: [{ role: 'user', content: 'x' }], metadata: { at: 1 } },
      { model: 'm', messages: [{ role: 'user', content: 'x' }], metadata: { at: 1 } },
    ])
    expect([toJSON.mock.calls.length, read.mock.calls.length]).toEqual([1, 1])
  })

  it('may be changed after the call began: its attempts send what they were, at any depth', async () => {
    const { llm, server } = await setUp({ script: [hangs(), overloaded(), overloaded()] })
    const part = { type: 'text' as const, text: 'first' }
    const params = { model: 'm', messages: [{ role: 'user' as const, content: [part] }] }
    const pending = llm.chat.completions.create(params, {
      steady: { attemptTimeoutMs: 200, maxAttempts: 3 },
    })
    while (server.count === 0) await new Promise(setImmediate)
    part.text = 'second'
    params.messages.push({ role: 'user', content: [part] })
    await rejection(pending)
    const sent = [{ role: 'user', content: [{ type: 'text', text: 'first' }] }]
    expect(server.requests.map(({ body }) => body?.messages)).toEqual([sent, sent, sent])
    // Nobody answered the first: the same request goes under the same name.
    const [first, second] = server.requests.map(({ headers }) => headers['idempotency-key'])
    expect(second).toBe(first)
  })

  it('may be changed while the call waits for its turn', async () => {
    const { llm, server } = await setUp({ script: [hangs()] }, { limits: { concurrency: 1 } })
    const leaving = new AbortController()
    const before = rejection(llm.chat.completions.create(ask('before'), { signal: leaving.signal }))
    while (server.count === 0) await new Promise(setImmediate)
    const params = ask('first')
    const waiting = llm.chat.completions.create(params)
    await new Promise(setImmediate)
    params.messages.push({ role: 'user', content: 'second' })
    leaving.abort()
    await Promise.all([before, waiting])
    expect(server.requests[1]?.body?.messages).toEqual([{ role: 'user', content: 'first' }])
  })

  it('reach the client of the caller as they are, the first time', async () => {
    const { llm, client } = await setUp()
    const create = vi.spyOn(client.chat.completions, 'create')
    const params = ask('hi')
    await llm.chat.completions.create(params)
    expect(create.mock.calls[0]?.[0]).toBe(params)
  })

  it('decide themselves whether a stream is asked for', async () => {
    const { llm, server } = await setUp({ answer: 'hello' })
    class Params {
      readonly secret = 'not sent'
      toJSON() {
        return { ...ask('hi'), stream: true }
      }
    }
    const stream: unknown = await llm.chat.completions.create(new Params() as never)
    let text = ''
    // Of what kind it is, the types cannot know.
    for await (const { choices } of stream as AsyncIterable<ChatCompletionChunk>) {
      text += choices[0]?.delta.content ?? ''
    }
    expect(text).toBe('hello')
    expect(server.requests[0]?.body).toEqual({ ...ask('hi'), stream: true })
  })
})

describe('the time limit of an attempt', () => {
  it('is that of the request as it was given, whatever the caller changes meanwhile', async () => {
    const clock = virtualClock()
    const params: { model: string; messages: []; stream?: boolean } = { model: 'm', messages: [] }
    const answers = [
      () => {
        params.stream = true
        return Response.json({ error: { message: 'broken' } }, { status: 500 })
      },
      async () => {
        await clock.advance(600)
        return Response.json({ object: 'chat.completion', model: 'm', choices: CHOICES })
      },
    ]
    const fetch = async () => answers.shift()?.() ?? raise(new Error('a third request'))
    const llm = steady(new OpenAI({ apiKey: 'k', fetch }), {
      runtime: createRuntime({ clock, random: () => 0 }),
      firstChunkTimeoutMs: 300,
      attemptTimeoutMs: 5_000,
      backoff: fixed(0),
    })
    // Not streamed when it is given; its type is that of a request that is not.
    const request = params as Omit<typeof params, 'stream'>
    await expect(llm.chat.completions.create(request)).resolves.toMatchObject({ model: 'm' })
  })
})

describe('half a character', () => {
  it.each([
    ['without a key', {}],
    ['under a key', { idempotencyKey: 'k' }],
    ['under a derived key', { idempotency: 'derive', occurrence: 0 }],
    ['in a payload', { idempotencyKey: 'k', payload: { text: 'cut \ud83d' } }],
    [
      'in a payload that a key is derived from',
      { idempotency: 'derive', payload: ['\udc00'], occurrence: 0 },
    ],
  ] as const)('in a prompt goes out as openai sends it: %s', async (_, options) => {
    const { llm, server } = await setUp()
    await llm.chat.completions.create(ask('cut \ud83d'), { steady: options })
    expect(server.requests[0]?.body?.messages).toEqual([{ role: 'user', content: 'cut \ud83d' }])
  })

  it('tells two requests apart, as every other does', async () => {
    const { llm } = await setUp()
    const own = { steady: { idempotencyKey: 'k' } }
    await llm.chat.completions.create(ask('cut \ud83d'), own)
    const other = llm.chat.completions.create(ask('cut \ud83c'), own)
    expect(callReport(await rejection(other))).toMatchObject({ outcome: 'idempotency_mismatch' })
    const written = llm.chat.completions.create(ask('cut \\ud83d'), own)
    expect(callReport(await rejection(written))).toMatchObject({ outcome: 'idempotency_mismatch' })
  })
})

function raise(failure: unknown): never {
  throw failure
}

const CHOICES = [
  { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello' } },
]
