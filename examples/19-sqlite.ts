// #region store
import OpenAI from 'openai'
import { callReport, steady } from 'steadycall'
import { sqliteStore } from 'steadycall/sqlite'

const store = sqliteStore(process.env['STORE_FILE'] ?? 'idempotency.db')
const llm = steady(new OpenAI(), { store })

const completion = await llm.chat.completions.create(
  { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Greet the new customer.' }] },
  { steady: { idempotencyKey: 'greeting-17' } },
)
// #endregion

console.log(completion.choices[0]?.message.content)
console.log(callReport(completion)?.source)

// #region close
await store.close()
// #endregion
