import OpenAI, { type ClientOptions } from 'openai'
import OpenAI6 from 'openai-v6'
import { describe, expect, it } from 'vitest'
import { createRuntime, steady } from '../../../src/index.ts'
import { startRawServer } from '../../support/raw-server.ts'
import { ask, rejection } from '../../support/set-up.ts'

/** Of both majors, as the first: what is compared is what they do. */
const majors: readonly (readonly [string, typeof OpenAI])[] = [
  ['openai 7', OpenAI],
  ['openai 6', OpenAI6 as unknown as typeof OpenAI],
]

type Make = (Client: typeof OpenAI, options: ClientOptions) => OpenAI

const usual: Make = (Client, options) => new Client(options)
const vault = Object.assign(new Error('vault down'), { status: 429, code: 'ECONNRESET' })

describe.each(majors)('what %s throws before anything is sent', (_major, Client) => {
  it.each<[string, Make, object]>([
    ['a header that is none', usual, { headers: { 'x-a': 'é 🛒' } }],
    ['a name of a header that is none', usual, { headers: { 'x a': '1' } }],
    ['a client without a key', (C, options) => Object.assign(new C(options), { apiKey: null }), {}],
    [
      'a key that is a function, and fails as a provider would',
      (C, options) => new C({ ...options, apiKey: () => Promise.reject(vault) }),
      {},
    ],
    [
      'a subclass that refuses the options',
      (C, options) =>
        new (class extends C {
          protected override prepareOptions(): Promise<void> {
            return Promise.reject(vault)
          }
        })(options),
      {},
    ],
    [
      'a subclass that refuses the request',
      (C, options) =>
        new (class extends C {
          protected override prepareRequest(): Promise<void> {
            return Promise.reject(vault)
          }
        })(options),
      {},
    ],
  ])('reaches the caller as it is, and is not tried again: %s', async (_, make, options) => {
    const server = await startRawServer()
    const settings = { apiKey: 'sk-test', baseURL: server.baseURL }
    const bare = await rejection(make(Client, settings).chat.completions.create(ask('hi'), options))
    const llm = steady(make(Client, settings), { runtime: createRuntime({ random: () => 0 }) })
    const ours = await rejection(llm.chat.completions.create(ask('hi'), options))
    expect(String(ours)).toBe(String(bare))
    expect(Object(ours).constructor).toBe(Object(bare).constructor)
    if (bare === vault) expect(ours).toBe(vault)
    expect(server.bodies).toEqual([])
  })
})

describe.each(majors)('what %s sends', (_major, Client) => {
  const json = '{"model":"m","messages":[]}'
  it.each<[string, () => unknown, object]>([
    ['bytes', () => new TextEncoder().encode(json), {}],
    ['parameters of a query', () => new URLSearchParams({ model: 'm' }), {}],
    [
      'a body in pieces',
      async function* () {
        yield new TextEncoder().encode(json)
      },
      {},
    ],
    ['a text', () => 'text', {}],
    ['a list', () => [1, 2], {}],
    ['a number', () => 5, {}],
    [
      'a form by its header',
      () => ask('hi'),
      { headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    ],
    ['options that are null', () => ask('hi'), null as never],
    ['a signal and retries that are null', () => ask('hi'), { signal: null, maxRetries: null }],
  ])('is the same when wrapped: %s', async (_, params, options) => {
    const server = await startRawServer()
    const settings = { apiKey: 'sk-test', baseURL: server.baseURL }
    await new Client(settings).chat.completions.create(params() as never, options)
    const llm = steady(new Client(settings), { runtime: createRuntime({ random: () => 0 }) })
    await llm.chat.completions.create(params() as never, options)
    const [bare, ours] = server.bodies
    expect(ours).toBe(bare)
    const types = server.headers.map((headers) => headers['content-type'])
    expect(types[1]).toBe(types[0])
  })
})
