import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'pg'
import { migrate } from '../../src/stores/postgres-store.ts'
import { POSTGRES, startPostgres } from '../support/postgres-server.ts'
import type { Program } from '../support/programs.ts'
import { REDIS, startRedis } from '../support/redis-server.ts'
import type { CrashStore } from './crash-store.ts'

/** The stores that outlive a process, and what a machine needs to run them. */
export const DURABLE: readonly {
  readonly name: string
  readonly programs: readonly Program[]
  start(): Promise<CrashStore>
}[] = [
  {
    name: 'sqlite',
    programs: [],
    async start() {
      const folder = await mkdtemp(join(tmpdir(), 'steadycall-crash-'))
      return {
        address: { kind: 'sqlite', path: join(folder, 'store.db') },
        close: () => rm(folder, { recursive: true, force: true }),
      }
    },
  },
  {
    name: 'redis',
    programs: [REDIS],
    async start() {
      const server = await startRedis()
      return { address: { kind: 'redis', port: server.port }, close: () => server.close() }
    },
  },
  {
    name: 'postgres',
    programs: [POSTGRES],
    async start() {
      const server = await startPostgres()
      const connectionString = server.url()
      const pool = new Pool({ connectionString })
      await migrate(pool)
      await pool.end()
      return { address: { kind: 'postgres', connectionString }, close: () => server.close() }
    },
  },
]
