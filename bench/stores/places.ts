import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { createClient } from 'redis'
import { memoryStore, type Store } from '../../src/index.ts'
import { migrate, postgresStore } from '../../src/stores/postgres-store.ts'
import { redisStore } from '../../src/stores/redis-store.ts'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import { POSTGRES, startPostgres } from '../../test/support/postgres-server.ts'
import type { Program } from '../../test/support/programs.ts'
import { REDIS, startRedis } from '../../test/support/redis-server.ts'

/** A store beside the plainest reads and writes of the same place, through the same client. */
export interface Place {
  readonly store: Store
  /** One write of a value that is there no longer than it is needed, as a cache would. */
  set(key: string, value: string): Promise<unknown>
  get(key: string): Promise<unknown>
  close(): Promise<unknown>
}

export interface PlaceToMeasure {
  readonly name: string
  /** How durable its writes are, and what a plain write and read are here. */
  readonly about: string
  readonly program?: Program
  open(): Promise<Place>
}

export const PLACES: readonly PlaceToMeasure[] = [
  {
    name: 'memory',
    about: 'a `Map`',
    async open() {
      const plain = new Map<string, string>()
      return {
        store: memoryStore({ maxEntries: 1_000_000 }),
        set: async (key, value) => plain.set(key, value),
        get: async (key) => plain.get(key),
        close: async () => {},
      }
    },
  },
  {
    name: 'SQLite',
    about: 'a file with a write-ahead log and `synchronous = FULL`, one `INSERT` or `SELECT`',
    async open() {
      const folder = await mkdtemp(join(tmpdir(), 'steadycall-bench-'))
      const database = new DatabaseSync(join(folder, 'plain.db'))
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      database.exec('CREATE TABLE plain (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID')
      const set = database.prepare('INSERT OR REPLACE INTO plain VALUES (?, ?)')
      const get = database.prepare('SELECT value FROM plain WHERE key = ?')
      const store = sqliteStore(join(folder, 'store.db'))
      return {
        store,
        set: async (key, value) => set.run(key, value),
        get: async (key) => get.get(key),
        async close() {
          await store.close()
          database.close()
          await rm(folder, { recursive: true, force: true })
        },
      }
    },
  },
  {
    name: 'Redis',
    about: '`appendfsync always`, node-redis, one `SET` or `GET`',
    program: REDIS,
    async open() {
      const server = await startRedis()
      const client = createClient({ socket: { host: '127.0.0.1', port: server.port } })
      await client.connect()
      return {
        store: redisStore(client),
        set: (key, value) => client.set(`plain:${key}`, value, { PX: 60_000 }),
        get: (key) => client.get(`plain:${key}`),
        async close() {
          client.destroy()
          await server.close()
        },
      }
    },
  },
  {
    name: 'Postgres',
    about: '`fsync` on, a pool of 10 connections of pg, one `INSERT … ON CONFLICT` or `SELECT`',
    program: POSTGRES,
    async open() {
      const server = await startPostgres({ isSynced: true })
      const pool = new pg.Pool({ connectionString: server.url(), max: 10 })
      await migrate(pool)
      await pool.query('CREATE TABLE plain (key text PRIMARY KEY, value text)')
      const set =
        'INSERT INTO plain VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value'
      return {
        store: postgresStore(pool),
        set: (key, value) => pool.query(set, [key, value]),
        get: (key) => pool.query('SELECT value FROM plain WHERE key = $1', [key]),
        async close() {
          await pool.end()
          await server.close()
        },
      }
    },
  },
]
