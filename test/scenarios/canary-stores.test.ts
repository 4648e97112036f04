import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import { expect, it, onTestFinished, vi } from 'vitest'
import { type CallEvent, isCallError, memoryStore, type Store } from '../../src/index.ts'
import { redisStore } from '../../src/stores/redis-store.ts'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import {
  answers,
  callsTool,
  cutStream,
  type Fault,
  httpError,
  stalledStream,
} from '../../src/testing/index.ts'
import { describeWith } from '../support/describe-with.ts'
import { exportOverHttp } from '../support/otel.ts'
import { POSTGRES } from '../support/postgres-server.ts'
import { connectRedis } from '../support/redis-clients.ts'
import { REDIS, startRedis } from '../support/redis-server.ts'
import { person, setUp } from '../support/set-up.ts'
import { usePostgres } from '../support/use-postgres.ts'

/** One for each place that something private can be in; none longer than a piece of a stream. */
const CANARIES = {
  prompt: 'cnPROMPT',
  answer: 'cnANSWER',
  toolArguments: 'cnTOOLAR',
  apiKey: 'cnAPIKEY',
  errorBody: 'cnERRORB',
  garbage: 'cnGARBAG',
  idempotencyKey: 'cnIDEMPO',
  tenant: 'cnTENANT',
} as const

const found = (text: string) =>
  Object.entries(CANARIES)
    .filter(([, canary]) => text.includes(canary))
    .map(([name]) => name)

/** After some text, and as the last thing of a stream. */
const thenSends = (name: string, last: string): Fault => ({
  name,
  async apply(exchange) {
    const { head, content } = exchange.pieces()
    exchange.begin()
    for (const piece of [...head, ...content.slice(0, 2)]) await exchange.write(piece)
    exchange.response.end(last)
  },
})
const quoting = {
  error: { message: `${CANARIES.errorBody} ${CANARIES.prompt}`, code: `${CANARIES.errorBody} !` },
}

const STREAMS: Readonly<Record<string, readonly Fault[]>> = {
  whole: [],
  left: [],
  aborted: [],
  cut: [cutStream({ afterChunks: 2 })],
  stalled: [stalledStream({ afterChunks: 2 })],
  refused: [httpError(400, quoting)],
  'refused within': [thenSends('error chunk', `data: ${JSON.stringify(quoting)}\n\n`)],
  'no JSON': [thenSends('garbage', `data: ${CANARIES.garbage} is no JSON\n\n`)],
  'too large': [],
}
const badCall = callsTool('look_up', `{"id":"${CANARIES.toolArguments}","${CANARIES.answer}":1}`)
const goodCall = callsTool('look_up', `{"id":7,"note":"${CANARIES.toolArguments}"}`)
const OTHERS: Readonly<Record<string, readonly Fault[]>> = {
  'a tool call': [badCall, goodCall],
  'a bad tool call': Array(9).fill(badCall),
  'a re-ask': [
    answers(`{"name":"${CANARIES.answer}","age":"${CANARIES.answer}"}`),
    answers(`{"name":"${CANARIES.answer}","age":36}`),
  ],
  'a wrong answer': Array(9).fill(answers(`{"name":"${CANARIES.answer}"}`)),
}

const tools = [
  {
    type: 'function' as const,
    function: {
      name: 'look_up',
      parameters: {
        type: 'object',
        properties: { id: { type: 'integer' }, note: { type: 'string' } },
        required: ['id'],
        additionalProperties: false,
      },
    },
  },
]

/** A store, and all the bytes that it keeps. */
interface Kept {
  readonly store: Store
  bytes(): Promise<string> | string
}

const STORES: Readonly<Record<'memory' | 'sqlite', () => Kept>> = {
  memory() {
    const given: unknown[] = []
    const store = new Proxy(memoryStore(), {
      get(target, name) {
        const verb: unknown = Reflect.get(target, name)
        if (typeof verb !== 'function') return verb
        return (...args: unknown[]) => {
          given.push(args)
          return Reflect.apply(verb, target, args)
        }
      },
    })
    return { store, bytes: () => JSON.stringify(given) }
  },
  sqlite() {
    const folder = mkdtempSync(join(tmpdir(), 'steadycall-canary-'))
    const path = join(folder, 'keys.db')
    const store = sqliteStore(path)
    onTestFinished(async () => {
      await store.close()
      rmSync(folder, { recursive: true })
    })
    const files = ['', '-wal', '-shm'].map((end) => `${path}${end}`)
    return { store, bytes: () => files.map((file) => readFileSync(file, 'latin1')).join() }
  },
}

const redis = async (): Promise<Kept> => {
  const server = await startRedis()
  const { client, close } = await connectRedis(server.port)
  onTestFinished(async () => {
    close()
    await server.close()
  })
  return {
    store: redisStore(client),
    async bytes() {
      const keys = (await server.command('KEYS', '*')).split('\n')
      const records = await Promise.all(keys.map((key) => server.command('HGETALL', key)))
      return [...keys, ...records].join('\n')
    },
  }
}

/** Every call twice at once and once more after that: who does the work, who joins and who replays. */
async function everyWay({ store, bytes }: Kept, encrypted: boolean): Promise<void> {
  vi.stubEnv('OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT', undefined)
  const warnings: string[] = []
  const onWarning = (warning: Error) => warnings.push(String(warning))
  process.on('warning', onWarning)
  // openai prints what it cannot parse.
  const printed = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => {
    vi.unstubAllEnvs()
    process.off('warning', onWarning)
    printed.mockRestore()
  })
  const otel = await exportOverHttp()
  const events: CallEvent[] = []
  const errors: unknown[] = []
  const { llm, server } = await setUp(
    {
      answer: `Well, ${CANARIES.answer} ${CANARIES.answer}, and more`,
      callOf: ({ headers }) => String(headers['x-fault-call']),
      perCall: (id) => STREAMS[id] ?? OTHERS[id] ?? [],
    },
    {
      store,
      tenant: CANARIES.tenant,
      maxAttempts: 3,
      limits: 'off',
      ...(encrypted && { encryption: { keys: { k1: randomBytes(32) }, use: 'k1' } }),
      maxResultBytes: 2_600,
      chunkIdleTimeoutMs: 60,
      telemetry: { propagateTraceparent: true },
      onEvent: (told) => events.push(told),
    },
    { apiKey: CANARIES.apiKey },
  )
  const params = {
    model: 'gpt-test',
    messages: [{ role: 'user' as const, content: CANARIES.prompt }],
  }
  const keyOf = (path: string) => ({ idempotencyKey: `${CANARIES.idempotencyKey} ${path}` })
  const stream = async (path: string) => {
    const abort = new AbortController()
    const begun = await llm.chat.completions.create(
      { ...params, stream: true, ...(path === 'too large' && { n: 4 }) },
      { headers: { 'x-fault-call': path }, signal: abort.signal, steady: keyOf(path) },
    )
    for await (const _ of begun) {
      if (path === 'left') break
      if (path === 'aborted') abort.abort(new Error(CANARIES.prompt))
    }
  }
  const other = (path: string) => {
    const headers = { 'x-fault-call': path }
    if (path.includes('tool')) {
      return llm.chat.completions.create(
        { ...params, tools },
        { headers, steady: { ...keyOf(path), toolCalls: 'check' } },
      )
    }
    return llm.json({ ...params, schema: person }, { requestOptions: { headers }, ...keyOf(path) })
  }
  const ways = [
    ...Object.keys(STREAMS).map((path) => () => stream(path)),
    ...Object.keys(OTHERS).map((path) => () => other(path)),
  ]
  for (const call of ways) {
    const settled = await Promise.allSettled([call(), call()])
    settled.push(...(await Promise.allSettled([call()])))
    for (const one of settled) if (one.status === 'rejected') errors.push(one.reason)
  }
  await otel.flush()

  // The canaries were there to be found, and each way was taken.
  expect(found(JSON.stringify(server.requests))).toEqual(
    expect.arrayContaining(['prompt', 'toolArguments', 'apiKey']),
  )
  const settled = events.flatMap((told) => (told.type === 'call-settled' ? [told.report] : []))
  expect(new Set(settled.map(({ source }) => source)).size).toBe(3)
  expect(new Set(settled.map(({ outcome }) => outcome))).toEqual(
    new Set([
      'success',
      'aborted',
      'network',
      // A stream with an event that is not JSON.
      'server_error',
      'timeout',
      'invalid_request',
      'unknown',
      'schema_mismatch',
      'store_unavailable',
    ]),
  )
  expect(errors.length).toBeGreaterThan(12)

  expect(found(otel.bodies.join())).toEqual([])
  expect(found(warnings.join())).toEqual([])
  // An event names the key as its caller gave it: it is his own log.
  expect(found(JSON.stringify(events).replaceAll(/"idempotencyKey":"[^"]*"/g, ''))).toEqual([])
  expect(found(errors.flatMap(madeByUs).join('\n'))).toEqual([])
  expect(found(await bytes())).toEqual(encrypted ? [] : ['answer', 'toolArguments'])
}

/** Messages of an error and its causes: but for the provider's own words, and the caller's. */
function madeByUs(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return []
  const { message, name, cause } = error
  const isTheProviders =
    error instanceof OpenAI.APIError && !isCallError(error) && error.error !== undefined
  const isTheCallers = message === CANARIES.prompt
  return [...(isTheProviders || isTheCallers ? [] : [`${name} ${message}`]), ...madeByUs(cause)]
}

it.each([
  ['memory', false],
  ['memory', true],
  ['sqlite', false],
  ['sqlite', true],
] as const)('nothing private is told of calls under keys in %s, encrypted: %s', (name, encrypted) =>
  everyWay(STORES[name](), encrypted),
)

describeWith([REDIS], 'redis', () => {
  it.each([false, true])(
    'nothing private is told of calls under keys in redis, encrypted: %s',
    async (encrypted) => everyWay(await redis(), encrypted),
  )
})

describeWith([POSTGRES], 'postgres', () => {
  const postgres = usePostgres()

  it.each([false, true])(
    'nothing private is told of calls under keys in postgres, encrypted: %s',
    async (encrypted) => {
      const { store, pool } = await postgres.store()
      const bytes = async () => {
        const { rows } = await pool.query(
          'SELECT to_jsonb(t)::text AS row FROM steadycall_idempotency t',
        )
        return rows.map(({ row }) => row).join('\n')
      }
      await everyWay({ store, bytes }, encrypted)
    },
  )
})
