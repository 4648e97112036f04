import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import * as zlib from 'node:zlib'

/** What arrived, without what differs between clients on purpose. */
export interface Arrived {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface OddServer {
  readonly origin: string
  /** An origin of the same server that is another one for clients. */
  readonly otherOrigin: string
  /** Requests since the last `forget`. */
  readonly arrived: Arrived[]
  readonly sockets: ReadonlySet<Socket>
  forget(): void
  close(): Promise<void>
}

// Sent by Node's fetch alone; and those of one connection.
const UNLIKE = new Set([
  'accept-encoding',
  'accept-language',
  'sec-fetch-mode',
  'connection',
  'host',
  'transfer-encoding',
])

export const LONG_TEXT: string = 'naïve café ☕ '.repeat(8_000)

/** A server that answers each path in a way of its own. */
export async function startOddServer(): Promise<OddServer> {
  const arrived: Arrived[] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('latin1')
      const { method = '', url = '' } = request
      const headers = Object.fromEntries(
        Object.entries(request.headers)
          .filter(([name]) => !UNLIKE.has(name))
          .map(([name, value]) => [name, withoutBoundary(String(value))]),
      )
      arrived.push({ method, url, headers, body: withoutBoundary(body) })
      answer(request, response, addresses)
    })
  })
  const addresses = { origin: '', otherOrigin: '' }
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  // An `AddressInfo` for a server that listens on a port.
  const { port } = server.address() as AddressInfo
  addresses.origin = `http://127.0.0.1:${port}`
  addresses.otherOrigin = `http://localhost:${port}`
  return {
    ...addresses,
    arrived,
    sockets,
    forget: () => {
      arrived.length = 0
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

function withoutBoundary(text: string): string {
  return text.replace(/-{4,}formdata-undici-\d+/g, 'BOUNDARY')
}

type Addresses = Pick<OddServer, 'origin' | 'otherOrigin'>

const encoders: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: zlib.gzipSync,
  'x-gzip': zlib.gzipSync,
  deflate: zlib.deflateSync,
  'deflate-raw': zlib.deflateRawSync,
  br: zlib.brotliCompressSync,
  zstd: zlib.zstdCompressSync,
}

function answer(request: IncomingMessage, response: ServerResponse, addresses: Addresses): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', addresses.origin)
  const name = pathname.split('/')[1] ?? ''
  const handle = Object.hasOwn(ROUTES, name) ? ROUTES[name] : undefined
  if (handle === undefined) response.writeHead(404).end('no such path')
  else handle(response, searchParams, addresses, request)
}

type Route = (
  response: ServerResponse,
  parameters: URLSearchParams,
  addresses: Addresses,
  request: IncomingMessage,
) => void

const ROUTES: Readonly<Record<string, Route>> = {
  json: (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'x-request-id': 'req_1' })
    response.end('{"answer":42,"text":"☕"}')
  },
  text: (response) => void response.end('hello'),
  empty: (response) => void response.end(),
  long: (response) => void response.end(LONG_TEXT),
  status: (response, parameters) => {
    response.writeHead(Number(parameters.get('code')), parameters.get('text') ?? '')
    response.end()
  },
  failed: (response) => {
    response.writeHead(429, { 'retry-after': '3', 'content-type': 'application/json' })
    response.end('{"error":{"message":"slow down"}}')
  },
  headers: (response) => {
    response.writeHead(
      200,
      [
        ['Set-Cookie', 'a=1, b'],
        ['X-Many', 'one'],
        ['set-cookie', 'c=2'],
        ['x-many', 'two'],
        ['X-Latin', 'caf\xe9'],
        ['X-Blank', ''],
        ['X-Spaces', '  padded  '],
        ['constructor', 'ours'],
        ['Content-Type', 'text/plain; charset=utf-8'],
      ].flat(),
    )
    response.end('with headers')
  },
  invalid: (response) =>
    void response.end(Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff, 0xf0, 0x9f, 0x62, 0xc3])),
  broken: (response) => void response.end('{"answer":'),
  hints: (response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    response.writeProcessing()
    response.end('after hints')
  },
  trailers: (response) => {
    response.writeHead(200, { trailer: 'x-sum' })
    response.write('with ')
    response.addTrailers({ 'x-sum': '1' })
    response.end('trailers')
  },
  form: (response) => {
    response.writeHead(200, { 'content-type': 'application/x-www-form-urlencoded' })
    response.end('a=1&b=two+words')
  },
  redirect: (response, parameters, { otherOrigin }) => {
    const location = (parameters.get('to') ?? '/text').replace('OTHER', otherOrigin)
    response.writeHead(Number(parameters.get('code') ?? 302), { location })
    response.end('elsewhere')
  },
  unplaced: (response) => void response.writeHead(302).end('no location'),
  encoded: (response, parameters) => {
    const codings = (parameters.get('as') ?? '').split(',')
    const text = parameters.has('long') ? LONG_TEXT : 'encoded text ☕'
    let bytes: Buffer = Buffer.from(parameters.has('empty') ? '' : text)
    for (const coding of codings) bytes = encoders[coding]?.(bytes) ?? bytes
    if (parameters.has('cut')) bytes = bytes.subarray(0, -3)
    if (parameters.has('spoilt')) bytes = Buffer.from('this is not compressed')
    if (parameters.has('empty')) bytes = Buffer.alloc(0)
    const named = codings.map((coding) => coding.replace('-raw', '')).join(', ')
    response.writeHead(200, { 'content-encoding': named, 'content-type': 'text/plain' })
    if (!parameters.has('slowly')) {
      response.end(bytes)
      return
    }
    response.write(bytes.subarray(0, 10))
    setImmediate(() => response.end(bytes.subarray(10)))
  },
  events: (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    let sent = 0
    const more = () => {
      if (sent === 5) response.end()
      else {
        response.write(`data: ${sent++}\n\n`)
        setImmediate(more)
      }
    }
    more()
  },
  // The head and the beginning, then nothing.
  stalled: (response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.write('beginning')
  },
  silent: () => undefined,
  closed: (_response, _parameters, _addresses, { socket }) => void socket.end(),
  reset: (_response, _parameters, _addresses, { socket }) => void socket.resetAndDestroy(),
  'cut-length': (response, _parameters, _addresses, { socket }) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('only this', () => socket.end())
  },
  'cut-chunked': (response, _parameters, _addresses, { socket }) => {
    response.writeHead(200)
    response.write('only this', () => socket.end())
  },
  'reset-body': (response, _parameters, _addresses, { socket }) => {
    response.writeHead(200)
    response.write('only this', () => socket.resetAndDestroy())
  },
  garbage: (_response, _parameters, _addresses, { socket }) =>
    void socket.end('this is not HTTP\r\n\r\n'),
  endless: (response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    const chunk = Buffer.alloc(65_536, 'x')
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    }
    response.on('drain', more)
    more()
  },
}
