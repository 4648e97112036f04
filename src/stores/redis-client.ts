import { show } from '../options/option-check.ts'
import type { RedisScript } from './redis-scripts.ts'

/** A client, pool, sentinel or cluster of `redis` (node-redis) 5 and later: what is used of it. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  evalSha(sha: string, options: NodeRedisEval): Promise<unknown>
  eval(script: string, options: NodeRedisEval): Promise<unknown>
}

interface NodeRedisEval {
  keys: string[]
  arguments: string[]
}

/** A client, or cluster, of `ioredis` 5 and later: what is used of it. */
export interface IoredisClient {
  readonly status: string
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
  const run: RunScript = async (script, key, values) => {
    try {
      return await ask('sha', script, key, values)
    } catch (error) {
      // The server has not seen it yet, or has forgotten it (SCRIPT FLUSH, restart, failover).
      if (!isNoScript(error)) throw error
      return ask('text', script, key, values)
    }
  }
  return async (script, key, values) => {
    try {
      return await run(script, key, values)
    } catch (error) {
      // The connection broke, and nobody knows whether the script has run: asked again, the server
      // tells. A client of ioredis does so by itself.
      if (!script.repeatable || isReply(error)) throw error
      return run(script, key, values)
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
    return async (by, { sha, lua }, key, values) => {
      if (!client.isOpen) throw new Error(NOT_CONNECTED)
      const options = { keys: [key], arguments: [...values] }
      return by === 'sha' ? client.evalSha(sha, options) : client.eval(lua, options)
    }
  }
  if (isIoredis(client)) {
    return (by, { sha, lua }, key, values) =>
      by === 'sha' ? client.evalsha(sha, 1, key, ...values) : client.eval(lua, 1, key, ...values)
  }
  throw new TypeError(
    `redisStore(): client must be a client or cluster of redis (5 or later) or ioredis (5 or later), got ${instead(client)}`,
  )
}

function instead(client: unknown): string {
  if (typeof client === 'string') return `a string of ${client.length}: make a client of it`
  if (has(client, 'then')) return 'a promise: await it first'
  const commands = ['evalSha', 'evalsha'].some((method) => has(client, method))
  return commands ? 'what gives no answer to each command, such as a pipeline' : show(client)
}

const NOT_CONNECTED =
  'The Redis client is not connected: await client.connect() before the first call, and close it ' +
  'after the last.'

// Pipelines, MULTI and node-redis' legacy() have the same commands, but give no answer to each: they
// are told by having no state of a connection.

function isNodeRedis(client: unknown): client is NodeRedisClient {
  return (
    has(client, 'evalSha') && has(client, 'eval') && typeof read(client, 'isOpen') === 'boolean'
  )
}

function isIoredis(client: unknown): client is IoredisClient {
  return has(client, 'evalsha') && has(client, 'eval') && typeof read(client, 'status') === 'string'
}

function has(client: unknown, method: string): boolean {
  return typeof read(client, method) === 'function'
}

function read(client: unknown, name: string): unknown {
  return Reflect.get(Object(client), name)
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT')
}

/** Whether the server has answered: its errors begin with a code in capitals, such as `OOM`. */
function isReply(error: unknown): boolean {
  return error instanceof Error && /^[A-Z]{2,20} /.test(error.message)
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
