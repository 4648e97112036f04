import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-v5'
import { createClient } from 'redis'
import { createClient as createClient5 } from 'redis-v5'
import type { RedisClient } from '../../src/stores/redis-store.ts'

export interface Connected {
  readonly client: RedisClient
  close(): void
}

export type Connect = (port: number) => Promise<Connected>

/** The newest major of node-redis; the others are there to be compared with it. */
export const connectRedis: Connect = async (port) => {
  const client = createClient({ socket: { host: '127.0.0.1', port } })
  client.on('error', () => {})
  await client.connect()
  return { client, close: () => client.destroy() }
}

/** Every client that is supported, as a user makes it. */
export const CLIENTS: Readonly<Record<string, Connect>> = {
  'redis 6': connectRedis,
  'redis 5': async (port) => {
    const client = createClient5({ socket: { host: '127.0.0.1', port } })
    client.on('error', () => {})
    await client.connect()
    return { client, close: () => client.destroy() }
  },
  'ioredis 6': async (port) => {
    const client = new Redis({ host: '127.0.0.1', port })
    client.on('error', () => {})
    return { client, close: () => client.disconnect() }
  },
  'ioredis 5': async (port) => {
    const client = new Redis5({ host: '127.0.0.1', port })
    client.on('error', () => {})
    return { client, close: () => client.disconnect() }
  },
}
