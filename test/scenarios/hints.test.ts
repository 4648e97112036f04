import { describe, expect, it } from 'vitest'
import { isCallError } from '../../src/index.ts'
import { type RateLimit, rateLimited } from '../../src/testing/index.ts'
import { ask, rejection, setUp } from '../support/set-up.ts'
import { drive, httpError, settle, world } from './world.ts'

const FOREVER_MS = 1e12

describe('a hint', () => {
  it.each([1, 59, 61, 120, 3_600, 86_400])(
    'of %i s: the next attempt starts no earlier, and no later than its spread',
    async (seconds) => {
      for (const drawn of [0, 0.5, 0.999]) {
        const at = world({ random: () => drawn })
        const startedAtMs: number[] = []
        const work = () => {
          startedAtMs.push(at.clock.monotonicMs())
          if (startedAtMs.length > 1) return Promise.resolve('good')
          return Promise.reject(httpError(429, { 'retry-after': String(seconds) }))
        }
        const limits = { maxRetryAfterMs: FOREVER_MS, deadlineMs: FOREVER_MS }
        await drive(at.clock, at.llm.run('job', work, limits))
        const waitedMs = (startedAtMs[1] ?? 0) - (startedAtMs[0] ?? 0)
        const spreadMs = Math.min(Math.max(seconds * 500, 250), 15_000)
        expect(waitedMs).toBeGreaterThanOrEqual(seconds * 1_000)
        expect(waitedMs).toBeLessThanOrEqual(seconds * 1_000 + spreadMs)
      }
    },
  )

  it('beyond the deadline: rejects at once, arms no timer, and the error has both numbers', async () => {
    const at = world()
    const call = at.llm.run('job', () => Promise.reject(httpError(429, { 'retry-after': '40' })), {
      deadlineMs: 30_000,
    })
    const error = await rejection(call)
    expect(at.clock.monotonicMs()).toBeLessThan(5)
    expect(at.clock.pending).toBe(0)
    expect(error).toMatchObject({
      kind: 'rate_limit',
      reason: 'hint_exceeds_deadline',
      retryAfterMs: 40_000,
    })
    expect(isCallError(error) && error.message).toMatch(/40 s.*30 s/)
    expect(at.target('job').retryTokens).toBe(3)
  })

  it('of 1e9 s: rejects at once, whatever is allowed', async () => {
    const at = world()
    const call = at.llm.run(
      'job',
      () => Promise.reject(httpError(503, { 'retry-after': '1000000000' })),
      {
        maxRetryAfterMs: FOREVER_MS,
      },
    )
    expect(await rejection(call)).toMatchObject({ reason: 'hint_exceeds_deadline' })
    expect(at.clock.pending).toBe(0)
  })

  it('of 35 days, longer than a timer can hold: nothing is sent within a day', async () => {
    const at = world()
    let sent = 0
    const caller = new AbortController()
    const work = () => {
      sent += 1
      return Promise.reject(httpError(429, { 'retry-after': '3000000' }))
    }
    const limits = { maxRetryAfterMs: FOREVER_MS, deadlineMs: FOREVER_MS, signal: caller.signal }
    const call = rejection(at.llm.run('job', work, limits))
    await settle()
    await at.clock.advance(86_400_000)
    expect(sent).toBe(1)
    caller.abort()
    await call
    expect(at.clock.pending).toBe(0)
  })

  it.each<[string, RateLimit]>([
    ['a clock that is right', {}],
    ['one an hour fast', { clockSkewMs: 3_600_000 }],
    ['one an hour slow', { clockSkewMs: -3_600_000 }],
  ])('as a date, by %s: is waited for to within a second', async (_, skew) => {
    const fault = rateLimited({ retryAfterMs: 1_000, header: 'retry-after-date', ...skew })
    const { server, llm } = await setUp({ perCall: [fault] })
    await llm.chat.completions.create(ask('hello'))
    const [first, second] = server.requests
    const waitedMs = (second?.atMs ?? 0) - (first?.atMs ?? 0)
    expect(waitedMs).toBeGreaterThanOrEqual(1_000)
    expect(waitedMs).toBeLessThan(2_500)
  })
})
