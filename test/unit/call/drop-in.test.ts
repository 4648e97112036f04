import OpenAI, { AzureOpenAI } from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import OpenAI6, { AzureOpenAI as AzureOpenAI6 } from 'openai-v6'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { callReport, steady } from '../../../src/index.ts'
import {
  answers,
  badRequest,
  emptyChoices,
  errorBodyUnder200,
  hangs,
  httpError,
  insufficientQuota,
  overloaded,
  rateLimited,
  resetBeforeResponse,
  truncatedJson,
} from '../../../src/testing/index.ts'
import {
  ask,
  clientFor,
  patientRuntime,
  rejection,
  setUp,
  startServer,
} from '../../support/set-up.ts'

const quick = () => ({ runtime: patientRuntime() })

describe('create() is a drop-in for openai', () => {
  it('returns what openai returns', async () => {
    const { client, llm } = await setUp({ answer: 'hello' })
    const bare = await client.chat.completions.create(ask('hi'))
    const ours = await llm.chat.completions.create(ask('hi'))
    expect({ ...ours, id: '', created: 0 }).toEqual({ ...bare, id: '', created: 0 })
    expect(ours._request_id).toMatch(/./)
    expect(Object.keys(ours)).toEqual(Object.keys(bare))
  })

  it('passes an answer cut at the length limit, an empty one and any text through as data', async () => {
    const { llm, server } = await setUp({ script: [truncatedJson(), answers('')] })
    const cut = await llm.chat.completions.create(ask('a'))
    expect(cut.choices[0]?.finish_reason).toBe('length')
    const empty = await llm.chat.completions.create(ask('b'))
    expect(empty.choices[0]?.message.content).toBe('')
    expect(server.count).toBe(2)
  })

  it('reports on the completion without touching it', async () => {
    const { llm } = await setUp({ perCall: [overloaded()] })
    const completion = await llm.chat.completions.create(ask('hi'))
    expect(callReport(completion)).toMatchObject({
      operation: 'chat',
      outcome: 'success',
      source: 'provider',
      attempts: [
        { outcome: 'overloaded', status: 503 },
        { outcome: 'success', status: 200 },
      ],
    })
    expect(callReport({ ...completion })).toBeUndefined()
  })

  it('withResponse() gives the data with the response it came in', async () => {
    const { llm } = await setUp({ perCall: [overloaded()] })
    const { data, response, request_id } = await llm.chat.completions
      .create(ask('hi'))
      .withResponse()
    expect(data.object).toBe('chat.completion')
    expect(response.status).toBe(200)
    expect(request_id).toBe(response.headers.get('x-request-id'))
  })

  it('asResponse() is guarded by retries and leaves the body to the caller', async () => {
    const { llm, server } = await setUp({ perCall: [overloaded()] })
    const response = await llm.chat.completions.create(ask('hi')).asResponse()
    await expect(response.json()).resolves.toMatchObject({ object: 'chat.completion' })
    expect(server.count).toBe(2)
  })

  it('starts without being awaited, as openai does', async () => {
    const { llm, server } = await setUp()
    const pending = llm.chat.completions.create(ask('hi'))
    while (server.count === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await pending
    expect(server.count).toBe(1)
  })

  it('then, catch and finally share one call', async () => {
    const { llm, server } = await setUp()
    const call = llm.chat.completions.create(ask('hi'))
    const [a, b] = await Promise.all([call.then((data) => data.id), call.finally(() => {})])
    expect(a).toBe(b.id)
    expect(await call.catch(() => undefined)).toBe(b)
    expect(call).toBeInstanceOf(Promise)
    expect(server.count).toBe(1)
  })

  it('passes headers, query and openai options on, in every form that openai takes', async () => {
    const { llm, server } = await setUp()
    const forms = [
      { 'x-app': 'a', 'X-Removed': null },
      new Headers({ 'x-app': 'a' }),
      [['x-app', 'a']],
    ] as const
    for (const headers of forms) {
      await llm.chat.completions.create(ask('hi'), { headers: headers as never, query: { v: '1' } })
    }
    expect(server.requests.map((request) => request.headers['x-app'])).toEqual(['a', 'a', 'a'])
  })

  it('sends a generated key as the report has it, and a given one as a hash', async () => {
    const { llm, server } = await setUp()
    const generated = callReport(await llm.chat.completions.create(ask('hi')))?.idempotencyKey
    await llm.chat.completions.create(ask('hi'), { steady: { idempotencyKey: 'order-4711' } })
    const [first, second] = server.requests.map(({ headers }) => headers['idempotency-key'])
    expect(generated).toMatch(/^[0-9a-f-]{36}$/)
    expect(first).toBe(generated)
    expect(second).toMatch(/^[0-9a-f]{64}$/)
  })

  it("leaves the caller's own Idempotency-Key header alone", async () => {
    const { llm, server } = await setUp()
    await llm.chat.completions.create(ask('hi'), { headers: { 'Idempotency-Key': 'mine' } })
    expect(server.requests[0]?.headers['idempotency-key']).toBe('mine')
  })

  it('retries what was sent, whatever the caller does to it meanwhile', async () => {
    const { llm, server } = await setUp({ script: [rateLimited({ retryAfterMs: 30 })] })
    const params = ask('first')
    const pending = llm.chat.completions.create(params)
    while (server.count === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    params.messages.push({ role: 'user', content: 'second' })
    await pending
    expect(server.requests.map(({ body }) => body?.messages.length)).toEqual([1, 1])
  })
})

describe("create() throws openai's own classes", () => {
  it("the provider's own error, untouched", async () => {
    const { llm } = await setUp({ perCall: [insufficientQuota()] })
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(error).toMatchObject({ status: 429, code: 'insufficient_quota' })
    expect(callReport(error)).toMatchObject({ outcome: 'quota_exhausted', attempts: [{}] })
  })

  it('a bad request as BadRequestError', async () => {
    const { llm } = await setUp({ perCall: [badRequest()] })
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toBeInstanceOf(OpenAI.BadRequestError)
  })

  it('a timeout as APIConnectionTimeoutError, after its attempts', async () => {
    const { llm, server } = await setUp(
      { perCall: () => [hangs(), hangs(), hangs()] },
      { limits: 'off' },
    )
    const error = await rejection(llm.chat.completions.create(ask('hi'), { timeout: 60 }))
    expect(error).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    expect(callReport(error)?.outcome).toBe('timeout')
    expect(server.count).toBe(3)
  })

  it("a 408 as the provider's own error, with its status", async () => {
    const timeouts = Array.from({ length: 3 }, () => httpError(408, { error: { message: 'slow' } }))
    const { llm } = await setUp({ perCall: timeouts }, { limits: 'off' })
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toMatchObject({ status: 408, error: { message: 'slow' } })
    expect(callReport(error)?.outcome).toBe('timeout')
  })

  it('a passed deadline as APIConnectionTimeoutError', async () => {
    const { llm } = await setUp({ perCall: [hangs()] })
    const error = await rejection(
      llm.chat.completions.create(ask('hi'), { steady: { deadlineMs: 300 } }),
    )
    expect(error).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    expect(callReport(error)?.outcome).toBe('deadline')
  })

  it("an abort as APIUserAbortError, with the caller's reason", async () => {
    const { llm } = await setUp({ perCall: [hangs()] })
    const reason = new Error('left')
    const error = await rejection(
      llm.chat.completions.create(ask('hi'), { signal: AbortSignal.abort(reason) }),
    )
    expect(error).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(error).toMatchObject({ cause: reason })
  })

  it('a broken connection as APIConnectionError', async () => {
    const { llm } = await setUp({ perCall: () => Array.from({ length: 3 }, resetBeforeResponse) })
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError)
  })

  it('an error under status 200 as APIError', async () => {
    const { llm } = await setUp({ perCall: () => Array.from({ length: 3 }, errorBodyUnder200) })
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(error).toMatchObject({ code: 'server_error' })
  })

  it.each([
    { error: true },
    { error: 'no word that is known' },
    { error: { message: 'no word that is known' } },
    { error: ['no word that is known'] },
    { base_resp: { status_code: 99_999, status_msg: 'no word that is known' } },
  ])('%j under status 200, of which nothing is known, as APIError', async (body) => {
    const fetch = () => Promise.resolve(Response.json(body))
    const llm = steady(new OpenAI({ apiKey: 'k', fetch }), quick())
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(callReport(error)?.attempts).toMatchObject([{ outcome: 'unknown', status: 200 }])
    const { error: said = body } = body
    expect(error).toMatchObject({ status: 200, cause: said })
  })

  it('an answer without choices as APIError', async () => {
    const { llm } = await setUp({ perCall: () => Array.from({ length: 3 }, emptyChoices) })
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(error).toMatchObject({ code: 'empty_response' })
  })

  it('a reused key as APIError', async () => {
    const { llm } = await setUp()
    const options = { steady: { idempotencyKey: 'k' } }
    await llm.chat.completions.create(ask('one'), options)
    const error = await rejection(llm.chat.completions.create(ask('two'), options))
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(error).toMatchObject({ code: 'idempotency_mismatch' })
  })
})

describe("openai's helpers reach the wrapped create", () => {
  it('parse', async () => {
    const { llm, server } = await setUp({ answer: '{"name":"Ada"}', perCall: [overloaded()] })
    const completion = await llm.chat.completions.parse({
      ...ask('who?'),
      response_format: zodResponseFormat(z.object({ name: z.string() }), 'person'),
    })
    expect(completion.choices[0]?.message.parsed).toEqual({ name: 'Ada' })
    expect(server.count).toBe(2)
  })

  it('stream', async () => {
    const { llm, server } = await setUp({ answer: 'in several pieces', perCall: [overloaded()] })
    const text = await llm.chat.completions.stream(ask('hi')).finalContent()
    expect(text).toBe('in several pieces')
    expect(server.count).toBe(2)
  })

  it('runTools', async () => {
    const { llm, server } = await setUp({ answer: 'no tool needed', perCall: [overloaded()] })
    const tool = {
      type: 'function' as const,
      function: {
        name: 'now',
        description: '',
        parameters: { type: 'object' },
        function: () => '1',
        parse: JSON.parse,
      },
    }
    const runner = llm.chat.completions.runTools({ ...ask('hi'), tools: [tool] })
    await expect(runner.finalContent()).resolves.toBe('no tool needed')
    expect(server.count).toBe(2)
  })
})

describe('the wrapped client is still the client', () => {
  it('an instance of its class, with its other resources and late changes', async () => {
    const { client, llm, server } = await setUp()
    expect(llm).toBeInstanceOf(OpenAI)
    expect(llm.embeddings).toBe(client.embeddings)
    expect(llm.baseURL).toBe(client.baseURL)
    llm.apiKey = 'sk-late'
    expect(client.apiKey).toBe('sk-late')
    await llm.chat.completions.create(ask('hi'))
    expect(server.requests[0]?.headers.authorization).toBe('Bearer sk-late')
  })

  it('inert for whoever holds the bare client', async () => {
    const { client, server } = await setUp({ perCall: () => Array.from({ length: 9 }, overloaded) })
    await rejection(client.chat.completions.create(ask('hi')))
    // The SDK's own two retries, with its own counts and no key of ours.
    expect(server.requests.map(({ headers }) => headers['x-stainless-retry-count'])).toEqual([
      '0',
      '1',
      '2',
    ])
    expect(server.requests[0]?.headers['idempotency-key']).toBeUndefined()
  })

  it('wrapped again by withOptions', async () => {
    const failing = { perCall: () => Array.from({ length: 9 }, overloaded) }
    const { llm, server } = await setUp(failing, { maxAttempts: 3 })
    const other = llm.withOptions({ timeout: 1_000 })
    await rejection(other.chat.completions.create(ask('hi')))
    expect(server.count).toBe(3)
    expect(other.timeout).toBe(1_000)
  })

  it('observed once, however often it is wrapped', async () => {
    const { client, server } = await setUp({ answer: 'hi' })
    for (let i = 0; i < 5; i++) steady(client, quick())
    const completion = await steady(client, quick()).chat.completions.create(ask('hi'))
    expect(callReport(completion)?.attempts).toMatchObject([{ wireRequests: 1 }])
    expect(server.count).toBe(1)
  })

  it('still wrapped behind a method that returns the client, as a builder does', async () => {
    class Builder extends OpenAI {
      team = ''
      forTeam(team: string): this {
        this.team = team
        return this
      }
    }
    const server = await startServer({ perCall: [overloaded()] })
    const client = new Builder({ apiKey: 'sk-b', baseURL: server.baseURL })
    const llm = steady(client, quick())
    expect(llm.forTeam('red')).toBe(llm)
    expect(llm.valueOf()).toBe(llm)
    expect(llm.chat.completions.valueOf()).toBe(llm.chat.completions)
    expect(client.team).toBe('red')
    const completion = await llm.forTeam('blue').chat.completions.create(ask('hi'))
    expect(callReport(completion)?.attempts).toHaveLength(2)
  })

  it('seen by spies on its create', async () => {
    const { client, llm } = await setUp()
    const spy = vi.spyOn(client.chat.completions, 'create')
    await llm.chat.completions.create(ask('hi'))
    expect(spy).toHaveBeenCalledOnce()
  })

  it('through a key that is a function, asked for each request', async () => {
    const server = await startServer()
    let asked = 0
    const client = clientFor(server, { apiKey: async () => `sk-${++asked}` })
    const llm = steady(client, quick())
    await llm.chat.completions.create(ask('a'))
    await llm.chat.completions.create(ask('b'))
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer sk-1',
      'Bearer sk-2',
    ])
  })
})

describe('every kind of client keeps its credentials', () => {
  class Subclass extends OpenAI {
    readonly #team: string
    constructor(team: string, options: ConstructorParameters<typeof OpenAI>[0]) {
      super(options)
      this.#team = team
    }
    get team() {
      return this.#team
    }
  }

  it('a subclass with private fields and a constructor of its own', async () => {
    const server = await startServer({ perCall: [overloaded()] })
    const options = { apiKey: 'sk-sub', baseURL: server.baseURL }
    const llm = steady(new Subclass('red', options), quick())
    expect(llm.team).toBe('red')
    expect(llm).toBeInstanceOf(Subclass)
    await llm.chat.completions.create(ask('hi'))
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer sk-sub',
      'Bearer sk-sub',
    ])
  })

  it.each([
    ['v7', AzureOpenAI],
    ['v6', AzureOpenAI6],
  ])('Azure, %s', async (_, Azure) => {
    const server = await startServer({ perCall: [overloaded()] })
    const client = new Azure({
      apiKey: 'azure-key',
      apiVersion: '2024-10-21',
      baseURL: server.baseURL,
    })
    const llm = steady(client as AzureOpenAI, quick())
    await llm.chat.completions.create(ask('hi'))
    expect(server.requests.map(({ headers }) => headers['api-key'])).toEqual([
      'azure-key',
      'azure-key',
    ])
    expect(server.requests[1]?.path).toContain('/deployments/gpt-test/')
  })

  it('openai v6', async () => {
    const server = await startServer({ perCall: [overloaded()] })
    const client = new OpenAI6({ apiKey: 'sk-6', baseURL: server.baseURL })
    // The two majors differ in types only where this test does not look.
    const llm = steady(client as unknown as OpenAI, quick())
    const completion = await llm.chat.completions.create(ask('hi'))
    expect(callReport(completion)?.attempts).toHaveLength(2)
    server.reset({ perCall: [insufficientQuota()] })
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toBeInstanceOf(OpenAI6.RateLimitError)
    expect(server.count).toBe(1)
  })
})
