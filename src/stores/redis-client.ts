import { show } from '../options/option-check.ts'
import type { RedisScript } from './redis-scripts.ts'

/** The part of a client, pool, sentinel or cluster of `redis` (node-redis) 5 or later that is used. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  evalSha(sha: string, options: NodeRedisEval): Promise<unknown>
  eval(script: string, options: NodeRedisEval): Promise<unknown>
}

interface NodeRedisEval {
  keys: string[]
  arguments: string[]
}

/** The part of a client or cluster of `ioredis` 5 or later that is used. */
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
 * Runs scripts with either kind of client.
 * @throws {TypeError} if the value is neither.
 */
export function runnerFor(client: unknown): RunScript {
  const ask = askerFor(client)
  const run: RunScript = async (script, key, values) => {
    try {
      return await ask('sha', script, key, values)
    } catch (error) {
      // The server does not know the script yet, or has lost it (SCRIPT FLUSH, restart, failover).
      if (!isNoScript(error)) throw error
      return ask('text', script, key, values)
    }
  }
  return async (script, key, values) => {
    try {
      return await run(script, key, values)
    } catch (error) {
      // The connection broke, so it is unknown whether the script ran. Running it again is safe and tells.
      // ioredis clients repeat commands by themselves.
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
  if (typeof client === 'string')
    return `a string of ${client.length} characters: create a client from it`
  if (has(client, 'then')) return 'a promise: await it first'
  const commands = ['evalSha', 'evalsha'].some((method) => has(client, method))
  return commands ? 'an object that does not answer each command, such as a pipeline' : show(client)
}

const NOT_CONNECTED =
  'The Redis client is not connected: await client.connect() before the first call, and close it ' +
  'after the last one.'

// Pipelines, MULTI and node-redis's legacy() have the same commands but do not answer each one. They are
// recognised by having no connection state.

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

/** Whether the server has answered: its errors start with a code in capitals, such as `OOM`. */
function isReply(error: unknown): boolean {
  return error instanceof Error && /^[A-Z]{2,20} /.test(error.message)
}

/** The server's memory settings (INFO memory); undefined if it does not report them. */
export async function memoryInfo(client: RedisClient): Promise<string | undefined> {
  const info: unknown = Reflect.get(client, 'info')
  if (typeof info !== 'function') return undefined
  try {
    const said: unknown = await Reflect.apply(info, client, ['memory'])
    return typeof said === 'string' ? said : undefined
  } catch {
    // The command is forbidden, or unknown to a proxy.
    return undefined
  }
}
