// Compiles under every setting of check.ts, with the right types, and runs: see run.ts.
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Type as OldTypeBox } from '@sinclair/typebox'
import { toJsonSchema, toStandardJsonSchema } from '@valibot/to-json-schema'
import OpenAI from 'openai'
import {
  type CallOptions,
  callReport,
  createRuntime,
  fullJitter,
  isCallError,
  memoryStore,
  parseJson,
  type Runtime,
  retry,
  runIdempotent,
  type SchemaInput,
  steady,
} from 'steadycall'
import { postgresStore } from 'steadycall/postgres'
import { redisStore } from 'steadycall/redis'
import { sqliteStore } from 'steadycall/sqlite'
import { type Fault, overloaded, startFaultServer } from 'steadycall/testing'
import * as v from 'valibot'
import { z } from 'zod'
import * as mini from 'zod/mini'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Fails to compile where the two types differ. */
function same<A, B>(_isSame: Same<A, B>): void {}

const own: Fault = {
  name: 'own',
  apply({ response, request }) {
    response.setHeader('x-said', request.headers.authorization ?? '')
    response.writeHead(503).end('busy')
  },
}
const server = await startFaultServer({ perCall: [overloaded(), own] })
const runtime: Runtime = createRuntime({ random: () => 0 })
const options: CallOptions = { maxAttempts: 3, backoff: fullJitter() }
const client = new OpenAI({ apiKey: 'k', baseURL: server.baseURL })
const llm = steady(client, {
  runtime,
  store: memoryStore(),
  limits: 'off',
  ...options,
})
const asked = {
  model: 'm',
  messages: [{ role: 'user' as const, content: 'hi' }],
}

/** One name, one number: what every schema below describes, each in its own way. */
const checks = {
  async zod() {
    const schema = z.object({ name: z.string(), age: z.int().transform(String) })
    const { value, completion } = await llm.json({ ...asked, schema })
    same<typeof value, { name: string; age: string }>(true)
    same<typeof completion, OpenAI.Chat.ChatCompletion>(true)
    return typeof value.age === 'string'
  },
  async 'what zod/mini gives'() {
    const schema = mini.toJSONSchema(mini.object({ name: mini.string() }))
    const { value } = await llm.json({ ...asked, schema })
    same<typeof value, { name: string }>(true)
    return typeof value.name === 'string'
  },
  async 'Valibot, wrapped'() {
    const schema = toStandardJsonSchema(v.object({ name: v.string() }))
    const { value } = await llm.json({ ...asked, schema })
    same<typeof value, { name: string }>(true)
    return typeof value.name === 'string'
  },
  async 'Valibot, as JSON Schema'() {
    const schema = toJsonSchema(v.object({ name: v.string() }))
    const { value } = await llm.json({ ...asked, schema })
    same<typeof value, unknown>(true)
    return typeof value === 'object'
  },
  async '@sinclair/typebox'() {
    const schema = OldTypeBox.Object({
      name: OldTypeBox.String(),
      age: OldTypeBox.Optional(OldTypeBox.Integer()),
      tags: OldTypeBox.Array(OldTypeBox.Union([OldTypeBox.Literal('a'), OldTypeBox.Null()])),
    })
    const { value } = await llm.json({ ...asked, schema })
    const name: string = value.name
    const tags: ('a' | null)[] = value.tags
    // @ts-expect-error it may be absent
    const age: number = value.age
    return typeof name === 'string' && Array.isArray(tags) && age !== null
  },
  async 'a literal'() {
    const { value } = await llm.json({
      ...asked,
      schema: {
        type: 'object',
        properties: { name: { type: 'string' }, mood: { enum: ['good', 'bad'] } },
        required: ['name', 'mood'],
        additionalProperties: false,
      },
    })
    same<typeof value, { name: string; mood: 'good' | 'bad' }>(true)
    return typeof value.name === 'string'
  },
  async 'a variable'() {
    const schema = { type: 'object', properties: { name: { type: 'string' } } }
    const { value } = await llm.json({ ...asked, schema })
    same<typeof value, unknown>(true)
    const { value: other } = await llm.json({ ...asked, schema: schema as Record<string, unknown> })
    same<typeof other, unknown>(true)
    return typeof value === 'object'
  },
  async 'functions of one’s own around it'() {
    const ask = <S extends SchemaInput>(schema: S) => llm.json({ ...asked, schema })
    const askZod = <T extends z.ZodType>(schema: T) => llm.json({ ...asked, schema })
    const { value } = await ask(z.object({ name: z.string() }))
    same<typeof value, { name: string }>(true)
    await askZod(z.object({ name: z.string() }))
    return typeof value.name === 'string'
  },
  async parseJson() {
    const parsed = parseJson('{"a":"1"}', z.object({ a: z.coerce.number() }))
    return parsed.ok || parsed.issues.length > 0
  },
  async 'the drop-in, run, retry and the guard'() {
    const completion = await llm.chat.completions.create(asked, { steady: { maxAttempts: 3 } })
    const report = callReport(completion)
    const three = await llm.run('three', ({ attempt }) => 2 + attempt)
    same<typeof three, number>(true)
    await retry(async () => 1, { maxAttempts: 2 })
    const done = await runIdempotent(
      { store: memoryStore(), operation: 'o', payload: 1, idempotencyKey: 'k' },
      () => 'done',
    )
    return report !== undefined && done === 'done'
  },
  async 'the stores'() {
    const store = sqliteStore(join(await mkdtemp(join(tmpdir(), 'types-')), 'keys.db'))
    await store.close()
    return typeof redisStore === 'function' && typeof postgresStore === 'function'
  },
}

for (const [name, check] of Object.entries(checks)) {
  const isRight = await check().catch((error: unknown) => {
    console.error(isCallError(error) ? error.kind : error)
    return false
  })
  console.log(`${isRight ? 'runs' : 'FAILS'}: ${name}`)
  if (!isRight) process.exitCode = 1
}
await server.close()
