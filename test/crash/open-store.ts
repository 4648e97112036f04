import type { Store } from '../../src/index.ts'
import { postgresStore } from '../../src/stores/postgres-store.ts'
import { redisStore } from '../../src/stores/redis-store.ts'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'

/** Where a store keeps its records, as another process can be told. */
export type StoreAddress =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'redis'; readonly port: number }
  | { readonly kind: 'postgres'; readonly connectionString: string }

/** Opens a store as a process of its own would, with its own driver alone: many are started. */
export async function openStore(
  address: StoreAddress,
): Promise<{ readonly store: Store; close(): Promise<void> }> {
  switch (address.kind) {
    case 'sqlite': {
      const store = sqliteStore(address.path)
      return { store, close: async () => store.close?.() }
    }
    case 'redis': {
      const { createClient } = await import('redis')
      const client = createClient({ socket: { host: '127.0.0.1', port: address.port } })
      client.on('error', () => {})
      await client.connect()
      return { store: redisStore(client), close: async () => client.destroy() }
    }
    case 'postgres': {
      const { Pool } = await import('pg')
      const pool = new Pool({ connectionString: address.connectionString, max: 10 })
      pool.on('error', () => {})
      return { store: postgresStore(pool), close: () => pool.end() }
    }
  }
}
