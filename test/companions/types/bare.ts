// What a project without @types/node imports: every entry point, and a schema.
import OpenAI from 'openai'
import { type JsonResult, steady } from 'steadycall'
import * as postgres from 'steadycall/postgres'
import * as redis from 'steadycall/redis'
import * as sqlite from 'steadycall/sqlite'
import * as testing from 'steadycall/testing'
import { directFetch } from 'steadycall/transport'
import { z } from 'zod'

export const stores = [postgres.postgresStore, redis.redisStore, sqlite.sqliteStore]
export const { startFaultServer } = testing

export async function name(): Promise<string> {
  const llm = steady(new OpenAI({ fetch: directFetch({ connections: 8 }) }))
  const result: JsonResult<{ name: string }> = await llm.json({
    model: 'm',
    messages: [{ role: 'user', content: 'hi' }],
    schema: z.object({ name: z.string() }),
  })
  return result.value.name
}
