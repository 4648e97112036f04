import { createServer, type RequestListener } from 'node:http'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import OpenAI from 'openai'
import { describe, expect, it, vi } from 'vitest'
import {
  callReport,
  createRuntime,
  fixed,
  isCallError,
  type SteadyClient,
  steady,
} from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { originOf } from '../support/origin.ts'
import { ask, rejection } from '../support/set-up.ts'
import { callAs, faces } from './faces.ts'
import { chunk, finish, good, pieces, type Reply, type Stage, stageFor, watch } from './stage.ts'

describe('any script of answers, delays, hints and aborts', () => {
  const failing = fc.record({
    status: fc.constantFrom(400, 401, 408, 409, 429, 500, 503, 529),
    retryAfterS: fc.constantFrom(undefined, 0, 1, 30, 61, 1e9),
  })
  const answering = fc.constantFrom(
    good('{"name":"Ann","age":36}').body,
    good('{"name":3}').body,
    good('').body,
    { error: { message: 'overloaded', type: 'overloaded_error' } },
    pieces,
    [chunk({ delta: { role: 'assistant' } })],
  )
  // Short ones too: most of what can go wrong does so within a second of the deadline.
  const durationMs = fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 2e5 }))
  const afterMs = fc.oneof(durationMs, durationMs, fc.constant('never' as const))
  const reply: fc.Arbitrary<Reply> = fc.oneof(
    fc.record({ afterMs, body: answering }),
    fc.record({ afterMs, failing }).map(({ failing: { status, retryAfterS }, ...rest }) => ({
      ...rest,
      status,
      body: { error: { message: 'no' } },
      headers: retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) },
    })),
  )
  const script = fc.record({
    face: fc.constantFrom(...faces),
    replies: fc.array(reply, { minLength: 12, maxLength: 12 }),
    maxAttempts: fc.integer({ min: 1, max: 10 }),
    deadlineMs: durationMs.map((ms) => ms + 1),
    attemptTimeoutMs: durationMs.map((ms) => ms + 1),
    fallbacks: fc.constantFrom([], [{ model: 'gpt-other' }]),
    more: fc.constantFrom(
      {},
      { limits: { concurrency: 1 } },
      { limits: { requestsPerMinute: 30 } },
      { hedge: { delayMs: 20_000, maxExtraLoad: 1 } },
    ),
    drawn: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    abortAtMs: fc.option(durationMs, { nil: undefined }),
  })

  it('is met with at most maxAttempts requests, one end, and in time', async () => {
    await fc.assert(
      fc.asyncProperty(script, async ({ face, replies, drawn, abortAtMs, more, ...limits }) => {
        const { maxAttempts, deadlineMs } = limits
        const caller = new AbortController()
        const sentAtMs: number[] = []
        const stage = stageFor({
          replies,
          options: { firstChunkTimeoutMs: limits.attemptTimeoutMs, ...limits, ...more },
          signal: caller.signal,
          random: () => drawn,
          userCode: (name) => {
            if (name === 'fetch') sentAtMs.push(stage.clock.monotonicMs())
          },
        })
        if (abortAtMs !== undefined) stage.clock.outside(abortAtMs, () => caller.abort())
        const call = callAs(face, stage)
        await finish(stage, call)
        const endedAtMs = stage.clock.monotonicMs()

        expect(endedAtMs).toBeLessThanOrEqual(deadlineMs + 50)
        expect(sentAtMs.length).toBeLessThanOrEqual(maxAttempts)
        for (const atMs of sentAtMs) expect(deadlineMs - atMs).toBeGreaterThanOrEqual(250)
        // Nobody reads the stream: that it has begun is its end here.
        caller.abort()
        await finish(stage, call)
        const told = (type: string) => stage.events.filter((event) => event.type === type)
        const own = told('call-settled').filter(({ operation }) => operation !== 'chat')
        const settled = face === 'run' ? own : told('call-settled')
        expect(settled).toHaveLength(1)
        expect(told('attempt-ended')).toHaveLength(told('attempt-started').length)
      }),
      { numRuns: fuzzRuns(400) },
    )
  })
})

describe('a backoff that leaves no time for the next attempt', () => {
  it.each(faces)('%s: fails at once, with the failure it had, and arms no timer', async (face) => {
    const down: Reply = { status: 503, body: { error: { message: 'down' } } }
    const options = { backoff: fixed(1_000), deadlineMs: 1_200 }
    const stage = stageFor({ replies: [down], options })
    const { how } = await finish(stage, callAs(face, stage))
    expect(how).toMatch(/overloaded|503 down/)
    expect(stage.clock.monotonicMs()).toBeLessThan(50)
    expect(stage.clock.pending).toBe(0)
  })
})

describe('a wall clock that jumps by a day at every request', () => {
  it.each(faces.flatMap((face) => [86_400_000, -86_400_000].map((jumpMs) => ({ face, jumpMs }))))(
    '$face, by $jumpMs ms: changes nothing',
    async ({ face, jumpMs }) => {
      const down: Reply = { status: 503, body: { error: { message: 'down' } } }
      const limited = { ...down, status: 429, headers: { 'retry-after': '30' } }
      const play = async (jump: number) => {
        const stage: Stage = stageFor({
          replies: [
            down,
            limited,
            { body: face === 'a stream' ? pieces : good('{"name":"Ann","age":36}').body },
          ],
          // Longer than a lease, so that heartbeats are sent on the way.
          options: { deadlineMs: 200_000, attemptTimeoutMs: 90_000 },
          userCode: (name) => {
            happened.push([name, stage.clock.monotonicMs()])
            if (name === 'fetch' || name === 'claim') stage.clock.jumpWall(jump)
          },
        })
        const happened: (readonly [string, number])[] = []
        const { how } = await finish(stage, callAs(face, stage))
        return { how, happened, targets: stage.llm.targets() }
      }
      const { how, happened, targets } = await play(jumpMs)
      expect({ how, happened, targets }).toEqual(await play(0))
      expect(how).toBe('succeeded')
      const beats = happened.filter(([name]) => name === 'heartbeat')
      expect(beats.length > 2).toBe(face === 'a keyed json')
    },
  )
})

describe('an attempt that starts at a fraction of a millisecond', () => {
  // As doubles are rounded, (start + limit) − start is a little less than these limits.
  it.each([
    [6.4, 250],
    [12.3, 500],
    [24.1, 1_000],
    [3_192.3, 5_000],
  ])('at %d ms, with a limit of %d ms: is ended by it', async (startMs, attemptTimeoutMs) => {
    const stage = stageFor({ replies: [] })
    const { llm, clock } = stage
    let attempts = 0
    const work = () => {
      attempts += 1
      return attempts === 1 ? Promise.reject(new TypeError('fetch failed')) : new Promise(() => {})
    }
    const limits = { attemptTimeoutMs, backoff: fixed(startMs), maxAttempts: 2 }
    expect(await finish(stage, llm.run('job', work, limits))).toEqual({ how: 'timeout' })
    expect(clock.monotonicMs()).toBeCloseTo(startMs + attemptTimeoutMs, 6)
  })
})

/** A provider of our own, that answers as told; the clock of the client is virtual. */
async function against(answer: RequestListener) {
  const sockets: Socket[] = []
  let requests = 0
  const server = createServer((request, response) => {
    requests += 1
    request.resume()
    answer(request, response)
  })
  server.on('connection', (socket) => sockets.push(socket))
  const origin = await originOf(server)
  const clock = virtualClock()
  const client = new OpenAI({ apiKey: 'k', baseURL: `${origin}/v1` })
  const runtime = createRuntime({ clock, random: () => 0.5 })
  const llm: SteadyClient<OpenAI> = steady(client, {
    runtime,
    attemptTimeoutMs: 30_000,
    firstChunkTimeoutMs: 30_000,
    maxAttempts: 1,
  })
  return { llm, clock, sockets, requests: () => requests }
}

type Silence = 'headers' | 'body' | 'end' | 'drip'
const json = { 'content-type': 'application/json' }
const answers: Readonly<Record<Silence, RequestListener>> = {
  headers: () => {},
  body: (_, response) => {
    response.writeHead(200, json)
    response.flushHeaders()
  },
  end: (_, response) => {
    response.writeHead(200, json)
    const timer = setInterval(() => response.write(' '.repeat(1_000)), 1)
    response.on('close', () => clearInterval(timer))
  },
  drip: (_, response) => {
    response.writeHead(200, json)
    const text = JSON.stringify(good('{"name":"Ann","age":36}').body).slice(0, -1)
    let at = 0
    const timer = setInterval(() => response.write(text[at++] ?? ' '), 2)
    response.on('close', () => clearInterval(timer))
  },
}

describe('an answer without an end', () => {
  const silences: readonly (readonly [string, Silence])[] = [
    ['headers that never come', 'headers'],
    ['a body that never comes', 'body'],
    ['a body that never ends', 'end'],
    ['a byte now and then', 'drip'],
  ]
  it.each(
    silences.flatMap(([what, silence]) =>
      (['create', 'json', 'a stream', 'run'] as const).map((face) => ({ what, silence, face })),
    ),
  )(
    '$face, of $what: is ended by its timeout, not before, and its socket is destroyed',
    async ({ silence, face }) => {
      const { llm, clock, sockets, requests } = await against(answers[silence])
      const call = callAs(face, { llm, signal: new AbortController().signal })
      const seen = watch(call)
      await vi.waitFor(() => expect(requests()).toBe(1), { interval: 2 })
      // Time for what comes to arrive: the client's own clock stands still.
      await new Promise((resolve) => setTimeout(resolve, 10))
      await clock.advance(29_999)
      expect([seen.how, sockets[0]?.destroyed]).toEqual([undefined, false])
      await clock.advance(1)
      const error = await rejection(call)
      const known = callReport(error)?.outcome ?? (isCallError(error) && error.kind)
      expect(known).toBe('timeout')
      await vi.waitFor(() => expect(sockets[0]?.destroyed).toBe(true), { interval: 2 })
      expect([requests(), clock.pending]).toEqual([1, 0])
    },
  )

  it('a stream that goes silent in the middle: its idle timeout destroys the socket', async () => {
    const { llm, clock, sockets } = await against((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(chunk({ delta: { content: 'Hel' } }))
    })
    const stream = await llm.chat.completions.create(
      { ...ask('hi'), stream: true },
      { steady: { chunkIdleTimeoutMs: 5_000 } },
    )
    const chunks = stream[Symbol.asyncIterator]()
    await chunks.next()
    // Whoever reads slowly is not the provider's fault: no idle time is counted meanwhile.
    await clock.advance(60_000)
    const next = rejection(chunks.next())
    await clock.advance(4_999)
    expect(sockets[0]?.destroyed).toBe(false)
    await clock.advance(1)
    expect(await next).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    await vi.waitFor(() => expect(sockets[0]?.destroyed).toBe(true), { interval: 2 })
    expect(clock.pending).toBe(0)
  })
})
