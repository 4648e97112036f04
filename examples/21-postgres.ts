// #region store
import OpenAI from 'openai'
import pg from 'pg'
import { callReport, steady } from 'steadycall'
import { migrate, postgresStore } from 'steadycall/postgres'

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'] })
pool.on('error', (error) => console.error(error.message))
await migrate(pool)

const llm = steady(new OpenAI(), { store: postgresStore(pool) })
// #endregion

const completion = await llm.chat.completions.create(
  { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Greet the new customer.' }] },
  { steady: { idempotencyKey: 'greeting-17' } },
)
console.log(completion.choices[0]?.message.content)
console.log(callReport(completion)?.source)
await pool.end()
