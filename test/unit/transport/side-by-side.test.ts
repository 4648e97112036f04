import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  type DirectFetch,
  type Dispatcher,
  directFetch,
} from '../../../src/transport/direct-fetch.ts'
import { LONG_TEXT, type OddServer, startOddServer } from './odd-server.ts'

// Not by its main entry, which takes the place of the process's own dispatcher when it is imported.
const require = createRequire(import.meta.url)
const Agent: new (options?: object) => Dispatcher & { destroy(): Promise<void> } =
  require('undici/lib/dispatcher/agent.js')

interface Stage {
  readonly fetch: DirectFetch
  readonly origin: string
  readonly otherOrigin: string
  /** Resolves when the server has so many requests. */
  arrived(count?: number): Promise<void>
}

type Case = readonly [name: string, run: (stage: Stage) => Promise<unknown>]

const post = (body: unknown, more: object = {}) =>
  ({ method: 'POST', body, ...more }) as RequestInit

/** Everything that an answer says of itself. */
function seen(response: Response) {
  const { status, statusText, ok, type, redirected, bodyUsed, url } = response
  const { pathname, search } = new URL(url)
  const headers = [...response.headers].filter(([name]) => name !== 'date')
  return { status, statusText, ok, type, redirected, bodyUsed, at: pathname + search, headers }
}

const textAt =
  (path: string, init?: RequestInit) =>
  async ({ fetch, origin }: Stage) => {
    const response = await fetch(origin + path, init)
    return { ...seen(response), text: await response.text(), used: response.bodyUsed }
  }

async function inPieces(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true })
  return text
}

const streamAt =
  (path: string) =>
  async ({ fetch, origin }: Stage) => {
    const response = await fetch(origin + path)
    return { ...seen(response), text: await inPieces(response), used: response.bodyUsed }
  }

const sent =
  (init: () => RequestInit) =>
  async ({ fetch, origin }: Stage) =>
    (await fetch(`${origin}/text`, init())).text()

// fetch's decoder wants a frame; ours says that there is nothing.
const FETCH_FAILS_ON = 'zstd, without a byte'

const CODINGS = ['gzip', 'x-gzip', 'deflate', 'deflate-raw', 'br', 'zstd', 'gzip,br']

const cases: readonly Case[] = [
  // Answers.
  ['JSON', async ({ fetch, origin }) => (await fetch(`${origin}/json`)).json()],
  ['what an answer says', textAt('/json')],
  ['a long text', textAt('/long')],
  ['an empty body', textAt('/empty')],
  ['a 429', textAt('/failed')],
  ['no content', textAt('/status?code=204')],
  ['reset content', textAt('/status?code=205')],
  ['not modified', textAt('/status?code=304')],
  ['an unknown status', textAt('/status?code=799&text=Odd')],
  ['a reason phrase', textAt('/status?code=200&text=Fine%20enough')],
  ['HEAD', textAt('/json', { method: 'HEAD' })],
  ['a path that does not exist', textAt('/nowhere?a=b#fragment')],
  ['a query that is empty', textAt('/text?')],
  ['headers of all kinds', textAt('/headers')],
  ['invalid UTF-8 behind a mark of its order', textAt('/invalid')],
  ['early hints', textAt('/hints')],
  ['trailers', textAt('/trailers')],
  [
    'single headers',
    async ({ fetch, origin }) => {
      const { headers } = await fetch(`${origin}/headers`)
      return [
        headers.get('X-MANY'),
        headers.get('constructor'),
        headers.get('toString'),
        headers.get('__proto__'),
        headers.has('x-blank'),
        headers.has('valueOf'),
        headers.get('x-blank'),
        headers.get('set-cookie'),
        headers.getSetCookie(),
        [...headers.keys()],
        [...headers.values()].length,
      ]
    },
  ],
  [
    'a header by an impossible name',
    async ({ fetch, origin }) => (await fetch(`${origin}/headers`)).headers.get('a b'),
  ],
  [
    'headers that are written to',
    async ({ fetch, origin }) => {
      const { headers } = await fetch(`${origin}/headers`)
      const visited: unknown[] = []
      headers.forEach((value, name, all) => {
        if (name !== 'date') visited.push(name, value, all === headers)
      })
      const writes = [
        () => headers.append('x-many', 'three'),
        () => headers.set('x-new', '1'),
        () => headers.delete('set-cookie'),
      ]
      return [visited, await Promise.all(writes.map((write) => outcomeOf(async () => write())))]
    },
  ],
  [
    'headers in new Headers',
    async ({ fetch, origin }) => {
      const { headers } = await fetch(`${origin}/headers`)
      return [
        [...new Headers(headers)].filter(([name]) => name !== 'date'),
        headers instanceof Headers,
      ]
    },
  ],
  ['text after text', async (stage) => twice(stage, 'text', 'text')],
  ['json after bytes', async (stage) => twice(stage, 'bytes', 'json')],
  [
    'text after the stream',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/text`)
      await inPieces(response)
      return response.text()
    },
  ],
  ['JSON that is none', async ({ fetch, origin }) => (await fetch(`${origin}/broken`)).json()],
  [
    'JSON of no body',
    async ({ fetch, origin }) => (await fetch(`${origin}/status?code=204`)).json(),
  ],
  ['bytes', async ({ fetch, origin }) => [...(await (await fetch(`${origin}/text`)).bytes())]],
  [
    'an array buffer',
    async ({ fetch, origin }) => {
      const buffer = await (await fetch(`${origin}/text`)).arrayBuffer()
      return [buffer.byteLength, buffer instanceof ArrayBuffer]
    },
  ],
  [
    'a blob',
    async ({ fetch, origin }) => {
      const blob = await (await fetch(`${origin}/json`)).blob()
      return [blob.type, blob.size, await blob.text()]
    },
  ],
  [
    'form data',
    async ({ fetch, origin }) => [...(await (await fetch(`${origin}/form`)).formData())],
  ],
  [
    'a clone',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/json`)
      const clone = response.clone()
      const both = await Promise.all([response.text(), clone.json()])
      return [both, seen(clone), clone instanceof Response]
    },
  ],
  [
    'a clone of a clone',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/long`)
      const [a, b] = [response.clone(), response.clone()]
      return (await Promise.all([response, a, b].map((one) => one.text()))).map(
        (text) => text.length,
      )
    },
  ],
  [
    'a clone of what was read',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/text`)
      await response.text()
      return response.clone()
    },
  ],
  [
    'new Response of an answer',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/headers`)
      const copy = new Response(response.body, response)
      return [copy.status, copy.headers.get('x-many'), await copy.text(), response.bodyUsed]
    },
  ],
  [
    'what an answer is',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/text`)
      return [
        response instanceof Response,
        String(response),
        response.constructor === Response,
        response.body instanceof ReadableStream,
        Object.is(response.body, response.body),
        Object.is(response.headers, response.headers),
      ]
    },
  ],
  // Streams.
  ['a stream', streamAt('/events')],
  ['a long stream', streamAt('/long')],
  ['a stream without a byte', streamAt('/empty')],
  [
    'a reader',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/events`)
      const reader = response.body?.getReader()
      const before = [response.bodyUsed, response.body?.locked]
      const decoder = new TextDecoder()
      let text = ''
      for (;;) {
        const read = await reader?.read()
        if (read === undefined || read.done) break
        text += decoder.decode(read.value)
      }
      await reader?.closed
      const again = await reader?.read()
      return [before, text, response.bodyUsed, again]
    },
  ],
  [
    'two reads at once',
    async ({ fetch, origin }) => {
      const reader = (await fetch(`${origin}/text`)).body?.getReader()
      const reads = await Promise.all([reader?.read(), reader?.read()])
      return reads.map((read) => [read?.done, read?.value?.byteLength])
    },
  ],
  [
    'a second reader of a locked stream',
    async ({ fetch, origin }) => {
      const { body } = await fetch(`${origin}/text`)
      body?.getReader()
      return body?.getReader()
    },
  ],
  [
    'a reader that is released',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/stalled`)
      const reader = response.body?.getReader()
      const first = await reader?.read()
      const pending = reader?.read().catch((error: unknown) => (error as Error).name)
      reader?.releaseLock()
      const name = await pending
      const after = response.body?.getReader()
      await after?.cancel()
      return [first?.value?.byteLength, name, response.body?.locked, await after?.read()]
    },
  ],
  [
    'a reader that is cancelled',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/endless`)
      const reader = response.body?.getReader()
      await reader?.read()
      await reader?.cancel('enough')
      return [await reader?.read(), response.bodyUsed]
    },
  ],
  [
    'a loop that is left',
    async ({ fetch, origin }) => {
      const response = await fetch(`${origin}/endless`)
      for await (const _ of response.body ?? []) break
      return [response.bodyUsed, response.body?.locked]
    },
  ],
  [
    'a tee',
    async ({ fetch, origin }) => {
      const [a, b] = (await fetch(`${origin}/long`)).body?.tee() ?? []
      const texts = [a, b].map((stream) => new Response(stream).text())
      return (await Promise.all(texts)).map((text) => text === LONG_TEXT)
    },
  ],
  [
    'a pipe',
    async ({ fetch, origin }) => {
      const { body } = await fetch(`${origin}/events`)
      let text = ''
      for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) text += part
      return text
    },
  ],
  [
    'a reader with buffers of its own',
    async ({ fetch, origin }) => {
      const { body } = await fetch(`${origin}/text`)
      const reader = body?.getReader({ mode: 'byob' })
      const first = await reader?.read(new Uint8Array(3))
      const second = await reader?.read(new Uint8Array(3))
      const third = await reader?.read(new Uint8Array(3))
      return [first, second, third].map((read) => [read?.done, [...(read?.value ?? [])]])
    },
  ],
  [
    'one reader after the other',
    async ({ fetch, origin }) => {
      const { body } = await fetch(`${origin}/text`)
      const reader = body?.getReader({ mode: 'byob' })
      const first = await reader?.read(new Uint8Array(3))
      reader?.releaseLock()
      const second = await body?.getReader().read()
      return [first, second].map((read) => [read?.done, [...(read?.value ?? [])]])
    },
  ],
  [
    'a stream of Node',
    async ({ fetch, origin }) => {
      const { body } = await fetch(`${origin}/long`)
      let length = 0
      // The declarations of Node and of the web differ by a name.
      for await (const chunk of Readable.fromWeb(body as never)) length += chunk.byteLength
      return length
    },
  ],
  // Content codings.
  ...CODINGS.flatMap((coding): Case[] => [
    [`${coding}, whole`, textAt(`/encoded?as=${coding}`)],
    [`${coding}, long`, textAt(`/encoded?as=${coding}&long`)],
    [`${coding}, as a stream`, streamAt(`/encoded?as=${coding}&slowly`)],
    [`${coding}, without a byte`, textAt(`/encoded?as=${coding}&empty`)],
  ]).filter(([name]) => name !== FETCH_FAILS_ON),
  ['gzip without its end', textAt('/encoded?as=gzip&cut')],
  ['gzip without its end, as a stream', streamAt('/encoded?as=gzip&cut')],
  ['gzip that is none', textAt('/encoded?as=gzip&spoilt')],
  ['gzip that is none, as a stream', streamAt('/encoded?as=gzip&spoilt')],
  ['br that is none', textAt('/encoded?as=br&spoilt')],
  ['an unknown coding', textAt('/encoded?as=identity')],
  ['too many codings', textAt('/encoded?as=gzip,gzip,gzip,gzip,gzip,gzip')],
  ['a HEAD with a coding', textAt('/encoded?as=gzip', { method: 'HEAD' })],
  // Requests.
  ['a text', sent(() => post('text ☕ \ud800'))],
  ['an empty text', sent(() => post(''))],
  ['a POST without a body', sent(() => ({ method: 'POST' }))],
  ['JSON with a type', sent(() => post('{}', { headers: { 'content-type': 'application/json' } }))],
  ['bytes as the body', sent(() => post(new Uint8Array([1, 2, 255])))],
  ['a buffer as the body', sent(() => post(Buffer.from('buffer')))],
  ['an array buffer as the body', sent(() => post(new Uint8Array([7, 8]).buffer))],
  ['a blob as the body', sent(() => post(new Blob(['blob'], { type: 'text/x-blob' })))],
  ['parameters as the body', sent(() => post(new URLSearchParams({ a: '1 2' })))],
  [
    'form data as the body',
    sent(() => {
      const form = new FormData()
      form.append('field', 'value')
      form.append('file', new File(['content'], 'a.txt'))
      return post(form)
    }),
  ],
  ['a stream as the body', sent(() => post(new Blob(['streamed']).stream(), { duplex: 'half' }))],
  [
    'an iterable as the body',
    sent(() => {
      async function* parts() {
        yield new TextEncoder().encode('part')
      }
      return post(parts(), { duplex: 'half' })
    }),
  ],
  ['a stream without duplex', sent(() => post(new Blob(['streamed']).stream()))],
  ['a GET with a body', sent(() => ({ method: 'GET', body: 'x' }))],
  ['a lower-case method', sent(() => ({ method: 'post', body: 'x' }))],
  ['PATCH', sent(() => ({ method: 'PATCH', body: 'x' }))],
  ['DELETE', sent(() => ({ method: 'DELETE' }))],
  ['a method that is none', sent(() => ({ method: 'A B' }))],
  ['TRACE', sent(() => ({ method: 'TRACE' }))],
  [
    'headers as pairs',
    sent(() => ({
      headers: [
        ['x-a', '1'],
        ['x-a', '2'],
      ],
    })),
  ],
  ['headers as a Headers', sent(() => ({ headers: new Headers({ 'X-A': ' padded ' }) }))],
  ['a header value that is none', sent(() => ({ headers: { 'x-a': 'a\nb' } }))],
  ['a header value beyond Latin-1', sent(() => ({ headers: { 'x-a': '☕' } }))],
  ['a header name that is none', sent(() => ({ headers: { 'a b': '1' } }))],
  ['a length of its own', sent(() => post('12345', { headers: { 'content-length': '5' } }))],
  ['a wrong length', sent(() => post('12345', { headers: { 'content-length': '9' } }))],
  [
    'a header of the connection',
    sent(() => post('x', { headers: { 'transfer-encoding': 'chunked' } })),
  ],
  [
    'an agent of its own',
    sent(() => ({ headers: { 'user-agent': 'mine', accept: 'text/plain' } })),
  ],
  ['keepalive', sent(() => ({ keepalive: true }))],
  ['no init', async ({ fetch, origin }) => (await fetch(`${origin}/text`)).text()],
  ['a URL', async ({ fetch, origin }) => (await fetch(new URL('/text', origin))).text()],
  [
    'a Request',
    async ({ fetch, origin }) =>
      (await fetch(new Request(`${origin}/text`, { method: 'POST', body: 'of a request' }))).text(),
  ],
  ['a data: URL', async ({ fetch }) => (await fetch('data:text/plain,hi')).text()],
  ['a URL that is none', async ({ fetch }) => fetch('/relative')],
  ['a scheme that is none', async ({ fetch }) => fetch('ftp://127.0.0.1/')],
  ['credentials in the URL', async ({ fetch }) => fetch('http://a:b@127.0.0.1/')],
  ['a blocked port', async ({ fetch }) => fetch('http://127.0.0.1:6000/')],
  ['a signal that is none', sent(() => ({ signal: {} as AbortSignal }))],
  ['no dispatcher', sent(() => ({ dispatcher: null }) as never)],
  ['a duplex that is none', sent(() => ({ duplex: 'x' }) as never)],
  ['a redirect mode that is none', sent(() => ({ redirect: 'x' }) as never)],
  ['a method that is null', sent(() => ({ method: null }) as never)],
  ['headers that are null', sent(() => ({ headers: null }) as never)],
  [
    'an init that is null',
    async ({ fetch, origin }) => (await fetch(`${origin}/text`, null as never)).text(),
  ],
  [
    'an init that is a text',
    async ({ fetch, origin }) => (await fetch(`${origin}/text`, 'x' as never)).text(),
  ],
  ['a dispatcher that is none', sent(() => ({ dispatcher: { dispatch: 1 } }) as never)],
  // Redirects.
  ...[301, 302, 303, 307, 308].flatMap((code): Case[] => [
    [`${code}`, textAt(`/redirect?code=${code}`)],
    [
      `${code} of a POST`,
      textAt(
        `/redirect?code=${code}`,
        post('{}', { headers: { 'content-type': 'application/json' } }),
      ),
    ],
    [`${code} of a DELETE`, textAt(`/redirect?code=${code}`, { method: 'DELETE' })],
  ]),
  [
    'a redirect to another origin',
    textAt('/redirect?code=307&to=OTHER/text', {
      headers: { authorization: 'secret', cookie: 'a=1', 'x-kept': '1' },
    }),
  ],
  ['a redirect with a redirect', textAt('/redirect?to=/redirect')],
  ['a redirect in a circle', textAt('/redirect?to=/redirect?to=%2Fredirect?to=')],
  ['a redirect to itself', textAt('/redirect?to=')],
  ['a redirect without a place', textAt('/unplaced')],
  ['a redirect to a place that is none', textAt('/redirect?to=http://[')],
  ['a redirect to data:', textAt('/redirect?to=data:,hi')],
  ['a redirect to another scheme', textAt('/redirect?to=ftp://127.0.0.1/')],
  ['a redirect to a blocked port', textAt('/redirect?to=http://127.0.0.1:6000/')],
  ['a redirect with credentials', textAt('/redirect?to=http://a:b@127.0.0.2:9/')],
  ['a redirect that is not followed', textAt('/redirect', { redirect: 'manual' })],
  ['a redirect that is refused', textAt('/redirect', { redirect: 'error' })],
  // Aborts.
  ['an abort before', sent(() => ({ signal: AbortSignal.abort() }))],
  [
    'an abort before, with a reason',
    sent(() => ({ signal: AbortSignal.abort(new Error('mine')) })),
  ],
  [
    'an abort before the head',
    async ({ fetch, origin, arrived }) => {
      const controller = new AbortController()
      const pending = fetch(`${origin}/silent`, { signal: controller.signal })
      await arrived()
      controller.abort(new RangeError('enough'))
      return pending
    },
  ],
  ...(['text', 'json', 'reader', 'loop'] as const).map(
    (how): Case => [
      `an abort in ${how}`,
      async ({ fetch, origin }) => {
        const controller = new AbortController()
        const response = await fetch(`${origin}/stalled`, { signal: controller.signal })
        const reader = how === 'reader' ? response.body?.getReader() : undefined
        const pending =
          how === 'reader'
            ? reader?.read().then(() => reader.read())
            : how === 'loop'
              ? inPieces(response)
              : response[how]()
        queueMicrotask(() => controller.abort())
        return pending
      },
    ],
  ),
  [
    'an abort while nobody reads',
    async ({ fetch, origin }) => {
      const controller = new AbortController()
      const response = await fetch(`${origin}/stalled`, { signal: controller.signal })
      controller.abort(new RangeError('enough'))
      return response.text()
    },
  ],
  [
    'an abort of a stream while nobody reads',
    async ({ fetch, origin }) => {
      const controller = new AbortController()
      const response = await fetch(`${origin}/stalled`, { signal: controller.signal })
      const reader = response.body?.getReader()
      controller.abort(new RangeError('enough'))
      return reader?.closed
    },
  ],
  [
    'an abort after the end',
    async ({ fetch, origin }) => {
      const controller = new AbortController()
      const response = await fetch(`${origin}/text`, { signal: controller.signal })
      const text = await response.text()
      controller.abort()
      return text
    },
  ],
  [
    'a time-out',
    async ({ fetch, origin }) => fetch(`${origin}/silent`, { signal: AbortSignal.timeout(20) }),
  ],
  // Broken connections.
  ['a connection that is closed', textAt('/closed')],
  ['a connection that is reset', textAt('/reset')],
  ['a body that is cut', textAt('/cut-length')],
  ['a chunked body that is cut', textAt('/cut-chunked')],
  ['a chunked stream that is cut', streamAt('/cut-chunked')],
  ['a body that is reset', textAt('/reset-body')],
  ['an answer that is no HTTP', textAt('/garbage')],
  ['a connection that is refused', async ({ fetch }) => fetch('http://127.0.0.1:1025/')],
  ['a host that does not exist', async ({ fetch }) => fetch('http://nowhere.invalid/')],
]

async function twice({ fetch, origin }: Stage, first: 'text' | 'bytes', second: 'text' | 'json') {
  const response = await fetch(`${origin}/json`)
  await response[first]()
  return response[second]()
}

/** What came of it, with all that a caller can see of an error. */
async function outcomeOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return { returned: await work() }
  } catch (error) {
    return { thrown: told(error) }
  }
}

function told(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, cause } = error
  const code = Reflect.get(error, 'code')
  return {
    name,
    message: message.replace(/:\d{4,5}\b/g, ':PORT'),
    ...(code !== undefined && { code }),
    ...(cause !== undefined && depth < 3 && { cause: told(cause, depth + 1) }),
  }
}

const [major = 0] = process.versions.node.split('.').map(Number)
// Of Node 22's own fetch: zstd is handed on undecoded, `?` is dropped, and the reason of an abort is not kept.
const UNLIKE_22 = new Set(['a query that is empty', 'an abort while nobody reads'])
// Its undici, and one of npm, have other words for these.
const OTHER_WORDS = new Set(['a length of its own', 'a wrong length', 'an answer that is no HTTP'])
const isComparable = ([name]: Case) =>
  major > 22 || !(name.startsWith('zstd') || UNLIKE_22.has(name) || OTHER_WORDS.has(name))

describe.each<[string, () => { fetch: DirectFetch; end?: () => Promise<void> }]>([
  ['its own undici', () => ({ fetch: directFetch() })],
  [
    'connections of its own',
    () => ({ fetch: directFetch({ connections: 8, keepAliveMs: 1_000 }) }),
  ],
  [
    "an Agent of npm's undici 8",
    () => {
      const agent = new Agent()
      return { fetch: directFetch({ dispatcher: agent }), end: () => agent.destroy() }
    },
  ],
])('directFetch() on %s does what the runtime’s fetch does', (_name, make) => {
  let server: OddServer
  let ours: ReturnType<typeof make>
  beforeAll(async () => {
    server = await startOddServer()
    ours = make()
  })
  afterEach(() => server.forget())
  afterAll(async () => {
    await ours.end?.()
    await server.close()
  })

  async function played(fetch: DirectFetch, run: Case[1]) {
    server.forget()
    const { origin, otherOrigin } = server
    const arrived = (count = 1) =>
      vi.waitFor(() => expect(server.arrived.length).toBeGreaterThanOrEqual(count), { interval: 1 })
    const outcome = await outcomeOf(() => run({ fetch, origin, otherOrigin, arrived }))
    return { outcome, arrived: [...server.arrived] }
  }

  it.each(cases.filter(isComparable))('%s', async (_case, run) => {
    const expected = await played(globalThis.fetch, run)
    expect(await played(ours.fetch, run)).toEqual(expected)
  })
})
