import { postgresStore } from 'steadycall/postgres'
import { redisStore } from 'steadycall/redis'
import { sqliteStore } from 'steadycall/sqlite'
import { startFaultServer } from 'steadycall/testing'
import * as program from './program.mjs'

/** The program, and every other entry point of the package. */
export async function run(baseURL) {
  const sqlite = sqliteStore('calls.db')
  const server = await startFaultServer()
  const others = [sqlite.name, typeof redisStore, typeof postgresStore, typeof server.baseURL]
  await server.close()
  await sqlite.close()
  return { ...(await program.run(baseURL)), others }
}

/** What `run` has to say. */
export const EXPECTED = {
  ...program.EXPECTED,
  others: ['sqlite', 'function', 'function', 'string'],
}
