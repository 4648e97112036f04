import OpenAI from 'openai'
import { describe, expect, it, vi } from 'vitest'
import {
  callReport,
  createRuntime,
  memoryStore,
  type SteadyOptions,
  type Store,
  steady,
} from '../../../src/index.ts'
import { virtualClock } from '../../../src/testing/index.ts'
import { rejection, setUp } from '../../support/set-up.ts'
import { chunksOf, heldStream, keyed, sentence, textIn } from '../../support/streams.ts'

describe('the store of a stream', () => {
  const down = () => Promise.reject(new Error('store is down'))

  it('that is down at the end costs nobody his stream: persisted is false', async () => {
    const store: Store = { ...memoryStore(), complete: down }
    const { llm, server } = await setUp(sentence, { store })
    const stream = await keyed(llm)
    const joiner = keyed(llm)
    expect(textIn(await chunksOf(stream))).toBe(sentence.answer)
    expect(callReport(stream)).toMatchObject({ outcome: 'success', persisted: false })
    expect(textIn(await chunksOf(joiner))).toBe(sentence.answer)
    expect(callReport(await joiner)).toMatchObject({ source: 'shared', persisted: false })
    expect(server.count).toBe(1)
  })

  it("that is down at the claim fails the call, or is passed by under 'bypass'", async () => {
    const store: Store = { ...memoryStore(), claim: down }
    const { llm, server } = await setUp(sentence, { store })
    expect(callReport(await rejection(keyed(llm)))).toMatchObject({ outcome: 'store_unavailable' })
    expect(server.count).toBe(0)
    const stream = await keyed(llm, { onStoreError: 'bypass' })
    expect(textIn(await chunksOf(stream))).toBe(sentence.answer)
    expect(callReport(stream)).toMatchObject({ source: 'provider', persisted: false })
  })

  it('that takes its time does so before the loop ends: the report is complete then', async () => {
    const memory = memoryStore()
    const complete: Store['complete'] = async (...outcome) => {
      await new Promise((resolve) => setTimeout(resolve, 60))
      return memory.complete(...outcome)
    }
    const { llm } = await setUp(sentence, { store: { ...memory, complete } })
    const stream = await keyed(llm)
    await chunksOf(stream)
    expect(callReport(stream)).toMatchObject({ persisted: true })
  })

  it('that hangs at the end holds nobody who leaves', async () => {
    const store: Store = { ...memoryStore(), complete: () => new Promise(() => {}) }
    const { llm } = await setUp(sentence, { store })
    const caller = new AbortController()
    const stream = await keyed(llm, {}, caller.signal)
    const reading = chunksOf(stream)
    setTimeout(() => caller.abort(), 100)
    expect(textIn(await reading)).toBe(sentence.answer)
    expect(callReport(stream)).toMatchObject({ outcome: 'success', persisted: false })
  })
})

describe('a lease that is lost in the middle of a stream', () => {
  const losing = async (options: SteadyOptions) => {
    const clock = virtualClock()
    const held = heldStream(2)
    const memory = memoryStore({ clock })
    let isLost = false
    const heartbeat: Store['heartbeat'] = (...beat) =>
      isLost ? Promise.resolve(false) : memory.heartbeat(...beat)
    const runtime = createRuntime({ clock, random: () => 0.5 })
    const { llm, server, client } = await setUp(
      { ...sentence, perCall: [held.fault] },
      { store: { ...memory, heartbeat }, runtime, ...options },
    )
    const elsewhere = steady(client, { store: memory, runtime: createRuntime({ clock }) })
    const lose = () => {
      isLost = true
    }
    return { llm, elsewhere, server, clock, lose, go: held.go }
  }

  it('is renewed for as long as the stream lasts', async () => {
    const { llm, elsewhere, clock, go, server } = await losing({ chunkIdleTimeoutMs: 3_600_000 })
    const stream = await keyed(llm)
    await clock.advance(600_000)
    const waiter = keyed(elsewhere)
    go()
    expect(textIn(await chunksOf(stream))).toBe(sentence.answer)
    await clock.advance(2_000)
    expect(callReport(await waiter)).toMatchObject({ source: 'store' })
    expect(server.count).toBe(1)
  })

  it("stops the stream under 'rerun' and 'fail'; a joiner gets another run", async () => {
    const { llm, clock, lose, server } = await losing({})
    const stream = await keyed(llm)
    const reading = rejection(chunksOf(stream))
    const joiner = keyed(llm)
    lose()
    await clock.advance(11_000)
    const error = await reading
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(callReport(error)).toMatchObject({ outcome: 'in_progress', reason: 'delivered' })
    expect(callReport(stream)).toMatchObject({ outcome: 'in_progress' })
    await vi.waitUntil(() => server.requests[0]?.aborted)
    await vi.waitUntil(async () => {
      await clock.advance(1_000)
      return server.count === 2
    })
    expect(textIn(await chunksOf(joiner))).toBe(sentence.answer)
    expect(callReport(await joiner)).toMatchObject({ source: 'shared' })
  })

  it("goes on under 'bypass': what is kept is what the store says", async () => {
    const { llm, elsewhere, clock, lose, go, server } = await losing({
      onStoreError: 'bypass',
      chunkIdleTimeoutMs: 3_600_000,
    })
    const stream = await keyed(llm)
    lose()
    await clock.advance(60_000)
    const taken = await keyed(elsewhere)
    const kept = await chunksOf(taken)
    go()
    expect(textIn(await chunksOf(stream))).toBe(sentence.answer)
    // Somebody took over, and it is his stream that is kept.
    expect(callReport(stream)).toMatchObject({ source: 'provider', persisted: false })
    await expect(chunksOf(keyed(llm))).resolves.toEqual(kept)
    expect(server.count).toBe(2)
  })
})
