import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate, postgresStore } from '../../src/idempotency/postgres-store.ts'
import { storeSuite } from '../../src/testing/store-suite.ts'
import { PGBOUNCER, type PgBouncer, startPgBouncer } from '../support/pgbouncer.ts'
import { POSTGRES, type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { describeWith } from '../support/programs.ts'

describeWith([POSTGRES, PGBOUNCER], 'the contract of a store, kept by Postgres', () => {
  let server: PostgresServer
  let pooler: PgBouncer
  const pools: pg.Pool[] = []

  beforeAll(async () => {
    server = await startPostgres()
    pooler = await startPgBouncer(server)
  }, 60_000)

  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()))
    await pooler?.close()
    await server?.close()
  })

  /** One pool per variant, made when its first test needs it. */
  function variant(name: string, makeUrl: () => Promise<string>): void {
    let made: Promise<pg.Pool> | undefined
    const makePool = async () => {
      const pool = new pg.Pool({ connectionString: await makeUrl(), max: 12 })
      pools.push(pool)
      await migrate(pool)
      return pool
    }
    storeSuite(
      name,
      async () => {
        made ??= makePool()
        return { store: postgresStore(await made) }
      },
      { describe: describe.concurrent, it, expect },
    )
  }

  variant('postgres', async () => server.url(await server.createDatabase()))
  variant('postgres through pgbouncer in transaction mode', async () =>
    pooler.url(await server.createDatabase()),
  )
  for (const level of ['repeatable read', 'serializable']) {
    variant(`postgres at ${level}`, async () =>
      server.url(await server.createDatabase({ default_transaction_isolation: level })),
    )
  }
})
