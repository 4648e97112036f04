import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  migrate,
  type PostgresStoreOptions,
  postgresStore,
} from '../../src/stores/postgres-store.ts'
import { storeSuite } from '../../src/testing/store-suite.ts'
import { describeWith } from '../support/describe-with.ts'
import { PGBOUNCER, type PgBouncer, startPgBouncer } from '../support/pgbouncer.ts'
import { POSTGRES } from '../support/postgres-server.ts'
import { usePostgres } from '../support/use-postgres.ts'

describeWith([POSTGRES, PGBOUNCER], 'the contract of a store, kept by Postgres', () => {
  const postgres = usePostgres()
  let pooler: PgBouncer

  beforeAll(async () => {
    pooler = await startPgBouncer(postgres.server)
  })

  afterAll(() => pooler?.close())

  /** All tests of the suite at once, through one pool. */
  function variant(
    name: string,
    settings: Readonly<Record<string, string>>,
    url: (database: string) => string,
    options: PostgresStoreOptions = {},
  ): void {
    const setUp = async () => {
      const pool = postgres.pool(url(await postgres.server.createDatabase(settings)))
      await migrate(pool)
      return postgresStore(pool, options)
    }
    let store: ReturnType<typeof setUp> | undefined
    const makeStore = async () => {
      store ??= setUp()
      return { store: await store }
    }
    storeSuite(name, makeStore, { describe: describe.concurrent, it, expect }, { ownClock: true })
  }

  variant('postgres', {}, (database) => postgres.server.url(database))
  variant('with prepared statements', {}, (database) => postgres.server.url(database), {
    prepare: true,
  })
  variant('through pgbouncer in transaction mode', {}, (database) => pooler.url(database))
  describe('prepared statements through a pooler that does not know of them', () => {
    it('are an error that says what to do', async () => {
      const database = await postgres.server.createDatabase()
      await migrate(postgres.pool(postgres.server.url(database)))
      const store = postgresStore(postgres.pool(pooler.url(database)), { prepare: true })
      const claims = Array.from({ length: 40 }, (_, n) =>
        store.claim({
          key: `${n}`,
          fingerprint: 'f',
          owner: 'o',
          leaseMs: 1_000,
          onUncertain: 'fail',
          ttlMs: 1_000,
        }),
      )
      const refused = (await Promise.allSettled(claims)).find(({ status }) => status === 'rejected')
      expect(refused).toMatchObject({
        reason: {
          message: expect.stringMatching(/prepare is true.*pooler/),
          cause: expect.any(Error),
        },
      })
    })
  })
  for (const level of ['repeatable read', 'serializable']) {
    variant(`at ${level}`, { default_transaction_isolation: level }, (database) =>
      postgres.server.url(database),
    )
  }
})
