import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  badRequest,
  contextLength,
  cutStream,
  cutStreamBeforeContent,
  dripping,
  endlessBody,
  errorBodyUnder200,
  type Fault,
  type FaultServer,
  hangs,
  htmlError,
  httpError,
  insufficientQuota,
  invalidApiKey,
  malformedEvent,
  noFinishReason,
  notAStream,
  ok,
  overloaded,
  overloaded529,
  rateLimited,
  resetBeforeResponse,
  resetInBody,
  serverError,
  shouldRetry,
  slow,
  slowFirstByte,
  stalledStream,
  startFaultServer,
  streamErrorEvent,
  truncatedBody,
  virtualClock,
} from '../../../src/testing/index.ts'
import { type Client, clients, question, rejection } from './clients.ts'

describe.each(clients)('with %s', (_name, connect) => {
  let server: FaultServer
  let client: Client

  beforeAll(async () => {
    server = await startFaultServer({ answer: 'The quick brown fox jumps.' })
    client = connect(server.baseURL)
  })
  afterAll(() => server.close())

  const ask = (fault: Fault, signal?: AbortSignal) => {
    server.reset({ script: [fault] })
    return client.chat.completions.create(question, signal && { signal })
  }
  /** The text of a stream and how it ended. */
  const stream = async (fault: Fault) => {
    server.reset({ script: [fault] })
    let text = ''
    let finishReason: string | null | undefined
    try {
      const chunks = await client.chat.completions.create({ ...question, stream: true })
      for await (const { choices } of chunks) {
        text += choices[0]?.delta.content ?? ''
        finishReason ??= choices[0]?.finish_reason
      }
      return { text, finishReason }
    } catch (error) {
      return { text, finishReason, error }
    }
  }

  describe('statuses', () => {
    it.each([
      [rateLimited(), 429, 'rate_limit_exceeded', 'requests', 'Rate limit reached for gpt-test'],
      [insufficientQuota(), 429, 'insufficient_quota', 'insufficient_quota', 'current quota'],
      [serverError(), 500, null, 'server_error', 'The server had an error'],
      [serverError(503), 503, null, 'server_error', 'The server had an error'],
      [overloaded(), 503, null, 'server_error', 'currently overloaded with other requests'],
      [overloaded529(), 529, undefined, 'overloaded_error', 'Overloaded'],
      [badRequest(), 400, null, 'invalid_request_error', 'Unrecognized request argument'],
      [invalidApiKey(), 401, 'invalid_api_key', 'invalid_request_error', 'Incorrect API key'],
      [
        contextLength(),
        400,
        'context_length_exceeded',
        'invalid_request_error',
        'maximum context length is 8192 tokens',
      ],
      [httpError(418, { error: { code: 'tea' } }), 418, 'tea', undefined, '418'],
      [htmlError(), 502, undefined, undefined, '<h1>502 Bad Gateway</h1>'],
    ])('$name gives status %i, code %s and type %s', async (fault, status, code, type, text) => {
      const error = await rejection(ask(fault))
      expect(error).toMatchObject({ status, code, type })
      expect(String(error.error)).toContain(text)
    })

    it.each([
      [{ retryAfterMs: 2_000 }, '2', null, 'try again in 2s.'],
      [{ retryAfterMs: 120 }, null, '120', 'try again in 120ms.'],
      [{ retryAfterMs: 2_000, header: 'retry-after-ms' as const }, null, '2000', 'in 2s.'],
      [{ retryAfterMs: 360_000, header: 'none' as const }, null, null, 'try again in 6m0s.'],
      [{ text: 'slow down' }, null, null, 'slow down'],
    ])('rateLimited(%j) hints retry-after %s, retry-after-ms %s', async (limit, s, ms, text) => {
      const { headers, error } = await rejection(ask(rateLimited(limit)))
      if (!(headers instanceof Headers)) throw new Error('the error has no headers')
      expect(headers.get('retry-after')).toBe(s)
      expect(headers.get('retry-after-ms')).toBe(ms)
      expect(String(error)).toContain(text)
    })

    it('rateLimited without a hint names no wait at all', async () => {
      const { error } = await rejection(ask(rateLimited()))
      expect(String(error)).not.toContain('try again')
    })

    it.each([true, false])('shouldRetry(%s) adds the header and nothing else', async (value) => {
      const { headers, status } = await rejection(ask(shouldRetry(value, serverError(502))))
      if (!(headers instanceof Headers)) throw new Error('the error has no headers')
      expect(headers.get('x-should-retry')).toBe(String(value))
      expect(status).toBe(502)
    })

    it('errorBodyUnder200 passes for a success, with an error in it', async () => {
      const answer = await ask(errorBodyUnder200())
      expect(answer).toMatchObject({ error: { message: 'Provider returned error', code: 502 } })
      expect(answer).not.toHaveProperty('choices')
      expect(await stream(errorBodyUnder200())).toMatchObject({
        text: '',
        error: { message: 'Provider returned error', status: undefined },
      })
    })
  })

  describe('connections', () => {
    it('resetBeforeResponse is ECONNRESET before any header', async () => {
      const { error } = await rejection(ask(resetBeforeResponse()))
      expect(error).toMatchObject({ name: 'Error', cause: { cause: { code: 'ECONNRESET' } } })
      expect(server.requests).toMatchObject([{ aborted: false }])
    })

    it('resetInBody breaks the connection after the headers', async () => {
      const { error } = await rejection(ask(resetInBody()))
      // Node 22's undici names its own socket error instead of the system's.
      const code = expect.stringMatching(/^(?:ECONNRESET|UND_ERR_SOCKET)$/)
      expect(error).toMatchObject({ message: 'terminated', cause: { code } })
    })

    it('truncatedBody announces more bytes than it sends', async () => {
      const { error } = await rejection(ask(truncatedBody()))
      expect(error).toMatchObject({ message: 'terminated', cause: { code: 'UND_ERR_SOCKET' } })
      expect(server.requests).toMatchObject([{ fault: 'truncatedBody', aborted: false }])
    })

    it.each([resetInBody(), truncatedBody()])('$name delivers the start of a stream', async (f) => {
      const { text, error } = await stream(f)
      expect(text.length).toBeGreaterThan(0)
      expect('The quick brown fox jumps.').toContain(text)
      expect(error).toMatchObject({ message: 'terminated' })
    })

    it('hangs sends nothing until the client gives up', async () => {
      const caller = new AbortController()
      const answer = rejection(ask(hangs(), caller.signal))
      await vi.waitFor(() => expect(server.count).toBe(1))
      expect(server.requests).toMatchObject([{ fault: 'hangs', aborted: false }])

      caller.abort()

      expect(String((await answer).error)).toContain('aborted')
      await vi.waitFor(() => expect(server.requests).toMatchObject([{ aborted: true }]))
    })
  })

  describe('streams', () => {
    it('ok streams the whole answer and its finish reason', async () => {
      expect(await stream(ok())).toEqual({
        text: 'The quick brown fox jumps.',
        finishReason: 'stop',
      })
    })

    it.each([
      [cutStream(), 'The quic'],
      [cutStream({ afterChunks: 3 }), 'The quick brown fox jump'],
      [cutStream({ afterChunks: 99 }), 'The quick brown fox jumps.'],
      [cutStreamBeforeContent(), ''],
    ])('$name ends in good order without a finish reason', async (fault, text) => {
      expect(await stream(fault)).toEqual({ text, finishReason: null })
    })

    it('streamErrorEvent breaks off with an error event', async () => {
      expect(await stream(streamErrorEvent({ afterChunks: 2 }))).toMatchObject({
        text: 'The quick brown ',
        error: { message: 'Provider returned error', status: undefined },
      })
    })

    it.each(['flat', 'object', 'detail'] as const)(
      'streamErrorEvent %s is an error in a chunk that openai takes for one',
      async (form) => {
        const { text, error } = await stream(streamErrorEvent({ form, afterChunks: 2 }))
        expect(text).toBe('The quick brown ')
        // A reader finds no choices in it.
        expect(error).toBeInstanceOf(TypeError)
      },
    )

    it.each([
      [noFinishReason(), null],
      [noFinishReason({ done: false }), null],
      [noFinishReason({ reason: '' }), ''],
      [noFinishReason({ reason: 'null', done: false }), 'null'],
    ])('$name has its whole text, and no finish reason', async (fault, finishReason) => {
      expect(await stream(fault)).toEqual({ text: 'The quick brown fox jumps.', finishReason })
      const { choices } = await ask(fault)
      expect(choices[0]).toMatchObject({
        message: { content: 'The quick brown fox jumps.' },
        finish_reason: finishReason,
      })
    })

    it('malformedEvent breaks off with an event that is not JSON', async () => {
      const { text, error } = await stream(malformedEvent({ afterChunks: 2 }))
      expect(text).toBe('The quick brown ')
      expect(error).toBeInstanceOf(SyntaxError)
    })

    it.each(['html', 'completion', 'error'] as const)(
      'notAStream %s ends as if nothing had been said',
      async (body) => {
        expect(await stream(notAStream({ body }))).toEqual({ text: '', finishReason: undefined })
      },
    )

    it('stalledStream goes silent after its text and stays open', async () => {
      server.reset({ script: [stalledStream({ afterChunks: 2 })] })
      const caller = new AbortController()
      const chunks = await client.chat.completions.create(
        { ...question, stream: true },
        { signal: caller.signal },
      )
      const seen: string[] = []
      let ended = false
      const reading = (async () => {
        for await (const { choices } of chunks) seen.push(choices[0]?.delta.content ?? '')
        ended = true
      })()
      await vi.waitFor(() => expect(seen).toEqual(['', 'The quic', 'k brown ']))
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect({ pieces: seen.length, ended }).toEqual({ pieces: 3, ended: false })

      caller.abort()
      await reading.catch(() => undefined)
      await vi.waitFor(() => expect(server.requests).toMatchObject([{ aborted: true }]))
    })

    it('gives a request that does not stream half of its JSON instead', async () => {
      const { error } = await rejection(ask(cutStream()))
      expect(error).toBeInstanceOf(SyntaxError)
      expect(await ask(streamErrorEvent())).toHaveProperty('error')
    })
  })
})

describe('slow', () => {
  it('answers when its time on the server’s clock has come, and not before', async () => {
    const clock = virtualClock()
    const server = await startFaultServer({ clock, script: [slow(60_000), slow(5, serverError())] })
    const ask = () =>
      fetch(`${server.baseURL}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(question),
      })
    let status = 0
    const answered = ask().then((response) => {
      status = response.status
    })
    await vi.waitFor(() => expect(clock.pending).toBe(1))

    await clock.advance(59_999)
    expect(clock.pending).toBe(1)
    expect(status).toBe(0)
    await clock.advance(1)
    await answered
    expect(status).toBe(200)

    const failed = ask()
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(5)
    expect((await failed).status).toBe(500)
    expect(server.requests.map(({ fault }) => fault)).toEqual(['slow', 'slow serverError(500)'])
    await server.close()
  })

  it('leaves no timer behind when the server closes', async () => {
    const clock = virtualClock()
    const server = await startFaultServer({ clock, script: [slow(60_000)] })
    const asked = rejection(
      fetch(`${server.baseURL}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(question),
      }),
    )
    await vi.waitFor(() => expect(clock.pending).toBe(1))

    await server.close()
    await asked

    expect(clock.pending).toBe(0)
  })
})

describe('options', () => {
  it.each<[() => Fault, string]>([
    [() => serverError(404), 'serverError: status is 404; allowed is an integer from 500 to 599'],
    [() => htmlError(200), 'htmlError: status is 200; allowed is an integer from 400 to 599'],
    [() => httpError(99, {}), 'httpError: status is 99; allowed is an integer from 200 to 599'],
    [() => slow(-1), 'slow: delayMs is -1; allowed is a finite number from 0 up'],
    [() => slow(Number.NaN), 'slow: delayMs is NaN; allowed is a finite number from 0 up'],
    [
      () => cutStream({ afterChunks: 1.5 }),
      'cutStream: afterChunks is 1.5; allowed is an integer from 0 up',
    ],
    [
      () => rateLimited({ retryAfterMs: 1_500, header: 'retry-after' }),
      'rateLimited: retryAfterMs is 1500; with header "retry-after" allowed are whole seconds',
    ],
    [
      () => rateLimited({ header: 'retry-after' }),
      'rateLimited: header is "retry-after", but retryAfterMs is not given',
    ],
    [
      () => rateLimited(JSON.parse('{"retryAfter":5}')),
      'rateLimited: unknown option "retryAfter"; allowed are retryAfterMs, header, field, clockSkewMs, text',
    ],
    [
      () => rateLimited(JSON.parse('{"retryAfterMs":5,"header":"x-reset"}')),
      'rateLimited: header is "x-reset"; allowed are "retry-after", "retry-after-ms", "retry-after-date", "x-ratelimit-reset" and "none"',
    ],
    [
      () => rateLimited({ field: 'retryDelay' }),
      'rateLimited: field is "retryDelay", but retryAfterMs is not given',
    ],
    [() => slowFirstByte(-1), 'slowFirstByte: delayMs is -1; allowed is a finite number from 0 up'],
    [() => dripping(-1), 'dripping: everyMs is -1; allowed is a finite number from 0 up'],
    [
      () => endlessBody({ status: 42 }),
      'endlessBody: status is 42; allowed is an integer from 200',
    ],
    [
      () => endlessBody(JSON.parse('{"stream":"dots"}')),
      'endlessBody: stream is "dots"; allowed are "chunks", "empty" and "comments"',
    ],
    [
      () => notAStream(JSON.parse('{"body":"xml"}')),
      'notAStream: body is "xml"; allowed is one of "completion", "html", "error"',
    ],
    [
      () => streamErrorEvent(JSON.parse('{"form":"html"}')),
      'streamErrorEvent: form is "html"; allowed is one of "data", "event", "finish-reason", "content", "flat", "object", "detail"',
    ],
  ])('refuses a bad one: %#', (make, message) => {
    expect(make).toThrow(message)
  })
})
