import OpenAI, { AzureOpenAI } from 'openai'
import { Stream } from 'openai/streaming'
import OpenAIv6 from 'openai-v6'
import { Stream as StreamV6 } from 'openai-v6/streaming'
import { describe, expect, it } from 'vitest'
import { keepingOf } from '../../../src/idempotency/kept-result.ts'
import {
  type CallEvent,
  callReport,
  createRuntime,
  memoryStore,
  type Store,
  steady,
} from '../../../src/index.ts'
import { ask, patientRuntime, rejection, setUp } from '../../support/set-up.ts'
import { chunksOf, keyed, sentence, streamed, textIn } from '../../support/streams.ts'

describe('a stream that is replayed', () => {
  it('is the same chunks in the same order, all fields, in a stream of the same class', async () => {
    const { llm, server } = await setUp(sentence)
    const first = await keyed(llm)
    const chunks = await chunksOf(first)
    const again = await keyed(llm)
    expect(again).toBeInstanceOf(Stream)
    expect(again.constructor).toBe(first.constructor)
    await expect(chunksOf(again)).resolves.toEqual(chunks)
    expect(chunks).toHaveLength(11)
    expect(chunks.at(-1)?.usage?.completion_tokens).toBeGreaterThan(0)
    expect(server.count).toBe(1)
  })

  it('has every choice of several, interleaved as they came', async () => {
    const { llm, server } = await setUp(sentence)
    const params = { ...streamed, n: 3 }
    const ask3 = async () =>
      chunksOf(await llm.chat.completions.create(params, { steady: { idempotencyKey: 'k' } }))
    const chunks = await ask3()
    expect(new Set(chunks.flatMap(({ choices }) => choices.map(({ index }) => index))).size).toBe(3)
    await expect(ask3()).resolves.toEqual(chunks)
    expect(server.count).toBe(1)
  })

  it('costs nothing: its report has zero usage, and what the work cost as replayedUsage', async () => {
    const { llm } = await setUp(sentence)
    const first = await keyed(llm)
    await chunksOf(first)
    const paid = callReport(first)
    expect(paid).toMatchObject({ source: 'provider', persisted: true, outcome: 'success' })
    const again = await keyed(llm)
    expect(callReport(again)).toMatchObject({
      source: 'store',
      persisted: true,
      outcome: 'success',
      attempts: [],
      usage: { inputTokens: 0, outputTokens: 0, complete: true },
      replayedUsage: paid?.usage,
    })
  })

  it('draws on no budget, breaker or gate, and tells of no attempt', async () => {
    const { client } = await setUp(sentence)
    const events: CallEvent[] = []
    const runtime = patientRuntime()
    const llm = steady(client, { runtime, onEvent: (event) => events.push(event) })
    await chunksOf(keyed(llm))
    const before = llm.targets()
    events.length = 0
    for (let time = 0; time < 5; time += 1) await chunksOf(keyed(llm))
    expect(llm.targets()).toEqual(before)
    expect(events.map(({ type }) => type)).toEqual(Array(5).fill('call-settled'))
  })

  it('has a response that says where it comes from', async () => {
    const { llm } = await setUp(sentence)
    await chunksOf(keyed(llm))
    const { data, response, request_id } = await keyed(llm).withResponse()
    expect(response.status).toBe(200)
    expect(response.headers.get('x-steadycall-source')).toBe('store')
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(request_id).toBeNull()
    expect(textIn(await chunksOf(data))).toBe(sentence.answer)
  })

  it('is what was sent, whatever the first reader did to his chunks', async () => {
    const { llm } = await setUp(sentence)
    for await (const chunk of await keyed(llm)) chunk.choices.length = 0
    for await (const chunk of await keyed(llm)) chunk.choices.length = 0
    expect(textIn(await chunksOf(keyed(llm)))).toBe(sentence.answer)
  })

  it('can be teed, read as a readable stream, and read only once', async () => {
    const { llm } = await setUp(sentence)
    await chunksOf(keyed(llm))
    const [left, right] = (await keyed(llm)).tee()
    const both = await Promise.all([chunksOf(left), chunksOf(right)])
    expect(both.map(textIn)).toEqual([sentence.answer, sentence.answer])
    const lines = await new Response((await keyed(llm)).toReadableStream()).text()
    expect(lines.trim().split('\n')).toHaveLength(11)
    const once = await keyed(llm)
    for await (const _ of once) break
    await expect(rejection(chunksOf(once))).resolves.toBeInstanceOf(TypeError)
  })

  it('ends silently by its own controller, and with APIUserAbortError by the signal', async () => {
    const { llm } = await setUp(sentence)
    await chunksOf(keyed(llm))
    const own = await keyed(llm)
    let read = 0
    for await (const _ of own) {
      read += 1
      own.controller.abort()
    }
    expect(read).toBe(1)
    const caller = new AbortController()
    const stream = await keyed(llm, {}, caller.signal)
    const reading = (async () => {
      for await (const _ of stream) caller.abort()
    })()
    const error = await rejection(reading)
    expect(error).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(callReport(error)).toBe(callReport(stream))
  })
})

describe('where a stream is replayed', () => {
  it('and none was opened before, it is of the class of that copy of openai', async () => {
    const store = memoryStore()
    const { llm, server, client } = await setUp(sentence, { store })
    const chunks = await chunksOf(keyed(llm))
    class Tenanted extends OpenAI {
      readonly #tenant: string
      constructor(tenant: string) {
        super({ apiKey: 'sk-test', baseURL: server.baseURL })
        this.#tenant = tenant
      }
      tenant = () => this.#tenant
    }
    const azure = new AzureOpenAI({
      apiKey: 'k',
      apiVersion: '2024-10-21',
      baseURL: server.baseURL,
    })
    for (const other of [new Tenanted('a'), azure, client.withOptions({ maxRetries: 0 })]) {
      const stream = await keyed(steady(other, { store, runtime: createRuntime() }))
      expect(stream).toBeInstanceOf(Stream)
      await expect(chunksOf(stream)).resolves.toEqual(chunks)
    }
    const six = new OpenAIv6({ apiKey: 'k', baseURL: server.baseURL })
    const llm6 = steady(six, { store, runtime: createRuntime() })
    const stream = await llm6.chat.completions.create(streamed, {
      steady: { idempotencyKey: 'k' },
    })
    expect(stream).toBeInstanceOf(StreamV6)
    expect(server.count).toBe(1)
  })

  it("asks for no token, where the client's key is a function", async () => {
    const store = memoryStore()
    const { llm, server } = await setUp(sentence, { store })
    await chunksOf(keyed(llm))
    let asked = 0
    const apiKey = async () => {
      asked += 1
      return 'sk-test'
    }
    const client = new OpenAI({ apiKey, baseURL: server.baseURL })
    await chunksOf(keyed(steady(client, { store, runtime: createRuntime() })))
    expect(asked).toBe(0)
  })

  it('the helpers of openai cannot tell: stream(), finalChatCompletion() and runTools()', async () => {
    const { llm, server, client } = await setUp(sentence)
    // openai's types know nothing of `steady` here, and pass it on.
    const options = { ...{ steady: { idempotencyKey: 'helper' } } }
    const helped = () => llm.chat.completions.stream(ask('go on'), { headers: {}, ...options })
    const first = await helped().finalChatCompletion()
    const again = helped()
    const texts: string[] = []
    again.on('content', (text) => texts.push(text))
    await expect(again.finalChatCompletion()).resolves.toEqual(first)
    expect(texts.join('')).toBe(sentence.answer)
    expect(server.count).toBe(1)

    const derived = steady(client, { idempotency: 'derive', runtime: createRuntime() })
    const run = () => derived.chat.completions.runTools({ ...ask('run'), stream: true, tools: [] })
    await expect(run().finalContent()).resolves.toBe(sentence.answer)
    await expect(run().finalContent()).resolves.toBe(sentence.answer)
    expect(server.count).toBe(2)
  })
})

describe('the key of a stream', () => {
  it("is derived from the request under 'derive', with occurrence", async () => {
    const { llm, server } = await setUp(sentence, { idempotency: 'derive' })
    const sources = []
    for (const steadyOptions of [{}, {}, { occurrence: 1 }]) {
      const stream = await llm.chat.completions.create(
        { ...streamed, temperature: 0 },
        { steady: steadyOptions },
      )
      await chunksOf(stream)
      sources.push(callReport(stream)?.source)
    }
    expect(sources).toEqual(['provider', 'store', 'provider'])
    expect(server.count).toBe(2)
  })

  it('is bound to a stream: neither is it the key of a completion, nor of another request', async () => {
    const { llm, server } = await setUp(sentence)
    const payload = { jobId: 1 }
    const steadyOptions = { steady: { idempotencyKey: 'k', payload } }
    await chunksOf(llm.chat.completions.create(streamed, steadyOptions))
    const { stream: _, stream_options: __, ...plain } = streamed
    const asCompletion = rejection(llm.chat.completions.create(plain, steadyOptions))
    const asOther = rejection(keyed(llm, { payload: { jobId: 2 } }))
    for (const error of await Promise.all([asCompletion, asOther])) {
      expect(callReport(error)).toMatchObject({ outcome: 'idempotency_mismatch' })
    }
    expect(server.count).toBe(1)
    await chunksOf(keyed(llm, { payload }))
    expect(server.count).toBe(1)
  })

  it('is none for a raw response: guarded, never joined or stored', async () => {
    const { llm, server } = await setUp(sentence)
    for (let time = 0; time < 2; time += 1) {
      const response = await keyed(llm).asResponse()
      await expect(response.text()).resolves.toContain('[DONE]')
    }
    expect(server.count).toBe(2)
  })
})

describe('a kept stream that is none', () => {
  it.each([
    ['a completion', '{"id":"chatcmpl-1","choices":[]}'],
    ['no JSON', '{"steadycall":"stream.v1","chunks":['],
    ['another version', '{"steadycall":"stream.v9","chunks":[]}'],
    ['chunks that are no list', '{"steadycall":"stream.v1","chunks":{"length":1}}'],
    ['no chunk', '{"steadycall":"stream.v1","chunks":[]}'],
    ['chunks of hostile kinds', '{"steadycall":"stream.v1","chunks":[null,1,{"choices":7}]}'],
    [
      'a part of a stream',
      '{"steadycall":"stream.v1","chunks":[{"choices":[{"index":0,"delta":{"content":"a"}}]}]}',
    ],
    ['an error', '{"steadycall":"stream.v1","chunks":[{"error":{"message":"no","code":500}}]}'],
    ['a form from a prototype', '{"__proto__":{"steadycall":"stream.v1","chunks":[]}}'],
  ])('is a typed error, not a second run: %s', async (_, result) => {
    const store: Store = {
      ...memoryStore(),
      // As `seal` keeps it: what it is kept in is in order, what it is not.
      async claim({ key, fingerprint }) {
        const { kept } = await keepingOf({}, key, fingerprint).seal(result)
        return { state: 'settled', outcome: { ok: true, result: kept } }
      },
    }
    const { llm, server } = await setUp(sentence, { store })
    const error = await rejection(keyed(llm))
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(callReport(error)).toMatchObject({ outcome: 'store_unavailable', source: 'store' })
    expect(server.count).toBe(0)
  })
})
