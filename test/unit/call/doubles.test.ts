import OpenAI from 'openai'
import { describe, expect, it, vi } from 'vitest'
import {
  CallError,
  type ChatClient,
  callReport,
  createRuntime,
  isCallError,
  type SteadyOptions,
  steady,
} from '../../../src/index.ts'
import { overloaded } from '../../../src/testing/index.ts'
import { ask, clientFor, person, rejection, startServer } from '../../support/set-up.ts'

const quick = (): SteadyOptions => ({ runtime: createRuntime({ random: () => 0 }) })

function completion(content: string) {
  return {
    id: 'c-1',
    object: 'chat.completion' as const,
    created: 1,
    model: 'gpt-test',
    choices: [
      {
        index: 0,
        finish_reason: 'stop' as const,
        logprobs: null,
        message: { role: 'assistant' as const, content, refusal: null },
      },
    ],
  }
}

function chunk(delta: object, finish_reason: string | null = null) {
  return {
    id: 'c-1',
    object: 'chat.completion.chunk' as const,
    created: 1,
    model: 'gpt-test',
    choices: [{ index: 0, delta, finish_reason }],
  }
}

const chunks = [
  chunk({ role: 'assistant', content: '' }),
  chunk({ content: 'Hel' }),
  chunk({ content: 'lo' }),
  chunk({}, 'stop'),
]

/** A double that answers each call in turn; the last one for ever. */
function double(...turns: readonly (() => unknown)[]) {
  let calls = 0
  const create = vi.fn((..._args: unknown[]): unknown =>
    turns[Math.min(calls++, turns.length - 1)]?.(),
  )
  const client: ChatClient = { chat: { completions: { create } } }
  return { client, create }
}

const answers = (content: string) => async () => completion(content)
const fails = (error: unknown) => async () => {
  throw error
}

async function textOf(stream: unknown): Promise<string> {
  let text = ''
  for await (const part of stream as AsyncIterable<ReturnType<typeof chunk>>) {
    text += Reflect.get(part.choices[0]?.delta ?? {}, 'content') ?? ''
  }
  return text
}

/** Every kind of object that has the one method. */
const KINDS: readonly (readonly [string, (create: () => unknown) => unknown])[] = [
  ['an object with the one method', (create) => ({ chat: { completions: { create } } })],
  [
    'a frozen object',
    (create) => Object.freeze({ chat: Object.freeze({ completions: Object.freeze({ create }) }) }),
  ],
  [
    'an object without a prototype',
    (create) => Object.assign(Object.create(null), { chat: { completions: { create } } }),
  ],
  [
    "an instance of the user's own class",
    (create) =>
      new (class Fake {
        readonly chat = { completions: { create } }
      })(),
  ],
  [
    'one whose methods are inherited',
    (create) => ({ chat: { completions: Object.create({ create }) } }),
  ],
  ['a proxy that answers every property with a function', (create) => deep({ create })],
  [
    'a proxy that throws for what it does not know',
    (create) => strict({ chat: strict({ completions: strict({ create }) }) }),
  ],
]

/** As deep mocks do: whatever is asked for is there, is a function, and has everything itself. */
function deep(known: object): unknown {
  const made = new Map<PropertyKey, unknown>()
  return new Proxy(() => undefined, {
    get(_, key) {
      if (key === 'then') return undefined
      if (Object.hasOwn(known, key)) return Reflect.get(known, key)
      if (!made.has(key)) made.set(key, deep(known))
      return made.get(key)
    },
  })
}

function strict(known: object): unknown {
  return new Proxy(known, {
    get(target, key) {
      if (!(key in target)) throw new Error(`unexpected property ${String(key)}`)
      return Reflect.get(target, key)
    },
  })
}

describe.each(KINDS)('%s', (_, clientWith) => {
  const wrap = (create: () => unknown) => steady(clientWith(create) as ChatClient, quick())

  it('is called through create(), with retries and a report', async () => {
    const { create } = double(fails({ status: 503 }), answers('hello'))
    const llm = wrap(create)
    const answer = await llm.chat.completions.create(ask('hi'))
    expect(answer.choices[0]?.message.content).toBe('hello')
    expect(create).toHaveBeenCalledTimes(2)
    expect(callReport(answer)?.attempts.map(({ outcome }) => outcome)).toEqual([
      'overloaded',
      'success',
    ])
  })

  it('is called through json(), which asks again', async () => {
    const { create } = double(answers('{"name":"Ada"}'), answers('{"name":"Ada","age":36}'))
    const { value } = await wrap(create).json({ ...ask('who?'), schema: person })
    expect(value).toEqual({ name: 'Ada', age: 36 })
    expect(create).toHaveBeenCalledTimes(2)
  })

  it('may give a stream', async () => {
    const { create } = double(async () =>
      (async function* () {
        yield* chunks
      })(),
    )
    const stream = await wrap(create).chat.completions.create({ ...ask('hi'), stream: true })
    expect(await textOf(stream)).toBe('Hello')
    expect(callReport(stream)?.outcome).toBe('success')
  })

  it('is asked once under a key', async () => {
    const { create } = double(answers('hello'))
    const llm = wrap(create)
    const options = { steady: { idempotencyKey: 'k' } }
    await llm.chat.completions.create(ask('hi'), options)
    const again = await llm.chat.completions.create(ask('hi'), options)
    expect(callReport(again)?.source).toBe('store')
    expect(create).toHaveBeenCalledTimes(1)
  })

  it('is told when an attempt is over', async () => {
    const { create } = double(() => new Promise(() => {}))
    const error = await rejection(
      wrap(create).chat.completions.create(ask('hi'), {
        timeout: 20,
        steady: { maxAttempts: 1 },
      }),
    )
    expect(error).toMatchObject({ kind: 'timeout' })
  })
})

describe('a double', () => {
  it('may give its answer without a promise', async () => {
    const { client } = double(() => completion('at once'))
    const answer = await steady(client, quick()).chat.completions.create(ask('hi'))
    expect(answer).toMatchObject({ id: 'c-1' })
  })

  it('may give any thenable, or a promise with nothing but withResponse()', async () => {
    const data = completion('hello')
    // biome-ignore lint/suspicious/noThenProperty: a promise of another library
    const thenable = { then: (resolve: (value: unknown) => void) => resolve(data) }
    const withResponse = async () => ({ data, response: undefined })
    const { client } = double(
      () => thenable,
      () => ({ withResponse }),
    )
    const llm = steady(client, quick())
    expect(await llm.chat.completions.create(ask('one'))).toBe(data)
    expect(await llm.chat.completions.create(ask('two'))).toBe(data)
  })

  it('may reject with an object whose iterator throws: the rejection is what the caller gets', async () => {
    const refused = Object.assign(new Error('no such parameter'), { status: 400 })
    const thenable = {
      // biome-ignore lint/suspicious/noThenProperty: a promise of another library
      then: (_: unknown, reject: (reason: unknown) => void) => reject(refused),
      [Symbol.asyncIterator]() {
        throw new Error('locked')
      },
    }
    const { client } = double(() => thenable)
    const error = await rejection(steady(client, quick()).chat.completions.create(ask('hi')))
    expect(callReport(error)).toMatchObject({ outcome: 'invalid_request' })
  })

  it.each([
    ['an array', () => chunks],
    ['a promise of an array', async () => chunks],
    ['a ReadableStream', () => ReadableStream.from(chunks)],
    [
      'an iterator that knows no return',
      () => {
        const iterator = chunks[Symbol.iterator]()
        return { [Symbol.asyncIterator]: () => ({ next: async () => iterator.next() }) }
      },
    ],
    [
      'an object with a controller that is none',
      () => ({ controller: {}, [Symbol.iterator]: () => chunks[Symbol.iterator]() }),
    ],
  ])('may give as a stream %s', async (_, stream) => {
    const { client } = double(stream)
    const given = await steady(client, quick()).chat.completions.create({
      ...ask('hi'),
      stream: true,
    })
    expect(await textOf(given)).toBe('Hello')
  })

  it.each([
    ['a completion', completion('no stream')],
    ['a text', 'Hello'],
    ['nothing', undefined],
  ])('that gives %s for a stream is told so, and asked once', async (_, given) => {
    const { client, create } = double(async () => given)
    const params = { ...ask('hi'), stream: true as const }
    const error = await rejection(steady(client, quick()).chat.completions.create(params))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain('the client answered a request for a stream with')
    expect(create).toHaveBeenCalledTimes(1)
  })

  it('has a stream that can be split, turned into bytes, and ended', async () => {
    const left = vi.fn()
    const stream = async () =>
      (async function* () {
        try {
          yield* chunks
        } finally {
          left()
        }
      })()
    const { client } = double(stream)
    const llm = steady(client as unknown as OpenAI, quick())
    const params = { ...ask('hi'), stream: true as const }
    const [a, b] = (await llm.chat.completions.create(params)).tee()
    expect(await Promise.all([textOf(a), textOf(b)])).toEqual(['Hello', 'Hello'])
    const bytes = (await llm.chat.completions.create(params)).toReadableStream()
    expect(await new Response(bytes).text()).toBe(
      chunks.map((each) => `${JSON.stringify(each)}\n`).join(''),
    )
    left.mockClear()
    for await (const _ of await llm.chat.completions.create(params)) break
    expect(left).toHaveBeenCalledTimes(1)
  })

  it('has a stream that its own controller ends, though nobody below listens', async () => {
    const never = async function* () {
      yield chunks[1]
      await new Promise(() => {})
    }
    const { client } = double(() => never())
    const llm = steady(client as unknown as OpenAI, quick())
    const stream = await llm.chat.completions.create({ ...ask('hi'), stream: true })
    let text = ''
    for await (const part of stream) {
      text += part.choices[0]?.delta.content
      queueMicrotask(() => stream.controller.abort())
    }
    expect(text).toBe('Hel')
  })

  it('has its kept streams replayed', async () => {
    const { client, create } = double(() => chunks)
    const llm = steady(client, quick())
    const params = { ...ask('hi'), stream: true as const }
    const options = { steady: { idempotencyKey: 'k' } }
    expect(await textOf(await llm.chat.completions.create(params, options))).toBe('Hello')
    const again = await llm.chat.completions.create(params, options)
    expect(await textOf(again)).toBe('Hello')
    expect(callReport(again)?.source).toBe('store')
    expect(create).toHaveBeenCalledTimes(1)
  })

  it('needs no helper to have parse() and others where it has them itself', async () => {
    const parse = vi.fn(async () => 'parsed')
    const { client, create } = double(answers('hello'))
    const whole = { chat: { completions: { ...client.chat.completions, parse } } }
    const llm = steady(whole, quick())
    expect(await llm.chat.completions.parse()).toBe('parsed')
    expect(create).not.toHaveBeenCalled()
  })

  it('keeps what its own methods have besides being called', async () => {
    const embed = vi.fn(async () => 1)
    const { client } = double(answers('hello'))
    const llm = steady({ ...client, embed }, quick())
    await llm.embed()
    expect(llm.embed).toHaveBeenCalledTimes(1)
    expect(llm.embed.mock.calls).toEqual([[]])
  })

  it('shares a line with no other, since it says no address', async () => {
    const runtime = createRuntime({ random: () => 0 })
    for (let each = 0; each < 30; each++) {
      const { client } = double(fails({ status: 500 }), answers('hello'))
      await steady(client, { runtime }).chat.completions.create(ask('hi'))
    }
    const { client } = double(answers('hello'))
    expect(steady(client, { runtime }).targets()).toHaveLength(30)
  })

  it('may be a fallback', async () => {
    const server = await startServer({ perCall: [overloaded(), overloaded(), overloaded()] })
    const { client: other } = double(answers('from the fallback'))
    const llm = steady(clientFor(server), {
      ...quick(),
      maxAttempts: 3,
      fallbacks: [{ client: other }],
    })
    const answer = await llm.chat.completions.create(ask('hi'))
    expect(answer.choices[0]?.message.content).toBe('from the fallback')
  })
})

describe('what create() throws for a client without error classes', () => {
  it("is the double's own error, as it is", async () => {
    const error = new OpenAI.RateLimitError(
      429,
      { message: 'no', code: 'insufficient_quota' },
      'no',
      new Headers(),
    )
    const { client, create } = double(fails(error))
    expect(await rejection(steady(client, quick()).chat.completions.create(ask('hi')))).toBe(error)
    expect(create).toHaveBeenCalledTimes(1)
    expect(callReport(error)).toMatchObject({ outcome: 'quota_exhausted' })
  })

  it.each([
    ['a time-out', new OpenAI.APIConnectionTimeoutError(), 'timeout', 3],
    ['an abort', new OpenAI.APIUserAbortError(), 'aborted', 1],
    ['any other error', new Error('boom'), 'unknown', 1],
  ])("is the double's own error for %s", async (_, error, outcome, requests) => {
    const { client, create } = double(fails(error))
    const llm = steady(client, { ...quick(), limits: 'off' })
    expect(await rejection(llm.chat.completions.create(ask('hi')))).toBe(error)
    expect(create).toHaveBeenCalledTimes(requests)
    expect(callReport(error)?.outcome).toBe(outcome)
  })

  it('is a CallError where it threw nothing', async () => {
    const reason = new Error('left')
    const { client } = double(() => new Promise(() => {}))
    const llm = steady(client, quick())
    const aborted = rejection(
      llm.chat.completions.create(ask('a'), { signal: AbortSignal.abort(reason) }),
    )
    const empty = double(async () => ({ id: 'c', choices: [] }))
    const noChoices = rejection(steady(empty.client, quick()).chat.completions.create(ask('b')))
    const deadline = rejection(
      llm.chat.completions.create(ask('c'), { steady: { deadlineMs: 300 } }),
    )
    const errors = await Promise.all([aborted, noChoices, deadline])
    expect(errors.map((error) => isCallError(error) && error.kind)).toEqual([
      'aborted',
      'empty_response',
      'deadline',
    ])
    expect(errors[0]).toMatchObject({ cause: reason })
  })

  it('is a CallError where it threw only because its time was up', async () => {
    const { client, create } = double()
    create.mockImplementation(
      (_body, options) =>
        new Promise((_, reject) => {
          const { signal } = Object(options)
          signal.addEventListener('abort', () => reject(new Error('stopped')))
        }),
    )
    const error = await rejection(
      steady(client, quick()).chat.completions.create(ask('hi'), {
        timeout: 20,
        steady: { maxAttempts: 1 },
      }),
    )
    expect(error).toBeInstanceOf(CallError)
    expect(error).toMatchObject({ kind: 'timeout' })
  })

  it('is a CallError where the classes are mocks and make no errors', async () => {
    class Mocked {}
    const statics = {
      APIError: vi.fn(Mocked),
      APIConnectionError: vi.fn(Mocked),
      APIConnectionTimeoutError: vi.fn(Mocked),
      APIUserAbortError: vi.fn(Mocked),
    }
    class Client {
      readonly chat = { completions: { create: async () => ({ choices: [] }) } }
    }
    Object.assign(Client, statics)
    const error = await rejection(steady(new Client(), quick()).chat.completions.create(ask('hi')))
    expect(error).toMatchObject({ name: 'CallError', kind: 'empty_response' })
  })
})
