import { randomUUID } from 'node:crypto'
import { createClient, createClientPool, RESP_TYPES } from 'redis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Claim, isCallError, type Store, steady } from '../../src/index.ts'
import { redisStore } from '../../src/stores/redis-store.ts'
import { type CutProxy, startCutProxy } from '../support/cut-proxy.ts'
import { describeWith } from '../support/describe-with.ts'
import { CLIENTS, type Connect, connectRedis } from '../support/redis-clients.ts'
import { REDIS, type RedisServer, startRedis } from '../support/redis-server.ts'
import {
  ask,
  clientFor,
  patientRuntime,
  person,
  rejection,
  startServer,
} from '../support/set-up.ts'

const TTL_MS = 60_000
const DONE = { ok: true, result: '{"answer":42}' } as const
const BUSY = { kind: 'rate_limit', status: 429 } as const

const requestFor = (changes = {}) => ({
  key: randomUUID(),
  fingerprint: 'f',
  owner: randomUUID(),
  leaseMs: 60_000,
  onUncertain: 'rerun' as const,
  ttlMs: TTL_MS,
  ...changes,
})

describeWith([REDIS], 'redis whose answers are lost', () => {
  let server: RedisServer
  let proxy: CutProxy
  beforeAll(async () => {
    server = await startRedis()
    proxy = await startCutProxy(server.port)
  })
  afterAll(async () => {
    await proxy?.close()
    await server?.close()
  })

  /** A store whose connection can be cut, and which has sent each of its scripts already. */
  async function open(connect: Connect): Promise<Store> {
    const { client, close } = await connect(proxy.port)
    onTestFinished(close)
    const store = redisStore(client)
    const claim = await own(store)
    await store.heartbeat(claim, 60_000)
    await store.dispatch(claim)
    await store.markUncertain(claim, TTL_MS)
    await store.resolve(claim.key, DONE, TTL_MS)
    await store.complete(claim, DONE, TTL_MS)
    await store.release(claim)
    return store
  }

  const LOSSES = Object.keys(CLIENTS).flatMap((name) => [
    { name, lost: 'the answer' as const },
    { name, lost: 'the request' as const },
  ])

  describe.each(LOSSES)('$lost, with $name', ({ name, lost }) => {
    let store: Store
    const cutting = async <Answer>(key: string, verb: () => Promise<Answer>): Promise<Answer> => {
      const before = proxy.cuts
      if (lost === 'the answer') proxy.loseAnswerTo(key)
      else proxy.loseRequest(key)
      try {
        return await verb()
      } finally {
        expect(proxy.cuts).toBe(before + 1)
      }
    }
    const opened = async () => {
      store = await open(CLIENTS[name] ?? connectRedis)
    }

    it('a claim is owned, by one owner', async () => {
      await opened()
      const request = requestFor()
      const { key, owner } = request
      expect(await cutting(key, () => store.claim(request))).toEqual({
        state: 'owned',
        claim: { key, owner, fence: 1 },
        onUncertain: 'rerun',
      })
      expect(await store.claim(requestFor({ key }))).toMatchObject({ state: 'busy', fence: 1 })
    })

    it('a heartbeat and a dispatch are granted', async () => {
      await opened()
      const claim = await own(store)
      expect(await cutting(claim.key, () => store.heartbeat(claim, 60_000))).toBe(true)
      expect(await cutting(claim.key, () => store.dispatch(claim))).toBe(true)
    })

    it('an outcome is stored, once', async () => {
      await opened()
      const claim = await own(store)
      expect(await cutting(claim.key, () => store.complete(claim, DONE, TTL_MS))).toBe('stored')
      expect(await store.claim(requestFor({ key: claim.key }))).toEqual({
        state: 'settled',
        outcome: DONE,
      })
    })

    it('a release frees the key, and its notice is told', async () => {
      await opened()
      const claim = await own(store)
      await cutting(claim.key, () => store.release(claim, BUSY, TTL_MS))
      const waited = requestFor({ key: claim.key, waitedFor: claim.fence })
      expect(await store.claim(waited)).toEqual({ state: 'left', notice: BUSY })
      expect(await store.claim(requestFor({ key: claim.key }))).toMatchObject({ state: 'owned' })
    })

    it('an uncertainty is kept, and a verdict on it is never said to have been refused', async () => {
      await opened()
      const claim = await own(store)
      expect(await cutting(claim.key, () => store.markUncertain(claim, TTL_MS))).toBe(true)
      const verdict = cutting(claim.key, () => store.resolve(claim.key, DONE, TTL_MS))
      // ioredis asks again by itself, whatever it asks.
      if (name.startsWith('redis')) await expect(verdict).rejects.toThrow()
      else await verdict
      await store.resolve(claim.key, DONE, TTL_MS)
      expect(await store.claim(requestFor({ key: claim.key }))).toEqual({
        state: 'settled',
        outcome: DONE,
      })
    })
  })

  it.each(Object.keys(CLIENTS))('no call notices, with %s', async (name) => {
    const fault = await startServer({ answer: '{"name":"Ada","age":36}' })
    const store = await open(CLIENTS[name] ?? connectRedis)
    let seen = ''
    const cutting: Store = {
      ...store,
      claim: (request) => {
        seen = request.key
        proxy.loseAnswerTo(request.key)
        return store.claim(request)
      },
      dispatch: (claim) => {
        proxy.loseAnswerTo(claim.key)
        return store.dispatch(claim)
      },
      complete: (claim, outcome, ttlMs) => {
        proxy.loseAnswerTo(claim.key)
        return store.complete(claim, outcome, ttlMs)
      },
    }
    const before = proxy.cuts
    const call = (through: Store) =>
      steady(clientFor(fault), { store: through, runtime: patientRuntime() }).json(
        { ...ask('who?'), schema: person },
        { idempotencyKey: `cut-${name}` },
      )
    expect(await call(cutting)).toMatchObject({ source: 'provider', persisted: true })
    expect(proxy.cuts).toBe(before + 3)
    expect(seen).not.toBe('')
    expect((await call(store)).source).toBe('store')
    expect(fault.count).toBe(1)
  })
})

describeWith([REDIS], 'redis under stress', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server?.close())

  async function open(): Promise<Store> {
    const { client, close } = await connectRedis(server.port)
    onTestFinished(close)
    return redisStore(client)
  }

  const GOOD = { owner: 'o', fence: '1', fp: 'f', unc: 'rerun', lease: '1', exp: '99999999999999' }

  it.each([
    { fence: 'nan' },
    { fence: '0' },
    { fence: '-3' },
    { fence: '1.5' },
    { fence: '1e300' },
    { lease: 'nan' },
    { lease: 'inf' },
    { lease: '0x7fffffffffff' },
    { lease: '' },
    { exp: 'nan' },
    { exp: 'inf' },
    { exp: '9'.repeat(400) },
    { unc: 'perhaps' },
    { left_fence: '1' },
    { left_fence: '1', left_notice: '{}', left_until: 'inf' },
  ])('no number is guessed: %j is an error at every verb, and is left as it was', async (field) => {
    const store = await open()
    const request = requestFor()
    const { key } = request
    const fields = Object.entries({ state: 'claimed', ...GOOD, ...field }).flat()
    await server.command('HSET', `steadycall:${key}`, ...fields)
    const before = await server.command('HGETALL', `steadycall:${key}`)
    const proof = { key, owner: 'o', fence: 1 }
    const verbs = [
      store.claim(request),
      store.heartbeat(proof, 1_000),
      store.dispatch(proof),
      store.complete(proof, DONE, TTL_MS),
      store.release(proof, BUSY, TTL_MS),
      store.markUncertain(proof, TTL_MS),
      store.resolve(key, 'rerun', TTL_MS),
    ]
    for (const verb of verbs) {
      const error = await rejection(verb)
      expect(isCallError(error) && error.kind).toBe('store_unavailable')
      expect(error).toMatchObject({ retryable: false })
    }
    expect(await server.command('HGETALL', `steadycall:${key}`)).toBe(before)
  })

  it('tells what is damaged from work that is only unfinished', async () => {
    const store = await open()
    const request = requestFor()
    const fields = Object.entries({ state: 'claimed', ...GOOD }).flat()
    await server.command('HSET', `steadycall:${request.key}`, ...fields)
    expect(await store.claim(request)).toMatchObject({ state: 'owned', claim: { fence: 2 } })
  })

  it.each([Number.POSITIVE_INFINITY, 1e300, 12.5, 1])(
    'a life of %d ms has an end',
    async (ttlMs) => {
      const store = await open()
      const request = requestFor({ ttlMs, leaseMs: 60_000.5 })
      expect((await store.claim(request)).state).toBe('owned')
      expect(Number(await server.command('PTTL', `steadycall:${request.key}`))).toBeGreaterThan(0)
    },
  )

  it.each([0, -5])('an outcome that is to live %d ms leaves nothing', async (ttlMs) => {
    const store = await open()
    const claim = await own(store)
    expect(await store.complete(claim, DONE, ttlMs)).toBe('stored')
    expect(await server.command('EXISTS', `steadycall:${claim.key}`)).toBe('0')
  })

  it('a life that is no number is refused before anything is written', async () => {
    const store = await open()
    const request = requestFor({ ttlMs: Number.NaN })
    await expect(store.claim(request)).rejects.toThrow('a duration must be a number')
    expect(await server.command('EXISTS', `steadycall:${request.key}`)).toBe('0')
  })

  it('an empty result is a result', async () => {
    const store = await open()
    const claim = await own(store)
    const outcome = { ok: true, result: '' } as const
    await store.complete(claim, outcome, TTL_MS)
    expect(await store.claim(requestFor({ key: claim.key }))).toEqual({ state: 'settled', outcome })
  })

  it('the clock of a client does not count', async () => {
    const store = await open()
    const claim = await own(store)
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    for (const year of [1999, 2999]) {
      vi.setSystemTime(new Date(Date.UTC(year, 0)))
      expect(await store.claim(requestFor({ key: claim.key }))).toMatchObject({ state: 'busy' })
      expect(await store.heartbeat(claim, 60_000)).toBe(true)
    }
    expect(Number(await server.command('PTTL', `steadycall:${claim.key}`))).toBeLessThan(TTL_MS + 1)
  })

  it('a server that is full takes no new claim, and lets its owners end', async () => {
    const full = await startRedis(['--maxmemory-policy', 'noeviction'])
    onTestFinished(() => full.close())
    const { client, close } = await connectRedis(full.port)
    onTestFinished(close)
    const store = redisStore(client)
    const [a, b, c, unsent] = await Promise.all([own(store), own(store), own(store), own(store)])
    for (const claim of [a, b, c]) await store.dispatch(claim)
    await full.command('CONFIG', 'SET', 'maxmemory', '1mb')

    const request = requestFor()
    await expect(store.claim(request)).rejects.toThrow('OOM')
    expect(await full.command('EXISTS', `steadycall:${request.key}`)).toBe('0')
    // Nothing is spent that could not be kept.
    await expect(store.dispatch(unsent)).rejects.toThrow('OOM')
    expect(await store.heartbeat(a, 5_000)).toBe(true)
    expect(await store.complete(a, { ok: true, result: 'x'.repeat(10_000) }, TTL_MS)).toBe('stored')
    expect(await store.markUncertain(b, TTL_MS)).toBe(true)
    expect(await store.release(c, BUSY, TTL_MS)).toBe(true)
    const waiting = requestFor({ key: c.key, waitedFor: c.fence })
    expect(await store.claim(waiting)).toEqual({ state: 'left', notice: BUSY })
  })

  it('says what is wrong with a client that is not connected', async () => {
    const client = createClient({ socket: { host: '127.0.0.1', port: server.port } })
    const fault = await startServer()
    const llm = steady(clientFor(fault), { store: redisStore(client), runtime: patientRuntime() })
    const error = await rejection(llm.json({ ...ask('?'), schema: {} }, { idempotencyKey: 'k' }))
    expect(error).toMatchObject({
      kind: 'store_unavailable',
      cause: { message: expect.stringContaining('await client.connect()') },
    })
    expect(fault.count).toBe(0)
  })

  it('takes a pool, RESP 3, bytes for strings and the prefix of a client of its own', async () => {
    const socket = { host: '127.0.0.1', port: server.port }
    const pool = createClientPool({ socket })
    const client = createClient({ RESP: 3, socket })
    const { Redis } = await import('ioredis')
    const prefixed = new Redis({ ...socket, keyPrefix: 'mine:' })
    await Promise.all([pool.connect(), client.connect()])
    onTestFinished(() => {
      pool.destroy()
      client.destroy()
      prefixed.disconnect()
    })
    const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
    for (const store of [redisStore(pool), redisStore(client), redisStore(bytes)]) {
      const claim = await own(store)
      expect(await store.complete(claim, DONE, TTL_MS)).toBe('stored')
      expect(await store.claim(requestFor({ key: claim.key }))).toEqual({
        state: 'settled',
        outcome: DONE,
      })
    }
    const { key } = await own(redisStore(prefixed))
    expect(await server.command('EXISTS', `mine:steadycall:${key}`)).toBe('1')
  })

  it('takes no pipeline for a client', async () => {
    const { Redis } = await import('ioredis')
    const redis = new Redis({ host: '127.0.0.1', port: server.port, lazyConnect: true })
    const client = createClient()
    for (const other of [redis.pipeline(), client.multi(), client.legacy()]) {
      // What a caller without types may give.
      expect(() => redisStore(other as never)).toThrow(/redis \(5 or later\) or ioredis/)
    }
  })
})

async function own(store: Store): Promise<Claim> {
  const claimed = await store.claim(requestFor())
  if (claimed.state !== 'owned') throw new Error(`Expected to own the key: ${claimed.state}`)
  return claimed.claim
}
