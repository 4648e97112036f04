import OpenAI from 'openai'
import { expect, it, vi } from 'vitest'
import { createRuntime, steady } from '../../../src/index.ts'
import { keyed } from '../../support/streams.ts'
import { settle, VirtualClock } from '../idempotency/virtual-clock.ts'

/** Its first content comes after the caller's own timer, and before the attempt's. */
it('a stream that begins in the moment its caller is out of time is not his', async () => {
  const bytes = new TransformStream<Uint8Array, Uint8Array>()
  const source = bytes.writable.getWriter()
  class LateClock extends VirtualClock {
    #isFirst = true
    override schedule(delayMs: number, callback: () => void): () => void {
      if (delayMs !== 10_000 || !this.#isFirst) return super.schedule(delayMs, callback)
      this.#isFirst = false
      return super.schedule(delayMs, () => {
        callback()
        void source.write(chunk('Once'))
      })
    }
  }
  const clock = new LateClock()
  let isSent = false
  const fetch = async () => {
    isSent = true
    return new Response(bytes.readable, { headers: EVENT_STREAM })
  }
  const client = new OpenAI({ apiKey: 'test', baseURL: 'http://localhost', fetch })
  const llm = steady(client, { runtime: createRuntime({ clock, random: () => 0 }) })
  const told = keyed(llm, { deadlineMs: 10_000, maxAttempts: 1 }).then(
    () => 'a stream',
    (error: unknown) => error,
  )
  await vi.waitUntil(() => isSent)
  await settle()
  await clock.advance(10_100)
  await expect(told).resolves.toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
})

const EVENT_STREAM = { 'content-type': 'text/event-stream' }

function chunk(content: string): Uint8Array {
  const choices = [{ index: 0, finish_reason: null, delta: { content } }]
  return new TextEncoder().encode(`data: ${JSON.stringify({ choices })}\n\n`)
}
