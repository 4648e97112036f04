import { createHash, randomUUID } from 'node:crypto'
import type pg from 'pg'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { Claim, ClaimRequest, ClaimResult, Outcome, Store } from '../../src/index.ts'
import { isCallError, runIdempotent, steady } from '../../src/index.ts'
import { migrate, type PostgresPool, postgresStore } from '../../src/stores/postgres-store.ts'
import { type CutProxy, startCutProxy } from '../support/cut-proxy.ts'
import { describeWith } from '../support/describe-with.ts'
import { POSTGRES } from '../support/postgres-server.ts'
import {
  ask,
  clientFor,
  patientRuntime,
  person,
  rejection,
  startServer,
} from '../support/set-up.ts'
import { usePostgres } from '../support/use-postgres.ts'

// Longer than any test here takes on a slow machine.
const TTL_MS = 7_200_000
const LEASE_MS = 3_600_000
const DONE: Outcome = { ok: true, result: '{"answer":42}' }
const OTHER: Outcome = { ok: true, result: '{"answer":43}' }

/** For all that leave it as it is. */
const postgres = usePostgres()

describeWith([POSTGRES], 'postgres: an answer that is lost on the way', () => {
  /** A store that speaks through the proxy, with a warm connection, and one that does not. */
  async function throughProxy() {
    const { store: direct, database } = await postgres.store()
    const proxy = await startCutProxy(postgres.server.port)
    onTestFinished(() => proxy.close())
    const url = `postgres://postgres@127.0.0.1:${proxy.port}/${database}`
    const pool = postgres.pool(url)
    const store = postgresStore(pool)
    await pool.query('SELECT 1')
    return { direct, store, proxy }
  }

  /** What the verb says, when the first answer to it was thrown away after the work was done. */
  async function cut<T>(proxy: CutProxy, verb: () => Promise<T>): Promise<T> {
    proxy.loseAnswerTo('')
    try {
      return await verb()
    } finally {
      expect(proxy.cuts).toBe(1)
    }
  }

  it('to a claim: it owns the key, once', async () => {
    const { store, direct, proxy } = await throughProxy()
    const key = newKey()
    const claimed = await cut(proxy, () => claim(store, key, { owner: 'me' }))
    expect(claimed).toEqual({
      state: 'owned',
      claim: { key, owner: 'me', fence: 1 },
      onUncertain: 'fail',
    })
    await expect(claim(direct, key)).resolves.toMatchObject({ state: 'busy', fence: 1 })
  })

  it('to a claim that took over: the fence rose by one only', async () => {
    const { store, direct, proxy } = await throughProxy()
    const key = newKey()
    await own(direct, key, { leaseMs: 1 })
    await pass(5)
    const claimed = await cut(proxy, () => claim(store, key))
    expect(claimed).toMatchObject({ state: 'owned', claim: { fence: 2 } })
  })

  it('to a heartbeat', async () => {
    const { store, direct, proxy } = await throughProxy()
    const proof = await own(direct, newKey())
    await expect(cut(proxy, () => store.heartbeat(proof, LEASE_MS))).resolves.toBe(true)
  })

  it('to a dispatch', async () => {
    const { store, direct, proxy } = await throughProxy()
    const proof = await own(direct, newKey())
    await expect(cut(proxy, () => store.dispatch(proof))).resolves.toBe(true)
  })

  it('to a completion: it is stored, once, and the first stands', async () => {
    const { store, direct, proxy } = await throughProxy()
    const key = newKey()
    const proof = await own(direct, key)
    await expect(cut(proxy, () => store.complete(proof, DONE, TTL_MS))).resolves.toBe('stored')
    await expect(store.complete(proof, OTHER, TTL_MS)).resolves.toBe('stored')
    await expect(claim(direct, key)).resolves.toEqual({ state: 'settled', outcome: DONE })
  })

  it('to a release: the key is free, whatever is said', async () => {
    const { store, direct, proxy } = await throughProxy()
    const key = newKey()
    const proof = await own(direct, key)
    const notice = { kind: 'overloaded' } as const
    await cut(proxy, () => store.release(proof, notice, TTL_MS))
    const waiter = claim(direct, key, { waitedFor: proof.fence })
    await expect(waiter).resolves.toEqual({ state: 'left', notice })
    await expect(claim(direct, key)).resolves.toMatchObject({ state: 'owned' })
  })

  it('to a mark of uncertainty', async () => {
    const { store, direct, proxy } = await throughProxy()
    const key = newKey()
    const proof = await own(direct, key)
    await expect(cut(proxy, () => store.markUncertain(proof, TTL_MS))).resolves.toBe(true)
    await expect(claim(direct, key)).resolves.toEqual({ state: 'uncertain' })
  })

  it("to an operator's verdict: an error, not a false that hides what was done", async () => {
    const { store, direct, proxy } = await throughProxy()
    const key = newKey()
    await direct.markUncertain(await own(direct, key), TTL_MS)
    await expect(cut(proxy, () => store.resolve(key, DONE, TTL_MS))).rejects.toThrow(
      /terminated|reset/i,
    )
    await expect(claim(direct, key)).resolves.toEqual({ state: 'settled', outcome: DONE })
  })

  it('because an administrator ended the connection of a verb that waited for a lock', async () => {
    const { store: direct, pool } = await postgres.store()
    const key = newKey()
    const proof = await own(direct, key)
    const lock = await lockRecord(pool, key)
    const store = postgresStore(waitingLong(pool))
    const storing = store.complete(proof, DONE, TTL_MS)
    await endWaiting(pool)
    await lock.end()
    await expect(storing).resolves.toBe('stored')
    await expect(claim(store, key)).resolves.toEqual({ state: 'settled', outcome: DONE })
  })
})

describeWith([POSTGRES], 'postgres: a record that somebody has locked', () => {
  it('is waited for, two seconds at most, and nothing of that stays in the session', async () => {
    const { store, pool, database } = await postgres.store()
    const key = newKey()
    const proof = await own(store, key, { leaseMs: 1 })
    const lock = await lockRecord(pool, key)
    const single = postgres.pool(postgres.server.url(database), { max: 1 })
    const waiting = postgresStore(single)
    const startedAt = performance.now()
    // Somebody who waits for a minute, and stands before it in the line.
    const longer = postgres.pool(postgres.server.url(database), { lock_timeout: 60_000 })
    const sql = 'UPDATE steadycall_idempotency SET key = key WHERE key = $1'
    const other = longer.query(sql, [key])
    const refused = rejection(waiting.heartbeat(proof, LEASE_MS))
    expect(await Promise.race([refused, other])).toMatchObject({ code: '55P03' })
    expect(performance.now() - startedAt).toBeGreaterThan(1_900)
    await expect(claim(waiting, key)).rejects.toMatchObject({ code: '55P03' })
    const { rows } = await single.query('SHOW lock_timeout')
    expect(rows).toEqual([{ lock_timeout: '0' }])
    await lock.end()
    await other
    await expect(claim(waiting, key)).resolves.toMatchObject({ state: 'owned' })
  })

  it('does not keep others from reading its outcome', async () => {
    const { store, pool } = await postgres.store()
    const key = newKey()
    await store.complete(await own(store, key), DONE, TTL_MS)
    const lock = await lockRecord(pool, key)
    await expect(claim(store, key)).resolves.toEqual({ state: 'settled', outcome: DONE })
    await lock.end()
  })
})

describeWith([POSTGRES], 'postgres: a server that goes away', () => {
  const mortal = usePostgres()

  it('is a rejection while it is down, and all is as it was when it is back', async () => {
    const { store } = await mortal.store()
    const key = newKey()
    const proof = await own(store, key)
    // Several connections that will be dead without knowing it.
    await Promise.all(Array.from({ length: 8 }, () => claim(store, newKey())))
    await mortal.server.stop('fast')
    await expect(store.dispatch(proof)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await mortal.server.start()
    await expect(store.dispatch(proof)).resolves.toBe(true)
    await expect(claim(store, key)).resolves.toMatchObject({ state: 'busy' })
  })

  it('in a crash loses nothing that was acknowledged', async () => {
    const { store } = await mortal.store()
    const acknowledged = new Map<string, string>()
    let crashed = false
    const work = async (worker: number) => {
      for (let n = 0; !crashed; n++) {
        const key = newKey()
        const result = `{"worker":${worker},"n":${n}}`
        try {
          const proof = await own(store, key)
          if ((await store.complete(proof, { ok: true, result }, TTL_MS)) === 'stored') {
            acknowledged.set(key, result)
          }
        } catch {
          return
        }
      }
    }
    const workers = Array.from({ length: 8 }, (_, worker) => work(worker))
    await vi.waitUntil(() => acknowledged.size >= 100)
    await mortal.server.stop('immediate')
    crashed = true
    await Promise.all(workers)
    await mortal.server.start()
    for (const [key, result] of acknowledged) {
      const settled = { state: 'settled', outcome: { ok: true, result } }
      expect(await claim(store, key)).toEqual(settled)
    }
  })

  it('that may only be read rejects every verb, and keeps what it has', async () => {
    const { store, database } = await mortal.store()
    const key = newKey()
    const proof = await own(store, key)
    await mortal.server.execute(
      'postgres',
      `ALTER DATABASE ${database} SET default_transaction_read_only = on`,
    )
    const readOnly = postgresStore(mortal.pool(mortal.server.url(database)))
    for (const verb of [
      () => claim(readOnly, newKey()),
      () => readOnly.heartbeat(proof, LEASE_MS),
      () => readOnly.dispatch(proof),
      () => readOnly.complete(proof, DONE, TTL_MS),
      () => readOnly.release(proof),
      () => readOnly.markUncertain(proof, TTL_MS),
      () => readOnly.resolve(key, 'rerun', TTL_MS),
      () => readOnly.sweep(),
    ]) {
      await expect(verb()).rejects.toMatchObject({ code: '25006' })
    }
    await expect(store.dispatch(proof)).resolves.toBe(true)
  })
})

describeWith([POSTGRES], 'postgres: a table that somebody has locked', () => {
  it('is a store that is down; under statement_timeout no claim is made afterwards', async () => {
    const { database, pool } = await postgres.store()
    const url = postgres.server.url(database)
    const bounded = postgres.pool(url, { max: 1, statement_timeout: 1_500 })
    const server = await startServer({ answer: '{"name":"Ada","age":36}' })
    const options = { store: postgresStore(bounded), runtime: patientRuntime() }
    const llm = steady(clientFor(server), options)
    const call = (through: typeof llm) =>
      through.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    const lock = await pool.connect()
    await lock.query('BEGIN')
    await lock.query('LOCK TABLE steadycall_idempotency')
    const error = await rejection(call(llm))
    expect(error).toMatchObject({
      kind: 'store_unavailable',
      executed: 'no',
      cause: { code: '57014' },
    })
    await lock.query('ROLLBACK')
    lock.release()
    const { rows } = await pool.query('TABLE steadycall_idempotency')
    expect(rows).toEqual([])
    const unbounded = steady(clientFor(server), { ...options, store: postgresStore(pool) })
    expect((await call(unbounded)).source).toBe('provider')
    expect(server.count).toBe(1)
  })
})

describeWith([POSTGRES], 'postgres: a pool with no free connection', () => {
  it('is a store that is down; a claim that gets through late keeps nobody waiting', async () => {
    const { database } = await postgres.store()
    const pool = postgres.pool(postgres.server.url(database), { max: 1 })
    const server = await startServer({ answer: '{"name":"Ada","age":36}' })
    const llm = steady(clientFor(server), { store: postgresStore(pool), runtime: patientRuntime() })
    const call = (deadlineMs: number) =>
      llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k', deadlineMs })
    const taken = await pool.connect()
    const error = await rejection(call(1_000))
    expect(error).toMatchObject({ kind: 'store_unavailable', executed: 'no' })
    expect(server.count).toBe(0)
    taken.release()
    // A claim that nobody let go of would last for thirty seconds.
    expect((await call(10_000)).source).toBe('provider')
    expect(server.count).toBe(1)
  })
})

describeWith([POSTGRES], 'postgres: a file that cannot grow, as on a full disk', () => {
  // Room for the catalog and for write-ahead segments of 16 MB, not for all of the results below.
  const bounded = usePostgres({ maxFileKilobytes: 20_000 })

  it('rejects a result it cannot keep; the record stays as it was, and is usable', async () => {
    const { store } = await bounded.store()
    const fillers: string[] = []
    let refused:
      | { readonly key: string; readonly proof: Claim; readonly error: unknown }
      | undefined
    for (let n = 0; n < 60 && refused === undefined; n++) {
      const key = newKey()
      const proof = await own(store, key)
      const result = JSON.stringify(incompressible(1_000_000))
      try {
        await store.complete(proof, { ok: true, result }, TTL_MS)
        fillers.push(key)
      } catch (error) {
        refused = { key, proof, error }
      }
    }
    if (refused === undefined) throw new Error('the file could grow')
    expect(fillers.length).toBeGreaterThan(5)
    expect(refused.error).toMatchObject({ message: expect.stringMatching(/could not extend/) })
    const { key, proof } = refused
    await expect(claim(store, key)).resolves.toMatchObject({ state: 'busy', fence: 1 })
    await expect(store.complete(proof, DONE, TTL_MS)).resolves.toBe('stored')
    await expect(claim(store, key)).resolves.toEqual({ state: 'settled', outcome: DONE })
  })
})

describeWith([POSTGRES], 'postgres: clocks and time zones of clients', () => {
  it('do not matter', async () => {
    const { store, database } = await postgres.store()
    const key = newKey()
    await own(store, key)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 86_400_000 })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const options = '-c timezone=Asia/Tokyo -c datestyle=German,DMY -c intervalstyle=sql_standard'
    const later = postgresStore(postgres.pool(postgres.server.url(database), { options }))
    const busy = await claim(later, key)
    expect(busy).toMatchObject({ state: 'busy', fence: 1 })
    expect(busy.state === 'busy' && busy.leaseLeftMs).toBeGreaterThan(20_000)
    expect(busy.state === 'busy' && busy.leaseLeftMs).toBeLessThanOrEqual(LEASE_MS)
    await expect(claim(later, newKey())).resolves.toMatchObject({ state: 'owned' })
  })
})

describeWith([POSTGRES], 'postgres: a damaged record', () => {
  const constraints = ['state', 'on_uncertain', 'fence', 'schema_version'].map(
    (column) => `DROP CONSTRAINT steadycall_idempotency_${column}_check`,
  )

  it.each([
    ['a result that is gone', 'result = NULL', 'its outcome'],
    ['both a result and a refusal', `refusal = '{"kind":"refusal"}'`, 'its outcome'],
    ['a refusal that is no JSON', `state = 'failed', result = NULL, refusal = '{'`, 'its outcome'],
    [
      'a refusal of no kind that there is',
      `state = 'failed', result = NULL, refusal = '{"kind":"constructor"}'`,
      'its outcome',
    ],
    ['a refusal that is a result', "state = 'failed'", 'its outcome'],
    ['a state that there is not', "state = 'finished'", 'its state'],
    ['the version of another schema', 'schema_version = 2', 'its state'],
  ])('%s is an error that no bypass passes over', async (_, damage, what) => {
    const { store, pool } = await postgres.store()
    const server = await startServer({ answer: '{"name":"Ada","age":36}' })
    const options = { store, runtime: patientRuntime(), onStoreError: 'bypass' } as const
    const llm = steady(clientFor(server), options)
    const call = () => llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    await call()
    await pool.query(`ALTER TABLE steadycall_idempotency ${constraints.join(', ')}`)
    await pool.query(`UPDATE steadycall_idempotency SET ${damage}`)
    const error = await rejection(call())
    expect(isCallError(error) && error).toMatchObject({
      kind: 'store_unavailable',
      retryable: false,
      executed: 'maybe',
      message: expect.stringContaining(what),
    })
    expect(server.count).toBe(1)
  })

  it.each([
    ['a fence beyond what can be counted', 'fence = 9223372036854775807', 'its fence'],
    ['and whose lease has ended', 'fence = 9223372036854775807, lease_until = now()', 'its fence'],
    ['a fence before the first', 'fence = 0, lease_until = now()', 'its fence'],
    ['an endless lease', "lease_until = 'infinity'", 'its lease'],
    ['a life without end', "expires_at = 'infinity'", 'its state'],
    ['a policy that there is not', "on_uncertain = 'perhaps'", 'its state'],
  ])('%s is an error at every verb, and is left as it was', async (_, damage, what) => {
    const { store, pool } = await postgres.store()
    const key = newKey()
    const proof = await own(store, key)
    await pool.query(`ALTER TABLE steadycall_idempotency ${constraints.join(', ')}`)
    await pool.query(`UPDATE steadycall_idempotency SET ${damage}`)
    const { rows: before } = await pool.query('TABLE steadycall_idempotency')
    await expect(claim(store, key)).rejects.toMatchObject({
      kind: 'store_unavailable',
      retryable: false,
      message: expect.stringContaining(what),
    })
    for (const verb of [
      () => store.heartbeat(proof, LEASE_MS),
      () => store.dispatch(proof),
      () => store.complete(proof, DONE, TTL_MS),
      () => store.release(proof),
      () => store.markUncertain(proof, TTL_MS),
      () => store.resolve(key, 'rerun', TTL_MS),
      () => store.resolve(key, DONE, TTL_MS),
    ]) {
      await expect(verb()).rejects.toMatchObject({ kind: 'store_unavailable', retryable: false })
    }
    const { rows: after } = await pool.query('TABLE steadycall_idempotency')
    expect(after).toEqual(before)
  })

  it('with a notice that is none is an error for those who would get it', async () => {
    const { store, pool } = await postgres.store()
    const key = newKey()
    const proof = await own(store, key)
    await store.release(proof, { kind: 'overloaded' }, TTL_MS)
    await pool.query(`UPDATE steadycall_idempotency SET left_notice = '[]'`)
    await expect(claim(store, key, { waitedFor: proof.fence })).rejects.toThrow('its notice')
  })

  it('never arises from a result that a text cannot hold: that is refused', async () => {
    const { store } = await postgres.store()
    const key = newKey()
    const proof = await own(store, key)
    for (const result of ['a\0b', '\ud800', 'a\udc00']) {
      const storing = store.complete(proof, { ok: true, result }, TTL_MS)
      await expect(storing).rejects.toThrow(TypeError)
    }
    await expect(claim(store, key)).resolves.toMatchObject({ state: 'busy' })
    const value = { text: 'a\0b \ud800 😀' }
    const outcome = { ok: true, result: JSON.stringify(value) } as const
    await store.complete(proof, outcome, TTL_MS)
    await expect(claim(store, key)).resolves.toEqual({ state: 'settled', outcome })
  })
})

describeWith([POSTGRES], 'postgres: a dump', () => {
  it.each([
    { kept: 'as it came', encryption: undefined, shown: 1 },
    {
      kept: 'encrypted',
      encryption: { keys: { k1: new Uint8Array(32).fill(7) }, use: 'k1' },
      shown: 0,
    },
  ])(
    'shows no key, tenant, operation, payload or prompt; the answer is there $kept',
    async (row) => {
      const { store, database } = await postgres.store()
      const { encryption, shown } = row
      const answer = '{"name":"canary-answer","age":36}'
      const server = await startServer({ answer })
      const runtime = patientRuntime()
      const options = { store, tenant: 'canary-tenant', runtime, ...(encryption && { encryption }) }
      const call = () =>
        steady(clientFor(server), options).json(
          { ...ask('canary-prompt'), schema: person },
          { idempotencyKey: 'canary-key' },
        )
      await call()
      const payload = { secret: 'canary-payload' }
      await runIdempotent(
        { store, operation: 'canary-operation', payload, idempotencyKey: 'canary-key' },
        () => 'sent',
      )
      const dump = await postgres.server.dump(database)
      expect(dump.match(/canary-answer/g) ?? []).toHaveLength(shown)
      expect(dump.match(/canary-(?!answer)\w+/g)).toBeNull()
      expect((await call()).source).toBe('store')
    },
  )

  it('can be restored, and the store goes on', async () => {
    const { store, database } = await postgres.store()
    const key = newKey()
    const outcome = { ok: true, result: JSON.stringify('tab\t, \\ and \u2028 😀') } as const
    await store.complete(await own(store, key), outcome, TTL_MS)
    const copy = await postgres.server.createDatabase()
    await postgres.server.restore(copy, await postgres.server.dump(database))
    const pool = postgres.pool(postgres.server.url(copy))
    await migrate(pool)
    const restored = postgresStore(pool)
    await expect(claim(restored, key)).resolves.toEqual({ state: 'settled', outcome })
    await own(restored, newKey())
  })
})

function newKey(): string {
  return createHash('sha256').update(randomUUID()).digest('hex')
}

function claim(
  store: Store,
  key: string,
  changes: Partial<ClaimRequest> = {},
): Promise<ClaimResult> {
  return store.claim({
    key,
    fingerprint: 'f',
    owner: randomUUID(),
    leaseMs: LEASE_MS,
    onUncertain: 'fail',
    ttlMs: TTL_MS,
    ...changes,
  })
}

async function own(store: Store, key: string, changes?: Partial<ClaimRequest>): Promise<Claim> {
  const claimed = await claim(store, key, changes)
  if (claimed.state === 'owned') return claimed.claim
  throw new Error(`expected to own the key, but it is ${claimed.state}`)
}

/** Somebody who holds the record's row until `end`. */
async function lockRecord(pool: pg.Pool, key: string): Promise<{ end(): Promise<void> }> {
  const client = await pool.connect()
  await client.query('BEGIN')
  await client.query('SELECT FROM steadycall_idempotency WHERE key = $1 FOR UPDATE', [key])
  return {
    async end() {
      await client.query('ROLLBACK')
      client.release()
    },
  }
}

/** The pool, with as much time for a lock as this machine needs to see that it is waited for. */
function waitingLong(pool: pg.Pool): PostgresPool {
  return {
    query(statement, values) {
      const patient = String(statement).replace(/('lock_timeout', )'\d+'/, "$1'600000'")
      expect(patient).not.toBe(statement)
      return pool.query(patient, values ? [...values] : [])
    },
  }
}

/** Ends the one connection that waits for a lock, once there is one. */
async function endWaiting(pool: pg.Pool): Promise<void> {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()`
  await vi.waitUntil(async () => (await pool.query(sql)).rows.length === 1)
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Text that neither Postgres nor anybody else makes smaller, from a seed. */
function incompressible(length: number): string {
  let text = ''
  for (let n = 0; text.length < length; n++) {
    text += createHash('sha512').update(`${n}${length}${text.length}`).digest('base64')
  }
  return text.slice(0, length)
}
