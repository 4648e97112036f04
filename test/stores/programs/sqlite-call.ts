import OpenAI from 'openai'
import { steady } from '../../../src/index.ts'
import { sqliteStore } from '../../../src/stores/sqlite-store.ts'

/** One keyed call, as one of several processes. */
const [path = '', baseURL = ''] = process.argv.slice(2)
const store = sqliteStore(path)
const llm = steady(new OpenAI({ apiKey: 'sk-test', baseURL }), { store })
const schema = { type: 'object', properties: { name: { type: 'string' } } } as const
const { source, completion } = await llm.json(
  { model: 'gpt-test', messages: [{ role: 'user', content: 'who?' }], schema },
  { idempotencyKey: 'k' },
)
process.stdout.write(JSON.stringify({ source, completion }))
await store.close()
