import { describe, expect, it } from 'vitest'
import { isCallError, type SteadyOptions } from '../../src/index.ts'
import { rejection } from '../support/set-up.ts'
import { callAs, type Face, faces } from './faces.ts'
import { finish, good, limited, pieces, type Reply, type Stage, stageFor } from './stage.ts'
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
        const limits = { maxWaitMs: FOREVER_MS, deadlineMs: FOREVER_MS }
        await drive(at.clock, at.llm.run('job', work, limits))
        const waitedMs = (startedAtMs[1] ?? 0) - (startedAtMs[0] ?? 0)
        expect(waitedMs).toBeGreaterThanOrEqual(seconds * 1_000)
        // The spread of the line: a tenth of the hint.
        expect(waitedMs).toBeLessThanOrEqual(seconds * 1_100)
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
  })

  it('of 1e9 s: rejects at once, whatever is allowed', async () => {
    const at = world()
    const call = at.llm.run(
      'job',
      () => Promise.reject(httpError(503, { 'retry-after': '1000000000' })),
      {
        maxWaitMs: FOREVER_MS,
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
    const limits = { maxWaitMs: FOREVER_MS, deadlineMs: FOREVER_MS, signal: caller.signal }
    const call = rejection(at.llm.run('job', work, limits))
    await settle()
    await at.clock.advance(86_400_000)
    expect(sent).toBe(1)
    caller.abort()
    await call
    expect(at.clock.pending).toBe(0)
  })
})

describe('a hint in the headers of a provider', () => {
  const date = (ms: number) => new Date(ms).toUTCString()
  const names = ['retry-after', 'retry-after-ms', 'a reset of the limit'] as const
  const headersFor = (name: (typeof names)[number], seconds: number) => {
    if (name === 'retry-after') return { 'retry-after': String(seconds) }
    if (name === 'retry-after-ms') return { 'retry-after-ms': String(seconds * 1_000) }
    return { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': `${seconds}s` }
  }

  it.each(
    faces.flatMap((face) =>
      names.flatMap((name) => [1, 61, 120, 86_400].map((seconds) => ({ face, name, seconds }))),
    ),
  )('$face, $name, $seconds s: nothing is sent before it', async ({ face, name, seconds }) => {
    const headers = headersFor(name, seconds)
    const { sentAtMs, waitedMs, how } = await play(face, { ...limited, headers })
    expect(how).toBe('succeeded')
    expect(sentAtMs).toHaveLength(2)
    expect(waitedMs).toBeGreaterThanOrEqual(seconds * 1_000)
    expect(waitedMs).toBeLessThanOrEqual(seconds * 1_100)
  })

  it.each(faces.flatMap((face) => [0, 3_600_000, -3_600_000].map((skewMs) => ({ face, skewMs }))))(
    '$face, as a date, by a clock $skewMs ms off: is right to a second',
    async (given) => {
      const serverMs = STARTED_MS + given.skewMs
      const { waitedMs } = await play(given.face, {
        ...limited,
        headers: { date: date(serverMs), 'retry-after': date(serverMs + 30_000) },
      })
      // Half of the spread: random is 0.5, and the spread a tenth of the hint.
      expect(Math.abs(waitedMs - 31_500)).toBeLessThanOrEqual(1_000)
    },
  )

  const underOk: Reply = {
    body: { error: { message: 'Rate limit reached', code: 'rate_limit_exceeded' } },
  }
  it.each([
    ...faces.map((face) => ({ face, status: 429, reply: limited })),
    ...(['create', 'json'] as const).map((face) => ({ face, status: 200, reply: underOk })),
  ])(
    '$face, as a date under status $status, of a server that tells no time: is measured by our clock',
    async ({ face, reply }) => {
      const headers = { 'retry-after': date(STARTED_MS + 30_000) }
      const { waitedMs } = await play(face, { ...reply, headers })
      expect(Math.abs(waitedMs - 31_500)).toBeLessThanOrEqual(1_000)
    },
  )

  it.each(faces)('%s, beyond the deadline: fails at once and keeps no timer', async (face) => {
    const { sentAtMs, how, stage } = await play(
      face,
      { ...limited, headers: { 'retry-after': '40' } },
      { deadlineMs: 30_000 },
    )
    expect(how).toMatch(/rate_limit|slow down/)
    expect(sentAtMs).toHaveLength(1)
    expect(stage.clock.monotonicMs()).toBeLessThan(50)
    expect(stage.clock.pending).toBe(0)
  })
})

const ANSWER_MS = 10
/** What the stage's wall clock shows at first. */
const STARTED_MS = 1_767_225_600_000

async function play(face: Face, first: Reply, options: SteadyOptions = {}) {
  const sentAtMs: number[] = []
  const stage: Stage = stageFor({
    replies: [first, face === 'a stream' ? { body: pieces } : good('{"name":"Ann","age":36}')],
    // The attempt of an outer call lasts as long as the inner one waits.
    options: {
      maxWaitMs: FOREVER_MS,
      deadlineMs: FOREVER_MS,
      attemptTimeoutMs: FOREVER_MS,
      ...options,
    },
    userCode: (name) => {
      if (name === 'fetch') sentAtMs.push(stage.clock.monotonicMs())
    },
  })
  const { how } = await finish(stage, callAs(face, stage))
  const waitedMs = (sentAtMs[1] ?? 0) - (sentAtMs[0] ?? 0) - ANSWER_MS
  return { sentAtMs, waitedMs, how, stage }
}
