import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate, postgresStore } from '../../src/idempotency/postgres-store.ts'
import { storeSuite } from '../../src/testing/store-suite.ts'
import { PGBOUNCER, type PgBouncer, startPgBouncer } from '../support/pgbouncer.ts'
import { POSTGRES } from '../support/postgres-server.ts'
import { describeWith } from '../support/programs.ts'
import { usePostgres } from '../support/use-postgres.ts'

describeWith([POSTGRES, PGBOUNCER], 'the contract of a store, kept by Postgres', () => {
  const postgres = usePostgres()
  let pooler: PgBouncer

  beforeAll(async () => {
    pooler = await startPgBouncer(postgres.server)
  }, 60_000)

  afterAll(() => pooler?.close())

  /** All tests of the suite at once, through one pool. */
  function variant(
    name: string,
    settings: Readonly<Record<string, string>>,
    url: (database: string) => string,
  ): void {
    const setUp = async () => {
      const pool = postgres.pool(url(await postgres.server.createDatabase(settings)))
      await migrate(pool)
      return postgresStore(pool)
    }
    let store: ReturnType<typeof setUp> | undefined
    const makeStore = async () => {
      store ??= setUp()
      return { store: await store }
    }
    storeSuite(name, makeStore, { describe: describe.concurrent, it, expect }, { ownClock: true })
  }

  variant('postgres', {}, (database) => postgres.server.url(database))
  variant('through pgbouncer in transaction mode', {}, (database) => pooler.url(database))
  for (const level of ['repeatable read', 'serializable']) {
    variant(`at ${level}`, { default_transaction_isolation: level }, (database) =>
      postgres.server.url(database),
    )
  }
})
