import { describe, expect, it, vi } from 'vitest'
import { type CallEvent, callReport, createRuntime, isCallError, steady } from '../../src/index.ts'
import { hangs, ok, overloaded, serverError, virtualClock } from '../../src/testing/index.ts'
import { ask, clientFor, patientRuntime, person, rejection, setUp } from '../support/set-up.ts'

const down = { perCall: () => Array.from({ length: 50 }, () => overloaded()) }

describe('a logical call sends at most maxAttempts requests', () => {
  it('however many retries the client was built with', async () => {
    const { server, llm } = await setUp(down, { maxAttempts: 3 }, { maxRetries: 5 })
    await rejection(llm.chat.completions.create(ask('hello')))
    expect(server.count).toBe(3)
  })

  it('and tells the truth in the retry-count header', async () => {
    const { server, llm } = await setUp(down, { maxAttempts: 3 })
    await rejection(llm.chat.completions.create(ask('hello')))
    expect(server.requests.map(({ headers }) => headers['x-stainless-retry-count'])).toEqual([
      '0',
      '1',
      '2',
    ])
  })

  it('as many as maxRetries + 1 where that is set and maxAttempts is not', async () => {
    const { server, llm } = await setUp(down, {}, { maxRetries: 4 })
    await rejection(llm.chat.completions.create(ask('hello')))
    expect(server.count).toBe(5)
  })

  it('only one for a client whose retries were switched off', async () => {
    const { server, llm } = await setUp(down, {}, { maxRetries: 0 })
    await rejection(llm.chat.completions.create(ask('hello')))
    expect(server.count).toBe(1)
  })

  it('only one for a request whose retries were switched off', async () => {
    const { server, llm } = await setUp(down)
    await rejection(llm.chat.completions.create(ask('hello'), { maxRetries: 0 }))
    expect(server.count).toBe(1)
  })

  it('through json, parse, stream and runTools alike', async () => {
    const { server, llm } = await setUp(down, { maxAttempts: 3, limits: 'off' })
    await rejection(llm.json({ ...ask('json'), schema: person }))
    await rejection(llm.chat.completions.parse(ask('parse')))
    await rejection(llm.chat.completions.stream(ask('stream')).done())
    const tools: [] = []
    await rejection(llm.chat.completions.runTools({ ...ask('tools'), tools }).done())
    expect(server.count).toBe(12)
  })
})

describe('nested steadycall layers do not multiply', () => {
  it('steady around steady sends 3', async () => {
    const { server, llm } = await setUp(down, { maxAttempts: 3 })
    const outer = steady(llm, { runtime: patientRuntime(), maxAttempts: 3 })
    await rejection(outer.chat.completions.create(ask('hello')))
    expect(server.count).toBe(3)
    expect(server.requests.map(({ headers }) => headers['x-stainless-retry-count'])).toEqual([
      '0',
      '1',
      '2',
    ])
  })

  it('json inside run sends 3', async () => {
    const { server, llm } = await setUp(down, { maxAttempts: 3 })
    const error = await rejection(
      llm.run('answer', () => llm.json({ ...ask('hello'), schema: person })),
    )
    expect(server.count).toBe(3)
    expect(error).toMatchObject({ kind: 'overloaded', attempts: [{ outcome: 'overloaded' }] })
  })

  it('json inside run inside run sends 3', async () => {
    const { server, llm } = await setUp(down, { maxAttempts: 3 })
    await rejection(
      llm.run('outer', () => llm.run('inner', () => llm.json({ ...ask('hello'), schema: person }))),
    )
    expect(server.count).toBe(3)
  })

  it('also where the function hides the error of the inner call', async () => {
    const { server, llm } = await setUp(down, { maxAttempts: 3 })
    const hiding = () =>
      llm.chat.completions.create(ask('hello')).catch(() => {
        throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
      })
    const error = await rejection(llm.run('answer', hiding))
    expect(server.count).toBe(3)
    expect(isCallError(error) && error.attempts).toHaveLength(3)
  })

  it('20 different json calls inside one run are all served', async () => {
    const { server, llm } = await setUp({ perCall: [serverError()] })
    const results = await llm.run('agent', async () => {
      const all = []
      for (let i = 0; i < 20; i++) all.push(await llm.json({ ...ask(`step ${i}`), schema: person }))
      return all
    })
    expect(results).toHaveLength(20)
    expect(server.count).toBe(40)
  })

  it('the same request may be repeated inside one run as long as it succeeds', async () => {
    const { server, llm } = await setUp()
    await llm.run('samples', async () => {
      for (let i = 0; i < 5; i++) await llm.chat.completions.create(ask('one sample'))
    })
    expect(server.count).toBe(5)
  })

  it('the inner call has the earlier of both deadlines', async () => {
    const clock = virtualClock()
    const { server, llm } = await setUp(
      { perCall: [hangs(), hangs(), hangs()] },
      { runtime: createRuntime({ clock, random: () => 0 }) },
    )
    const error = rejection(
      llm.run('short', () => llm.chat.completions.create(ask('hello')), { deadlineMs: 300 }),
    )
    await vi.waitUntil(() => server.count === 1)
    await clock.advance(299)
    expect(server.requests[0]?.aborted).toBe(false)
    await clock.advance(1)
    await expect(error).resolves.toMatchObject({ name: 'CallError' })
    expect(server.count).toBe(1)
  })

  it('a scope is inert once its call has settled', async () => {
    const { server, llm } = await setUp(down, { maxAttempts: 3 })
    let later: Promise<unknown> = Promise.resolve()
    let goOn = () => {}
    const settled = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const again = () => rejection(llm.chat.completions.create(ask('later')))
    await llm.run('starts something', async () => {
      await again()
      later = settled.then(again)
    })
    goOn()
    await later
    expect(server.count).toBe(6)
  })

  it('another resource of the client sends one request inside run, and retries as the SDK does outside', async () => {
    const { server, client, llm } = await setUp()
    let sent = 0
    const failing = steady(
      clientFor(server, {
        fetch: async () => {
          sent++
          return new Response('{}', { status: 503 })
        },
      }),
      { runtime: patientRuntime() },
    )
    const embed = () => failing.embeddings.create({ model: 'e', input: 'x' })
    await rejection(failing.run('embed', embed, { maxAttempts: 1 }))
    expect(sent).toBe(1)
    await rejection(embed())
    expect(sent).toBe(4)
    expect(client.maxRetries).toBe(2)
    expect(llm.maxRetries).toBe(2)
  })
})

describe('multiplication that we cannot prevent is counted and shown', () => {
  /** A fetch that retries by itself, as some HTTP libraries do. */
  const retryingFetch = async (...[url, init]: Parameters<typeof fetch>): Promise<Response> => {
    const first = await fetch(url, init)
    return first.ok ? first : fetch(url, init)
  }

  it('in the report and as an event, with a success left alone', async () => {
    const events: CallEvent[] = []
    const { server, llm } = await setUp(
      { perCall: [serverError(), ok()] },
      { onEvent: (event) => events.push(event) },
      { fetch: retryingFetch },
    )
    const completion = await llm.chat.completions.create(ask('hello'))
    expect(server.count).toBe(2)
    expect(callReport(completion)?.attempts).toMatchObject([
      { outcome: 'success', wireRequests: 2 },
    ])
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'retries-multiplied', wireRequests: 2 }),
    )
  })

  it("under 'throw' a failure is thrown as multiplied_retries and not retried", async () => {
    const { server, llm } = await setUp(
      down,
      { onMultipliedRetries: 'throw' },
      { fetch: retryingFetch },
    )
    const error = await rejection(llm.json({ ...ask('hello'), schema: person }))
    expect(server.count).toBe(2)
    expect(error).toMatchObject({ kind: 'multiplied_retries', retryable: false })
  })

  it("under 'throw' a paid success is returned, and the next send is refused", async () => {
    const { server, llm } = await setUp(
      { script: [serverError(), ok()] },
      { onMultipliedRetries: 'throw' },
      { fetch: retryingFetch },
    )
    await expect(llm.json({ ...ask('first'), schema: person })).resolves.toBeDefined()
    const error = await rejection(llm.json({ ...ask('second'), schema: person }))
    expect(error).toMatchObject({ kind: 'multiplied_retries', attempts: [] })
    expect(server.count).toBe(2)
  })

  it('counts one request for one attempt where nobody multiplies', async () => {
    const { llm } = await setUp({ perCall: [serverError()] })
    const completion = await llm.chat.completions.create(ask('hello'))
    expect(callReport(completion)?.attempts.map(({ wireRequests }) => wireRequests)).toEqual([1, 1])
  })

  it('tells of a loop around us that sends a request again which has been given up', async () => {
    const events: CallEvent[] = []
    const { llm } = await setUp(down, { maxAttempts: 3, onEvent: (event) => events.push(event) })
    await rejection(llm.chat.completions.create(ask('hello')))
    expect(events.map(({ type }) => type)).not.toContain('call-repeated')
    await rejection(llm.chat.completions.create(ask('hello')))
    expect(events.map(({ type }) => type)).toContain('call-repeated')
  })
})
