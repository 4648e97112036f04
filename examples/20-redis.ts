// #region store
import OpenAI from 'openai'
import { createClient } from 'redis'
import { callReport, steady } from 'steadycall'
import { redisStore } from 'steadycall/redis'

const client = createClient({ url: process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379' })
client.on('error', (error) => console.error(error.message))
await client.connect()

const llm = steady(new OpenAI(), { store: redisStore(client) })
// #endregion

const completion = await llm.chat.completions.create(
  { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Greet the new customer.' }] },
  { steady: { idempotencyKey: 'greeting-17' } },
)
console.log(completion.choices[0]?.message.content)
console.log(callReport(completion)?.source)
client.destroy()
