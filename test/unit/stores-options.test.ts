import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import {
  createRuntime,
  exponential,
  fixed,
  fullJitter,
  memoryStore,
  parseJson,
  steady,
} from '../../src/index.ts'
import { postgresStore } from '../../src/stores/postgres-store.ts'
import { redisStore } from '../../src/stores/redis-store.ts'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import { httpError, rateLimited, startFaultServer } from '../../src/testing/index.ts'

// What untyped callers may give.
const loosely = (value: unknown): never => value as never
const redis = { status: 'ready', evalsha: async () => {}, eval: async () => {} }
const pool = { query: async () => ({ rows: [] }) }
const client = new OpenAI({ apiKey: 'test', baseURL: 'http://127.0.0.1:1/v1' })
const PATH = 'sqliteStore(): path must be the path or file: URL of a file, got '
const CLIENT =
  'redisStore(): client must be a client or cluster of redis (5 or later) or ioredis (5 or later), got '
const POOL = 'postgresStore(): pool must be a Pool of pg, or have its query method, got '

describe('what is given to a function of steadycall is refused by name, with what it was', () => {
  it.each<[string, () => unknown, string]>([
    ['sqlite nothing', () => sqliteStore(loosely(undefined)), `${PATH}undefined`],
    ['sqlite a number', () => sqliteStore(loosely(7)), `${PATH}7`],
    ['sqlite options', () => sqliteStore(loosely({ path: 'a' })), `${PATH}an object`],
    ['sqlite no text', () => sqliteStore(''), `${PATH}an empty string`],
    [
      'sqlite memory',
      () => sqliteStore(':memory:'),
      `${PATH}':memory:': use memoryStore() for that`,
    ],
    [
      'sqlite URL',
      () => sqliteStore(new URL('http://a.test/b')),
      `${PATH}a URL that begins with http:`,
    ],
    [
      'sqlite option list',
      () => sqliteStore('a.db', loosely(5)),
      'sqliteStore(): options must be an object, got 5',
    ],
    [
      'sqlite near name',
      () => sqliteStore('a.db', loosely({ maxFileByte: 1e6 })),
      "sqliteStore(): unknown option 'maxFileByte'; did you mean 'maxFileBytes'?",
    ],
    [
      'sqlite range',
      () => sqliteStore('a.db', { maxFileBytes: 10 }),
      'sqliteStore(): maxFileBytes must be an integer from 65536, got 10',
    ],
    [
      'sqlite clock',
      () => sqliteStore('a.db', { clock: loosely({ wallMs: Date.now }) }),
      'sqliteStore(): clock must be a Clock with wallMs, monotonicMs, schedule, got an object without monotonicMs()',
    ],
    ['redis nothing', () => redisStore(loosely(undefined)), `${CLIENT}undefined`],
    [
      'redis an address',
      () => redisStore(loosely('redis://u:p@h')),
      `${CLIENT}a string of 13 characters: create a client from it`,
    ],
    [
      'redis a promise',
      () => redisStore(loosely(Promise.resolve(redis))),
      `${CLIENT}a promise: await it first`,
    ],
    [
      'redis a pipeline',
      () => redisStore(loosely({ evalsha() {}, eval() {} })),
      `${CLIENT}an object that does not answer each command, such as a pipeline`,
    ],
    [
      'redis near name',
      () => redisStore(redis, loosely({ keyPrefx: 'x' })),
      "redisStore(): unknown option 'keyPrefx'; did you mean 'keyPrefix'?",
    ],
    [
      'redis range',
      () => redisStore(redis, { keyPrefix: '' }),
      "redisStore(): keyPrefix must be a string of 1 to 100 characters, got ''",
    ],
    ['postgres nothing', () => postgresStore(loosely(undefined)), `${POOL}undefined`],
    ['postgres an object', () => postgresStore(loosely({})), `${POOL}an object without query()`],
    [
      'postgres near name',
      () => postgresStore(pool, loosely({ autosweep: true })),
      "postgresStore(): unknown option 'autosweep'; did you mean 'autoSweep'?",
    ],
    [
      'postgres type',
      () => postgresStore(pool, { prepare: loosely(1) }),
      'postgresStore(): prepare must be true or false, got 1',
    ],
    [
      'postgres table',
      () => postgresStore(pool, { table: 'a-b' }),
      "postgresStore(): table must be a name or schema.name of letters, digits and _, not beginning with a digit, the name at most 52 characters, got 'a-b'",
    ],
    [
      'memory range',
      () => memoryStore({ maxEntries: -1 }),
      'memoryStore(): maxEntries must be a positive integer, got -1',
    ],
    [
      'memory near name',
      () => memoryStore(loosely({ maxEntires: 5 })),
      "memoryStore(): unknown option 'maxEntires'; did you mean 'maxEntries'?",
    ],
    [
      'memory a number',
      () => memoryStore(loosely(5)),
      'memoryStore(): options must be an object, got 5',
    ],
    [
      'steady nothing',
      () => steady(loosely(undefined)),
      'steady(): client must be an openai client, got undefined. Pass new OpenAI().',
    ],
    [
      'steady options',
      () => steady(client, loosely(5)),
      'steady(): options must be an object, got 5',
    ],
    [
      'runtime near name',
      () => createRuntime(loosely({ rendom: Math.random })),
      "createRuntime(): unknown option 'rendom'; did you mean 'random'?",
    ],
    [
      'runtime random',
      () => createRuntime({ random: loosely(0.5) }),
      'createRuntime(): random must be a function, got 0.5',
    ],
    [
      'parseJson near name',
      () => parseJson('1', undefined, loosely({ maxByte: 1 })),
      "parseJson(): unknown option 'maxByte'; did you mean 'maxBytes'?",
    ],
    [
      'parseJson level',
      () => parseJson('1', undefined, { level: loosely('strict') }),
      "parseJson(): level must be 'off' or 'syntax' or 'safe' or 'lenient', got 'strict'",
    ],
    [
      'parseJson finish reason',
      () => parseJson('1', undefined, { finishReason: loosely(null) }),
      'parseJson(): finishReason must be a string, got null',
    ],
    [
      'backoff near name',
      () => fullJitter(loosely({ basMs: 1 })),
      'fullJitter: unknown option "basMs"; accepted are baseMs, rateLimitBaseMs, capMs; did you mean "baseMs"?',
    ],
    [
      'backoff range',
      () => exponential({ capMs: -1 }),
      'exponential: capMs is -1; accepted is a number from 0 to 2147483647',
    ],
    [
      'backoff type',
      () => fixed(loosely('1s')),
      'fixed: delayMs is "1s"; accepted is a number from 0 to 2147483647',
    ],
    [
      'fault near name',
      () => rateLimited(loosely({ retryAfter: 1 })),
      'rateLimited: unknown option "retryAfter"; allowed are retryAfterMs, header, field, clockSkewMs, text; did you mean "retryAfterMs"?',
    ],
    [
      'fault range',
      () => httpError(99, {}),
      'httpError: status is 99; allowed is an integer from 200 to 599',
    ],
  ])('%s', (_, call, said) => {
    expect(call).toThrow(said)
  })

  it('the fault server', async () => {
    await expect(startFaultServer(loosely({ scripts: [] }))).rejects.toThrow(
      'startFaultServer: unknown option "scripts"; allowed are script, perCall, mixture, callOf, answer, clock; did you mean "script"?',
    )
  })
})
