import { expect, it, onTestFinished, vi } from 'vitest'
import { type Store, steady } from '../../src/index.ts'
import { migrate, postgresStore } from '../../src/stores/postgres-store.ts'
import { describeWith } from '../support/describe-with.ts'
import { POSTGRES, type PostgresServer } from '../support/postgres-server.ts'
import {
  ask,
  clientFor,
  patientRuntime,
  person,
  rejection,
  startServer,
} from '../support/set-up.ts'
import { usePostgres } from '../support/use-postgres.ts'

describeWith([POSTGRES], 'postgres: a failover to a synchronous standby', () => {
  const postgres = usePostgres()

  it('loses nothing that was acknowledged, and nothing is sent that it could lose', async () => {
    const provider = await startServer({ answer: '{"name":"Ada","age":36}' })
    const call = (through: Store, idempotencyKey: string, deadlineMs = 600_000) =>
      steady(clientFor(provider), { store: through, runtime: patientRuntime() }).json(
        { ...ask('who?'), schema: person },
        { idempotencyKey, deadlineMs },
      )
    const primary = postgres.pool(postgres.server.url())
    await migrate(primary)
    const standby = await postgres.server.standby()
    onTestFinished(() => standby.close())
    await change(postgres.server, 'synchronous_standby_names', 'standby')
    await vi.waitUntil(async () => (await primary.query(SYNCHRONOUS)).rows.length === 1)

    const keys = Array.from({ length: 20 }, (_, n) => `key-${n}`)
    await Promise.all(keys.map((key) => call(postgresStore(primary), key)))
    expect(provider.count).toBe(20)

    // The standby hears no more, so the primary can promise nothing.
    await change(standby, 'primary_conninfo', '')
    await vi.waitUntil(async () => (await primary.query(SYNCHRONOUS)).rows.length === 0)
    const error = await rejection(call(postgresStore(primary), 'late', 3_000))
    expect(error).toMatchObject({ kind: 'store_unavailable', executed: 'no' })
    expect(provider.count).toBe(20)

    await postgres.server.stop('immediate')
    await change(standby, 'synchronous_standby_names', '')
    await standby.execute('postgres', 'SELECT pg_promote()')
    const store = postgresStore(postgres.pool(standby.url()))
    const replayed = await Promise.all(keys.map((key) => call(store, key)))
    expect(new Set(replayed.map(({ source }) => source))).toEqual(new Set(['store']))
    expect((await call(store, 'late')).source).toBe('provider')
    expect(provider.count).toBe(21)
  })
})

const SYNCHRONOUS = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"

/** A setting that a running server takes up. */
async function change(server: PostgresServer, name: string, value: string): Promise<void> {
  await server.execute('postgres', `ALTER SYSTEM SET ${name} = '${value}'`)
  await server.execute('postgres', 'SELECT pg_reload_conf()')
}
