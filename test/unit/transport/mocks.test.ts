import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { HttpResponse, http } from 'msw'
import { setupServer } from 'msw/node'
import nock from 'nock'
import { Agent, type Dispatcher, getGlobalDispatcher, MockAgent, setGlobalDispatcher } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { directFetch } from '../../../src/transport/direct-fetch.ts'
import { originOf } from '../../support/origin.ts'
import { runNode } from './run-node.ts'

// It is at work from its import on, which came before that of directFetch.
nock.restore()

// Of a name that does not resolve: whoever is not mocked fails.
const URL_OF_NOBODY = 'http://provider.invalid/v1'
const post = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } }

describe.each([
  ['directFetch()', directFetch()],
  ['directFetch() with connections of its own', directFetch({ connections: 2 })],
])('%s', (_name, fetch) => {
  it('is mocked by MSW, which replaces the global fetch', async () => {
    const bodies: unknown[] = []
    const server = setupServer(
      http.post(URL_OF_NOBODY, async ({ request }) => {
        bodies.push(await request.json())
        return HttpResponse.json({ mocked: true })
      }),
    )
    server.listen({ onUnhandledRequest: 'error' })
    onTestFinished(() => server.close())
    expect(await (await fetch(URL_OF_NOBODY, post)).json()).toEqual({ mocked: true })
    expect(bodies).toEqual([{ a: 1 }])
  })

  it('is mocked by nock', async () => {
    nock.activate()
    onTestFinished(() => {
      nock.cleanAll()
      nock.restore()
    })
    nock('http://provider.invalid').post('/v1', { a: 1 }).reply(201, { mocked: true })
    const response = await fetch(URL_OF_NOBODY, post)
    expect([response.status, await response.json()]).toEqual([201, { mocked: true }])
  })

  it('is mocked by the MockAgent of undici, which is set as the dispatcher of the process', async () => {
    const before = getGlobalDispatcher()
    const agent = new MockAgent()
    agent.disableNetConnect()
    agent
      .get('http://provider.invalid')
      .intercept({ path: '/v1', method: 'POST', body: '{"a":1}' })
      .reply(200, { mocked: true })
    setGlobalDispatcher(agent)
    onTestFinished(() => setGlobalDispatcher(before))
    expect(await (await fetch(URL_OF_NOBODY, post)).json()).toEqual({ mocked: true })
  })

  it('is called by a wrapper that calls the fetch that it replaced, and does not call that again', async () => {
    const origin = await textServer()
    const { fetch: runtime } = globalThis
    onTestFinished(() => {
      globalThis.fetch = runtime
    })
    let calls = 0
    globalThis.fetch = fetch
    const replaced = globalThis.fetch
    globalThis.fetch = (input, init) => {
      calls++
      return replaced(input, init)
    }
    expect(await (await globalThis.fetch(origin)).text()).toBe('hello')
    expect(calls).toBeLessThanOrEqual(2)
  })

  it('is its own when it is the global fetch', async () => {
    const origin = await textServer()
    const { fetch: runtime } = globalThis
    onTestFinished(() => {
      globalThis.fetch = runtime
    })
    globalThis.fetch = fetch
    expect(await (await globalThis.fetch(origin)).text()).toBe('hello')
  })
})

describe('directFetch() with a dispatcher of its own', () => {
  it('hands that on with a request to whoever replaced the global fetch', async () => {
    const origin = await textServer()
    const { fetch: runtime } = globalThis
    onTestFinished(() => {
      globalThis.fetch = runtime
    })
    let replaced = 0
    globalThis.fetch = (input, init) => {
      replaced++
      return runtime(input, init)
    }
    let dispatched = 0
    const agent = new Agent()
    const dispatcher = {
      dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) {
        dispatched++
        return agent.dispatch(options, handler)
      },
    }
    const response = await directFetch({ dispatcher })(origin, { method: 'POST', body: 'x' })
    expect([await response.text(), replaced, dispatched]).toEqual(['hello', 1, 1])
    await agent.destroy()
  })
})

describe('directFetch() under NODE_USE_ENV_PROXY', () => {
  it.skipIf(process.versions.node.startsWith('22.'))(
    'goes through the proxy as fetch does',
    async () => {
      const origin = await textServer()
      const tunnels: string[] = []
      const proxy = createServer((request, response) => {
        tunnels.push(request.url ?? '')
        response.end('hello')
      })
      proxy.on('connect', (request, socket, head) => {
        tunnels.push(request.url ?? '')
        const [host = '', port = ''] = request.url?.split(':') ?? []
        const target = connect(Number(port), host, () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\n')
          target.write(head)
          target.pipe(socket).pipe(target)
        })
        for (const end of [target, socket]) end.on('error', () => undefined)
      })
      await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve))
      onTestFinished(() => {
        proxy.closeAllConnections()
        proxy.close()
      })
      // An `AddressInfo` for a server that listens on a port.
      const { port } = proxy.address() as AddressInfo
      const source = fileURLToPath(
        new URL('../../../src/transport/direct-fetch.ts', import.meta.url),
      )
      const program = `
      const { directFetch } = await import(${JSON.stringify(source)})
      const fetches = [fetch, directFetch(), directFetch({ connections: 2 })]
      for (const one of fetches) console.log(await (await one(${JSON.stringify(origin)})).text())
      process.exit()`
      const output = await runNode(program, {
        NODE_USE_ENV_PROXY: '1',
        HTTP_PROXY: `http://127.0.0.1:${port}`,
      })
      expect(output).toBe('hello\nhello\nhello\n')
      // fetch and the first share the connections of the process.
      expect(tunnels.length).toBeGreaterThanOrEqual(2)
    },
  )
})

async function textServer(): Promise<string> {
  const server = createServer((_request, response) => void response.end('hello'))
  return `${await originOf(server)}/`
}
