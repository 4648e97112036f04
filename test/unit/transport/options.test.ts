import { describe, expect, it, vi } from 'vitest'
import { directFetch } from '../../../src/transport/direct-fetch.ts'

// What untyped callers may give.
const loosely = (options: unknown) => () => directFetch(options as never)
const dispatcher = { dispatch: () => true }

describe('directFetch() refuses by name', () => {
  it.each<[string, unknown, string]>([
    ['what is no object', 'http2', "options must be an object, got 'http2'"],
    [
      'an unknown option',
      { conections: 3 },
      "unknown option 'conections'; did you mean 'connections'?",
    ],
    [
      'a class in the place of a dispatcher',
      { dispatcher: class Agent {} },
      'dispatcher must be a dispatcher of undici, such as its Agent, got a function: pass what it returns',
    ],
    [
      'an agent of node:http',
      { dispatcher: { request: () => undefined } },
      'dispatcher must be a dispatcher of undici, such as its Agent, got an object without dispatch()',
    ],
    ['no connection', { connections: 0 }, 'connections must be an integer from 1, got 0'],
    [
      'a time that is none',
      { keepAliveMs: '4s' },
      "keepAliveMs must be a positive number of milliseconds, got '4s'",
    ],
    [
      'a body that may not pause',
      { bodyTimeoutMs: 0 },
      'bodyTimeoutMs must be a positive number of milliseconds, got 0',
    ],
    ['a maybe', { allowH2: 'yes' }, "allowH2 must be true or false, got 'yes'"],
    ['a coding', { compress: 'gzip' }, "compress must be true or false, got 'gzip'"],
    [
      'connections of a dispatcher that has its own',
      { dispatcher, connections: 3 },
      'connections has no effect on a dispatcher; set it where that is made',
    ],
    [
      'HTTP/2 of a dispatcher that has its own setting',
      { dispatcher, allowH2: false },
      'allowH2 has no effect on a dispatcher; set it where that is made',
    ],
  ])('%s', (_what, options, message) => {
    expect(loosely(options)).toThrow(new TypeError(`directFetch(): ${message}`))
  })

  it('nothing that is undefined', () => {
    expect(directFetch({ dispatcher: undefined, connections: undefined } as never)).toBeTypeOf(
      'function',
    )
  })
})

describe('where there is no dispatcher of undici, directFetch()', () => {
  it('is the fetch of Bun or Deno, and says so once', async () => {
    vi.resetModules()
    const emitWarning = vi.fn()
    const versions = { ...process.versions, bun: '1.4.0' }
    const runtimeFetch = vi.fn(async () => new Response('of the runtime'))
    vi.stubGlobal('process', { versions, emitWarning })
    vi.stubGlobal('fetch', runtimeFetch)
    const { directFetch: loaded } = await import('../../../src/transport/direct-fetch.ts')
    const fetch = loaded({ connections: 3 })
    expect(await (await fetch('http://127.0.0.1:1/')).text()).toBe('of the runtime')
    await loaded()('http://127.0.0.1:1/')
    expect(runtimeFetch).toHaveBeenCalledTimes(2)
    vi.unstubAllGlobals()
    expect(emitWarning.mock.calls).toEqual([
      [
        'This runtime has no dispatcher of undici, so directFetch() is its own fetch, with its own limits of time.',
        { type: 'SteadycallWarning', code: 'STEADYCALL_RUNTIME_FETCH' },
      ],
    ])
  })
})
