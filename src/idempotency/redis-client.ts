import type { RedisScript } from './redis-scripts.ts'

/** A client, or cluster, of `redis` (node-redis) 5 and later: what is used of it. */
export interface NodeRedisClient {
  evalSha(sha: string, options: NodeRedisEval): Promise<unknown>
  eval(script: string, options: NodeRedisEval): Promise<unknown>
}

interface NodeRedisEval {
  keys: string[]
  arguments: string[]
}

/** A client, or cluster, of `ioredis` 5 and later: what is used of it. */
export interface IoredisClient {
  evalsha(sha: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
  eval(script: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
}

export type RedisClient = NodeRedisClient | IoredisClient

/** Runs a script on one key. */
export type RunScript = (
  script: RedisScript,
  key: string,
  values: readonly string[],
) => Promise<unknown>

/**
 * What both kinds of client have in common.
 * @throws {TypeError} for what is neither.
 */
export function runnerFor(client: unknown): RunScript {
  const ask = askerFor(client)
  return async (script, key, values) => {
    try {
      return await ask('sha', script, key, values)
    } catch (error) {
      // The server has not seen it yet, or has forgotten it (SCRIPT FLUSH, restart, failover).
      if (!isNoScript(error)) throw error
      return ask('text', script, key, values)
    }
  }
}

type Ask = (
  by: 'sha' | 'text',
  script: RedisScript,
  key: string,
  values: readonly string[],
) => Promise<unknown>

function askerFor(client: unknown): Ask {
  if (isNodeRedis(client)) {
    return (by, { sha, lua }, key, values) => {
      const options = { keys: [key], arguments: [...values] }
      return by === 'sha' ? client.evalSha(sha, options) : client.eval(lua, options)
    }
  }
  if (isIoredis(client)) {
    return (by, { sha, lua }, key, values) =>
      by === 'sha' ? client.evalsha(sha, 1, key, ...values) : client.eval(lua, 1, key, ...values)
  }
  throw new TypeError(
    'redisStore(): client must be a client or cluster of redis (5 or later) or ioredis (5 or later)',
  )
}

function isNodeRedis(client: unknown): client is NodeRedisClient {
  return has(client, 'evalSha') && has(client, 'eval')
}

function isIoredis(client: unknown): client is IoredisClient {
  return has(client, 'evalsha') && has(client, 'eval')
}

function has(client: unknown, method: string): boolean {
  return typeof Reflect.get(Object(client), method) === 'function'
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT')
}

/** What the server says about its memory (INFO memory); undefined where it does not say. */
export async function memoryInfo(client: RedisClient): Promise<string | undefined> {
  const info: unknown = Reflect.get(client, 'info')
  if (typeof info !== 'function') return undefined
  try {
    const said: unknown = await Reflect.apply(info, client, ['memory'])
    return typeof said === 'string' ? said : undefined
  } catch {
    // Forbidden, or a proxy that does not know it.
    return undefined
  }
}
