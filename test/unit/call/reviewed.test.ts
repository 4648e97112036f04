import { getEventListeners } from 'node:events'
import { Readable } from 'node:stream'
import OpenAI from 'openai'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import {
  callReport,
  createRuntime,
  isCallError,
  type SteadyOptions,
  steady,
} from '../../../src/index.ts'
import {
  answers,
  cutStream,
  insufficientQuota,
  ok,
  overloaded,
  rateLimited,
  slow,
  stalledStream,
} from '../../../src/testing/index.ts'
import {
  ask,
  clientFor,
  patientRuntime,
  person,
  rejection,
  setUp,
  startServer,
} from '../../support/set-up.ts'

const quick = () => ({ runtime: patientRuntime() })

describe('a client derived inside run', () => {
  it('keeps the retries of its owner, then and later', async () => {
    const { llm, server } = await setUp({ script: [overloaded(), ok(), overloaded(), ok()] })
    let derived = llm
    await llm.run('derives', () => {
      derived = llm.withOptions({ timeout: 5_000 })
      return derived.chat.completions.create(ask('inside'))
    })
    expect(derived.maxRetries).toBe(2)
    await derived.chat.completions.create(ask('later'))
    expect(server.count).toBe(4)
  })
})

describe('asResponse()', () => {
  it('leaves the caller able to abort the body', async () => {
    const { llm } = await setUp({ script: [stalledStream({ afterChunks: 1 })] })
    const controller = new AbortController()
    const response = await llm.chat.completions
      .create(ask('hi'), { signal: controller.signal })
      .asResponse()
    expect(callReport(response)).toMatchObject({ outcome: 'success' })
    setTimeout(() => controller.abort(), 20)
    await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('onEvent', () => {
  it('may be async and reject: nothing comes of it', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const { llm } = await setUp({}, { onEvent: () => Promise.reject(new Error('logger')) as never })
    await llm.chat.completions.create(ask('hi'))
    await new Promise((resolve) => setTimeout(resolve, 10))
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })
})

describe("a test's mocks", () => {
  it('of create may resolve plain data', async () => {
    const { client, llm } = await setUp()
    const data = {
      id: 'c',
      choices: [{ index: 0, message: { content: 'x' }, finish_reason: 'stop' }],
    }
    vi.spyOn(client.chat.completions, 'create').mockResolvedValue(data as never)
    await expect(llm.chat.completions.create(ask('hi'))).resolves.toBe(data)
  })

  it('of our own methods work, and can be taken back', async () => {
    const { client, llm, server } = await setUp()
    const spy = vi.spyOn(llm, 'json').mockResolvedValue({ value: 1 } as never)
    await expect(llm.json({ ...ask('hi'), schema: person })).resolves.toEqual({ value: 1 })
    spy.mockRestore()
    await llm.json({ ...ask('hi'), schema: person })
    expect(server.count).toBe(1)
    expect(Reflect.has(client, 'json')).toBe(false)
  })

  it('that wrap the wrapped create do not call themselves', async () => {
    const { llm, server } = await setUp()
    const { completions } = llm.chat
    const original = completions.create
    const wrapping = vi.fn((...args: Parameters<typeof original>) => original(...args))
    Object.assign(completions, { create: wrapping })
    await completions.create(ask('hi'))
    expect(wrapping).toHaveBeenCalledOnce()
    expect(server.count).toBe(1)
  })
})

describe('settings', () => {
  it('of another client for the same target are its own', async () => {
    const runtime = patientRuntime()
    const limited = { script: [rateLimited({ retryAfterMs: 60_000 })] }
    const { llm, client, server } = await setUp(limited, { runtime, maxWaitMs: 0 })
    await rejection(llm.chat.completions.create(ask('limited')))
    await rejection(llm.chat.completions.create(ask('held')))
    expect(server.count).toBe(1)
    const other = steady(client, { runtime, maxWaitMs: 0, limits: 'off' })
    await other.chat.completions.create(ask('free'))
    expect(server.count).toBe(2)
  })

  it.each<[string, SteadyOptions, SteadyOptions]>([
    ['limits that are learned, said or not', {}, { limits: 'auto' }],
    ['limits of which none is set', {}, { limits: {} }],
    [
      'a limit with one beside it that is left undefined',
      { limits: { concurrency: 1 } },
      { limits: { concurrency: 1, requestsPerMinute: undefined } },
    ],
    ['a hedge that is false', {}, { hedge: false }],
    ['a hedge that is true', { hedge: true }, { hedge: {} }],
    [
      'limits with their names in another order',
      { limits: { concurrency: 5, requestsPerMinute: 600 } },
      { limits: { requestsPerMinute: 600, concurrency: 5 } },
    ],
  ])('that come to the same share one state: %s', async (_, one, other) => {
    const runtime = createRuntime()
    const { llm, client } = await setUp({ perCall: [slow(50)] }, { runtime, ...one })
    const calls = [llm, steady(client, { runtime, ...other })].map((each) =>
      each.chat.completions.create(ask('at once')),
    )
    await Promise.all(calls)
    expect(llm.targets()).toHaveLength(1)
  })

  it('of a fallback given per call are checked before any request', async () => {
    const { llm, server } = await setUp()
    const fallbacks = [{ client: {} as OpenAI }]
    await expect(llm.json({ ...ask('hi'), schema: person }, { fallbacks })).rejects.toThrow(
      'json(): fallbacks[0].client must be an openai client: chat.completions.create is missing',
    )
    expect(server.count).toBe(0)
  })

  it('that are no signal or no timeout are refused, not dropped', async () => {
    const { llm } = await setUp()
    await expect(
      llm.chat.completions.create(ask('hi'), { signal: 'stop' as never }),
    ).rejects.toThrow('create(): signal must be an AbortSignal')
    await expect(llm.chat.completions.create(ask('hi'), { timeout: -1 })).rejects.toThrow(
      'create(): timeout must be a positive number of milliseconds',
    )
  })
})

describe('a custom fetch', () => {
  it('whose bodies are Node streams keeps its error bodies', async () => {
    const server = await startServer({ perCall: () => [insufficientQuota()] })
    const nodeFetch = async (...[url, init]: Parameters<typeof fetch>) => {
      const real = await fetch(url, init)
      const text = await real.text()
      const { status, statusText, ok: isOk, headers } = real
      const body = Readable.from([text])
      return { status, statusText, ok: isOk, headers, url: real.url, body, text: async () => text }
    }
    const llm = steady(clientFor(server, { fetch: nodeFetch as never }), quick())
    const error = await rejection(llm.chat.completions.create(ask('hi')))
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(callReport(error)?.outcome).toBe('quota_exhausted')
    expect(server.count).toBe(1)
  })
})

describe('a frozen client', () => {
  it('can be wrapped', async () => {
    const server = await startServer({ perCall: [overloaded()] })
    const llm = steady(Object.freeze(clientFor(server)), quick())
    await llm.chat.completions.create(ask('hi'))
    expect(server.count).toBe(2)
  })
})

describe('a stream', () => {
  it('aborted before anybody reads it is over, and leaves no listener', async () => {
    const { llm } = await setUp({ answer: 'one two three four five six' })
    const controller = new AbortController()
    const { signal } = controller
    for (const abort of ['own', 'callers'] as const) {
      const stream = await llm.chat.completions.create({ ...ask('hi'), stream: true }, { signal })
      if (abort === 'own') stream.controller.abort()
      else controller.abort()
      expect(callReport(stream)?.attempts).toHaveLength(1)
      expect(getEventListeners(signal, 'abort')).toEqual([])
    }
  })

  it('that breaks gives its error the report, with true numbers', async () => {
    const { llm } = await setUp({
      answer: 'one two three four',
      perCall: [overloaded(), cutStream()],
    })
    const stream = await llm.chat.completions.create({ ...ask('hi'), stream: true })
    const error = await rejection(
      (async () => {
        for await (const _ of stream);
      })(),
    )
    expect(callReport(error)?.attempts).toHaveLength(2)
    expect(error).toMatchObject({ message: expect.stringContaining('after 2 attempts') })
  })
})

describe('parse()', () => {
  it('gives a completion that callReport knows', async () => {
    const { llm } = await setUp()
    const parsed = await llm.chat.completions.parse(ask('hi'))
    expect(callReport(parsed)?.attempts).toHaveLength(1)
  })
})

describe('an error', () => {
  const canary = 'canaryKey81'

  it('shows no property name that only the answer could have said', async () => {
    const wrong = answers(`{"known":{"${canary}":"text"}}`)
    const { llm } = await setUp({ perCall: [wrong, wrong] })
    const schema = {
      type: 'object',
      properties: { known: { type: 'object', additionalProperties: { type: 'integer' } } },
    } as const
    const error = await rejection(llm.json({ ...ask('hi'), schema }))
    if (!isCallError(error)) throw error
    expect(error.message).toContain('/known/*')
    expect(error.message).not.toContain(canary)
    expect(error.issues).toEqual([{ path: '/known/*', message: 'expected integer, got a string' }])
  })

  it("quotes nothing of a schema library's own messages", async () => {
    const wrong = answers(`{"name":"${canary}"}`)
    const { llm } = await setUp({ perCall: [wrong, wrong] })
    const schema = z.object({ name: z.string() }).superRefine(({ name }, context) => {
      context.addIssue({ code: 'custom', message: `not ${name}` })
    })
    const error = await rejection(llm.json({ ...ask('hi'), schema }))
    expect(isCallError(error) && error.message).not.toContain(canary)
    expect(isCallError(error) && error.issues).toEqual([
      { path: '', message: "refused by the schema's own checks" },
    ])
  })

  it('of a transform that throws keeps the paid answer and its cost', async () => {
    const { llm, server } = await setUp({ answer: '{"name":"Ada"}' })
    const schema = z.object({ name: z.string() }).transform(() => {
      throw new RangeError('a bug of the app')
    })
    const error = await rejection(llm.json({ ...ask('hi'), schema }))
    if (!isCallError(error)) throw error
    expect(error).toMatchObject({ kind: 'unknown', executed: 'yes', cause: { name: 'RangeError' } })
    expect(error.usage?.inputTokens).toBeGreaterThan(0)
    expect(error.completion).toBeDefined()
    expect(server.count).toBe(1)
  })

  it('that is a hostile proxy is a failure like any other', async () => {
    const { llm } = await setUp()
    const hostile = new Proxy(new Error('x'), {
      get() {
        throw new Error('no')
      },
    })
    const error = await rejection(
      llm.run('hostile', () => {
        throw hostile
      }),
    )
    expect(error).toMatchObject({ kind: 'unknown', executed: 'maybe', attempts: [{}] })
  })
})
