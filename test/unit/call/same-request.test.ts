import OpenAI, { AzureOpenAI, type ClientOptions } from 'openai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type CallEvent,
  createRuntime,
  fixed,
  isCallError,
  type SteadyClient,
  type SteadyOptions,
  steady,
} from '../../../src/index.ts'
import { badRequest, type FaultServer, overloaded } from '../../../src/testing/index.ts'
import { ask, clientFor, person, rejection, startServer } from '../../support/set-up.ts'

/** A provider that never takes a request. */
const down = () => startServer({ perCall: () => Array.from({ length: 50 }, () => overloaded()) })
/** A provider that takes each. */
const up = () => startServer()

const events: CallEvent[] = []
beforeEach(() => {
  events.length = 0
})

const repeated = () => events.some(({ type }) => type === 'call-repeated')

/** One runtime and one set of options for all clients of a test. */
function wrapping(options: SteadyOptions = {}) {
  const runtime = createRuntime({ random: () => 0 })
  const onEvent = (event: CallEvent) => events.push(event)
  return (client: OpenAI): SteadyClient<OpenAI> =>
    steady(client, {
      runtime,
      onEvent,
      maxAttempts: 3,
      limits: 'off',
      backoff: fixed(0),
      ...options,
    })
}

const outcome = (promise: PromiseLike<unknown>): Promise<string> =>
  Promise.resolve(promise).then(
    () => 'answered',
    (error: unknown) =>
      isCallError(error) ? `${error.kind} after ${error.attempts.length}` : String(error),
  )

const json = (llm: SteadyClient<OpenAI>, content: string, options = {}) =>
  llm.json({ ...ask(content), schema: person }, options)

describe('the steps of one job, with the job as their payload', () => {
  const step = (llm: SteadyClient<OpenAI>, content: string) =>
    outcome(json(llm, content, { idempotencyKey: `${content}-17`, payload: { jobId: 17 } }))

  it.each(['warn', 'throw'] as const)(
    'are requests of their own: the second is sent after the first was given up (%s)',
    async (onMultipliedRetries) => {
      const server = await startServer({ script: [overloaded(), overloaded(), overloaded()] })
      const llm = wrapping({ onMultipliedRetries })(clientFor(server))
      expect(await step(llm, 'summarize')).toBe('overloaded after 3')
      expect(await step(llm, 'translate')).toBe('answered')
      expect(repeated()).toBe(false)
    },
  )

  it('each have all their attempts inside one outer call', async () => {
    const server = await down()
    const llm = wrapping()(clientFor(server))
    const all = await llm.run('job', async () => [
      await step(llm, 'summarize'),
      await step(llm, 'translate'),
    ])
    expect(all).toEqual(['overloaded after 3', 'overloaded after 3'])
    expect(server.count).toBe(6)
  })

  it('in functions that are given to run too', async () => {
    const llm = wrapping()(clientFor(await up()))
    const sent: string[] = []
    const send = (what: string) =>
      outcome(
        llm.run(
          'step',
          () => {
            sent.push(what)
            throw Object.assign(new Error('down'), { status: 503 })
          },
          { payload: { jobId: 17 } },
        ),
      )
    await llm.run('job', async () => {
      await send('summarize')
      await send('translate')
    })
    expect(sent.filter((what) => what === 'translate')).toHaveLength(3)
  })

  it('are one request where they send the same, whatever the payload', async () => {
    const server = await down()
    const llm = wrapping()(clientFor(server))
    await llm.run('job', async () => {
      for (const jobId of [17, 18, 19]) await outcome(json(llm, 'the same', { payload: { jobId } }))
    })
    expect(server.count).toBe(3)
    expect(await outcome(json(llm, 'the same', { payload: { jobId: 20 } }))).toBeDefined()
    expect(repeated()).toBe(true)
  })
})

type Ask = (llm: SteadyClient<OpenAI>, options?: OpenAI.RequestOptions) => Promise<unknown>
const faces: readonly [string, Ask][] = [
  ['json', (llm, requestOptions = {}) => json(llm, 'the same', { requestOptions })],
  ['create', (llm, options = {}) => llm.chat.completions.create(ask('the same'), options)],
  [
    'a stream',
    async (llm, options = {}) => {
      for await (const _ of await llm.chat.completions.create(
        { ...ask('the same'), stream: true },
        options,
      ));
    },
  ],
]

describe.each(faces)('the same request to another target, by %s', (_, send) => {
  interface Pair {
    readonly first: OpenAI
    readonly second: OpenAI
    readonly options?: OpenAI.RequestOptions
  }
  const elsewhere: readonly [string, (bad: FaultServer, good: FaultServer) => Pair][] = [
    ['another host', (bad, good) => ({ first: clientFor(bad), second: clientFor(good) })],
    [
      'another key at the same gateway',
      (bad, good) => ({ first: routed(bad, good), second: routed(bad, good, { apiKey: 'b' }) }),
    ],
    [
      'another key, set later on the client’s copy',
      (bad, good) => {
        const second = routed(bad, good)
        second.apiKey = 'b'
        return { first: routed(bad, good), second }
      },
    ],
    [
      'another provider behind one gateway, named by a header of the client',
      (bad, good) => ({
        first: routed(bad, good, { defaultHeaders: { 'x-provider': 'a' } }),
        second: routed(bad, good, { defaultHeaders: { 'x-provider': 'b' } }),
      }),
    ],
    [
      'another provider behind one gateway, named by a header of the request',
      (bad, good) => ({
        first: routed(bad, good),
        second: routed(bad, good),
        options: { headers: { 'x-provider': 'b' } },
      }),
    ],
    [
      'another path of the same host',
      (bad, good) => ({
        first: routed(bad, good),
        second: routed(bad, good, { baseURL: 'http://gateway.test/b/v1' }),
      }),
    ],
    [
      'another organization',
      (bad, good) => ({
        first: routed(bad, good, { organization: 'a' }),
        second: routed(bad, good, { organization: 'b' }),
      }),
    ],
    [
      'another query',
      (bad, good) => ({
        first: routed(bad, good, { defaultQuery: { route: 'a' } }),
        second: routed(bad, good, { defaultQuery: { route: 'b' } }),
      }),
    ],
    [
      'a function that gives another key',
      (bad, good) => ({
        first: routed(bad, good, { apiKey: async () => 'a' }),
        second: routed(bad, good, { apiKey: async () => 'b' }),
      }),
    ],
    [
      'another deployment of Azure',
      (bad, good) => ({
        first: azure(bad, good, 'a'),
        second: azure(bad, good, 'b'),
      }),
    ],
    [
      'a client with a fetch of its own',
      (bad, good) => {
        const base = { apiKey: 'a', baseURL: 'http://gateway.test/v1' }
        return {
          first: new OpenAI({ ...base, fetch: (_url, init) => fetch(chat(bad), init) }),
          second: new OpenAI({ ...base, fetch: (_url, init) => fetch(chat(good), init) }),
        }
      },
    ],
  ]

  it.each(elsewhere)('is sent after the first gave up: %s', async (_where, pair) => {
    const [bad, good] = [await down(), await up()]
    const { first, second, options } = pair(bad, good)
    const wrap = wrapping({ onMultipliedRetries: 'throw' })
    const [a, b] = [wrap(first), wrap(second)]
    expect(await outcome(send(a))).not.toBe('answered')
    expect(await outcome(send(b, options))).toBe('answered')
    expect(repeated()).toBe(false)
    expect([bad.count, good.count]).toEqual([3, 1])
  })

  it.each(elsewhere)('has its own attempts inside an outer call: %s', async (_where, pair) => {
    const [bad, good] = [await down(), await up()]
    const { first, second, options } = pair(bad, good)
    const wrap = wrapping()
    const [a, b] = [wrap(first), wrap(second)]
    const answered = await a.run('failover', async () => {
      try {
        return await send(a)
      } catch {
        return await outcome(send(b, options))
      }
    })
    expect(answered).toBe('answered')
    expect([bad.count, good.count]).toEqual([3, 1])
  })

  it('is sent to another model', async () => {
    const server = await down()
    const llm = wrapping()(clientFor(server))
    await llm.run('failover', async () => {
      await rejection(send(llm))
      await outcome(llm.chat.completions.create({ ...ask('the same'), model: 'gpt-other' }))
    })
    expect(server.count).toBe(6)
  })
})

describe('the same request to the same target', () => {
  const again: readonly [string, (server: FaultServer) => () => OpenAI][] = [
    ['by the same client', (server) => once(clientFor(server))],
    ['by a client made anew each time', (server) => () => clientFor(server)],
    [
      'by a client that withOptions gave other limits',
      (server) => {
        const client = clientFor(server)
        let timeout = 60_000
        return () => client.withOptions({ timeout: ++timeout, maxRetries: 1 })
      },
    ],
    [
      'by a client that is wrapped twice',
      (server) => once(wrapping({ maxAttempts: 3 })(clientFor(server))),
    ],
  ]

  it.each(again)(
    'makes 3 attempts in a loop inside run that hides the error, %s',
    async (_, made) => {
      const server = await down()
      const next = made(server)
      const wrap = wrapping({ maxAttempts: 3 })
      const llm = wrap(next())
      await rejection(
        llm.run('loop', async () => {
          await rejection(json(wrap(next()), 'the same'))
          throw Object.assign(new Error('hidden'), { code: 'ECONNRESET' })
        }),
      )
      expect(server.count).toBe(3)
    },
  )

  it.each(again)('is noticed when it comes again after it was given up, %s', async (_, made) => {
    const server = await down()
    const next = made(server)
    const wrap = wrapping({ maxAttempts: 3 })
    await rejection(json(wrap(next()), 'the same'))
    expect(repeated()).toBe(false)
    await rejection(json(wrap(next()), 'the same'))
    expect(repeated()).toBe(true)
  })

  it('is the same under a new key, trace and request id each time', async () => {
    const server = await down()
    const llm = wrapping({ maxAttempts: 3 })(clientFor(server))
    let sending = 0
    await llm.run('loop', async () => {
      for (let turn = 0; turn < 3; turn += 1) {
        const headers = {
          'X-Request-ID': `r-${++sending}`,
          traceparent: `00-${sending}`,
          'Idempotency-Key': `k-${sending}`,
        }
        await rejection(json(llm, 'the same', { requestOptions: { headers } }))
      }
    })
    expect(server.count).toBe(3)
  })

  it('makes 3 attempts through two functions of which each hides the error', async () => {
    const server = await down()
    const llm = wrapping({ maxAttempts: 3 })(clientFor(server))
    const hidden = (work: () => Promise<unknown>) => async () => {
      await rejection(work())
      throw Object.assign(new Error('hidden'), { code: 'ECONNRESET' })
    }
    await rejection(
      llm.run(
        'outer',
        hidden(() =>
          llm.run(
            'inner',
            hidden(() => json(llm, 'the same')),
          ),
        ),
      ),
    )
    expect(server.count).toBe(3)
  })

  it('is no repetition where it was refused for good, or another format is asked for', async () => {
    const refusing = await startServer({ perCall: [badRequest(), badRequest()] })
    const llm = wrapping()(clientFor(refusing))
    await rejection(llm.chat.completions.create(ask('the same')))
    await rejection(llm.chat.completions.create(ask('the same')))
    expect(repeated()).toBe(false)
    const other = wrapping()(clientFor(await down()))
    await rejection(json(other, 'the same'))
    await rejection(json(other, 'the same', { responseFormat: 'none' }))
    expect(repeated()).toBe(false)
  })
})

describe('a call with fallbacks', () => {
  const servers = async () => {
    const [bad, good] = [await down(), await up()]
    return { bad, good, a: clientFor(bad), b: clientFor(good) }
  }

  it('makes 3 attempts in all in a loop inside run that hides the error', async () => {
    const [one, two] = [await down(), await down()]
    const llm = wrapping({ maxAttempts: 3, fallbacks: [{ client: clientFor(two) }] })(
      clientFor(one),
    )
    await rejection(
      llm.run('loop', async () => {
        await rejection(json(llm, 'the same'))
        throw Object.assign(new Error('hidden'), { code: 'ECONNRESET' })
      }),
    )
    expect([one.count, two.count]).toEqual([2, 1])
    await rejection(json(llm, 'the same'))
    expect(repeated()).toBe(true)
  })

  it('goes straight to a target that is left, where the first is spent', async () => {
    const { bad, good, a, b } = await servers()
    const wrap = wrapping({ maxAttempts: 3, onMultipliedRetries: 'throw' })
    const llm = wrap(a)
    const result = await llm.run('failover', async () => {
      await rejection(json(llm, 'the same'))
      return await json(llm, 'the same', { fallbacks: [{ client: b }] })
    })
    expect(result.attempts).toMatchObject([{ number: 1, cause: 'fallback', outcome: 'success' }])
    expect([bad.count, good.count]).toEqual([3, 1])
  })

  it('does not come back to a target that is spent', async () => {
    const [one, two] = [await down(), await down()]
    const wrap = wrapping({ maxAttempts: 3 })
    const [a, b] = [wrap(clientFor(one)), wrap(clientFor(two))]
    await a.run('failover', async () => {
      await rejection(json(a, 'the same'))
      await rejection(json(b, 'the same', { fallbacks: [{ client: clientFor(one) }] }))
    })
    expect([one.count, two.count]).toEqual([3, 3])
  })

  it('is sent after the same request to its first target alone was given up', async () => {
    const { bad, good, a, b } = await servers()
    const llm = wrapping({ maxAttempts: 3, onMultipliedRetries: 'throw' })(a)
    await rejection(json(llm, 'the same'))
    expect(await outcome(json(llm, 'the same', { fallbacks: [{ client: b }] }))).toBe('answered')
    expect([bad.count, good.count]).toEqual([5, 1])
  })

  it('leaves a third provider to whoever fails over by hand', async () => {
    const [one, two, three] = [await down(), await down(), await up()]
    const wrap = wrapping({ maxAttempts: 3, onMultipliedRetries: 'throw' })
    const llm = wrap(clientFor(one))
    await rejection(json(llm, 'the same', { fallbacks: [{ client: clientFor(two) }] }))
    expect(await outcome(json(wrap(clientFor(three)), 'the same'))).toBe('answered')
  })
})

function once<T>(value: T): () => T {
  return () => value
}

function chat(server: FaultServer): string {
  return `${server.baseURL}/chat/completions`
}

/** A gateway that sends what carries a `b` anywhere but in its body to the good provider. */
function route(bad: FaultServer, good: FaultServer): typeof fetch {
  return (input, init) => {
    const { pathname, search } = new URL(String(input))
    const headers = new Headers(init?.headers)
    const names = ['authorization', 'x-provider', 'openai-organization']
    const said = [pathname, search, ...names.map((name) => headers.get(name) ?? '')].join(' ')
    return fetch(chat(/\/b\b|\bb$|\bb |=b\b/.test(said) ? good : bad), init)
  }
}

const routes = new WeakMap<FaultServer, typeof fetch>()

/** A client behind that gateway: all of them have the same `fetch`. */
function routed(bad: FaultServer, good: FaultServer, options: ClientOptions = {}): OpenAI {
  const shared = routes.get(bad) ?? route(bad, good)
  routes.set(bad, shared)
  return new OpenAI({
    apiKey: 'a',
    baseURL: 'http://gateway.test/v1',
    ...options,
    fetch: shared,
  })
}

function azure(bad: FaultServer, good: FaultServer, deployment: string): OpenAI {
  const shared = routes.get(bad) ?? route(bad, good)
  routes.set(bad, shared)
  const endpoint = 'http://gateway.test'
  return new AzureOpenAI({ apiKey: 'a', apiVersion: '1', endpoint, deployment, fetch: shared })
}

afterEach(() => {
  events.length = 0
})
