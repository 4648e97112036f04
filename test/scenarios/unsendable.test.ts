import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import nodeFetch from 'node-fetch'
import OpenAI, { type ClientOptions } from 'openai'
import OpenAIv6 from 'openai-v6'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type CallEvent,
  callReport,
  createRuntime,
  memoryStore,
  type SteadyOptions,
  steady,
} from '../../src/index.ts'
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
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { origin: `http://127.0.0.1:${port}`, urls }
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

const majors = [
  ['openai 7', (options: ClientOptions) => new OpenAI(options)],
  ['openai 6', (options: ClientOptions) => new OpenAIv6(options as never) as unknown as OpenAI],
] as const

describe.each(majors)('a request that can never be carried out, by %s', (_, client) => {
  it.each(cases)('costs one attempt: %s', async (_name, make) => {
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
      const thrown = await rejection(llm.chat.completions.create({ ...ask('hi'), stream }, request))
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
