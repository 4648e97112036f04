import OpenAI from 'openai'
import { describe, expect, it, vi } from 'vitest'
import { callReport, createRuntime, memoryStore, steady } from '../../../src/index.ts'
import { patientRuntime, rejection } from '../../support/set-up.ts'
import { chunksOf, keyed } from '../../support/streams.ts'

const KIB = 1024
const encoder = new TextEncoder()

/** A provider that sends chunks of some 16 KiB as fast as they are taken, and how many were. */
function provider(chunks: number) {
  let sent = 0
  let requests = 0
  let isOpen = false
  const pull = (controller: ReadableStreamDefaultController) => {
    sent += 1
    const isLast = sent === chunks
    const delta = { content: 'x'.repeat(16 * KIB) }
    const finish_reason = isLast ? 'stop' : null
    const data = JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })
    controller.enqueue(encoder.encode(`data: ${data}\n\n${isLast ? 'data: [DONE]\n\n' : ''}`))
    if (!isLast) return
    controller.close()
    isOpen = false
  }
  const fetch = async () => {
    requests += 1
    sent = 0
    isOpen = true
    const cancel = () => {
      isOpen = false
    }
    const headers = { 'content-type': 'text/event-stream' }
    return new Response(new ReadableStream({ pull, cancel }), { headers })
  }
  return {
    client: new OpenAI({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch }),
    get sent() {
      return sent
    },
    get requests() {
      return requests
    },
    get isOpen() {
      return isOpen
    },
  }
}

const processOf = (client: OpenAI, store = memoryStore()) =>
  steady(client, { store, limits: { concurrency: 8 }, runtime: patientRuntime() })

describe('a stream above 1 MiB', () => {
  it('is given whole to its owner and kept for nobody, who is told so and runs nothing', async () => {
    const source = provider(200)
    const store = memoryStore()
    const llm = processOf(source.client, store)
    const owned = await keyed(llm)
    const waiter = rejection(keyed(processOf(source.client, store)))
    // The owner has not read anything yet: they do not wait for him.
    for (let time = 0; time < 2; time += 1) {
      const error = await rejection(keyed(llm))
      expect(error).toBeInstanceOf(OpenAI.APIError)
      expect(error).toMatchObject({ message: expect.stringContaining('too large') })
      expect(callReport(error)).toMatchObject({
        outcome: 'store_unavailable',
        source: 'shared',
        attempts: [],
      })
    }
    await expect(chunksOf(owned)).resolves.toHaveLength(200)
    expect(callReport(owned)).toMatchObject({
      outcome: 'success',
      source: 'provider',
      persisted: false,
    })
    expect(callReport(await waiter)).toMatchObject({ outcome: 'store_unavailable' })
    const later = await rejection(keyed(processOf(source.client, store)))
    expect(later).toMatchObject({ message: expect.stringContaining('exceeds maxResultBytes') })
    expect(callReport(later)).toMatchObject({ outcome: 'store_unavailable', source: 'store' })
    expect(source.requests).toBe(1)
  })

  it('is read at the pace of its reader from there on, and not kept in memory', async () => {
    const source = provider(2_000)
    const owned = await keyed(processOf(source.client))
    await vi.waitUntil(() => source.sent >= 64)
    await new Promise((resolve) => setTimeout(resolve, 50))
    // 63 of them are 1 MiB; a few more are on their way through openai's own reader.
    expect(source.sent).toBeLessThan(72)
    const chunks = owned[Symbol.asyncIterator]()
    for (let read = 0; read < 500; read += 1) await chunks.next()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(source.sent).toBeLessThan(510)
    await chunks.return?.()
    await vi.waitUntil(() => !source.isOpen)
  })

  it('frees its key when its reader leaves, and when it is aborted while nobody reads', async () => {
    const source = provider(2_000)
    const llm = processOf(source.client)
    for (const how of ['break', 'abort'] as const) {
      const caller = new AbortController()
      const owned = await keyed(llm, {}, caller.signal)
      await vi.waitUntil(() => source.sent >= 64)
      if (how === 'abort') caller.abort()
      else for await (const _ of owned) break
      await vi.waitUntil(() => !source.isOpen)
    }
    await vi.waitUntil(() => llm.targets()[0]?.inFlight === 0)
    expect(callReport(await keyed(llm))).toMatchObject({ source: 'provider' })
    expect(source.requests).toBe(3)
  })

  it("is not run again under onUncertain: 'fail'", async () => {
    const source = provider(100)
    const llm = processOf(source.client)
    await chunksOf(keyed(llm, { onUncertain: 'fail' }))
    const error = await rejection(keyed(llm, { onUncertain: 'fail' }))
    expect(callReport(error)).toMatchObject({ outcome: 'store_unavailable', source: 'store' })
    expect(source.requests).toBe(1)
  })
})

describe('maxResultBytes', () => {
  it('is the limit of streams too', async () => {
    const source = provider(8)
    const llm = steady(source.client, { runtime: createRuntime(), maxResultBytes: 64 * KIB })
    await chunksOf(keyed(llm))
    expect(callReport(await rejection(keyed(llm)))).toMatchObject({ outcome: 'store_unavailable' })
    const wide = steady(source.client, { runtime: createRuntime(), maxResultBytes: 256 * KIB })
    await chunksOf(keyed(wide))
    await expect(chunksOf(keyed(wide))).resolves.toHaveLength(8)
    expect(source.requests).toBe(2)
  })
})

describe('a stream just below 1 MiB', () => {
  it('is kept', async () => {
    const source = provider(63)
    const llm = processOf(source.client)
    await chunksOf(keyed(llm))
    await expect(chunksOf(keyed(llm))).resolves.toHaveLength(63)
    expect(source.requests).toBe(1)
  })
})
