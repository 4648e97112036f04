import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CallEvent } from '../../src/index.ts'
import { callReport, fixed, isCallError } from '../../src/index.ts'
import {
  contextLength,
  httpError as httpFault,
  insufficientQuota,
  invalidApiKey,
  serverError,
  shouldRetry,
} from '../../src/testing/index.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { ask, rejection, setUp } from '../support/set-up.ts'
import { callAs } from './faces.ts'
import { finish, good, type Reply, stageFor } from './stage.ts'
import { drive, httpError, settle, world } from './world.ts'

describe('any response script', () => {
  const reply = fc.record({
    status: fc.constantFrom(200, 400, 401, 408, 409, 429, 500, 502, 503, 529, 'hangs' as const),
    retryAfterS: fc.constantFrom(undefined, 0, 1, 30, 61, 120, 1e9),
    takesMs: fc.integer({ min: 0, max: 20_000 }),
  })
  const scripts = fc.record({
    replies: fc.array(reply, { minLength: 10, maxLength: 10 }),
    maxAttempts: fc.integer({ min: 1, max: 10 }),
    deadlineMs: fc.integer({ min: 1, max: 200_000 }),
    maxWaitMs: fc.constantFrom(0, 60_000, 200_000),
    drawn: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    abortAtMs: fc.option(fc.integer({ min: 0, max: 100_000 }), { nil: undefined }),
  })

  /** Of an attempt that has timed out nobody hears the hint. */
  const hintedAfter = ({ signal }: { signal: AbortSignal }, nowMs: number, hintS = 0) =>
    signal.aborted ? 0 : nowMs + hintS * 1_000

  it('is met with at most maxAttempts, one end, in time, and never before a hint', async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (given) => {
        const { maxAttempts, deadlineMs, maxWaitMs, drawn, abortAtMs } = given
        const events: CallEvent[] = []
        const at = world({ random: () => drawn, onEvent: (event) => events.push(event) })
        const { clock } = at
        const caller = new AbortController()
        if (abortAtMs !== undefined) clock.schedule(abortAtMs, () => caller.abort())
        const startedAtMs: number[] = []
        let notBeforeMs = 0
        const work = async (attempt: { readonly signal: AbortSignal }) => {
          const nowMs = clock.monotonicMs()
          expect(nowMs).toBeGreaterThanOrEqual(notBeforeMs)
          expect(deadlineMs - nowMs).toBeGreaterThanOrEqual(250)
          const { status, retryAfterS, takesMs } = given.replies[startedAtMs.length] ?? {}
          startedAtMs.push(nowMs)
          await new Promise<void>((resolve) => clock.schedule(takesMs ?? 0, resolve))
          if (status === 'hangs') return new Promise(() => {})
          if (status === 200 || status === undefined) return 'good'
          const hinted = retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }
          const hintedMs = hintedAfter(attempt, clock.monotonicMs(), retryAfterS)
          notBeforeMs = Math.max(notBeforeMs, hintedMs)
          throw httpError(status, hinted)
        }
        const { signal } = caller
        const options = { maxAttempts, deadlineMs, maxWaitMs, signal }
        const call = at.llm.run('job', work, options).catch((error: unknown) => error)
        const outcome = await drive(clock, call)
        const endedAtMs = clock.monotonicMs()

        expect(startedAtMs.length).toBeLessThanOrEqual(maxAttempts)
        expect(events.filter(({ type }) => type === 'call-settled')).toHaveLength(1)
        expect(events.at(-1)?.type).toBe('call-settled')
        expect(endedAtMs).toBeLessThanOrEqual(deadlineMs + 50)
        expect(outcome === 'good' || isCallError(outcome)).toBe(true)
        const started = events.filter(({ type }) => type === 'attempt-started')
        const ended = events.filter(({ type }) => type === 'attempt-ended')
        expect(started).toHaveLength(startedAtMs.length)
        expect(ended).toHaveLength(startedAtMs.length)
        expect(getEventListeners(signal, 'abort')).toEqual([])
      }),
      { numRuns: fuzzRuns(300) },
    )
  })
})

describe('a permanent failure', () => {
  it.each([
    ['a spent quota', insufficientQuota()],
    ['a bad request', contextLength()],
    ['a refused key', invalidApiKey()],
    ['an unprocessable request', httpFault(422, { error: { message: 'no' } })],
    ['a 500 with x-should-retry: false', shouldRetry(false, serverError())],
    ['a spent quota with x-should-retry: true', shouldRetry(true, insufficientQuota())],
  ])('%s: is one attempt, and the line is untouched', async (_, fault) => {
    const { server, llm } = await setUp({ perCall: [fault, fault, fault] })
    await rejection(llm.chat.completions.create(ask('hello')))
    expect(server.count).toBe(1)
    expect(llm.targets()).toMatchObject([{ state: 'up', waiting: 0, closedForMs: 0 }])
    expect(llm.targets()[0]).not.toHaveProperty('limit')
  })
})

describe('an abort during a wait', () => {
  it('settles in the same tick, sends nothing more, and keeps its reason', async () => {
    const at = world()
    const caller = new AbortController()
    let sent = 0
    const work = () => {
      sent += 1
      return Promise.reject(httpError(500))
    }
    const call = at.llm.run('job', work, { signal: caller.signal })
    let error: unknown
    call.catch((caught: unknown) => {
      error = caught
    })
    await settle()
    expect([sent, at.clock.pending, at.target('job').waiting]).toEqual([1, 1, 1])
    const reason = { why: 'the user closed the page' }
    caller.abort(reason)
    await settle()
    expect(error).toMatchObject({ kind: 'aborted', reason: 'aborted' })
    expect(isCallError(error) && error.cause).toBe(reason)
    expect([sent, at.clock.pending, at.target('job').waiting]).toEqual([1, 0, 0])
  })
})

describe('JSON under status 200 that is cut', () => {
  const whole = JSON.stringify(good('{"name":"Ann","age":36}').body)
  it.each(
    (['create', 'json', 'a keyed json', 'run'] as const).flatMap((face) =>
      (['ends', 'breaks'] as const).flatMap((then) =>
        [0, 1, 20, whole.length - 1].map((kept) => ({ face, then, kept })),
      ),
    ),
  )('$face, after $kept characters, and the connection $then: is retried', async (given) => {
    const { face, then, kept } = given
    const cut: Reply = {
      body: [whole.slice(0, kept)],
      headers: { 'content-type': 'application/json' },
      then,
    }
    const stage = stageFor({ replies: [cut, good('{"name":"Ann","age":36}')] })
    expect(await finish(stage, callAs(face, stage))).toEqual({ how: 'succeeded' })
    const ended = stage.events.flatMap((event) =>
      event.type === 'attempt-ended' && event.operation === 'chat' ? [event.attempt] : [],
    )
    expect(ended.map(({ outcome }) => outcome === 'success')).toEqual([false, true])
    // It may have been paid for, and nobody knows how much.
    expect(ended[0]).toMatchObject({
      retryable: true,
      executed: expect.stringMatching(/maybe|yes/),
    })
    const reports = stage.events.flatMap((event) =>
      event.type === 'call-settled' && event.operation === 'chat' ? [event.report] : [],
    )
    expect(reports).toMatchObject([{ outcome: 'success', usage: { complete: false } }])
  })
})

describe('a jump of the wall clock', () => {
  it.each([86_400_000, -86_400_000])(
    'of %i ms in the middle of a call changes nothing',
    async (jumpMs) => {
      const waits = async (jump: number) => {
        const at = world({ backoff: fixed(1_000) })
        const startedAtMs: number[] = []
        const call = at.llm.run('job', async () => {
          startedAtMs.push(at.clock.monotonicMs())
          at.clock.jumpWall(jump)
          const hinted = startedAtMs.length === 1 ? {} : { 'retry-after': '2' }
          throw httpError(503, hinted)
        })
        await drive(at.clock, rejection(call))
        return startedAtMs
      }
      expect(await waits(jumpMs)).toEqual(await waits(0))
    },
  )
})

describe('a call that has succeeded', () => {
  it('has a report of each of its attempts', async () => {
    const { llm } = await setUp({ perCall: [serverError()] })
    const completion = await llm.chat.completions.create(ask('hello'))
    expect(callReport(completion)?.attempts).toMatchObject([
      { number: 1, cause: 'initial', outcome: 'server_error', retryable: true },
      { number: 2, cause: 'retry', outcome: 'success', delaySource: 'backoff' },
    ])
  })
})
