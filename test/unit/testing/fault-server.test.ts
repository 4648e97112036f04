import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { AzureOpenAI } from 'openai'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  answers,
  type Fault,
  type FaultServer,
  type FaultServerOptions,
  hangs,
  ok,
  overloaded,
  rateLimited,
  serverError,
  startFaultServer,
  virtualClock,
} from '../../../src/testing/index.ts'
import { clients, question, rejection } from './clients.ts'

const running: FaultServer[] = []
afterEach(async () => {
  await Promise.allSettled(running.splice(0).map((server) => server.close()))
})

async function start(options?: FaultServerOptions): Promise<FaultServer> {
  const server = await startFaultServer(options)
  running.push(server)
  return server
}

/** Sends one request and gives its status. */
async function post(server: FaultServer, body: unknown, headers?: Record<string, string>) {
  const response = await fetch(`${server.baseURL}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: headers ?? {},
  })
  const text = await response.text()
  return { status: response.status, text, headers: response.headers }
}

const asking = (content: string) => ({ ...question, messages: [{ role: 'user', content }] })
const statuses = async (server: FaultServer, bodies: unknown[]) => {
  const seen: number[] = []
  for (const body of bodies) seen.push((await post(server, body)).status)
  return seen
}

describe.each(clients)('a good answer to %s', (_name, connect) => {
  it('is a chat completion with all its fields', async () => {
    const server = await start({ clock: virtualClock(1_700_000_000_500), answer: 'Jane Austen.' })
    const completion = await connect(server.baseURL).chat.completions.create(question)
    expect(completion).toEqual({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'gpt-test',
      system_fingerprint: 'fp_fault_server',
      service_tier: 'default',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Jane Austen.', refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 11, completion_tokens: 3, total_tokens: 14 },
    })
    expect(completion).toHaveProperty('_request_id', 'req_fault_1')
  })

  it('streams role, text in pieces, finish reason, then the usage that was asked for', async () => {
    const server = await start({ answer: 'Jane Austen 🖋️.' })
    const seen: unknown[] = []
    const chunks = await connect(server.baseURL).chat.completions.create({
      ...question,
      stream: true,
      stream_options: { include_usage: true },
    })
    for await (const { choices, usage, object } of chunks) {
      expect(object).toBe('chat.completion.chunk')
      seen.push([choices[0]?.delta, choices[0]?.finish_reason, usage?.total_tokens])
    }
    expect(seen).toEqual([
      [{ role: 'assistant', content: '', refusal: null }, null, undefined],
      [{ content: 'Jane Aus' }, null, undefined],
      [{ content: 'ten 🖋️.' }, null, undefined],
      [{}, 'stop', undefined],
      [undefined, undefined, 15],
    ])
  })

  it('has as many choices as asked for', async () => {
    const server = await start()
    const client = connect(server.baseURL)
    const { choices } = await client.chat.completions.create({ ...question, n: 3 })
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2])
    const finished: number[] = []
    for await (const chunk of await client.chat.completions.create({
      ...question,
      n: 2,
      stream: true,
    })) {
      for (const choice of chunk.choices) if (choice.finish_reason) finished.push(choice.index)
    }
    expect(finished).toEqual([0, 1])
  })

  it('fits the schema of its request', async () => {
    const server = await start()
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }
    const completion = await connect(server.baseURL).chat.completions.create({
      ...question,
      response_format: { type: 'json_schema', json_schema: { name: 'n', schema } },
    })
    expect(completion.choices[0]?.message.content).toBe('{"n":1}')
  })
})

describe('answer', () => {
  it('may look at the request', async () => {
    const server = await start({
      answer: ({ body, callId, number }) => `${body.model} ${callId} ${number}`,
    })
    const { text } = await post(server, question, { 'x-fault-call': 'mine' })
    expect(text).toContain('"content":"gpt-test mine 1"')
  })

  it('is an empty object for json_object, and a sentence without a format', async () => {
    const server = await start()
    const { text } = await post(server, { ...question, response_format: { type: 'json_object' } })
    expect(text).toContain('"content":"{}"')
    expect((await post(server, question)).text).toContain('This is a good answer')
  })
})

describe('logical calls', () => {
  it('counts per call: a re-ask, which appends messages, stays in its call', async () => {
    const server = await start({ perCall: [serverError()] })
    const [one, two] = [asking('one'), asking('two')]
    const reask = {
      ...one,
      messages: [
        ...one.messages,
        { role: 'assistant', content: '{' },
        { role: 'user', content: '!' },
      ],
    }

    expect(await statuses(server, [one, two, one, reask, two])).toEqual([500, 500, 200, 200, 200])

    const calls = server.requests.map(({ callId }) => callId)
    expect(new Set(calls).size).toBe(2)
    expect(server.requests.map(({ number }) => number)).toEqual([1, 1, 2, 3, 2])
    expect(server.requestsFor(calls[0] ?? '')).toHaveLength(3)
    expect(server.requestsFor('nobody')).toEqual([])
  })

  it('are told apart by model, header or callOf', async () => {
    const server = await start()
    await post(server, question)
    await post(server, { ...question, model: 'gpt-other' })
    await post(server, question, { 'x-fault-call': 'job 1' })
    await post(server, { ...question, model: 'gpt-other' }, { 'x-fault-call': 'job 1' })
    expect(server.requests.map(({ number }) => number)).toEqual([1, 1, 1, 2])
    expect(server.requestsFor('job 1')).toHaveLength(2)

    const byUser = await start({ callOf: ({ body: { user } }) => String(user) })
    await post(byUser, { ...question, user: 'ann' })
    await post(byUser, { ...asking('other'), user: 'ann' })
    expect(byUser.requestsFor('ann').map(({ number }) => number)).toEqual([1, 2])
  })
})

describe('plans', () => {
  it('script: one fault for each request in order of arrival, then good answers', async () => {
    const server = await start({ script: [serverError(), ok(), overloaded()] })
    const bodies = [asking('a'), asking('b'), asking('a'), asking('c'), asking('a')]
    expect(await statuses(server, bodies)).toEqual([500, 200, 503, 200, 200])
    expect(server.requests.map(({ fault }) => fault)).toEqual([
      'serverError(500)',
      'ok',
      'overloaded',
      'ok',
      'ok',
    ])
  })

  it('perCall: a function gives each call its own faults', async () => {
    const server = await start({
      callOf: ({ body }) => String(body.messages[0]?.content),
      perCall: (callId) => (callId === 'bad' ? [serverError(), overloaded()] : []),
    })
    const bodies = [asking('good'), asking('bad'), asking('bad'), asking('bad')]
    expect(await statuses(server, bodies)).toEqual([200, 500, 503, 200])
  })

  const mixed = async (seed: number, order: readonly string[]) => {
    const faults = [serverError(), overloaded()]
    const server = await start({ mixture: { seed, rate: 0.5, faults } })
    const byCall: Record<string, number> = {}
    for (const call of order) byCall[call] = (await post(server, asking(call))).status
    return byCall
  }
  const calls = Array.from({ length: 40 }, (_, index) => `call ${index}`)

  it('mixture: the same seed gives the same faults, in whatever order calls arrive', async () => {
    const forwards = await mixed(7, calls)
    expect(await mixed(7, calls.toReversed())).toEqual(forwards)
    expect(await mixed(8, calls)).not.toEqual(forwards)
    expect(new Set(Object.values(forwards))).toEqual(new Set([200, 500, 503]))
  })

  it.each([
    [0, 0],
    [1, 30],
  ])('mixture: a rate of %d fails %i of 30 requests', async (rate, failures) => {
    const server = await start({ mixture: { seed: 1, rate, faults: [serverError()] } })
    const seen = await statuses(
      server,
      Array.from({ length: 30 }, () => question),
    )
    expect(seen.filter((status) => status === 500)).toHaveLength(failures)
  })

  it('reset starts the plan again, or another', async () => {
    const server = await start({ script: [serverError()], answer: 'kept' })
    expect(await statuses(server, [question, question])).toEqual([500, 200])

    server.reset()
    expect(server.count).toBe(0)
    expect(await statuses(server, [question, question])).toEqual([500, 200])

    server.reset({ perCall: [overloaded()] })
    expect(await statuses(server, [question, question])).toEqual([503, 200])
    expect(server.requests.map(({ number }) => number)).toEqual([1, 2])
    expect((await post(server, question)).text).toContain('kept')
  })

  it('takes any object with a name and apply for a fault', async () => {
    const teapot: Fault = { name: 'teapot', apply: (exchange) => exchange.json(418, { short: 1 }) }
    const server = await start({ script: [teapot] })
    expect(await statuses(server, [question])).toEqual([418])
    expect(server.requests).toMatchObject([{ fault: 'teapot' }])
  })
})

describe('what is recorded', () => {
  it('holds the request as it arrived', async () => {
    const clock = virtualClock(5_000)
    const server = await start({ clock })
    await clock.advance(250)
    await post(server, { ...question, seed: 3 }, { 'x-mine': 'yes' })
    expect(server.requests).toMatchObject([
      {
        number: 1,
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { 'x-mine': 'yes' },
        body: { model: 'gpt-test', seed: 3 },
        rawBody: JSON.stringify({ ...question, seed: 3 }),
        atMs: 250,
        fault: 'ok',
        aborted: false,
      },
    ])
  })

  it('counts a client that leaves while it is still sending', async () => {
    const clock = virtualClock()
    const looked = vi.spyOn(clock, 'monotonicMs')
    const server = await start({ clock, script: [serverError()] })
    looked.mockClear()
    const socket = connectSocket(Number(new URL(server.baseURL).port), '127.0.0.1')
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"mod')
    // The server notes the time of a request when it has seen the headers.
    await vi.waitFor(() => expect(looked).toHaveBeenCalled())
    socket.destroy()
    await vi.waitFor(() => expect(server.count).toBe(1))
    expect(server.requests).toMatchObject([{ callId: '', number: 0, fault: 'refused' }])
    await vi.waitFor(() => expect(server.requests).toMatchObject([{ aborted: true }]))
    expect(await statuses(server, [question])).toEqual([500])
    await expect(server.close()).resolves.toBeUndefined()
  })
})

describe('requests that are not well formed', () => {
  it.each([
    ['another path', '/v1/completions', 'POST', '{}', 404, 'Invalid URL (POST /v1/completions)'],
    ['a base URL without /v1', '/chat/completions', 'POST', '{}', 404, 'Invalid URL'],
    ['another method', '/v1/chat/completions', 'PUT', '{}', 404, 'Invalid URL (PUT'],
    ['no JSON', '/v1/chat/completions', 'POST', '{"model"', 400, 'could not parse the JSON body'],
    ['no model', '/v1/chat/completions', 'POST', '{"messages":[]}', 400, "needs 'model'"],
    ['no messages', '/v1/chat/completions', 'POST', '{"model":"m","messages":[]}', 400, 'messages'],
    ['a list', '/v1/chat/completions', 'POST', '[]', 400, "needs 'model'"],
  ])('get an error as OpenAI sends it and use up no fault: %s', async (...row) => {
    const [, path, method, body, status, message] = row
    const server = await start({ script: [serverError()] })
    const response = await fetch(new URL(path, server.baseURL), { method, body })

    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringContaining(message), type: 'invalid_request_error' },
    })
    expect(server.requests).toMatchObject([{ callId: '', number: 0, fault: 'refused', path }])
    expect(server.requests[0]).not.toHaveProperty('body')
    expect(server.requestsFor('')).toEqual([])
    expect(await statuses(server, [question])).toEqual([500])
  })

  it('get 413 when they are beyond reason', async () => {
    const server = await start()
    const { status } = await post(server, asking('x'.repeat(33 * 2 ** 20)))
    expect(status).toBe(413)
  })

  it('do not include Azure’s, whose path names the deployment', async () => {
    const server = await start()
    const client = new AzureOpenAI({
      apiKey: 'x',
      apiVersion: '2024-10-21',
      baseURL: server.baseURL,
    })
    await client.chat.completions.create(question)
    expect(server.requests[0]?.path).toBe('/v1/deployments/gpt-test/chat/completions')
  })
})

describe('close', () => {
  it('ends at once while requests hang, leaves no socket and marks nobody aborted', async () => {
    const server = await startFaultServer({ script: [hangs(), hangs()] })
    const port = Number(new URL(server.baseURL).port)
    const idle = connectSocket(port, '127.0.0.1')
    await once(idle, 'connect')
    const idleClosed = once(idle, 'close')
    const hanging = [question, question].map((body) => rejection(post(server, body)))
    await vi.waitFor(() => expect(server.count).toBe(2))

    await server.close()

    await Promise.all([...hanging, idleClosed])
    expect(server.requests).toMatchObject([{ aborted: false }, { aborted: false }])
    const { error } = await rejection(fetch(server.baseURL))
    expect(error).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })

  it('may be called twice', async () => {
    const server = await startFaultServer()
    await Promise.all([server.close(), server.close()])
    await server.close()
  })

  it.each<[string, FaultServerOptions, string]>([
    ['callOf', { callOf: () => JSON.parse('7') }, 'callOf gave 7; allowed is a string'],
    ['answer', { answer: () => JSON.parse('null') }, 'answer gave null; allowed is a string'],
    ['perCall', { perCall: () => JSON.parse('[1]') }, '[0] is 1; allowed is a fault'],
    [
      'a fault',
      {
        script: [
          {
            name: 'broken',
            apply: () => {
              throw new Error('my own mistake')
            },
          },
        ],
      },
      'my own mistake',
    ],
  ])('rejects with what %s did wrong, and the client is told not to retry', async (...row) => {
    const [, options, message] = row
    const server = await startFaultServer(options)
    const { status, text, headers } = await post(server, question)
    expect(status).toBe(500)
    expect(text).toContain('fault server: ')
    expect(headers.get('x-should-retry')).toBe('false')
    await expect(server.close()).rejects.toThrow(message)
  })

  it('tells of a schema it has no example for', async () => {
    const server = await startFaultServer()
    const schema = { type: 'string', pattern: '^x$' }
    const format = { type: 'json_schema', json_schema: { name: 'x', schema } }
    await post(server, { ...question, response_format: format })
    await expect(server.close()).rejects.toThrow('pass the option answer')
  })

  it('needs no example where the fault does not', async () => {
    const server = await startFaultServer({ script: [answers('x')] })
    const schema = { type: 'string', pattern: '^x$' }
    const format = { type: 'json_schema', json_schema: { name: 'x', schema } }
    expect((await post(server, { ...question, response_format: format })).status).toBe(200)
    await server.close()
  })
})

describe('options', () => {
  it.each<[unknown, string]>([
    [7, 'startFaultServer: the options are 7; allowed is an object'],
    [
      { scripts: [] },
      'startFaultServer: unknown option "scripts"; allowed are script, perCall, mixture, callOf, answer, clock',
    ],
    [
      { script: [], perCall: [] },
      'fault plan: script and perCall are given; allowed is one of them',
    ],
    [{ script: 'hangs' }, 'script is "hangs"; allowed is a list of faults'],
    [
      { script: [hangs] },
      'script[0] is function; allowed is a fault: { name, apply } (call it: hangs() is the fault, hangs is not)',
    ],
    [{ perCall: [rateLimited(), null] }, 'perCall[1] is null; allowed is a fault: { name, apply }'],
    [
      { mixture: { seed: 1, rate: 30, faults: [hangs()] } },
      'mixture.rate is 30; allowed is a finite number from 0 to 1',
    ],
    [
      { mixture: { seed: 0.5, rate: 1, faults: [hangs()] } },
      'mixture.seed is 0.5; allowed is an integer from -9007199254740991 up',
    ],
    [{ mixture: { seed: 1, rate: 1, faults: [] } }, 'mixture.faults is empty'],
    [{ answer: 7 }, 'answer is 7; allowed are a string and a function'],
    [{ callOf: 'x' }, 'callOf is "x"; allowed is a function'],
    [{ clock: { wallMs: Date.now } }, 'clock has no monotonicMs(); allowed is a Clock'],
  ])('refuses %j', async (options, message) => {
    await expect(Reflect.apply(startFaultServer, undefined, [options])).rejects.toThrow(message)
  })

  it('reset refuses a plan that is none and keeps the old one', async () => {
    const server = await start({ script: [serverError()] })
    expect(() => server.reset({ script: [], mixture: { seed: 1, rate: 0, faults: [] } })).toThrow(
      'script and mixture are given',
    )
    expect(() => server.reset(JSON.parse('{"answer":"x"}'))).toThrow('unknown option "answer"')
    expect(await statuses(server, [question])).toEqual([500])
  })
})
