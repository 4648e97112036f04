import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createPlainServer, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { classifyError } from '../../../src/index.ts'
import { directFetch } from '../../../src/transport/direct-fetch.ts'
import { originOf } from '../../support/origin.ts'

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  return `${await originOf(server)}/`
}

const errorOf = (pending: Promise<unknown>) =>
  pending.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('the connections of directFetch()', () => {
  it('send a request that waits for one only once, and never if it is aborted meanwhile', async () => {
    const seen: string[] = []
    const waiting: (() => void)[] = []
    const origin = await serve((request, out) => {
      seen.push(request.url ?? '')
      waiting.push(() => out.end())
    })
    const fetch = directFetch({ connections: 1 })
    const controller = new AbortController()
    const first = fetch(`${origin}first`)
    const second = fetch(`${origin}second`, { signal: controller.signal })
    const third = fetch(`${origin}third`)
    await vi.waitFor(() => expect(seen).toEqual(['/first']), { interval: 1 })
    controller.abort(new RangeError('enough'))
    await expect(second).rejects.toThrow('enough')
    waiting.shift()?.()
    await (await first).text()
    await vi.waitFor(() => expect(seen).toEqual(['/first', '/third']), { interval: 1 })
    waiting.shift()?.()
    expect((await third).status).toBe(200)
  })

  it('are never more than allowed, and are used again', async () => {
    const sockets = new Set<Socket>()
    const origin = await serve((request, out) => {
      sockets.add(request.socket)
      out.end('ok')
    })
    const fetch = directFetch({ connections: 2 })
    const texts = Array.from({ length: 20 }, async () => (await fetch(origin)).text())
    expect(new Set(await Promise.all(texts))).toEqual(new Set(['ok']))
    expect(sockets.size).toBeLessThanOrEqual(2)
  })

  it('stop reading while nobody takes what has arrived', async () => {
    let sent = 0
    const origin = await serve((_request, out) => {
      const chunk = Buffer.alloc(65_536)
      const more = () => {
        while (sent < 64 * 2 ** 20) {
          sent += chunk.length
          if (!out.write(chunk)) return
        }
        out.end()
      }
      out.on('drain', more)
      more()
    })
    const response = await directFetch()(origin)
    let before = -1
    // Nothing more goes out once the buffers of both ends are full.
    const isStill = () => {
      const was = before
      before = sent
      return was === before
    }
    await vi.waitUntil(isStill, { interval: 50 })
    expect(sent).toBeLessThan(16 * 2 ** 20)
    expect((await response.bytes()).byteLength).toBe(64 * 2 ** 20)
  })

  it('are freed where a long answer is dropped unread', async () => {
    setFlagsFromString('--expose-gc')
    const collect: () => void = runInNewContext('gc')
    let closed = 0
    const origin = await serve((_request, out) => {
      out.on('close', () => closed++)
      out.writeHead(200).write('beginning')
    })
    // An endless signal, as that of a process that shuts down.
    const { signal } = new AbortController()
    const fetch = directFetch()
    const openUnread = async () => void (await fetch(origin, { signal }))
    const openStream = async () => void (await fetch(origin, { signal })).body
    const openRead = async () => {
      const reader = (await fetch(origin, { signal })).body?.getReader()
      await reader?.read()
    }
    await Promise.all([openUnread(), openStream(), openRead()])
    await vi.waitUntil(
      () => {
        collect()
        return closed === 3
      },
      { interval: 20 },
    )
  })

  it('are kept while anybody may read the answer', async () => {
    setFlagsFromString('--expose-gc')
    const collect: () => void = runInNewContext('gc')
    const open: (() => void)[] = []
    const origin = await serve((_request, out) => {
      out.writeHead(200).write('beginning ')
      open.push(() => out.end('end'))
    })
    const fetch = directFetch()
    const textOnly = (await fetch(origin)).text()
    const streamOnly = await (async () => (await fetch(origin)).body)()
    const readerOnly = await (async () => (await fetch(origin)).body?.getReader())()
    const pending = readerOnly?.read()
    const cloneOnly = await (async () => (await fetch(origin)).clone())()
    for (let turn = 0; turn < 20; turn++) {
      collect()
      await new Promise((resolve) => setImmediate(resolve))
    }
    for (const end of open) end()
    expect(await textOnly).toBe('beginning end')
    expect(await new Response(streamOnly).text()).toBe('beginning end')
    expect(new TextDecoder().decode((await pending)?.value)).toBe('beginning ')
    expect(await cloneOnly.text()).toBe('beginning end')
  })

  it('say of a request that was never written that it was not executed', async () => {
    const fetch = directFetch()
    // Nobody listens on a port of this range; no rule of a code is needed for it.
    const refused = await errorOf(fetch('http://127.0.0.1:1025/'))
    expect(classifyError(refused)).toMatchObject({ kind: 'network', executed: 'no' })
    const closing = createPlainServer((socket) => socket.once('data', () => socket.destroy()))
    await new Promise<void>((resolve) => void closing.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void closing.close())
    // An `AddressInfo` for a server that listens on a port.
    const { port } = closing.address() as AddressInfo
    const broken = await errorOf(fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' }))
    expect(classifyError(broken)).toMatchObject({ kind: 'network', executed: 'maybe' })
  })

  it('are told to use HTTP/2 where the server does, and do without where it does not', async () => {
    const origin = await serve((request, out) => void out.end(request.httpVersion))
    expect(await (await directFetch({ allowH2: true })(origin)).text()).toBe('1.1')
  })
})

describe('an answer of directFetch()', () => {
  it('is not decoded beyond 128 MiB, whatever it grows to', async () => {
    const bomb = gzipSync(Buffer.alloc(140 * 2 ** 20))
    const origin = await serve((_request, out) => {
      out.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
    })
    const error = await errorOf((await directFetch()(origin)).text())
    expect(error).toMatchObject({
      name: 'TypeError',
      message: 'terminated',
      cause: { message: 'the answer is longer than 134217728 bytes when it is decoded' },
    })
    expect(classifyError(error)).toMatchObject({
      kind: 'unknown',
      code: 'ERR_ANSWER_TOO_LARGE',
      executed: 'yes',
      retryable: false,
    })
    // A stream is taken in pieces, so that nothing grows.
    let length = 0
    for await (const chunk of (await directFetch()(origin)).body ?? []) length += chunk.byteLength
    expect(length).toBe(140 * 2 ** 20)
  })

  it('is asked for compressed where that is wanted, and decoded', async () => {
    const asked: unknown[] = []
    const origin = await serve((request, out) => {
      asked.push(request.headers['accept-encoding'])
      out.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('decoded'))
    })
    expect(await (await directFetch({ compress: true })(origin)).text()).toBe('decoded')
    const own = { headers: { 'accept-encoding': 'br' } }
    await (await directFetch({ compress: true })(origin, own)).text()
    await (await directFetch()(origin)).text()
    expect(asked).toEqual([expect.stringMatching(/^gzip, deflate, br/), 'br', undefined])
  })

  it('goes on without the keys of a provider to another origin', async () => {
    const arrived: (string | undefined)[] = []
    const other = await serve((request, out) => {
      arrived.push(request.headers['api-key']?.toString(), request.headers['x-api-key']?.toString())
      out.end('elsewhere')
    })
    const origin = await serve((_request, out) => {
      out.writeHead(307, { location: other }).end()
    })
    const headers = { 'api-key': 'secret', 'x-api-key': 'secret' }
    const response = await directFetch()(origin, { method: 'POST', body: '{}', headers })
    expect([await response.text(), response.redirected, response.url]).toEqual([
      'elsewhere',
      true,
      other,
    ])
    expect(arrived).toEqual([undefined, undefined])
  })

  it('shows what it is, without its body', async () => {
    const { inspect } = await import('node:util')
    const origin = await serve((_request, out) => void out.end('secret words'))
    const response = await directFetch()(origin)
    expect(inspect(response)).toMatch(/^Response \{\n {2}status: 200,/)
    expect(inspect(response.headers)).toMatch(/^Headers \{/)
  })

  it('has the members that a later runtime adds to its own', async () => {
    vi.resetModules()
    Object.defineProperty(Response.prototype, 'textInUpperCase', {
      async value(this: Response) {
        return (await this.text()).toUpperCase()
      },
      configurable: true,
    })
    onTestFinished(() => void Reflect.deleteProperty(Response.prototype, 'textInUpperCase'))
    const origin = await serve((_request, out) => void out.end('hello'))
    const { directFetch: loaded } = await import('../../../src/transport/direct-fetch.ts')
    const response = await loaded()(origin)
    expect(await Reflect.get(response, 'textInUpperCase')()).toBe('HELLO')
    expect(response.bodyUsed).toBe(true)
  })
})

describe('a dispatcher of a version to come, which wants other methods of a handler', () => {
  it('is left to the runtime’s fetch, and asked no more', async () => {
    const origin = await serve((_request, out) => void out.end('hello'))
    const [major = 0] = process.versions['undici']?.split('.').map(Number) ?? []
    void globalThis.Response
    const shared = Reflect.get(
      globalThis,
      Symbol.for(`undici.globalDispatcher.${major >= 8 ? 2 : 1}`),
    )
    let refused = 0
    const dispatcher = {
      dispatch(options: object, handler: object): boolean {
        // Ours alone listens to the caller's signal by itself.
        if (!('handleEvent' in handler)) return shared.dispatch(options, handler)
        refused++
        throw Object.assign(new Error('invalid onTomorrow method'), { code: 'UND_ERR_INVALID_ARG' })
      },
    }
    const fetch = directFetch({ dispatcher })
    const texts = [await (await fetch(origin)).text(), await (await fetch(origin)).text()]
    expect([texts, refused]).toEqual([['hello', 'hello'], 1])
  })
})
