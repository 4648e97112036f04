import { getEventListeners } from 'node:events'
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import OpenAI6 from 'openai-v6'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import {
  callReport,
  createRuntime,
  type SteadyClient,
  type SteadyOptions,
  steady,
} from '../../../src/index.ts'
import {
  answers,
  cutStream,
  type FaultServer,
  type FaultServerOptions,
  hangs,
  insufficientQuota,
  overloaded,
  resetBeforeResponse,
  stalledStream,
} from '../../../src/testing/index.ts'
import { ask, person, rejection, startServer } from '../../support/set-up.ts'

type Method = (...args: unknown[]) => unknown

/**
 * As tracers do that wrap each property in turn: methods become functions that note their calls, and
 * resolve to what the method gives; objects become proxies again.
 */
function proxied<T extends object>(target: T, wrapMethod: (method: Method) => Method): T {
  return new Proxy(target, {
    get(object, key) {
      const value: unknown = Reflect.get(object, key)
      if (typeof value === 'function')
        return wrapMethod((...args) => Reflect.apply(value, object, args))
      return typeof value === 'object' && value !== null ? proxied(value, wrapMethod) : value
    },
  })
}

/** The promise of the data alone, and of a stream only its chunks. */
const asPlainPromise =
  (method: Method): Method =>
  (...args) => {
    const given = method(...args)
    if (!(given instanceof Promise)) return given
    return given.then((data: unknown) => (isIterable(data) ? chunksOf(data) : data))
  }

/** openai's promise with another `then`, whose stream is a generator. */
const asProxiedPromise =
  (method: Method): Method =>
  (...args) => {
    const given = method(...args)
    if (!(given instanceof Promise)) return given
    const traced = given.then((data: unknown) => (isIterable(data) ? chunksOf(data) : data))
    return new Proxy(given, {
      get(target, key) {
        if (key === 'withResponse') {
          return async () => {
            const rest = await Reflect.apply(Reflect.get(target, key), target, [])
            return { ...Object(rest), data: await traced }
          }
        }
        const from = key in Promise.prototype ? traced : target
        const value: unknown = Reflect.get(from, key)
        return typeof value === 'function' ? value.bind(from) : value
      },
    })
  }

/** No promise at all for a stream: a generator, that awaits the answer when it is read. */
const asGenerator =
  (method: Method): Method =>
  (...args) => {
    const given = method(...args)
    return Reflect.get(Object(args[0]), 'stream') === true ? chunksOf(given) : given
  }

/** A stream of openai's, but one half of it. */
const asTee =
  (method: Method): Method =>
  (...args) => {
    const given = method(...args)
    if (!(given instanceof Promise)) return given
    return given.then((data: unknown) => {
      if (!isIterable(data)) return data
      const halves: unknown = Reflect.apply(Reflect.get(data, 'tee'), data, [])
      const [left, right] = halves as [AsyncIterable<unknown>, AsyncIterable<unknown>]
      void drain(right)
      return left
    })
  }

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _ of stream);
  } catch {
    // the other half tells
  }
}

function isIterable(data: unknown): data is AsyncIterable<unknown> {
  return typeof data === 'object' && data !== null && Symbol.asyncIterator in data
}

async function* chunksOf(stream: unknown): AsyncGenerator<unknown> {
  yield* (await stream) as AsyncIterable<unknown>
}

/** A plain object with the client's properties, its `create` bound to the client's own. */
function copied<T extends OpenAI>(client: T): T {
  const { completions } = client.chat
  const copy = Object.assign(Object.create(Object.getPrototypeOf(completions)), completions)
  copy.create = completions.create.bind(completions)
  return { ...client, chat: { ...client.chat, completions: copy } }
}

/** As instrumentations patch the class itself, for as long as the test. */
function patched(wrapMethod: (method: Method) => Method) {
  return (client: OpenAI, Client: typeof OpenAI): OpenAI => {
    patch(Client, wrapMethod)
    return client
  }
}

function patch(Client: typeof OpenAI, wrapMethod: (method: Method) => Method): void {
  const { prototype } = Client.Chat.Completions
  const { create } = prototype
  prototype.create = function (this: unknown, ...args: never[]) {
    return wrapMethod((...given) => Reflect.apply(create, this, given))(...args)
  } as typeof create
  onTestFinished(() => {
    prototype.create = create
  })
}

const TRACERS: readonly (readonly [string, (client: OpenAI, Client: typeof OpenAI) => OpenAI])[] = [
  ['a proxy that promises the data alone', (client) => proxied(client, asPlainPromise)],
  ["a proxy around openai's promise", (client) => proxied(client, asProxiedPromise)],
  ['a proxy that gives a generator', (client) => proxied(client, asGenerator)],
  ['a proxy that reads along', (client) => proxied(client, asTee)],
  ['a copy of the client', copied],
  ['a class whose create gives a generator', patched(asGenerator)],
  ['a class whose create promises the data alone', patched(asPlainPromise)],
  ['a class whose create reads along', patched(asTee)],
  ['two proxies', (client) => proxied(proxied(client, asProxiedPromise), asPlainPromise)],
]

// What tells the majors apart is in the first three kinds.
const CASES = [
  ...TRACERS.map(([tracer, traced]) => ({ major: 'openai 7', Client: OpenAI, tracer, traced })),
  ...TRACERS.slice(0, 3).map(([tracer, traced]) => ({
    major: 'openai 6',
    // The two majors differ in types only where this test does not look.
    Client: OpenAI6 as unknown as typeof OpenAI,
    tracer,
    traced,
  })),
]

describe.each(CASES)('$tracer, $major', ({ Client, traced }) => {
  async function wrapped(
    plan: FaultServerOptions = {},
    options: SteadyOptions = {},
  ): Promise<{ llm: SteadyClient<OpenAI>; server: FaultServer; bare: OpenAI }> {
    const server = await startServer(plan)
    const bare = new Client({ apiKey: 'sk-test', baseURL: server.baseURL })
    const runtime = createRuntime({ random: () => 0 })
    const llm = steady(traced(bare, Client), { runtime, ...options })
    return { llm, server, bare }
  }

  const streamed = { ...ask('hi'), stream: true as const }

  it('retries at one layer, and says so', async () => {
    const { llm, server } = await wrapped({ answer: 'hello', perCall: [overloaded()] })
    const answer = await llm.chat.completions.create(ask('hi'))
    expect(answer.choices[0]?.message.content).toBe('hello')
    expect(server.count).toBe(2)
    expect(server.requests.map(({ headers }) => headers['x-stainless-retry-count'])).toEqual([
      '0',
      '1',
    ])
    expect(callReport(answer)?.attempts).toMatchObject([
      { outcome: 'overloaded', status: 503, wireRequests: 1 },
      { outcome: 'success', status: 200, wireRequests: 1 },
    ])
    expect(callReport(answer)?.attempts[1]?.requestId).toMatch(/./)
  })

  it("throws the client's own classes", async () => {
    const { llm, server } = await wrapped({ perCall: [insufficientQuota()] })
    const refused = await rejection(llm.chat.completions.create(ask('hi')))
    expect(refused).toBeInstanceOf(Client.RateLimitError)
    expect(server.count).toBe(1)
    server.reset({ perCall: () => Array.from({ length: 3 }, resetBeforeResponse) })
    const cut = await rejection(llm.chat.completions.create(ask('hi')))
    expect(cut).toBeInstanceOf(Client.APIConnectionError)
    server.reset({ perCall: () => Array.from({ length: 3 }, () => hangs()) })
    const late = await rejection(
      llm.chat.completions.create(ask('hi'), { timeout: 60, steady: { maxAttempts: 1 } }),
    )
    expect(late).toBeInstanceOf(Client.APIConnectionTimeoutError)
    const reason = new Error('left')
    const gone = await rejection(
      llm.chat.completions.create(ask('hi'), { signal: AbortSignal.abort(reason) }),
    )
    expect(gone).toBeInstanceOf(Client.APIUserAbortError)
    expect(gone).toMatchObject({ cause: reason })
  })

  it('has json() ask again', async () => {
    const { llm, server } = await wrapped({
      script: [answers('{"name":"Ada"}'), answers('{"name":"Ada","age":36}')],
    })
    const { value } = await llm.json({ ...ask('who?'), schema: person })
    expect(value).toEqual({ name: 'Ada', age: 36 })
    expect(server.count).toBe(2)
  })

  it('gives the data with the response it came in', async () => {
    const { llm } = await wrapped({ answer: 'hello' })
    const { data, response, request_id } = await llm.chat.completions
      .create(ask('hi'))
      .withResponse()
    expect(data.choices[0]?.message.content).toBe('hello')
    expect(response.status).toBe(200)
    expect(request_id).toMatch(/./)
  })

  it('streams, retried until the first content', async () => {
    const { llm, server } = await wrapped({ answer: 'hello', perCall: [overloaded()] })
    const { data: stream, request_id } = await llm.chat.completions.create(streamed).withResponse()
    expect(await textOf(stream)).toBe('hello')
    expect(server.count).toBe(2)
    expect(request_id).toMatch(/./)
    expect(callReport(stream)?.attempts).toMatchObject([
      { outcome: 'overloaded', status: 503 },
      { outcome: 'success', status: 200 },
    ])
  })

  it("has streams that can do all that openai's can", async () => {
    const { llm } = await wrapped({ answer: 'hello' })
    const [left, right] = (await llm.chat.completions.create(streamed)).tee()
    expect(await Promise.all([textOf(left), textOf(right)])).toEqual(['hello', 'hello'])
    const stream = await llm.chat.completions.create(streamed)
    expect(stream.constructor.name).toBe('Stream')
    expect(await new Response(stream.toReadableStream()).text()).toContain('hel')
  })

  it('closes the connection of a stream that is left', async () => {
    const { llm, server } = await wrapped({ script: [stalledStream({ afterChunks: 2 })] })
    for await (const _ of await llm.chat.completions.create(streamed)) break
    await vi.waitFor(() => expect(server.requests[0]?.aborted).toBe(true))
  })

  it('ends a stream by its controller, without a word', async () => {
    const { llm, server } = await wrapped({
      answer: 'Hello there',
      script: [stalledStream({ afterChunks: 2 })],
    })
    const stream = await llm.chat.completions.create(streamed)
    await expect(
      textOf(stream, () => setTimeout(() => stream.controller.abort())),
    ).resolves.toMatch(/^Hel/)
    await vi.waitFor(() => expect(server.requests[0]?.aborted).toBe(true))
  })

  it("ends a stream by the caller's signal, with openai's error", async () => {
    const { llm } = await wrapped({ script: [stalledStream({ afterChunks: 2 })] })
    const leaving = new AbortController()
    const stream = await llm.chat.completions.create(streamed, { signal: leaving.signal })
    setTimeout(() => leaving.abort(new Error('left')))
    const error = await rejection(textOf(stream))
    expect(error).toBeInstanceOf(Client.APIUserAbortError)
    expect(callReport(error)?.outcome).toBe('aborted')
    expect(getEventListeners(leaving.signal, 'abort')).toHaveLength(0)
  })

  it('says of a cut stream that it was cut', async () => {
    const { llm } = await wrapped({ script: [cutStream({ afterChunks: 2 })] })
    const error = await rejection(textOf(await llm.chat.completions.create(streamed)))
    expect(error).toBeInstanceOf(Client.APIConnectionError)
  })

  it('leaves no rejection to nobody', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    onTestFinished(() => {
      process.off('unhandledRejection', unhandled)
    })
    const { llm } = await wrapped({ perCall: () => [hangs()] })
    const gone = { signal: AbortSignal.abort() }
    await rejection(llm.chat.completions.create(streamed, gone))
    const late = { timeout: 30, steady: { maxAttempts: 1 } }
    await rejection(llm.chat.completions.create(streamed, late))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(unhandled).not.toHaveBeenCalled()
  })

  it('replays a kept stream as one of the same class', async () => {
    const { llm, server } = await wrapped({ answer: 'hello' })
    const options = { steady: { idempotencyKey: 'k' } }
    await textOf(await llm.chat.completions.create(streamed, options))
    const again = await llm.chat.completions.create(streamed, options)
    expect(again.constructor.name).toBe('Stream')
    expect(await textOf(again)).toBe('hello')
    expect(server.count).toBe(1)
  })

  it("has openai's helpers reach the wrapped create", async () => {
    const { llm, server } = await wrapped({ answer: '{"name":"Ada"}', perCall: [overloaded()] })
    const parsed = await llm.chat.completions.parse({
      ...ask('who?'),
      response_format: zodResponseFormat(z.object({ name: z.string() }), 'person'),
    })
    expect(parsed.choices[0]?.message.parsed).toEqual({ name: 'Ada' })
    expect(callReport(parsed)?.attempts).toHaveLength(2)
    server.reset({ perCall: [overloaded()] })
    const whole = await llm.chat.completions.stream(ask('hi')).finalChatCompletion()
    expect(whole.choices[0]?.message.content).toBe('{"name":"Ada"}')
    expect(callReport(whole)?.attempts).toHaveLength(2)
    expect(server.count).toBe(2)
  })

  it('leaves the client as it was to others', async () => {
    const { bare, server } = await wrapped({ script: [overloaded()] })
    await bare.chat.completions.create(ask('hi'))
    expect(bare.maxRetries).toBe(2)
    expect(server.count).toBe(2)
  })

  it('sends one request at a time inside run()', async () => {
    const { llm, bare, server } = await wrapped({ script: [overloaded()] })
    await llm.run('inside', () => bare.chat.completions.create(ask('hi')))
    expect(server.requests.map(({ headers }) => headers['x-stainless-retry-count'])).toEqual([
      '0',
      '0',
    ])
  })
})

async function textOf(
  stream: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>,
  onText?: () => void,
): Promise<string> {
  let text = ''
  for await (const chunk of stream) {
    const piece = chunk.choices[0]?.delta.content ?? ''
    if (piece !== '') onText?.()
    text += piece
  }
  return text
}
