import { describe, expect, it, vi } from 'vitest'
import { createRuntime, isCallError, memoryStore, type Store } from '../../src/index.ts'
import { hangs, virtualClock } from '../../src/testing/index.ts'
import { rejection, setUp } from '../support/set-up.ts'

describe('a claim that is lost while a request is under way', () => {
  it('lets the work be run again, and its requests count as those of one call', async () => {
    const clock = virtualClock()
    const memory = memoryStore({ clock })
    // Every claim is lost with its first renewal.
    const store: Store = { ...memory, heartbeat: () => Promise.resolve(false) }
    const { llm, server } = await setUp(
      { perCall: () => Array.from({ length: 20 }, () => hangs()) },
      { store, runtime: createRuntime({ clock, random: () => 0.5 }), deadlineMs: 3_600_000 },
    )
    const schema = { type: 'object' } as const
    const call = llm.json(
      { model: 'gpt-5', messages: [{ role: 'user', content: 'a stalling one' }], schema },
      { idempotencyKey: 'lost', maxAttempts: 2, maxRequests: 2, attemptTimeoutMs: 600_000 },
    )
    let isOver = false
    const ended = rejection(call).finally(() => {
      isOver = true
    })
    await vi.waitUntil(async () => {
      await clock.advance(5_000)
      return isOver
    })
    const error = await ended
    expect(server.count).toBe(2)
    expect(isCallError(error) && error.attempts.map(({ number }) => number)).toEqual([1, 2])
    expect(error).toMatchObject({ reason: 'max_attempts' })
  })
})
