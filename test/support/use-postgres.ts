import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { migrate, type PostgresStore, postgresStore } from '../../src/stores/postgres-store.ts'
import {
  POSTGRES,
  type PostgresServer,
  type PostgresServerOptions,
  startPostgres,
} from './postgres-server.ts'
import { pathOf } from './programs.ts'

/** A server for the tests of a `describe` or of a file, and pools that end with it. */
export interface PostgresInUse {
  readonly server: PostgresServer
  /** A pool that survives the end of its connections, as everybody's should. */
  pool(url: string, options?: pg.PoolConfig): pg.Pool
  /** A store in a new database, with the pool it uses. */
  store(settings?: Readonly<Record<string, string>>): Promise<StoreInUse>
}

export interface StoreInUse {
  readonly store: PostgresStore
  readonly pool: pg.Pool
  readonly database: string
}

/**
 * To be called in a `describe`, or in a file whose tests leave the server as it is; what it returns
 * may be used in tests.
 */
export function usePostgres(options: PostgresServerOptions = {}): PostgresInUse {
  let server: PostgresServer | undefined
  const pools: pg.Pool[] = []
  beforeAll(async () => {
    // Where there is none, the tests are skipped.
    if (pathOf(POSTGRES) !== undefined) server = await startPostgres(options)
  })
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()))
    await server?.close()
  })
  const inUse: PostgresInUse = {
    get server() {
      if (server === undefined) throw new Error('The server is there in tests only')
      return server
    },
    pool(url, poolOptions) {
      const pool = new pg.Pool({ connectionString: url, ...poolOptions })
      pool.on('error', () => {})
      pools.push(pool)
      return pool
    },
    async store(settings) {
      const database = await inUse.server.createDatabase(settings)
      const pool = inUse.pool(inUse.server.url(database))
      await migrate(pool)
      // A random one of its claims would sweep, in the middle of somebody's count.
      return { store: postgresStore(pool, { autoSweep: false }), pool, database }
    },
  }
  return inUse
}
