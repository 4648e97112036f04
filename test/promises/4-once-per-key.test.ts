import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  callReport,
  createRuntime,
  isCallError,
  memoryStore,
  notExecuted,
  resolveIdempotent,
  runIdempotent,
  type Store,
  steady,
} from '../../src/index.ts'
import {
  contextLength,
  hangs,
  insufficientQuota,
  serverError,
  slow,
} from '../../src/testing/index.ts'
import { ask, patientRuntime, person, rejection, setUp } from '../support/set-up.ts'

const ada = { answer: '{"name":"Ada","age":36}' }

describe('a key that was given runs its work once', () => {
  it('for 200 concurrent callers, with one request', async () => {
    const { llm, server } = await setUp({ ...ada, perCall: [slow(50)] })
    const calls = Array.from({ length: 200 }, () =>
      llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'order-1' }),
    )
    const results = await Promise.all(calls)
    expect(server.count).toBe(1)
    expect(new Set(results.map(({ value }) => JSON.stringify(value))).size).toBe(1)
    expect(results.filter(({ source }) => source === 'provider')).toHaveLength(1)
    expect(results.filter(({ source }) => source === 'shared')).toHaveLength(199)
  })

  it('and later callers get the stored outcome, at no cost', async () => {
    const { llm, server } = await setUp(ada)
    const first = await llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    const second = await llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    expect(server.count).toBe(1)
    expect(second).toMatchObject({
      source: 'store',
      value: first.value,
      attempts: [],
      idempotencyKey: 'k',
      usage: { inputTokens: 0, outputTokens: 0, complete: true },
      replayedUsage: { inputTokens: first.usage.inputTokens },
    })
  })

  it('gives every caller an object of his own', async () => {
    const { llm } = await setUp({ ...ada, perCall: [slow(30)] })
    const call = () => llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    const [a, b, c] = [...(await Promise.all([call(), call()])), await call()]
    expect(a?.value).not.toBe(b?.value)
    expect(a?.completion).not.toBe(b?.completion)
    expect(c?.completion).not.toBe(a?.completion)
  })

  it('also for a drop-in call, whose replay has a response marked as such', async () => {
    const { llm, server } = await setUp(ada)
    const options = { steady: { idempotencyKey: 'k' } }
    const first = await llm.chat.completions.create(ask('who?'), options)
    const again = await llm.chat.completions.create(ask('who?'), options).withResponse()
    expect(again.data).toEqual(first)
    expect(again.response.headers.get('x-steadycall-source')).toBe('store')
    await expect(again.response.json()).resolves.toEqual(first)
    expect(callReport(again.data)).toMatchObject({ source: 'store', attempts: [] })
    expect(server.count).toBe(1)
  })

  it("is steady's own key, not openai's request option of the same name", async () => {
    const { llm, server } = await setUp(ada)
    for (let i = 0; i < 2; i++) {
      await llm.chat.completions.create(ask('who?'), { idempotencyKey: 'k' })
    }
    expect(server.count).toBe(2)
  })

  it('refuses the same key with another payload', async () => {
    const { llm, server } = await setUp(ada)
    await llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    const error = await rejection(
      llm.json({ ...ask('who else?'), schema: person }, { idempotencyKey: 'k' }),
    )
    expect(error).toMatchObject({ kind: 'idempotency_mismatch' })
    expect(server.count).toBe(1)
  })

  it('and with another schema', async () => {
    const { llm } = await setUp(ada)
    await llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    const other = { type: 'object', properties: { name: { type: 'string' } } } as const
    const error = await rejection(
      llm.json({ ...ask('who?'), schema: other }, { idempotencyKey: 'k' }),
    )
    expect(error).toMatchObject({ kind: 'idempotency_mismatch' })
  })

  it('unless the payload it stands for is the same', async () => {
    const { llm, server } = await setUp(ada)
    const keyed = { idempotencyKey: 'k', payload: { jobId: 7 } }
    await llm.json({ ...ask('who?'), schema: person }, keyed)
    const second = await llm.json({ ...ask('who, again?'), schema: person }, keyed)
    expect(second.source).toBe('store')
    expect(server.count).toBe(1)
  })

  it('never takes the result of a function for a completion, though all they are given is the same', async () => {
    const { llm } = await setUp()
    const same = { idempotencyKey: 'k', payload: { job: 1 } }
    await llm.run('chat', async () => 5, same)
    const error = await rejection(llm.chat.completions.create(ask('hello'), { steady: same }))
    expect(callReport(error)?.outcome).toBe('idempotency_mismatch')
  })

  it('keeps tenants apart', async () => {
    const store = memoryStore()
    const { llm, client, server } = await setUp(ada, { store, tenant: 'a' })
    const other = steady(client, { store, tenant: 'b' })
    for (const each of [llm, other]) {
      await each.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    }
    expect(server.count).toBe(2)
  })

  it('keeps a permanent refusal, and frees the key after a failure that passes', async () => {
    const { llm, server } = await setUp({
      ...ada,
      callOf: ({ body }) => String(body.messages[0]?.content),
      perCall: (id) =>
        id === 'long' ? [contextLength()] : id === 'broke' ? [insufficientQuota()] : [],
    })
    const call = (content: string) =>
      llm.json({ ...ask(content), schema: person }, { idempotencyKey: content })
    await expect(rejection(call('long'))).resolves.toMatchObject({ kind: 'context_length' })
    await expect(rejection(call('long'))).resolves.toMatchObject({
      kind: 'context_length',
      source: 'store',
    })
    expect(server.requestsFor('long')).toHaveLength(1)
    await rejection(call('broke'))
    await expect(call('broke')).resolves.toMatchObject({ source: 'provider' })
  })

  it('sends a hash, the same for each retry of an unanswered request, and never the key itself', async () => {
    const { llm, server } = await setUp({ ...ada, perCall: [hangs(), serverError()] })
    await llm.json(
      { ...ask('who?'), schema: person },
      { idempotencyKey: 'canary-key-9', attemptTimeoutMs: 100 },
    )
    const [first, second, third] = server.requests.map(({ headers }) => headers['idempotency-key'])
    expect(first).toMatch(/^[0-9a-f]{64}$/)
    expect(second).toBe(first)
    // A complete 500 was received: a server that knows the key would only repeat it.
    expect(third).not.toBe(second)
    expect(JSON.stringify(server.requests)).not.toContain('canary-key-9')
  })
})

describe('a key that was not given', () => {
  it('is generated, returned and never stored', async () => {
    const { llm, server } = await setUp(ada)
    const first = await llm.json({ ...ask('who?'), schema: person })
    const second = await llm.json({ ...ask('who?'), schema: person })
    expect(first.idempotencyKey).not.toBe(second.idempotencyKey)
    expect(server.count).toBe(2)
  })

  it("is derived from the request under 'derive', with occurrence to tell repetitions apart", async () => {
    const { llm, server } = await setUp(ada, { idempotency: 'derive' })
    const params = { ...ask('who?'), schema: person, temperature: 0 }
    const first = await llm.json(params)
    const same = await llm.json({ ...params, model: 'gpt-test' })
    const other = await llm.json(params, { occurrence: 1 })
    expect([first.source, same.source, other.source]).toEqual(['provider', 'store', 'provider'])
    expect(same.idempotencyKey).toBe(first.idempotencyKey)
    expect(server.count).toBe(2)
  })

  it('cannot be derived from what has no JSON, and nothing is sent', async () => {
    const { llm, server } = await setUp(ada, { idempotency: 'derive' })
    const metadata = { id: 1n as never }
    await expect(llm.json({ ...ask('who?'), schema: person, metadata })).rejects.toThrow('BigInt')
    expect(server.count).toBe(0)
  })

  it('is derived from the JSON that is sent, where NaN and null are one', async () => {
    const { llm, server } = await setUp(ada, { idempotency: 'derive' })
    const first = await llm.json({ ...ask('who?'), schema: person, seed: Number.NaN })
    const second = await llm.json({ ...ask('who?'), schema: person, seed: null })
    expect([second.source, second.idempotencyKey]).toEqual(['store', first.idempotencyKey])
    expect(server.count).toBe(1)
  })
})

describe('a flight belongs to nobody', () => {
  it('a participant who leaves disturbs nobody', async () => {
    const { llm, server } = await setUp({ ...ada, perCall: [slow(120)] })
    const controller = new AbortController()
    const call = (signal?: AbortSignal) =>
      llm.json(
        { ...ask('who?'), schema: person },
        { idempotencyKey: 'k', ...(signal && { signal }) },
      )
    const leaving = rejection(call(controller.signal))
    const staying = call()
    while (server.count === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    controller.abort()
    await expect(leaving).resolves.toMatchObject({ kind: 'aborted' })
    await expect(staying).resolves.toMatchObject({ value: { name: 'Ada', age: 36 } })
    expect(server.count).toBe(1)
  })

  it('the last who leaves ends the request', async () => {
    const { llm, server } = await setUp({ perCall: [hangs()] })
    const controller = new AbortController()
    const { signal } = controller
    const calls = [1, 2].map(() =>
      rejection(llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k', signal })),
    )
    while (server.count === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    controller.abort()
    await Promise.all(calls)
    while (!server.requests[0]?.aborted) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(server.count).toBe(1)
  })

  it('a failure is shared with those who joined', async () => {
    const { llm, server } = await setUp({ perCall: [slow(50, insufficientQuota())] })
    const call = () =>
      rejection(llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' }))
    const errors = await Promise.all([call(), call(), call()])
    expect(errors.map((error) => isCallError(error) && error.kind)).toEqual([
      'quota_exhausted',
      'quota_exhausted',
      'quota_exhausted',
    ])
    expect(errors.map((error) => isCallError(error) && error.executed)).toEqual(['no', 'no', 'no'])
    expect(server.count).toBe(1)
  })
})

it('those who joined a failure know as much of it as its owner', async () => {
  const { llm } = await setUp({ perCall: [slow(50, serverError())] }, { maxAttempts: 1 })
  const call = () =>
    rejection(llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' }))
  const errors = await Promise.all([call(), call()])
  const failure = { kind: 'server_error', executed: 'maybe', retryable: true, status: 500 }
  expect(errors).toMatchObject([failure, failure])
})

describe('runIdempotent', () => {
  const operation = 'create-ticket'
  const payload = { subject: 'printer on fire' }

  /** A service with a side effect: it counts the tickets it made, and answers late. */
  async function ticketService(answerAfterMs: number) {
    let tickets = 0
    const server = createServer((_, response) => {
      tickets++
      setTimeout(() => response.end(JSON.stringify({ id: tickets })), answerAfterMs)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    return { url: `http://127.0.0.1:${port}`, tickets: () => tickets }
  }

  it('runs a side effect once and replays its result', async () => {
    const { url, tickets } = await ticketService(0)
    const guard = { store: memoryStore(), operation, payload, idempotencyKey: 'ticket-1' }
    const create = () =>
      runIdempotent(guard, async ({ signal }) => (await fetch(url, { signal })).json())
    await expect(Promise.all([create(), create()])).resolves.toEqual([{ id: 1 }, { id: 1 }])
    await expect(create()).resolves.toEqual({ id: 1 })
    expect(tickets()).toBe(1)
  })

  it('whose function times out after the server did the work does not run it again', async () => {
    const { url, tickets } = await ticketService(5_000)
    const guard = {
      store: memoryStore(),
      operation,
      payload,
      idempotencyKey: 'ticket-1',
      attemptTimeoutMs: 150,
    }
    const create = () =>
      rejection(runIdempotent(guard, async ({ signal }) => (await fetch(url, { signal })).json()))
    await expect(create()).resolves.toMatchObject({ kind: 'outcome_unknown', executed: 'maybe' })
    await expect(create()).resolves.toMatchObject({ kind: 'outcome_unknown' })
    expect(tickets()).toBe(1)
  })

  it('counts any thrown error as "maybe done", unless it says otherwise', async () => {
    const store = memoryStore()
    let runs = 0
    const failing = (idempotencyKey: string, error: Error) =>
      rejection(
        runIdempotent({ store, operation, payload, idempotencyKey }, () => {
          runs++
          throw error
        }),
      )
    await expect(failing('a', new Error('who knows'))).resolves.toMatchObject({
      kind: 'outcome_unknown',
      cause: { message: 'who knows' },
    })
    await failing('a', new Error('who knows'))
    expect(runs).toBe(1)
    await expect(failing('b', notExecuted(new Error('sold out')))).resolves.toMatchObject({
      kind: 'unknown',
      executed: 'no',
    })
    await failing('b', notExecuted(new Error('sold out')))
    expect(runs).toBe(3)
  })

  it('hands its key to the function, and replays a function that returns nothing', async () => {
    const keys: string[] = []
    const guard = { store: memoryStore(), operation, payload, idempotencyKey: 'ticket-1' }
    const work = ({ idempotencyKey }: { idempotencyKey: string }) => {
      keys.push(idempotencyKey)
    }
    await expect(runIdempotent(guard, work)).resolves.toBeUndefined()
    await expect(runIdempotent(guard, work)).resolves.toBeUndefined()
    expect(keys).toEqual(['ticket-1'])
  })

  it('stays at most once when the store is down, with or without a key', async () => {
    const store = { ...memoryStore(), claim: () => Promise.reject(new Error('down')) }
    let runs = 0
    for (const key of [{}, { idempotencyKey: 'k' }]) {
      const error = await rejection(
        runIdempotent({ store, operation, payload, ...key }, () => ++runs),
      )
      expect(error).toMatchObject({ kind: 'store_unavailable' })
    }
    expect(runs).toBe(0)
  })

  it('whose outcome is in doubt can be resolved by an operator, either way', async () => {
    const store = memoryStore()
    let runs = 0
    const guard = (idempotencyKey: string) => ({ store, operation, payload, idempotencyKey })
    const failing = (key: string) =>
      rejection(
        runIdempotent(guard(key), () => {
          runs++
          throw new Error('who knows')
        }),
      )
    await failing('done')
    await failing('not done')
    const record = (idempotencyKey: string) => ({ store, operation, idempotencyKey })
    await expect(resolveIdempotent(record('done'), { value: { id: 7 } })).resolves.toBe(true)
    await expect(resolveIdempotent(record('not done'), 'rerun')).resolves.toBe(true)
    await expect(resolveIdempotent(record('never used'), 'rerun')).resolves.toBe(false)
    await expect(runIdempotent(guard('done'), () => ++runs)).resolves.toEqual({ id: 7 })
    await expect(runIdempotent(guard('not done'), () => ++runs)).resolves.toBe(3)
  })

  it('refuses a verdict or an option that is none', async () => {
    const record = { store: memoryStore(), operation, idempotencyKey: 'k' }
    await expect(resolveIdempotent(record, 'done' as never)).rejects.toThrow("'rerun' or { value }")
    await expect(resolveIdempotent({ ...record, key: 1 } as never, 'rerun')).rejects.toThrow(
      "resolveIdempotent(): unknown option 'key'",
    )
    await expect(resolveIdempotent({ store: record.store } as never, 'rerun')).rejects.toThrow(
      'resolveIdempotent(): operation is missing',
    )
  })

  it('derives the key from operation and payload where none is given', async () => {
    let runs = 0
    const store = memoryStore()
    const create = (subject: string) =>
      runIdempotent({ store, operation, payload: { subject } }, () => ++runs)
    await expect(create('a')).resolves.toBe(1)
    await expect(create('a')).resolves.toBe(1)
    await expect(create('b')).resolves.toBe(2)
  })

  it('refuses the same key with another payload', async () => {
    const store = memoryStore()
    const create = (subject: string) =>
      runIdempotent({ store, operation, payload: { subject }, idempotencyKey: 'k' }, () => 1)
    await create('a')
    await expect(rejection(create('b'))).resolves.toMatchObject({ kind: 'idempotency_mismatch' })
  })
})

describe('a key that is used inside itself', () => {
  it('is refused there, instead of waiting for itself, and is free for the outer call', async () => {
    const { llm } = await setUp()
    const keyed = { idempotencyKey: 'k', payload: 1 }
    const inner = () => rejection(llm.run('op', () => 'inner', keyed))
    const error = await llm.run('op', inner, keyed)
    expect(error).toMatchObject({
      kind: 'in_progress',
      message: expect.stringContaining('the call that contains this one'),
    })
  })
})

describe('a store that hangs', () => {
  const hanging = () => {
    const store = memoryStore()
    let isHanging = true
    const claim: Store['claim'] = (request) =>
      isHanging ? new Promise(() => {}) : store.claim(request)
    return { store: { ...store, claim }, recover: () => (isHanging = false) }
  }
  const options = { idempotencyKey: 'k', deadlineMs: 1_200 }

  it("is passed by under 'bypass', in time for the work", async () => {
    const { store } = hanging()
    const { llm } = await setUp(ada, { store, onStoreError: 'bypass' })
    await expect(llm.json({ ...ask('who?'), schema: person }, options)).resolves.toMatchObject({
      source: 'provider',
      persisted: false,
    })
  })

  it("fails under 'fail', and its key is usable once it has recovered", async () => {
    const { store, recover } = hanging()
    const { llm } = await setUp(ada, { store })
    const call = (signal?: AbortSignal) =>
      llm.json({ ...ask('who?'), schema: person }, { ...options, ...(signal && { signal }) })
    await expect(rejection(call())).resolves.toMatchObject({ kind: 'store_unavailable' })
    await expect(rejection(call(AbortSignal.timeout(30)))).resolves.toMatchObject({
      kind: 'aborted',
    })
    recover()
    await expect(call()).resolves.toMatchObject({ source: 'provider', persisted: true })
  })
})

describe('a keyed run', () => {
  it('stops at an outcome that nobody knows, and is not retried', async () => {
    const { client } = await setUp()
    const llm = steady(client, { runtime: patientRuntime() })
    let runs = 0
    const work = () => {
      runs++
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    }
    const error = await rejection(llm.run('charge', work, { idempotencyKey: 'k', payload: 1 }))
    expect(error).toMatchObject({ kind: 'outcome_unknown' })
    await rejection(llm.run('charge', work, { idempotencyKey: 'k', payload: 1 }))
    expect(runs).toBe(1)
  })

  it('without a key is retried like any call', async () => {
    const { llm } = await setUp()
    let runs = 0
    const value = await llm.run('flaky', ({ attempt }) => {
      runs++
      if (attempt < 3) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' })
      return 'done'
    })
    expect([value, runs]).toEqual(['done', 3])
  })
})

describe('a store that is down', () => {
  const broken = () => Promise.reject(new Error('store is down'))
  const store = { ...memoryStore(), claim: broken }

  it('fails a call with a given key, before anything is sent', async () => {
    const { llm, server } = await setUp(ada, { store })
    const error = await rejection(
      llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' }),
    )
    expect(error).toMatchObject({
      kind: 'store_unavailable',
      cause: { message: 'store is down' },
    })
    expect(server.count).toBe(0)
  })

  it("is passed by under 'bypass'", async () => {
    const { llm } = await setUp(ada, { store, onStoreError: 'bypass' })
    await expect(
      llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' }),
    ).resolves.toMatchObject({ source: 'provider', persisted: false })
  })

  it('at completion does not cost the paid result', async () => {
    const { client } = await setUp(ada)
    const failing = { ...memoryStore(), complete: broken }
    const llm = steady(client, { store: failing, runtime: createRuntime() })
    await expect(
      llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' }),
    ).resolves.toMatchObject({ value: { name: 'Ada' }, persisted: false })
  })
})
