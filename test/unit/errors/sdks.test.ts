import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import Anthropic from '@anthropic-ai/sdk'
import { generateText } from 'ai'
import nodeFetch from 'node-fetch'
import OpenAI from 'openai'
import OpenAIv6 from 'openai-v6'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { classifyError } from '../../../src/errors/classify.ts'

interface Limits {
  readonly signal?: AbortSignal
  readonly timeout?: number
}

interface Client {
  readonly name: string
  /** Clients that read the error's body and keep what it said. */
  readonly keepsBody: boolean
  /** Clients whose own timeout, or whose report of an aborted signal, says that it was a timeout. */
  readonly tellsTimeout: boolean
  readonly ask: (baseURL: string, limits: Limits) => Promise<unknown>
}

const request = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }
const options = (baseURL: string) => ({ apiKey: 'test', baseURL, maxRetries: 0 })
const signalOf = ({ signal, timeout }: Limits) =>
  signal ?? (timeout === undefined ? undefined : AbortSignal.timeout(timeout))

const ai =
  (maxRetries: number) =>
  (baseURL: string, limits: Limits): Promise<unknown> => {
    const signal = signalOf(limits)
    return generateText({
      model: createOpenAICompatible({ name: 'local', baseURL, apiKey: 'test' })('m'),
      prompt: 'hi',
      maxRetries,
      ...(signal !== undefined && { abortSignal: signal }),
    })
  }

const CLIENTS: readonly Client[] = [
  {
    name: 'openai 7',
    keepsBody: true,
    tellsTimeout: true,
    ask: async (baseURL, limits) =>
      new OpenAI(options(baseURL)).chat.completions.create(request, limits),
  },
  {
    name: 'openai 6',
    keepsBody: true,
    tellsTimeout: true,
    ask: async (baseURL, limits) =>
      new OpenAIv6(options(baseURL)).chat.completions.create(request, limits),
  },
  {
    name: 'the Anthropic SDK',
    keepsBody: true,
    tellsTimeout: true,
    ask: async (baseURL, limits) =>
      new Anthropic(options(baseURL)).messages.create({ ...request, max_tokens: 8 }, limits),
  },
  { name: 'the AI SDK', keepsBody: true, tellsTimeout: true, ask: ai(0) },
  {
    name: 'fetch, whose caller throws the Response',
    keepsBody: false,
    tellsTimeout: true,
    ask: async (url, limits) => {
      const response = await fetch(url, { signal: signalOf(limits) ?? null })
      if (!response.ok) throw response
      return response.json()
    },
  },
  {
    name: 'fetch, whose caller reads the body',
    keepsBody: true,
    tellsTimeout: true,
    ask: async (url, limits) => {
      const response = await fetch(url, { signal: signalOf(limits) ?? null })
      const body = await response.text()
      if (!response.ok) throw Object.assign(new Error('not ok'), { response, body })
      return JSON.parse(body)
    },
  },
  {
    name: 'node-fetch, whose caller hangs the Response on an error',
    keepsBody: false,
    // its AbortError hides why the signal was aborted
    tellsTimeout: false,
    ask: async (url, limits) => {
      const response = await nodeFetch(url, { signal: signalOf(limits) ?? null })
      if (!response.ok) throw Object.assign(new Error('not ok'), { response })
      return response.json()
    },
  },
]

/** What the server does for a path's first segment. */
const FAULTS: Readonly<
  Record<string, (request: IncomingMessage, response: ServerResponse) => void>
> = {
  limited: (_, response) =>
    json(
      response,
      429,
      { type: 'requests', code: 'rate_limit_exceeded', message: 'Slow down.' },
      {
        'retry-after': '7',
        'x-request-id': 'req_1',
        'request-id': 'req_1',
      },
    ),
  quota: (_, response) =>
    json(response, 429, { type: 'insufficient_quota', code: null, message: 'No quota.' }),
  overloaded: (_, response) =>
    json(response, 529, { type: 'overloaded_error', message: 'Overloaded' }),
  html: (_, response) => {
    response.writeHead(502, { 'content-type': 'text/html' })
    response.end('<html><h1>502 Bad Gateway</h1></html>')
  },
  disguised: (_, response) =>
    json(response, 200, { type: 'overloaded_error', message: 'Overloaded' }),
  reset: ({ socket }) => void socket.resetAndDestroy(),
  cut: ({ socket }, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
    response.write('{"choices":[', () => socket.destroy())
  },
  silent: () => {},
}

function json(response: ServerResponse, status: number, error: object, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify({ error }))
}

let server: Server
let origin: string
let onRequest: (() => void) | undefined

beforeAll(async () => {
  server = createServer((incoming, response) => {
    FAULTS[incoming.url?.split('/')[1] ?? '']?.(incoming, response)
    onRequest?.()
  })
  origin = await listen(server)
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

async function listen(on: Server): Promise<string> {
  await new Promise<void>((resolve) => on.listen(0, '127.0.0.1', resolve))
  const address = on.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}`
}

async function refusedOrigin(): Promise<string> {
  const closed = createServer()
  const address = await listen(closed)
  await new Promise((resolve) => closed.close(resolve))
  return address
}

const verdict = (call: Promise<unknown>) =>
  call.then(
    () => expect.unreachable('the client must throw'),
    (error: unknown) => classifyError(error),
  )

describe.each(CLIENTS)('an error of $name', ({ ask, keepsBody, tellsTimeout }) => {
  const failure = (fault: string, limits: Limits = {}) => verdict(ask(`${origin}/${fault}`, limits))

  it('tells a rate limit, its hint and its request id', async () => {
    expect(await failure('limited')).toMatchObject({
      kind: 'rate_limit',
      retryable: true,
      executed: 'no',
      status: 429,
      retryAfterMs: 7000,
      requestId: 'req_1',
    })
  })

  it(`tells a spent quota ${keepsBody ? 'from a rate limit' : 'by its status alone'}`, async () => {
    expect(await failure('quota')).toMatchObject({
      kind: keepsBody ? 'quota_exhausted' : 'rate_limit',
      retryable: !keepsBody,
      executed: 'no',
      status: 429,
    })
  })

  it('tells an overloaded provider', async () => {
    expect(await failure('overloaded')).toMatchObject({
      kind: 'overloaded',
      retryable: true,
      executed: keepsBody ? 'no' : 'maybe',
      status: 529,
    })
  })

  it("tells a proxy's error page", async () => {
    expect(await failure('html')).toMatchObject({
      kind: 'server_error',
      retryable: true,
      executed: 'maybe',
      status: 502,
    })
  })

  it('tells a refused connection, which surely did nothing', async () => {
    expect(await verdict(ask(await refusedOrigin(), {}))).toMatchObject({
      kind: 'network',
      retryable: true,
      executed: 'no',
    })
  })

  it.each(['reset', 'cut'])('tells a connection that was %s', async (fault) => {
    expect(await failure(fault)).toMatchObject({
      kind: 'network',
      retryable: true,
      executed: 'maybe',
    })
  })

  it(`tells a timeout ${tellsTimeout ? 'from an abort' : 'as the abort it shows'}`, async () => {
    expect(await failure('silent', { timeout: 100 })).toMatchObject({
      kind: tellsTimeout ? 'timeout' : 'aborted',
      retryable: tellsTimeout,
      executed: 'maybe',
    })
  })

  it("tells the caller's abort", async () => {
    const controller = new AbortController()
    onRequest = () => controller.abort()
    const found = await failure('silent', { signal: controller.signal })
    onRequest = undefined
    expect(found).toMatchObject({ kind: 'aborted', retryable: false, executed: 'maybe' })
  })
})

describe('an error of the AI SDK', () => {
  it('is understood when it wraps the errors of all its tries', async () => {
    const call = ai(1)(`${origin}/overloaded`, {})
    const error = await call.catch((caught: unknown) => caught)
    expect(error).toMatchObject({ name: 'AI_RetryError', reason: 'maxRetriesExceeded' })
    expect(classifyError(error)).toMatchObject({
      kind: 'overloaded',
      retryable: true,
      executed: 'no',
      status: 529,
    })
  })

  it('is judged by its last try, and by all of them as to what was executed', () => {
    const tries = [
      { statusCode: 500, responseBody: '' },
      { statusCode: 429, responseBody: '{"error":{"code":"insufficient_quota"}}' },
    ]
    const error = { name: 'AI_RetryError', errors: tries, lastError: tries[1] }
    expect(classifyError(error)).toMatchObject({ kind: 'quota_exhausted', executed: 'maybe' })
  })

  it('is seen through when the provider failed under 200', async () => {
    expect(await verdict(ai(0)(`${origin}/disguised`, {}))).toMatchObject({
      kind: 'overloaded',
      retryable: true,
      executed: 'maybe',
      status: 200,
    })
  })
})

describe('an error of axios, by its structure', () => {
  // The shapes axios 1 documents: https://axios-http.com/docs/handling_errors
  const response = (data: unknown) => ({
    name: 'AxiosError',
    message: 'Request failed with status code 429',
    code: 'ERR_BAD_REQUEST',
    status: 429,
    response: { status: 429, headers: { 'retry-after': '7' }, data },
  })
  const quota = { error: { code: 'insufficient_quota' } }

  it.each<[string, object, object]>([
    ['a parsed body', response(quota), { kind: 'quota_exhausted', retryAfterMs: 7000 }],
    ['a body left as text', response(JSON.stringify(quota)), { kind: 'quota_exhausted' }],
    ['a body left as a stream', response(new ReadableStream()), { kind: 'rate_limit' }],
    ['a body left as bytes', response(new Uint8Array(8)), { kind: 'rate_limit' }],
    [
      'a body left as a stream, quoted in the message',
      { ...response(new ReadableStream()), message: `429 ${JSON.stringify(quota)}` },
      { kind: 'quota_exhausted' },
    ],
    [
      'a timeout',
      { name: 'AxiosError', code: 'ECONNABORTED', message: 'timeout of 100ms exceeded' },
      { kind: 'timeout', executed: 'maybe' },
    ],
    [
      'a timeout with clarifyTimeoutError',
      { name: 'AxiosError', code: 'ETIMEDOUT', message: 'timeout of 100ms exceeded' },
      { kind: 'timeout', executed: 'maybe' },
    ],
    [
      'an abort',
      { name: 'CanceledError', code: 'ERR_CANCELED', message: 'canceled' },
      { kind: 'aborted', retryable: false },
    ],
    [
      'a refused connection',
      { name: 'AxiosError', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:1' },
      { kind: 'network', executed: 'no' },
    ],
    [
      'a lost network in a browser',
      { name: 'AxiosError', code: 'ERR_NETWORK', message: 'Network Error' },
      { kind: 'network', executed: 'maybe' },
    ],
  ])('tells %s', (_, error, expected) => {
    expect(classifyError(error)).toMatchObject(expected)
  })
})
