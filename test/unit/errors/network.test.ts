import { createServer, type Server, type Socket } from 'node:net'
import OpenAI from 'openai'
import OpenAIv6 from 'openai-v6'
import { afterEach, describe, expect, it } from 'vitest'
import { classifyError } from '../../../src/errors/classify.ts'

const open: Server[] = []

afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

/** A raw TCP server: what a provider's machine does when it does not speak HTTP to the end. */
async function listen(onRequest: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => onRequest(socket))
  })
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `127.0.0.1:${address.port}`
}

async function closedPort(): Promise<string> {
  const host = await listen(() => {})
  await new Promise((resolve) => open.pop()?.close(resolve))
  return host
}

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n'

interface Limits {
  readonly signal?: AbortSignal
  readonly timeout?: number
}

const request = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

describe.each([
  {
    version: 'v7',
    create: (baseURL: string, limits?: Limits): Promise<unknown> =>
      new OpenAI({ apiKey: 'test', baseURL, maxRetries: 0 }).chat.completions.create(
        request,
        limits,
      ),
  },
  {
    version: 'v6',
    create: (baseURL: string, limits?: Limits): Promise<unknown> =>
      new OpenAIv6({ apiKey: 'test', baseURL, maxRetries: 0 }).chat.completions.create(
        request,
        limits,
      ),
  },
])('openai $version', ({ create }) => {
  const failure = (origin: string, limits?: Limits) =>
    create(`${origin}/v1`, limits).then(
      () => expect.unreachable('the client must throw'),
      (error: unknown) => classifyError(error),
    )

  it('knows a closed port as surely not executed', async () => {
    expect(await failure(`http://${await closedPort()}`)).toMatchObject({
      kind: 'network',
      retryable: true,
      executed: 'no',
      code: 'ECONNREFUSED',
    })
  })

  it('knows a reset connection', async () => {
    const host = await listen((socket) => socket.resetAndDestroy())
    expect(await failure(`http://${host}`)).toMatchObject({
      kind: 'network',
      retryable: true,
      executed: 'maybe',
    })
  })

  it('knows a connection closed without an answer', async () => {
    const host = await listen((socket) => socket.end())
    expect(await failure(`http://${host}`)).toMatchObject({
      kind: 'network',
      retryable: true,
      executed: 'maybe',
    })
  })

  it('knows a body that was cut', async () => {
    const host = await listen((socket) => socket.end(`${HEAD}{"choices":[`))
    expect(await failure(`http://${host}`)).toMatchObject({
      kind: 'network',
      retryable: true,
      executed: 'maybe',
    })
  })

  it('knows an answer that is not HTTP', async () => {
    const host = await listen((socket) => socket.end('220 smtp ready\r\n'))
    expect(await failure(`http://${host}`)).toMatchObject({ kind: 'network', executed: 'maybe' })
  })

  it('knows plain HTTP behind an https address', async () => {
    const host = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    expect(await failure(`https://${host}`)).toMatchObject({
      kind: 'tls',
      retryable: false,
      executed: 'no',
    })
  })

  it('knows a connection closed during the handshake as network', async () => {
    const host = await listen((socket) => socket.end())
    expect(await failure(`https://${host}`)).toMatchObject({
      kind: 'network',
      retryable: true,
      executed: 'no',
    })
  })

  it("tells the caller's abort from the client's timeout", async () => {
    const controller = new AbortController()
    const host = await listen(() => controller.abort())
    const aborted = await failure(`http://${host}`, { signal: controller.signal })
    expect(aborted).toMatchObject({ kind: 'aborted', retryable: false, executed: 'maybe' })
    const silent = await listen(() => {})
    const timedOut = await failure(`http://${silent}`, { timeout: 20 })
    expect(timedOut).toMatchObject({ kind: 'timeout', retryable: true, executed: 'maybe' })
  })
})
