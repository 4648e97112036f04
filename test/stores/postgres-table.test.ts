import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Claim, Store } from '../../src/index.ts'
import {
  migrate,
  type PostgresPool,
  postgresStore,
  schemaSql,
} from '../../src/stores/postgres-store.ts'
import { describeWith } from '../support/describe-with.ts'
import { POSTGRES } from '../support/postgres-server.ts'
import { rejection } from '../support/set-up.ts'
import { usePostgres } from '../support/use-postgres.ts'

const TTL_MS = 60_000
const DONE = { ok: true, result: '{"answer":42}' } as const

/** For all that leave it as it is. */
const postgres = usePostgres()

describeWith([POSTGRES], 'postgres: the table', () => {
  /** A pool of a new database, with nothing in it. */
  async function emptyDatabase() {
    const database = await postgres.server.createDatabase()
    return { database, pool: postgres.pool(postgres.server.url(database)) }
  }

  it('is made once, whoever else is making it', async () => {
    const { database } = await emptyDatabase()
    const pools = Array.from({ length: 12 }, () => postgres.pool(postgres.server.url(database)))
    await Promise.all(pools.map((pool) => migrate(pool)))
    const claims = await Promise.all(pools.map((pool) => claim(postgresStore(pool), 'one-key')))
    expect(claims.filter(({ state }) => state === 'owned')).toHaveLength(1)
  })

  it('is the same from the SQL that an administrator runs, twice or more', async () => {
    const byHand = await postgres.server.createDatabase()
    await postgres.server.execute(byHand, schemaSql())
    await postgres.server.execute(byHand, schemaSql())
    const { database, pool } = await emptyDatabase()
    await migrate(pool)
    // Newer versions of pg_dump write a random word as a command to psql.
    const structure = async (name: string) =>
      (await postgres.server.dump(name)).replaceAll(/^\\.*$/gm, '')
    expect(await structure(byHand)).toBe(await structure(database))
    await expect(migrate(postgres.pool(postgres.server.url(byHand)))).resolves.toBeUndefined()
  })

  it('needs no more than SELECT, INSERT, UPDATE and DELETE in use', async () => {
    const { database, pool } = await emptyDatabase()
    const role = `app_${randomUUID().replaceAll('-', '')}`
    await migrate(pool)
    await pool.query(`CREATE ROLE ${role} LOGIN`)
    await pool.query('REVOKE ALL ON SCHEMA public FROM PUBLIC')
    await pool.query(`GRANT USAGE ON SCHEMA public TO ${role}`)
    await pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON steadycall_idempotency TO ${role}`)
    const url = postgres.server.url(database).replace('postgres@', `${role}@`)
    const application = postgres.pool(url)
    await expect(application.query('CREATE TABLE other ()')).rejects.toMatchObject({
      code: '42501',
    })
    await migrate(application)
    await everyVerb(postgresStore(application, { autoSweep: false }))
  })

  it.each(['app.steadycall_idempotency', 'app.Calls', 'select', `a${'b'.repeat(51)}`])(
    'may be called %s',
    async (table) => {
      const { pool } = await emptyDatabase()
      await pool.query('CREATE SCHEMA app')
      await migrate(pool, { table })
      await migrate(pool, { table })
      await everyVerb(postgresStore(pool, { table, autoSweep: false }))
      const { rows } = await pool.query(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE tablename = $1",
        [table.replace('app.', '')],
      )
      expect(rows).toEqual([{ name: table.includes('.') ? table : `public.${table}` }])
    },
  )

  it.each([
    ['a"b'],
    ['a; DROP TABLE b'],
    ['a.b.c'],
    ['.a'],
    [''],
    ['1a'],
    ['a\0'],
    ['ä'],
    ['a'.repeat(53)],
    [7],
  ])('is not called %j', async (table) => {
    // What a caller without types may give.
    const options = { table } as { table: string }
    const pool: PostgresPool = { query: async () => ({ rows: [] }) }
    expect(() => postgresStore(pool, options)).toThrow(/^postgresStore\(\): table must be a name/)
    expect(() => schemaSql(options)).toThrow(/^schemaSql\(\): table must be a name/)
    await expect(migrate(pool, options)).rejects.toThrow(/^migrate\(\): table must be a name/)
  })

  it('that is missing is an error that says what to run', async () => {
    const { pool } = await emptyDatabase()
    const error = await rejection(claim(postgresStore(pool), 'k'))
    expect(error).toMatchObject({
      message: expect.stringContaining('Run migrate(pool) once'),
      cause: { code: '42P01' },
    })
  })

  it('of another version is an error, for migrate and for a process that runs on', async () => {
    const { store, pool } = await postgres.store()
    const proof = await own(store, 'k')
    await pool.query(`ALTER TABLE steadycall_idempotency
      DROP CONSTRAINT steadycall_idempotency_schema_version_check,
      ALTER schema_version SET DEFAULT 2,
      ADD CONSTRAINT newer CHECK (schema_version IN (1, 2) AND (schema_version = 2 OR state <> 'claimed'))
      NOT VALID`)
    await expect(migrate(pool)).rejects.toThrow('has schema 2, and this version of steadycall')
    await expect(claim(store, 'other')).rejects.toThrow(
      'was created by another version of steadycall',
    )
    await expect(store.heartbeat(proof, TTL_MS)).rejects.toThrow('was created by another version')
  })

  it("of somebody else's is left alone", async () => {
    const { pool } = await emptyDatabase()
    await pool.query('CREATE TABLE steadycall_idempotency (key text PRIMARY KEY, price numeric)')
    await expect(migrate(pool)).rejects.toThrow('was not created by steadycall')
    await expect(claim(postgresStore(pool), 'k')).rejects.toThrow('by another program')
    const { rows } = await pool.query('TABLE steadycall_idempotency')
    expect(rows).toEqual([])
  })

  it('is not made in a database that cannot hold every character', async () => {
    const name = `latin_${randomUUID().replaceAll('-', '')}`
    await postgres.server.execute(
      'postgres',
      `CREATE DATABASE ${name} ENCODING 'LATIN1' TEMPLATE template0`,
    )
    const pool = postgres.pool(postgres.server.url(name))
    await expect(migrate(pool)).rejects.toThrow('encoding is LATIN1; steadycall needs UTF8')
    const { rows } = await pool.query("SELECT to_regclass('steadycall_idempotency') AS found")
    expect(rows).toEqual([{ found: null }])
  })

  it.each([
    [() => postgresStore({} as PostgresPool), 'pool must be a Pool of pg'],
    [() => schemaSql({ tabel: 'x' } as object), "unknown option 'tabel'; did you mean 'table'?"],
    [
      () => postgresStore({ query: async () => ({ rows: [] }) }, { autoSweep: 'no' as never }),
      "autoSweep must be true or false, got 'no'",
    ],
  ])('options are checked when they are given: %#', (given, message) => {
    expect(given).toThrow(message)
  })
})

describeWith([POSTGRES], 'postgres: records that have expired', () => {
  async function expire(store: Store, count: number): Promise<void> {
    for (let n = 0; n < count; n++) await own(store, `expired-${n}`, { leaseMs: 1, ttlMs: 1 })
    await new Promise((resolve) => setTimeout(resolve, 5))
  }

  it('are removed by sweep, the oldest first and no more than was asked for', async () => {
    const { store, pool } = await postgres.store()
    const keys = async () => {
      const { rows } = await pool.query('SELECT key FROM steadycall_idempotency ORDER BY key')
      return rows.map(({ key }) => key)
    }
    await expire(store, 3)
    await own(store, 'live')
    expect(await store.sweep(2)).toBe(2)
    expect(await keys()).toEqual(['expired-2', 'live'])
    expect(await store.sweep()).toBe(1)
    expect(await store.sweep()).toBe(0)
    expect(await keys()).toEqual(['live'])
  })

  it('are left for the next time where somebody is using one, without a wait', async () => {
    const { store, pool } = await postgres.store()
    await expire(store, 2)
    const other = await pool.connect()
    await other.query('BEGIN')
    await other.query("SELECT FROM steadycall_idempotency WHERE key = 'expired-0' FOR UPDATE")
    expect(await store.sweep()).toBe(1)
    await other.query('ROLLBACK')
    other.release()
    expect(await store.sweep()).toBe(1)
  })

  it.each([0, -1, 1.5, 100_001, Number.NaN])('are not swept by %d', async (limit) => {
    const { store } = await postgres.store()
    await expect(store.sweep(limit)).rejects.toThrow('limit must be an integer from 1 to 100,000')
  })

  it.each([
    { autoSweep: true, swept: 1 },
    { autoSweep: false, swept: 0 },
  ])('are removed once in a hundred claims: $autoSweep', async ({ autoSweep, swept }) => {
    const { store: direct, pool } = await postgres.store()
    await expire(direct, 5)
    const sweeps: Promise<unknown>[] = []
    const observed: PostgresPool = {
      query(statement, values) {
        const answer = pool.query(statement, values)
        if (String(statement).includes('DELETE')) sweeps.push(answer)
        return answer
      },
    }
    const store = postgresStore(observed, { autoSweep })
    for (let n = 0; n < 100; n++) await own(store, `key-${n}`)
    // Busy keys and stored answers count for nothing.
    for (let n = 0; n < 100; n++) await claim(store, `key-${n}`)
    expect(sweeps).toHaveLength(swept)
    await Promise.all(sweeps)
    const { rows } = await pool.query('SELECT count(*)::int AS records FROM steadycall_idempotency')
    expect(rows).toEqual([{ records: autoSweep ? 100 : 105 }])
  })
})

describeWith([POSTGRES], 'postgres: durations', () => {
  it.each([Number.POSITIVE_INFINITY, 1e300, 12.5, 1])(
    'a life of %d ms has an end',
    async (ttlMs) => {
      const { store, pool } = await postgres.store()
      const proof = await own(store, 'k', { leaseMs: 500.5, ttlMs })
      await expect(store.heartbeat(proof, ttlMs)).resolves.toBe(true)
      await expect(store.complete(proof, DONE, ttlMs)).resolves.toBe('stored')
      const { rows } = await pool.query(
        'SELECT bool_and(isfinite(lease_until) AND isfinite(expires_at)) AS ends FROM steadycall_idempotency',
      )
      expect(rows).toEqual([{ ends: true }])
    },
  )

  it.each([0, -5])(
    'an outcome that is to live %d ms is stored, and seen by nobody',
    async (ttlMs) => {
      const { store } = await postgres.store()
      const proof = await own(store, 'k')
      await expect(store.complete(proof, DONE, ttlMs)).resolves.toBe('stored')
      await expect(claim(store, 'k')).resolves.toMatchObject({
        state: 'owned',
        claim: { fence: 1 },
      })
    },
  )

  it('that is no number is refused before anything is written', async () => {
    const { store, pool } = await postgres.store()
    for (const changes of [{ ttlMs: Number.NaN }, { leaseMs: Number.NaN }]) {
      await expect(claim(store, 'k', changes)).rejects.toThrow('a duration must be a number')
    }
    const { rows } = await pool.query('TABLE steadycall_idempotency')
    expect(rows).toEqual([])
  })
})

function claim(store: Store, key: string, changes: { leaseMs?: number; ttlMs?: number } = {}) {
  return store.claim({
    key,
    fingerprint: 'f',
    owner: randomUUID(),
    // Longer than any test here takes on a slow machine.
    leaseMs: 3_600_000,
    onUncertain: 'fail',
    ttlMs: TTL_MS,
    ...changes,
  })
}

async function own(
  store: Store,
  key: string,
  changes?: { leaseMs?: number; ttlMs?: number },
): Promise<Claim> {
  const claimed = await claim(store, key, changes)
  if (claimed.state === 'owned') return claimed.claim
  throw new Error(`expected to own the key, but it is ${claimed.state}`)
}

/** Each verb, with an answer that only a verb which worked can give. */
async function everyVerb(store: ReturnType<typeof postgresStore>): Promise<void> {
  const proof = await own(store, 'resolved')
  expect(await store.heartbeat(proof, 1_000)).toBe(true)
  expect(await store.dispatch(proof)).toBe(true)
  expect(await store.markUncertain(proof, TTL_MS)).toBe(true)
  expect(await store.resolve('resolved', DONE, TTL_MS)).toBe(true)
  expect(await claim(store, 'resolved')).toEqual({ state: 'settled', outcome: DONE })
  expect(await store.complete(await own(store, 'completed'), DONE, TTL_MS)).toBe('stored')
  expect(await store.release(await own(store, 'released'), { kind: 'overloaded' }, TTL_MS)).toBe(
    true,
  )
  await own(store, 'expired', { leaseMs: 1, ttlMs: 1 })
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(await store.sweep()).toBe(1)
}
