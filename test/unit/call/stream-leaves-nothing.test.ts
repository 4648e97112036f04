import { getEventListeners } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { callReport, createRuntime } from '../../../src/index.ts'
import { cutStream, stalledStream, virtualClock } from '../../../src/testing/index.ts'
import { patientRuntime, rejection, setUp } from '../../support/set-up.ts'
import { type Chunk, keyed, sentence } from '../../support/streams.ts'

describe('a stream that is over leaves nothing behind', () => {
  it('too large to be kept, and left after its finish_reason', async () => {
    const runtime = patientRuntime()
    const { llm, server } = await setUp(sentence, { runtime, maxResultBytes: 500 })
    const stream = await keyed(llm)
    for await (const { choices } of stream) if (choices[0]?.finish_reason) break
    await vi.waitUntil(() => runtime.shared.flights.size === 0)
    expect(callReport(stream)).toMatchObject({ outcome: 'success', persisted: false })
    const error = await rejection(keyed(llm))
    expect(callReport(error)).toMatchObject({ outcome: 'store_unavailable', source: 'store' })
    expect(server.count).toBe(1)
  })

  it('left unread by its own controller, many times under one signal', async () => {
    const caller = new AbortController()
    const runtime = patientRuntime()
    const { llm } = await setUp(sentence, { runtime })
    for (let time = 0; time < 3; time += 1) {
      const stream = await keyed(llm, { idempotencyKey: `k-${time}` }, caller.signal)
      stream.controller.abort()
    }
    await vi.waitUntil(() => runtime.shared.flights.size === 0)
    await vi.waitUntil(() => getEventListeners(caller.signal, 'abort').length === 0)
  })

  it.each([
    ['read to its end', [], () => false],
    ['left', [stalledStream({ afterChunks: 1 })], () => true],
    [
      'left after its finish_reason',
      [],
      ({ choices }: Chunk) => typeof choices[0]?.finish_reason === 'string',
    ],
    ['cut', [cutStream()], () => false],
    [
      'aborted',
      [stalledStream({ afterChunks: 1 })],
      (_: Chunk, caller: AbortController) => {
        caller.abort()
        return false
      },
    ],
  ])('%s, and replayed: no timer, no listener, no flight', async (_, script, leaves) => {
    const clock = virtualClock()
    const runtime = createRuntime({ clock, random: () => 0 })
    const { llm } = await setUp({ ...sentence, script }, { runtime })
    for (let time = 0; time < 2; time += 1) {
      const caller = new AbortController()
      const stream = await keyed(llm, {}, caller.signal)
      const read = async () => {
        for await (const chunk of stream) if (leaves(chunk, caller)) break
      }
      await read().catch(() => {})
      await vi.waitUntil(() => runtime.shared.flights.size === 0)
      expect(clock.pending).toBe(0)
      expect(getEventListeners(caller.signal, 'abort')).toEqual([])
      expect(getEventListeners(stream.controller.signal, 'abort')).toEqual([])
    }
  })
})
