import OpenAI, { type ClientOptions } from 'openai'
import OpenAI6 from 'openai-v6'
import { describe, expect, it } from 'vitest'
import { callReport, type SteadyOptions, steady } from '../../../src/index.ts'
import {
  type Fault,
  hangs,
  ok,
  overloaded,
  resetInBody,
  serverError,
  slow,
} from '../../../src/testing/index.ts'
import { ask, patientRuntime, rejection, startServer } from '../../support/set-up.ts'

// From a client's second request on, its signal and its key reach `fetch` past openai's options.
describe.each([
  ['openai 7', OpenAI],
  ['openai 6', OpenAI6 as unknown as typeof OpenAI],
])('the second request of a client of %s', (_, Client) => {
  async function setUpSecond(
    faults: readonly Fault[] = [],
    { options = {}, client: more = {} }: { options?: SteadyOptions; client?: ClientOptions } = {},
  ) {
    const server = await startServer({ script: [ok(), ...faults] })
    const client = new Client({ apiKey: 'sk-test', baseURL: server.baseURL, ...more })
    const llm = steady(client, { runtime: patientRuntime(), ...options })
    await llm.chat.completions.create(ask('first'))
    return { server, client, llm }
  }

  it('ends at the provider when the caller aborts, and the caller gets his abort', async () => {
    const { llm, server } = await setUpSecond([hangs()])
    const controller = new AbortController()
    const pending = llm.chat.completions.create(ask('hi'), { signal: controller.signal })
    while (server.count < 2) await new Promise((resolve) => setTimeout(resolve, 1))
    controller.abort()
    expect(await rejection(pending)).toBeInstanceOf(Client.APIUserAbortError)
    while (server.requests[1]?.aborted !== true) await new Promise((r) => setTimeout(r, 1))
  })

  it('ends at the provider when its time is up, and is sent again', async () => {
    const { llm, server } = await setUpSecond([hangs()])
    const options = { steady: { attemptTimeoutMs: 50 } }
    const answer = await llm.chat.completions.create(ask('hi'), options)
    expect(callReport(answer)?.attempts).toMatchObject([{ outcome: 'timeout' }, {}])
    while (server.requests[1]?.aborted !== true) await new Promise((r) => setTimeout(r, 1))
  })

  it("is not sent at all when it is aborted while the client's key is fetched", async () => {
    const controller = new AbortController()
    let asked = 0
    const { llm, server } = await setUpSecond([], {
      client: {
        apiKey: async () => {
          asked += 1
          if (asked > 1) controller.abort()
          return 'sk-test'
        },
        // One that looks at no signal.
        fetch: (url, { signal: _signal, ...init } = {}) => fetch(url, init),
      },
    })
    const { signal } = controller
    expect(await rejection(llm.chat.completions.create(ask('hi'), { signal }))).toBeInstanceOf(
      Client.APIUserAbortError,
    )
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(server.count).toBe(1)
  })

  it('carries the key of its call, the same when it is sent again, another after an answer', async () => {
    const faults = [resetInBody(), slow(1, overloaded()), serverError()]
    const { llm, server } = await setUpSecond(faults, { options: { maxAttempts: 4 } })
    const report = callReport(await llm.chat.completions.create(ask('hi')))
    const keys = server.requests.slice(1).map(({ headers }) => headers['idempotency-key'])
    expect(keys[0]).toBe(report?.idempotencyKey)
    expect(keys[1]).toBe(keys[0])
    expect(new Set(keys).size).toBe(3)
    const counts = server.requests.map(({ headers }) => headers['x-stainless-retry-count'])
    expect(counts).toEqual(['0', '0', '1', '2', '3'])
  })

  it("leaves the caller's own Idempotency-Key alone, and none where he wants none", async () => {
    const { llm, server } = await setUpSecond()
    await llm.chat.completions.create(ask('hi'), { headers: { 'Idempotency-Key': 'mine' } })
    await llm.chat.completions.create(ask('hi'), { headers: { 'Idempotency-Key': null } })
    const keys = server.requests.slice(1).map(({ headers }) => headers['idempotency-key'])
    expect(keys).toEqual(['mine', undefined])
  })

  it('gives the response that the answer came in', async () => {
    const { llm } = await setUpSecond()
    const {
      data,
      response,
      request_id: id,
    } = await llm.chat.completions.create(ask('hi')).withResponse()
    expect(response).toMatchObject({ status: 200, bodyUsed: true })
    expect(response.headers.get('x-request-id')).toBe(id)
    expect(Reflect.get(data, '_request_id')).toBe(id)
    expect(callReport(data)?.attempts).toMatchObject([{ requestId: id, status: 200 }])
  })

  it('goes the long way where the client has got another fetch meanwhile', async () => {
    const { llm, client, server } = await setUpSecond([hangs()])
    Reflect.set(client, 'fetch', (url: string, init: RequestInit) => fetch(url, init))
    const options = { steady: { attemptTimeoutMs: 50, maxAttempts: 2 } }
    await llm.chat.completions.create(ask('hi'), options)
    const [, lost, again] = server.requests
    expect(lost).toMatchObject({ aborted: true })
    expect(again?.headers['idempotency-key']).toBe(lost?.headers['idempotency-key'])
    expect(lost?.headers['idempotency-key']).toMatch(/./)
  })

  it('is one request under the inner layer of a client that is wrapped twice', async () => {
    const { llm, server } = await setUpSecond([hangs()])
    const outer = steady(llm, { runtime: patientRuntime() })
    const controller = new AbortController()
    const pending = outer.chat.completions.create(ask('hi'), { signal: controller.signal })
    while (server.count < 2) await new Promise((resolve) => setTimeout(resolve, 1))
    controller.abort()
    expect(await rejection(pending)).toBeInstanceOf(Client.APIUserAbortError)
    while (server.requests[1]?.aborted !== true) await new Promise((r) => setTimeout(r, 1))
    expect(server.count).toBe(2)
  })
})
