import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import OpenAI from 'openai'
import { describe, expect, it, vi } from 'vitest'
import { callReport, createRuntime, type SteadyOptions, steady } from '../../../src/index.ts'
import { endlessBody, virtualClock } from '../../../src/testing/index.ts'
import {
  chunk,
  DONE,
  event,
  majors,
  outcomeOf,
  role,
  stop,
  text,
  whole,
} from '../../support/event-streams.ts'
import { ask, rejection, setUp } from '../../support/set-up.ts'

const streamed = { ...ask('go on'), stream: true } as const

/** A body without end, whose pieces come as fast as they are asked for. */
function endless(piece: string): { readonly fetch: typeof fetch; sent: number } {
  const bytes = new TextEncoder().encode(piece)
  const provider = {
    sent: 0,
    fetch: async (_url: unknown, init?: { readonly signal?: AbortSignal | null }) => {
      const body = new ReadableStream({
        async pull(controller) {
          provider.sent += bytes.byteLength
          if (provider.sent % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
          if (init?.signal?.aborted) controller.error(init.signal.reason)
          else controller.enqueue(bytes.slice())
        },
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    },
  }
  return provider
}

function clientOf(Client: typeof OpenAI, fetch: typeof globalThis.fetch, options: SteadyOptions) {
  const client = new Client({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch, logLevel: 'off' })
  return steady(client, { runtime: createRuntime({ random: () => 0 }), maxAttempts: 1, ...options })
}

describe.each(majors)('chunks without content, read with %s,', (_, Client) => {
  const empty = chunk({ delta: { content: '' } })
  const times = (count: number) => Array.from({ length: count }, () => empty)

  it('are held, a thousand of them, so that a failure behind them is retried', async () => {
    const seen = await outcomeOf(Client, [times(999), whole])
    expect(seen).toMatchObject({ text: 'Hello', requests: 2, outcome: 'success' })
  })

  it('are released in order before the content that follows, none left out', async () => {
    for (const count of [1, 999, 1_000, 1_001, 3_000]) {
      const body = [...times(count), text('Hel'), text('lo'), stop, DONE]
      const seen = await outcomeOf(Client, [[body.join('')]])
      expect(seen).toMatchObject({ text: 'Hello', chunks: count + 3, requests: 1 })
    }
  })

  it('more than are held, are released: what fails behind them is not asked for again', async () => {
    const seen = await outcomeOf(Client, [times(1_500), whole])
    expect(seen).toMatchObject({ chunks: 1_500, text: '', requests: 1, outcome: 'network' })
    expect(seen.thrown).toBeInstanceOf(Client.APIConnectionError)
    expect(seen.report?.reason).toBe('delivered')
  })

  it('of a megabyte are more than are held', async () => {
    const large = event({ choices: [], padding: 'x'.repeat(300_000) })
    const few = await outcomeOf(Client, [[large, large], whole])
    expect(few).toMatchObject({ text: 'Hello', requests: 2 })
    const many = await outcomeOf(Client, [[large, large, large, large], whole])
    expect(many).toMatchObject({ requests: 1, outcome: 'network' })
  })

  it('without end, end by firstChunkTimeoutMs, though their reader is given them', async () => {
    const clock = virtualClock()
    const provider = endless(empty)
    const runtime = createRuntime({ clock, random: () => 0 })
    const llm = clientOf(Client, provider.fetch, { runtime, firstChunkTimeoutMs: 5_000 })
    const stream = await llm.chat.completions.create(streamed)
    let chunks = 0
    const error = await rejection(
      (async () => {
        for await (const _chunk of stream) if (++chunks === 2_000) await clock.advance(5_000)
      })(),
    )
    expect(error).toBeInstanceOf(Client.APIConnectionTimeoutError)
    expect(chunks).toBe(2_000)
    expect(callReport(stream)).toMatchObject({ outcome: 'timeout', reason: 'delivered' })
  })

  it('without end and without a pause, end by it before a timer has its turn', async () => {
    const clock = virtualClock()
    let left = 10
    // Each chunk takes a second, and nothing but microtasks.
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode(empty))
        left -= 1
      },
    })
    const fetch = async () =>
      new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    const slow = { ...clock, monotonicMs: () => clock.monotonicMs() + (10 - left) * 1_000 }
    const runtime = createRuntime({ clock: slow, random: () => 0 })
    const llm = clientOf(Client, fetch, { runtime, firstChunkTimeoutMs: 5_000 })
    const error = await rejection(llm.chat.completions.create(streamed))
    expect(error).toBeInstanceOf(Client.APIConnectionTimeoutError)
    expect(left).toBeGreaterThan(-100)
  })

  it.each([
    ['empty chunks', empty],
    ['comments', `: ${'x'.repeat(1_000)}\n\n`],
    // openai 6 takes a minute for as much of one line.
    ...(Client === OpenAI
      ? [
          ['one line', 'x'.repeat(64_000)],
          ['one data line', ` ${'x'.repeat(64_000)}`],
        ]
      : []),
  ])('never make memory grow: %s without end', async (_what, piece) => {
    const provider = endless(piece)
    const llm = clientOf(Client, provider.fetch, { firstChunkTimeoutMs: 60_000 })
    const before = memoryInUse()
    let stream: unknown
    const error = await rejection(
      (async () => {
        const opened = await llm.chat.completions.create(streamed)
        stream = opened
        let chunks = 0
        for await (const _chunk of opened) if (++chunks === 20_000) break
        throw new Error('left')
      })(),
    )
    // The body that ends by no chunk ends by its size.
    expect(String(error)).toMatch(/left|too large/)
    expect(provider.sent).toBeLessThan(40 * 1024 * 1024)
    await vi.waitUntil(() => memoryInUse() - before < 20 * 1024 * 1024)
    expect(stream === undefined || callReport(stream)?.outcome === 'success').toBe(true)
  })
})

describe('a server that sends empty chunks without end', () => {
  it('is left after firstChunkTimeoutMs', async () => {
    const { llm } = await setUp(
      { script: [endlessBody({ stream: 'empty', everyMs: 5 })] },
      { firstChunkTimeoutMs: 300, maxAttempts: 1 },
    )
    const error = await rejection(llm.chat.completions.create(streamed))
    expect(callReport(error)).toMatchObject({ outcome: 'timeout' })
  })
})

describe('an image in one event', () => {
  it('of some megabytes arrives', async () => {
    const image = 'A'.repeat(8 * 1024 * 1024)
    const body = [role, chunk({ delta: { images: [{ url: image }] } }), stop, DONE]
    expect(await outcomeOf(OpenAI, [body])).toMatchObject({ outcome: 'success', chunks: 3 })
  })
})

function memoryInUse(): number {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  collect()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}
