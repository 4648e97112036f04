import { AsyncResource } from 'node:async_hooks'
import { EventEmitter, once } from 'node:events'
import { PassThrough } from 'node:stream'
import { Worker } from 'node:worker_threads'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { callReport, createRuntime, fixed, type SteadyClient, steady } from '../../src/index.ts'
import { serverError, virtualClock } from '../../src/testing/index.ts'
import { ask, rejection, setUp } from '../support/set-up.ts'
import { drive, pending, settle } from './world.ts'

const down = { perCall: Array.from({ length: 10 }, () => serverError()) }

describe('the real client under us, on a server that always fails', () => {
  it('sends exactly 3 requests, which count 0, 1, 2', async () => {
    const { server, llm } = await setUp(down)
    await rejection(llm.chat.completions.create(ask('hello')))
    const counts = server.requests.map(({ headers }) => headers['x-stainless-retry-count'])
    expect(counts).toEqual(['0', '1', '2'])
  })
})

type Ask = (llm: SteadyClient<OpenAI>) => Promise<unknown>
const create: Ask = (llm) => rejection(llm.chat.completions.create(ask('the same')))

describe('the scope of an outer call', () => {
  it.each<[string, Ask]>([
    ['a timer', (llm) => new Promise((resolve) => setTimeout(() => resolve(create(llm)), 1))],
    ['setImmediate', (llm) => new Promise((resolve) => setImmediate(() => resolve(create(llm))))],
    ['a microtask', (llm) => new Promise((resolve) => queueMicrotask(() => resolve(create(llm))))],
    [
      'an event that is emitted inside',
      (llm) => {
        const emitter = new EventEmitter()
        const asked = new Promise((resolve) => emitter.on('ask', () => resolve(create(llm))))
        emitter.emit('ask')
        return asked
      },
    ],
    [
      'a stream that is written inside',
      (llm) => {
        const stream = new PassThrough()
        const asked = new Promise((resolve) => stream.once('data', () => resolve(create(llm))))
        stream.write('go')
        return asked
      },
    ],
    [
      'an async generator',
      async (llm) => {
        async function* steps() {
          yield await create(llm)
        }
        const { value } = await steps().next()
        return value
      },
    ],
  ])('is kept across %s: the inner call retries, the outer does not', async (_, inner) => {
    const { server, llm } = await setUp(down, { limits: 'off' })
    await rejection(
      llm.run('outer', async () => {
        const error = await inner(llm)
        throw error
      }),
    )
    expect(server.count).toBe(3)
  })

  it('is not that of a listener’s emitter: an event emitted outside has no outer call', async () => {
    const { server, llm } = await setUp(down, { limits: 'off' })
    const emitter = new EventEmitter()
    const answered: Promise<unknown>[] = []
    await llm.run('subscribes', () => {
      emitter.on('ask', () => answered.push(create(llm)))
    })
    emitter.emit('ask')
    emitter.emit('ask')
    await Promise.all(answered)
    // Two calls of their own: nothing counts them together.
    expect(server.count).toBe(6)
  })

  it('goes with an AsyncResource that was made inside, and is inert once the call has settled', async () => {
    const { server, llm } = await setUp(down, { limits: 'off' })
    let resource: AsyncResource | undefined
    await llm.run('makes it', () => {
      resource = new AsyncResource('kept')
    })
    await resource?.runInAsyncScope(() => create(llm))
    await resource?.runInAsyncScope(() => create(llm))
    expect(server.count).toBe(6)
  })

  it('is not shared with worker threads, as documented: a worker is a process of its own here', async () => {
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads')
       parentPort.postMessage(Symbol.for('steadycall.scope.v2') in globalThis)`,
      { eval: true },
    )
    const [inWorker] = await once(worker, 'message')
    await worker.terminate()
    expect(inWorker).toBe(false)
  })
})

describe('two equal requests side by side in one outer call', () => {
  it('share what is left of their attempts, and the one that fails has its own error', async () => {
    const clock = virtualClock()
    const { promise: goAhead, resolve: succeed } = pending<Response>()
    const { promise: inFlight, resolve: fail } = pending<Response>()
    const refused = () => new Response('{"error":{"message":"down"}}', { status: 500 })
    const answer = { choices: [{ finish_reason: 'stop', message: { content: 'good' } }] }
    const sent: string[] = []
    const client = new OpenAI({
      apiKey: 'k',
      baseURL: 'http://127.0.0.1:9/v1',
      async fetch(_url, init) {
        const by = new Headers(init?.headers).get('x-request-id') ?? ''
        sent.push(by)
        const turn = sent.filter((one) => one === by).length
        if (by === 'first') return turn < 3 ? refused() : goAhead
        return turn === 1 ? inFlight : refused()
      },
    })
    const runtime = createRuntime({ clock, random: () => 0.5 })
    const llm = steady(client, { runtime, limits: 'off', backoff: fixed(10) })
    const asked = (by: string) =>
      llm.chat.completions.create(ask('the same'), { headers: { 'x-request-id': by } })
    const outer = llm.run('outer', async () => {
      const one = asked('first')
      while (sent.length < 3) {
        await settle()
        await clock.advance(10)
      }
      const other = rejection(asked('second'))
      while (sent.length < 4) await settle()
      // The first succeeds while the second is under way: all attempts are the second's again.
      succeed(Response.json(answer))
      await one
      fail(refused())
      return callReport(await drive(clock, other))
    })
    expect(await outer).toMatchObject({ outcome: 'server_error', reason: 'max_attempts' })
    expect(sent).toEqual(['first', 'first', 'first', 'second', 'second', 'second'])
  })
})

describe('a client that is wrapped twice', () => {
  const settings = {
    maxAttempts: 1,
    maxWaitMs: 0,
    limits: { concurrency: 1 },
  } as const
  const outage = { script: Array.from({ length: 5 }, () => serverError()) }

  it('recovers after an outage: the lines of its layers do not wait for each other', async () => {
    const clock = virtualClock()
    const runtime = createRuntime({ clock, random: () => 0.5 })
    const { llm: inner, server } = await setUp(outage, { ...settings, runtime })
    const outer = steady(inner, { ...settings, runtime })
    for (let call = 0; call < 10; call += 1) {
      await rejection(outer.chat.completions.create(ask('down')))
    }
    expect(server.count).toBe(5)
    expect(outer.targets().map(({ state }) => state)).toEqual(['down', 'down'])
    for (let call = 0; call < 3; call += 1) {
      await clock.advance(1_000)
      await outer.chat.completions.create(ask('up again'))
    }
    expect(outer.targets().map(({ state }) => state)).not.toContain('down')
  })

  it('as a fallback too', async () => {
    const clock = virtualClock()
    const runtime = createRuntime({ clock, random: () => 0.5 })
    const { llm: second } = await setUp(outage, { ...settings, runtime })
    const { client } = await setUp(down)
    const llm = steady(client, {
      ...settings,
      runtime,
      maxAttempts: 3,
      backoff: fixed(0),
      fallbacks: [{ client: second }],
    })
    for (let call = 0; call < 10; call += 1) {
      await rejection(second.chat.completions.create(ask('down')))
    }
    for (let call = 0; call < 3; call += 1) {
      await clock.advance(1_000)
      await llm.chat.completions.create(ask('up again'))
    }
  })
})
