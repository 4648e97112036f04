import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { isCallError, type Store, steady } from '../../src/index.ts'
import { type RedisClient, redisStore } from '../../src/stores/redis-store.ts'
import { slow } from '../../src/testing/index.ts'
import { storeSuite } from '../../src/testing/store-suite.ts'
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

describeWith([REDIS], 'redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server?.close())

  async function open(connect = connectRedis, options = {}): Promise<Store> {
    const { client, close } = await connect(server.port)
    onTestFinished(close)
    return redisStore(client, options)
  }

  for (const [name, connect] of Object.entries(CLIENTS)) {
    storeSuite(
      name,
      async () => {
        const { client, close } = await connect(server.port)
        return { store: redisStore(client, { keyPrefix: `{${name}}:` }), close }
      },
      { describe, it: it.concurrent, expect },
      { ownClock: true },
    )
  }

  const request = (changes = {}) => ({
    key: randomUUID(),
    fingerprint: 'f',
    owner: randomUUID(),
    leaseMs: 60_000,
    onUncertain: 'rerun' as const,
    ttlMs: 60_000,
    ...changes,
  })

  it('goes on when the server has forgotten its scripts', async () => {
    const store = await open()
    const claimed = await store.claim(request())
    await server.command('SCRIPT', 'FLUSH')
    expect(claimed.state === 'owned' && (await store.dispatch(claimed.claim))).toBe(true)
  })

  it('loses a claim, not its mind, when everything is deleted', async () => {
    const store = await open()
    const one = request()
    const claimed = await store.claim(one)
    if (claimed.state !== 'owned') throw new Error(claimed.state)
    await server.command('FLUSHALL')
    expect(await store.dispatch(claimed.claim)).toBe(false)
    expect(await store.heartbeat(claimed.claim, 1_000)).toBe(false)
    expect(await store.complete(claimed.claim, { ok: true, result: '1' }, 1_000)).toBe('lost')
    expect(await store.claim(one)).toMatchObject({ state: 'owned' })
  })

  it('keeps what it acknowledged when the server is killed', async () => {
    const store = await open()
    const one = request()
    const claimed = await store.claim(one)
    if (claimed.state !== 'owned') throw new Error(claimed.state)
    expect(await store.complete(claimed.claim, { ok: true, result: '"kept"' }, 60_000)).toBe(
      'stored',
    )
    await server.kill()
    await server.start()
    await expect
      .poll(() => store.claim(one).catch(() => undefined))
      .toEqual({ state: 'settled', outcome: { ok: true, result: '"kept"' } })
  })

  it('leaves no record without an end', async () => {
    const store = await open()
    const one = request()
    await store.claim(one)
    const ttl = Number(await server.command('PTTL', `steadycall:${one.key}`))
    expect(ttl).toBeGreaterThan(0)
    expect(ttl).toBeLessThanOrEqual(60_000)
  })

  it.each([
    ['a string', ['SET', '?', 'x']],
    ['a hash of somebody else', ['HSET', '?', 'name', 'x']],
    [
      'a state nobody knows',
      [
        'HSET',
        '?',
        'state',
        'x',
        'owner',
        'o',
        'fence',
        '1',
        'fp',
        'f',
        'unc',
        'fail',
        'lease',
        '1',
        'exp',
        '99999999999999',
      ],
    ],
    [
      'no number for its end',
      [
        'HSET',
        '?',
        'state',
        'done',
        'owner',
        'o',
        'fence',
        '1',
        'fp',
        'f',
        'unc',
        'fail',
        'lease',
        '1',
        'exp',
        'x',
      ],
    ],
    [
      'no outcome',
      [
        'HSET',
        '?',
        'state',
        'done',
        'owner',
        'o',
        'fence',
        '1',
        'fp',
        'f',
        'unc',
        'fail',
        'lease',
        '1',
        'exp',
        '99999999999999',
      ],
    ],
    [
      'a refusal that is none',
      [
        'HSET',
        '?',
        'state',
        'failed',
        'owner',
        'o',
        'fence',
        '1',
        'fp',
        'f',
        'unc',
        'fail',
        'lease',
        '1',
        'exp',
        '99999999999999',
        'refusal',
        '{}',
      ],
    ],
  ])('refuses a record that is damaged (%s), and never runs it again', async (_, words) => {
    const store = await open()
    const one = request()
    await server.command(...words.map((word) => (word === '?' ? `steadycall:${one.key}` : word)))
    const error = await rejection(store.claim(one))
    expect(isCallError(error) && error.kind).toBe('store_unavailable')
    expect(error).toMatchObject({ retryable: false })
    await expect(store.claim(one)).rejects.toThrow('is damaged')
  })

  it('joins and replays across processes: two runtimes, two clients, one request', async () => {
    const fault = await startServer({ answer: '{"name":"Ada","age":36}', perCall: [slow(300)] })
    const call = async (connect: Connect, idempotencyKey: string) => {
      const store = await open(connect)
      const llm = steady(clientFor(fault), { store, runtime: patientRuntime() })
      return llm.json({ ...ask('who?'), schema: person }, { idempotencyKey })
    }
    const both = await Promise.all(
      Object.values(CLIENTS).map((connect) => call(connect, 'order-1')),
    )
    expect(both.map(({ source }) => source).sort()).toEqual(['provider', 'store', 'store', 'store'])
    expect((await call(connectRedis, 'order-1')).source).toBe('store')
    expect(fault.count).toBe(1)
  })

  it('has no key, tenant, prompt or, encrypted, answer in a dump', async () => {
    const fault = await startServer({ answer: '{"name":"Ada Canary","age":36}' })
    const store = await open(connectRedis, { keyPrefix: 'dumped:' })
    const llm = steady(clientFor(fault), {
      store,
      tenant: 'canary-tenant',
      runtime: patientRuntime(),
      encryption: { use: 'a', keys: { a: new Uint8Array(32).fill(7) } },
    })
    await llm.json({ ...ask('canary prompt'), schema: person }, { idempotencyKey: 'canary-key' })
    const keys = (await server.command('KEYS', 'dumped:*')).split('\n')
    expect(keys).toHaveLength(1)
    const dump = `${keys} ${await server.command('HGETALL', keys[0] ?? '')}`
    expect(dump).toContain('done')
    expect(dump.toLowerCase()).not.toContain('canary')
  })

  it('answers in bounded time when the server hangs', async () => {
    const fault = await startServer({ answer: '{"name":"Ada","age":36}' })
    const store = await open()
    const llm = steady(clientFor(fault), { store, runtime: patientRuntime() })
    server.freeze()
    try {
      const error = await rejection(
        llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'frozen' }),
      )
      expect(isCallError(error) && error.kind).toBe('store_unavailable')
      expect(fault.count).toBe(0)
    } finally {
      server.thaw()
    }
  })

  it('warns once per client of a server that evicts', async () => {
    const evicting = await startRedis([
      '--maxmemory',
      '100mb',
      '--maxmemory-policy',
      'volatile-lru',
    ])
    onTestFinished(() => evicting.close())
    const warnings: string[] = []
    const note = ({ code }: { code?: string } & Error) => warnings.push(String(code))
    process.on('warning', note)
    onTestFinished(() => {
      process.off('warning', note)
    })
    for (const connect of Object.values(CLIENTS)) {
      const { client, close } = await connect(evicting.port)
      onTestFinished(close)
      await redisStore(client).claim(request())
      // As where a store is made for each request.
      await redisStore(client).claim(request())
    }
    await expect.poll(() => warnings).toEqual(Array(4).fill('STEADYCALL_REDIS_EVICTS'))
  })

  it('runs in a cluster, with a hash tag and without', async () => {
    const node = await startRedis([
      '--cluster-enabled',
      'yes',
      '--cluster-announce-ip',
      '127.0.0.1',
    ])
    onTestFinished(() => node.close())
    await node.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    await expect.poll(() => node.command('CLUSTER', 'INFO')).toContain('cluster_state:ok')
    const { createCluster } = await import('redis')
    const { Cluster } = await import('ioredis')
    const cluster = createCluster({
      rootNodes: [{ socket: { host: '127.0.0.1', port: node.port } }],
    })
    cluster.on('error', () => {})
    await cluster.connect()
    const other = new Cluster([{ host: '127.0.0.1', port: node.port }])
    onTestFinished(() => {
      cluster.destroy()
      other.disconnect()
    })
    for (const client of [cluster, other]) {
      for (const keyPrefix of ['steadycall:', '{steadycall}:']) {
        const store = redisStore(client, { keyPrefix })
        for (let count = 0; count < 20; count++) {
          const claimed = await store.claim(request())
          expect(claimed.state === 'owned' && (await store.dispatch(claimed.claim))).toBe(true)
        }
      }
    }
  })
})

describe('redisStore', () => {
  it.each([
    ['no client', undefined],
    ['another thing', { get() {} }],
  ])('refuses %s', (_, client) => {
    // What a caller without types may give.
    expect(() => redisStore(client as unknown as RedisClient)).toThrow(
      /redis \(5 or later\) or ioredis/,
    )
  })

  it('refuses options that it does not know, and prefixes that are none', () => {
    const client = { status: 'ready', evalsha: async () => {}, eval: async () => {} }
    expect(() => redisStore(client, { prefix: 'x' } as object)).toThrow("unknown option 'prefix'")
    expect(() => redisStore(client, { keyPrefix: '' })).toThrow('keyPrefix must be')
  })
})
