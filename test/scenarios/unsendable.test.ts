import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import nodeFetch from 'node-fetch'
import OpenAI, { type ClientOptions } from 'openai'
import OpenAIv6 from 'openai-v6'
import { describe, expect, it } from 'vitest'
import {
  type CallEvent,
  callReport,
  createRuntime,
  memoryStore,
  type SteadyOptions,
  steady,
} from '../../src/index.ts'
import { originOf } from '../support/origin.ts'
import { ask, person, rejection } from '../support/set-up.ts'

interface Place {
  readonly origin: string
  /** Requests that have arrived. */
  readonly urls: string[]
}

/** A server that answers by the path it is asked for. */
async function place(
  answer: (url: string, response: ServerResponse, request: IncomingMessage) => void,
): Promise<Place> {
  const urls: string[] = []
  const server = createServer((request, response) => {
    request.resume()
    urls.push(request.url ?? '')
    answer(request.url ?? '', response, request)
  })
  return { origin: await originOf(server), urls }
}

/** Sends everybody on to one address; a path of its own where there is none. */
const redirecting = (status: number, location?: string): Promise<Place> =>
  place((url, response) => {
    response.writeHead(status, location === '' ? {} : { location: location ?? url })
    response.end()
  })

const completion = {
  choices: [{ index: 0, finish_reason: 'stop', message: { content: '{"name":"Ada","age":36}' } }],
}

interface Case {
  readonly options?: ClientOptions
  readonly request?: OpenAI.RequestOptions
  readonly executed?: 'maybe'
  readonly code?: string
  readonly at?: Place
  /** Requests that arrive: one `fetch` follows at most twenty redirects. */
  readonly arriving?: number
}

const cases: readonly (readonly [string, () => Promise<Case> | Case])[] = [
  ['credentials in the URL', () => ({ options: { baseURL: 'http://u:p@127.0.0.1:9/v1' } })],
  ['an unknown scheme', () => ({ options: { baseURL: 'ftp://127.0.0.1/v1' } })],
  ['a host and port that read as a scheme', () => ({ options: { baseURL: 'localhost:3000/v1' } })],
  ['a file', () => ({ options: { baseURL: 'file:///v1' } })],
  ['no scheme', () => ({ options: { baseURL: 'api.openai.com/v1' } })],
  ['a host with a space', () => ({ options: { baseURL: 'http://a b/v1' } })],
  ['a port that fetch refuses', () => ({ options: { baseURL: 'http://127.0.0.1:6000/v1' } })],
  ['a port that is none', () => ({ options: { baseURL: 'http://127.0.0.1:99999/v1' } })],
  ['a key with a newline inside', () => ({ options: { apiKey: 'a\nb' } })],
  [
    'a key of more than ten thousand characters with a newline inside',
    () => ({ options: { apiKey: `${'k'.repeat(10_000)}\nb` } }),
  ],
  ['a key with a letter that is no byte', () => ({ options: { apiKey: 'clé→' } })],
  ['a header name with a space', () => ({ request: { headers: { 'a b': 'c' } } })],
  ['a header value with a null', () => ({ request: { headers: { a: 'b\0c' } } })],
  [
    'a header that the connection owns',
    () => ({ request: { headers: { 'transfer-encoding': 'gzip' } } }),
  ],
  ['a length that is none', () => ({ request: { headers: { 'content-length': 'long' } } })],
  [
    'a length that is another',
    () => ({ request: { headers: { 'content-length': '99999' } }, executed: 'maybe' }),
  ],
  ['an Expect header', () => ({ request: { headers: { expect: '100-continue' } } })],
  [
    'a redirect mode that is none',
    () => ({ request: { fetchOptions: { redirect: 'x' as never } } }),
  ],
  [
    'a request mode that no program may use',
    () => ({ request: { fetchOptions: { mode: 'navigate' } } }),
  ],
  ['a dispatcher that is none', () => ({ request: { fetchOptions: { dispatcher: {} } as never } })],
  [
    'a redirect loop',
    async () => ({ at: await redirecting(307), arriving: 21, code: 'too_many_redirects' }),
  ],
  [
    'a redirect loop that turns into GET',
    async () => ({ at: await redirecting(302), arriving: 21, code: 'too_many_redirects' }),
  ],
  [
    'a redirect to port 0',
    async () => ({
      at: await redirecting(307, 'http://127.0.0.1:0/v1/x'),
      arriving: 1,
      code: 'bad_port',
    }),
  ],
  [
    'a redirect where none is allowed',
    async () => ({
      at: await redirecting(307),
      request: { fetchOptions: { redirect: 'error' } },
      arriving: 1,
    }),
  ],
  [
    'a redirect that is not followed',
    async () => ({
      at: await redirecting(308),
      request: { fetchOptions: { redirect: 'manual' } },
      arriving: 1,
    }),
  ],
  ['a redirect without a location', async () => ({ at: await redirecting(307, ''), arriving: 1 })],
  [
    'a redirect to nowhere',
    async () => ({ at: await redirecting(307, 'http://[::'), arriving: 1 }),
  ],
  [
    'a redirect to another scheme',
    async () => ({ at: await redirecting(307, 'ftp://127.0.0.1/'), arriving: 1 }),
  ],
  [
    'a redirect to a port that fetch refuses',
    async () => ({ at: await redirecting(307, 'http://127.0.0.1:6000/'), arriving: 1 }),
  ],
  [
    'a redirect with credentials',
    async () => ({ at: await redirecting(307, 'http://u:p@localhost:9/'), arriving: 1 }),
  ],
  [
    'an answer that is not the expected one',
    async () => ({
      at: await place((_url, response) => response.end(JSON.stringify(completion))),
      request: {
        fetchOptions: { integrity: 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' },
      },
      executed: 'maybe',
      arriving: 1,
    }),
  ],
  [
    'a fetch that hands on a request it has read',
    () => ({
      options: {
        fetch: async (url, init) => {
          const request = new Request(url, init as RequestInit)
          await request.text()
          return fetch(request)
        },
      },
    }),
  ],
  [
    'a fetch with another method',
    () => ({
      options: { fetch: (url, init) => fetch(url, { ...init, method: 'PO ST' } as never) },
    }),
  ],
]

/** A body that can be sent once. */
const once = () => new Blob(['{}']).stream()

/** Options of `fetch` that are none: the types know better, JavaScript does not. */
const withOptions = (fetchOptions: object): Case => ({ request: { fetchOptions } as never })

/** The same by a `fetch` that is not the runtime's. */
const byNodeFetch = (fetchOptions: object): Case => ({
  ...withOptions(fetchOptions),
  options: { fetch: nodeFetch as never },
})

const wrongOptions: readonly (readonly [string, () => Promise<Case> | Case])[] = [
  ['a window', () => withOptions({ window: 'x' })],
  ['a signal that is none', () => withOptions({ signal: 'x' })],
  ['a signal that is an object', () => withOptions({ signal: {} })],
  ['a body that is a symbol', () => withOptions({ body: Symbol('x') })],
  [
    'a body that has no text',
    () =>
      withOptions({
        body: {
          toString() {
            throw new TypeError('it has no text')
          },
        },
      }),
  ],
  ['a body that was read', async () => withOptions({ body: await read(once()), duplex: 'half' })],
  [
    'a stream that is to outlive the page',
    () => withOptions({ body: once(), duplex: 'half', keepalive: true }),
  ],
  ['a duplex that is none', () => withOptions({ duplex: 'x' })],
  ['a method that is a symbol', () => withOptions({ method: Symbol('x') })],
  ['a method that has no body', () => withOptions({ method: 'GET' })],
  ['a method that fetch refuses', () => withOptions({ method: 'TRACE' })],
  ['a mode that is none', () => withOptions({ mode: 'x' })],
  ['a cache that is none', () => withOptions({ cache: 'x' })],
  ['a cache that is asked alone', () => withOptions({ cache: 'only-if-cached' })],
  ['credentials that are none', () => withOptions({ credentials: 'x' })],
  ['a referrer that is no URL', () => withOptions({ referrer: 'http://[' })],
  ['a policy that is none', () => withOptions({ referrerPolicy: 'x' })],
  ['no dispatcher', () => withOptions({ dispatcher: null })],
  ['a dispatcher that is a text', () => withOptions({ dispatcher: 'x' })],
  ['a dispatcher that is a function', () => withOptions({ dispatcher: () => {} })],
  ['a header that is a symbol', () => ({ request: { headers: { a: Symbol('x') } as never } })],
  ['port 0', () => ({ options: { baseURL: 'http://127.0.0.1:0/v1' }, code: 'bad_port' })],
  ['port 0 with TLS', () => ({ options: { baseURL: 'https://127.0.0.1:0/v1' }, code: 'bad_port' })],
  ['a host of 300 letters', () => ({ options: { baseURL: `http://${'a'.repeat(300)}.com/v1` } })],
  ['a URL that is its own answer', () => ({ options: { baseURL: 'data:,x' } })],
  [
    'a URL that holds JSON',
    () => ({ options: { baseURL: 'data:application/json,{}' }, code: 'unsupported_scheme' }),
  ],
  ['a blob', () => ({ options: { baseURL: 'blob:nodedata:x' } })],
  ['about', () => ({ options: { baseURL: 'about:blank' } })],
  ['a socket of the web', () => ({ options: { baseURL: 'ws://127.0.0.1/v1' } })],
  [
    'a redirect of what is sent once',
    async () => ({
      ...withOptions({ body: once(), duplex: 'half' }),
      at: await redirecting(307, '/elsewhere'),
      arriving: 1,
      code: 'redirect_refused',
    }),
  ],
  [
    'a redirect of what a fetch makes of the text',
    async () => ({
      options: {
        fetch: (url, init) => fetch(url, { ...init, body: once(), duplex: 'half' } as never),
      },
      at: await redirecting(308, '/elsewhere'),
      arriving: 1,
      code: 'redirect_refused',
    }),
  ],
  ['node-fetch: a signal that is none', () => byNodeFetch({ signal: 'x' })],
  ['node-fetch: an agent that is none', () => byNodeFetch({ agent: 'x' })],
  ['node-fetch: a policy that is none', () => byNodeFetch({ referrerPolicy: 'x' })],
  ['node-fetch: a method that has no body', () => byNodeFetch({ method: 'GET' })],
  [
    'node-fetch: port 0',
    () => ({ options: { fetch: nodeFetch as never, baseURL: 'http://127.0.0.1:0/v1' } }),
  ],
  [
    'node-fetch: a URL that is its own answer',
    () => ({ options: { fetch: nodeFetch as never, baseURL: 'data:,x' } }),
  ],
]

async function read(stream: ReadableStream): Promise<ReadableStream> {
  await new Response(stream).text()
  return stream
}

const majors = [
  ['openai 7', (options: ClientOptions) => new OpenAI(options)],
  ['openai 6', (options: ClientOptions) => new OpenAIv6(options as never) as unknown as OpenAI],
] as const

describe.each(majors)('a request that can never be carried out, by %s', (_, client) => {
  it.each([...cases, ...wrongOptions])('costs one attempt: %s', async (_name, make) => {
    const { options = {}, request = {}, executed = 'no', code, at, arriving = 0 } = await make()
    const nobody = at ?? (await place((_url, response) => response.end('{}')))
    const events: CallEvent['type'][] = []
    const llm = steady(client({ apiKey: 'k', baseURL: `${nobody.origin}/v1`, ...options }), {
      runtime: createRuntime({ random: () => 0 }),
      onEvent: ({ type }) => events.push(type),
    })
    const error = await rejection(
      llm.json({ ...ask('hi'), schema: person }, { requestOptions: request }),
    )
    const asked = nobody.urls.length
    expect(error).toMatchObject({
      kind: 'invalid_request',
      retryable: false,
      executed,
      attempts: [
        { number: 1, outcome: 'invalid_request', executed, ...(code !== undefined && { code }) },
      ],
    })
    expect(asked).toBe(arriving)
    expect(events).not.toContain('retries-multiplied')
    expect(String(error)).not.toMatch(/u:p@|clé|k\nb|a\nb/)
    for (const stream of [false, true]) {
      // What can be sent once is another one each time.
      const { request: again } = await make()
      const thrown = await rejection(llm.chat.completions.create({ ...ask('hi'), stream }, again))
      expect(callReport(thrown)?.attempts).toMatchObject([{ outcome: 'invalid_request', executed }])
    }
    if (executed === 'no') expect(nobody.urls).toHaveLength(3 * arriving)
  })
})

describe('a redirect', () => {
  it('that node-fetch has followed too often is one attempt as well', async () => {
    const { origin, urls } = await redirecting(302)
    const llm = steady(
      new OpenAI({ apiKey: 'k', baseURL: `${origin}/v1`, fetch: nodeFetch as never }),
      { runtime: createRuntime({ random: () => 0 }) },
    )
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(callReport(error)?.attempts).toMatchObject([
      { outcome: 'invalid_request', executed: 'no', code: 'too_many_redirects' },
    ])
    expect(urls.length).toBeLessThanOrEqual(21)
  })

  it('to the same path of another host is followed, and no multiplication', async () => {
    const there = await place((_url, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(completion))
    })
    const { origin } = await redirecting(307, `${there.origin}/v1/chat/completions`)
    const events: CallEvent['type'][] = []
    const llm = steady(new OpenAI({ apiKey: 'k', baseURL: `${origin}/v1` }), {
      runtime: createRuntime({ random: () => 0 }),
      onEvent: ({ type }) => events.push(type),
    })
    const { attempts } = await llm.json({ ...ask('hi'), schema: person })
    expect(attempts).toHaveLength(1)
    expect(events).not.toContain('retries-multiplied')
  })

  it("in a circle is not thrown as multiplied under 'throw'", async () => {
    const { origin } = await redirecting(307)
    const llm = steady(new OpenAI({ apiKey: 'k', baseURL: `${origin}/v1` }), {
      runtime: createRuntime({ random: () => 0 }),
      onMultipliedRetries: 'throw',
    })
    const error = await rejection(llm.json({ ...ask('hi'), schema: person }))
    expect(error).toMatchObject({ kind: 'invalid_request' })
  })
})

describe('a mistake that has been mended', () => {
  it('is not kept under the key: the next call is sent', async () => {
    const good = await place((_url, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(completion))
    })
    const settings: SteadyOptions = { store: memoryStore(), runtime: createRuntime() }
    const by = (baseURL: string) =>
      steady(new OpenAI({ apiKey: 'k', baseURL }), settings).json(
        { ...ask('hi'), schema: person },
        { idempotencyKey: 'job-1' },
      )
    const error = await rejection(by('http://u:p@127.0.0.1:9/v1'))
    expect(error).toMatchObject({ kind: 'invalid_request', executed: 'no' })
    expect(await by(`${good.origin}/v1`)).toMatchObject({ value: { name: 'Ada', age: 36 } })
  })
})

describe('a fetch that fails after it has sent', () => {
  it.each<[string, () => Promise<unknown>]>([
    [
      'by what no request can be made of',
      () => fetch('http://127.0.0.1:9', { window: 'x' } as never),
    ],
    ['by a header', async () => new Headers({ 'a b': 'c' })],
    ['by a method', () => fetch('http://127.0.0.1:9', { method: 'PO ST' })],
    [
      'by a body that was read',
      async () =>
        fetch('http://127.0.0.1:9', {
          method: 'POST',
          body: await read(once()),
          duplex: 'half',
        } as never),
    ],
  ])('may have been executed: %s', async (_name, fail) => {
    const good = await place((_url, response) => response.end('{}'))
    const client = new OpenAI({
      apiKey: 'k',
      baseURL: `${good.origin}/v1`,
      fetch: async (url, init) => {
        const response = await fetch(url, init as RequestInit)
        await fail()
        return response
      },
    })
    const llm = steady(client, { runtime: createRuntime({ random: () => 0 }) })
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(callReport(error)?.attempts).toMatchObject([
      { outcome: 'invalid_request', executed: 'maybe' },
    ])
    expect(good.urls).toHaveLength(1)
  })

  it('is tried again where its words say nothing, though the options are wrong, too', async () => {
    let calls = 0
    const client = new OpenAI({
      apiKey: 'k',
      fetch: async () => {
        calls += 1
        throw new TypeError('nobody knows why')
      },
    })
    const llm = steady(client, { runtime: createRuntime({ random: () => 0 }) })
    const request = { fetchOptions: { window: 'x' } } as never
    const error = await rejection(llm.chat.completions.create(ask('hi'), request))
    expect(callReport(error)?.attempts[0]).toMatchObject({ outcome: 'network', executed: 'maybe' })
    expect(calls).toBe(3)
  })
})

describe('a network that fails', () => {
  const failures: readonly (readonly [string, () => Error])[] = [
    ['undici', () => new TypeError('fetch failed', { cause: new Error('other side closed') })],
    ['undici, for a reason nobody knows', () => new TypeError('fetch failed')],
    ['Chromium', () => new TypeError('Failed to fetch')],
    ['Safari', () => new TypeError('Load failed')],
    ['Firefox', () => new TypeError('NetworkError when attempting to fetch resource.')],
    ['React Native', () => new TypeError('Network request failed')],
    [
      'Bun',
      () =>
        Object.assign(new TypeError('ECONNRESET: The socket connection was closed unexpectedly.'), {
          code: 'ECONNRESET',
        }),
    ],
    [
      'Deno',
      () =>
        new TypeError(
          'error sending request for url (http://127.0.0.1/): connection closed before message completed',
        ),
    ],
    ['workerd', () => new Error('Network connection lost.')],
    [
      'node-fetch',
      () =>
        Object.assign(new Error('request to http://127.0.0.1/ failed, reason: socket hang up'), {
          code: 'ECONNRESET',
          type: 'system',
        }),
    ],
    ['a fetch of somebody’s own', () => new Error('the line is dead')],
  ]

  it.each(failures)('is tried again: %s', async (_name, fail) => {
    let sent = 0
    const client = new OpenAI({
      apiKey: 'k',
      baseURL: 'http://127.0.0.1:9/v1',
      fetch: async () => {
        sent += 1
        throw fail()
      },
    })
    const llm = steady(client, { runtime: createRuntime({ random: () => 0 }) })
    const error = await rejection(llm.json({ ...ask('hi'), schema: person }))
    expect(error).toMatchObject({ kind: 'network', retryable: true })
    expect(sent).toBe(3)
  })
})
