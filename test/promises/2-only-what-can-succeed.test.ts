import { describe, expect, it, vi } from 'vitest'
import { createRuntime, type FailureKind, isCallError } from '../../src/index.ts'
import {
  badRequest,
  contextLength,
  errorBodyUnder200,
  type Fault,
  hangs,
  htmlError,
  insufficientQuota,
  invalidApiKey,
  overloaded,
  overloaded529,
  rateLimited,
  resetBeforeResponse,
  resetInBody,
  serverError,
  shouldRetry,
  truncatedBody,
  virtualClock,
} from '../../src/testing/index.ts'
import { ask, clientFor, person, rejection, setUp, startServer } from '../support/set-up.ts'

describe('a permanent failure costs one attempt', () => {
  it.each<[string, Fault, FailureKind]>([
    ['a spent quota', insufficientQuota(), 'quota_exhausted'],
    ['a wrong key', invalidApiKey(), 'auth'],
    ['a bad request', badRequest(), 'invalid_request'],
    ['too long a context', contextLength(), 'context_length'],
    ['a server error that says not to retry', shouldRetry(false, serverError()), 'server_error'],
  ])('%s', async (_, fault, kind) => {
    const { server, llm } = await setUp({ perCall: [fault] })
    const error = await rejection(llm.json({ ...ask('hello'), schema: person }))
    expect(server.count).toBe(1)
    expect(error).toMatchObject({ kind, attempts: [{ number: 1, outcome: kind }] })
  })

  it('a host that does not resolve', async () => {
    const { llm } = await setUp({}, {}, { baseURL: 'http://no-such-host.invalid/v1' })
    const error = await rejection(llm.json({ ...ask('hello'), schema: person }))
    // Some resolvers answer "try again" instead of "not found" where there is no network.
    expect(isCallError(error) && ['dns', 'network'].includes(error.kind)).toBe(true)
    expect(error).toMatchObject({ executed: 'no' })
  })
})

describe('a transient failure is retried, and the call succeeds', () => {
  it.each<[string, Fault, FailureKind]>([
    ['a rolling rate limit', rateLimited(), 'rate_limit'],
    ['500', serverError(), 'server_error'],
    ['503', overloaded(), 'overloaded'],
    ['529', overloaded529(), 'overloaded'],
    ['an HTML page of a proxy', htmlError(502), 'server_error'],
    ['a connection reset before the answer', resetBeforeResponse(), 'network'],
    ['a connection reset in the answer', resetInBody(), 'network'],
    ['an answer cut short', truncatedBody(), 'network'],
    ['an error body under status 200', errorBodyUnder200(), 'server_error'],
  ])('%s', async (_, fault, kind) => {
    const { server, llm } = await setUp({ perCall: [fault] })
    const { attempts, value } = await llm.json({ ...ask('hello'), schema: person })
    expect(value).toEqual({ name: expect.any(String), age: expect.any(Number) })
    expect(attempts.map(({ outcome }) => outcome)).toEqual([kind, 'success'])
    expect(attempts.map(({ cause }) => cause)).toEqual(['initial', 'retry'])
    expect(server.count).toBe(2)
  })

  it('an answer that does not come in time', async () => {
    const { server, llm } = await setUp({ perCall: [hangs()] }, { attemptTimeoutMs: 100 })
    const { attempts } = await llm.json({ ...ask('hello'), schema: person })
    expect(attempts).toMatchObject([
      { outcome: 'timeout', executed: 'maybe', retryable: true },
      { outcome: 'success' },
    ])
    expect(server.requests[0]?.aborted).toBe(true)
  })

  it('a refused connection surely executed nothing', async () => {
    const server = await startServer()
    await server.close()
    const { llm } = await setUp({}, { maxAttempts: 3 }, { baseURL: server.baseURL })
    const error = await rejection(llm.json({ ...ask('hello'), schema: person }))
    expect(error).toMatchObject({ kind: 'network', executed: 'no' })
    expect(isCallError(error) && error.attempts).toHaveLength(3)
  })
})

describe('a hint of the provider', () => {
  it('is never undercut', async () => {
    const { server, llm } = await setUp({ perCall: [rateLimited({ retryAfterMs: 120 })] })
    const { attempts } = await llm.json({ ...ask('hello'), schema: person })
    const [first, second] = server.requests
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(119)
    expect(attempts).toMatchObject([
      { retryAfterMs: 120 },
      { cause: 'retry', delaySource: 'hint', delayMs: expect.closeTo(120, -1) },
    ])
  })

  it('beyond maxWaitMs ends the call at once, with the hint on the error', async () => {
    // On a clock that stands still no wait ends.
    const { server, llm } = await setUp(
      { perCall: [rateLimited({ retryAfterMs: 120_000 })] },
      { runtime: createRuntime({ clock: virtualClock(), random: () => 0 }) },
    )
    const error = await rejection(llm.json({ ...ask('hello'), schema: person }))
    expect(server.count).toBe(1)
    expect(error).toMatchObject({
      kind: 'rate_limit',
      reason: 'hint_exceeds_wait',
      retryAfterMs: 120_000,
      message: expect.stringContaining('it asks to wait 120 s, maxWaitMs allows 90 s'),
    })
  })

  it('beyond the deadline ends the call at once', async () => {
    const { server, llm } = await setUp(
      { perCall: [rateLimited({ retryAfterMs: 20_000 })] },
      { deadlineMs: 10_000 },
    )
    const error = await rejection(llm.json({ ...ask('hello'), schema: person }))
    expect(server.count).toBe(1)
    expect(error).toMatchObject({ reason: 'hint_exceeds_deadline' })
    // What is left of it.
    expect(isCallError(error) && error.retryAfterMs).toBeGreaterThan(10_000)
    expect(isCallError(error) && error.retryAfterMs).toBeLessThanOrEqual(20_000)
  })

  it('a cold process whose 100 concurrent calls meet 30 hinted limits loses none', async () => {
    const limited = new Set(Array.from({ length: 30 }, (_, i) => `call ${i}`))
    const { llm, server } = await setUp({
      callOf: ({ body }) => JSON.stringify(body.messages[0]),
      perCall: (id) =>
        limited.has(String(JSON.parse(id).content)) ? [rateLimited({ retryAfterMs: 50 })] : [],
    })
    const calls = Array.from({ length: 100 }, (_, i) =>
      llm.json({ ...ask(`call ${i}`), schema: person }),
    )
    await expect(Promise.all(calls)).resolves.toHaveLength(100)
    expect(server.count).toBe(130)
  })
})

describe('one deadline binds the whole call', () => {
  it('cuts an attempt off and says so', async () => {
    const { server, llm } = await setUp({ perCall: [hangs()] })
    const error = await rejection(
      llm.json({ ...ask('hello'), schema: person }, { deadlineMs: 300, attemptTimeoutMs: 5_000 }),
    )
    expect(error).toMatchObject({ kind: 'deadline', reason: 'deadline', executed: 'maybe' })
    expect(server.count).toBe(1)
  })

  it('no attempt starts with less than 250 ms left', async () => {
    const { server, llm } = await setUp()
    const error = await rejection(
      llm.json({ ...ask('hello'), schema: person }, { deadlineMs: 200 }),
    )
    expect(error).toMatchObject({ kind: 'deadline', executed: 'no', attempts: [] })
    expect(server.count).toBe(0)
  })

  it('follows the injected clock, not the wall clock', async () => {
    const clock = virtualClock()
    const { server, llm } = await setUp(
      { perCall: [hangs()] },
      { runtime: createRuntime({ clock, random: () => 0 }) },
    )
    const pending = rejection(
      llm.json({ ...ask('hello'), schema: person }, { attemptTimeoutMs: 90_000, maxAttempts: 1 }),
    )
    while (server.count === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    clock.jumpWall(86_400_000)
    await clock.advance(89_999)
    expect(clock.pending).toBe(1)
    await clock.advance(1)
    await expect(pending).resolves.toMatchObject({ kind: 'timeout' })
    expect(clock.pending).toBe(0)
  })
})

describe("the caller's signal", () => {
  it('ends an attempt under way', async () => {
    const { llm, server } = await setUp({ perCall: [hangs()] })
    const controller = new AbortController()
    const pending = rejection(
      llm.json({ ...ask('hello'), schema: person }, { signal: controller.signal }),
    )
    while (server.count === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const reason = new Error('the user left')
    controller.abort(reason)
    await expect(pending).resolves.toMatchObject({ kind: 'aborted', reason: 'aborted' })
  })

  it('ends a wait between attempts at once', async () => {
    const clock = virtualClock()
    const events: string[] = []
    const { server, llm } = await setUp(
      { perCall: [rateLimited({ retryAfterMs: 30_000 })] },
      {
        runtime: createRuntime({ clock, random: () => 0 }),
        onEvent: ({ type }) => events.push(type),
      },
    )
    const controller = new AbortController()
    const pending = rejection(
      llm.json({ ...ask('hello'), schema: person }, { signal: controller.signal }),
    )
    await vi.waitUntil(() => events.includes('retry-scheduled'))
    await clock.advance(29_000)
    controller.abort()
    await expect(pending).resolves.toMatchObject({ kind: 'aborted' })
    expect(server.count).toBe(1)
  })

  it('aborted beforehand sends nothing', async () => {
    const { llm, server } = await setUp()
    const signal = AbortSignal.abort()
    await expect(
      rejection(llm.json({ ...ask('x'), schema: person }, { signal })),
    ).resolves.toMatchObject({ kind: 'aborted', executed: 'no' })
    expect(server.count).toBe(0)
  })
})

describe('a fallback', () => {
  it('takes over where the first target cannot, under the same attempt limit', async () => {
    const { server, llm } = await setUp(
      {
        callOf: ({ body }) => body.model,
        perCall: (id) => (id === 'gpt-test' ? [contextLength()] : []),
      },
      { fallbacks: [{ model: 'gpt-large' }] },
    )
    const { attempts } = await llm.json({ ...ask('long'), schema: person })
    expect(attempts.map(({ cause, outcome }) => [cause, outcome])).toEqual([
      ['initial', 'context_length'],
      ['fallback', 'success'],
    ])
    expect(server.requests.map(({ body }) => body?.model)).toEqual(['gpt-test', 'gpt-large'])
  })

  it('may be another client, for the kinds it names', async () => {
    const other = await startServer()
    const { server, llm } = await setUp(
      { perCall: [invalidApiKey()] },
      { fallbacks: [{ client: clientFor(other, { apiKey: 'sk-other' }), on: ['auth'] }] },
    )
    const { attempts } = await llm.json({ ...ask('hello'), schema: person })
    expect(attempts.map(({ outcome }) => outcome)).toEqual(['auth', 'success'])
    expect([server.count, other.count]).toEqual([1, 1])
    expect(other.requests[0]?.headers.authorization).toBe('Bearer sk-other')
  })

  it('keeps the last attempt for itself: retries of the first target do not spend it', async () => {
    const { server, llm } = await setUp(
      {
        callOf: ({ body }) => body.model,
        perCall: (id) => (id === 'gpt-test' ? [overloaded(), overloaded(), overloaded()] : []),
      },
      { maxAttempts: 3, fallbacks: [{ model: 'gpt-other' }] },
    )
    const { attempts } = await llm.json({ ...ask('hello'), schema: person })
    expect(attempts.map(({ cause }) => cause)).toEqual(['initial', 'retry', 'fallback'])
    expect(server.count).toBe(3)
  })

  it('is not taken for a kind it is not for', async () => {
    const { llm } = await setUp({ perCall: [badRequest()] }, { fallbacks: [{ model: 'other' }] })
    const error = await rejection(llm.json({ ...ask('hello'), schema: person }))
    expect(error).toMatchObject({ kind: 'invalid_request', attempts: [{}] })
  })
})
