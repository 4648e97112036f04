// #region transport
import OpenAI from 'openai'
import { steady } from 'steadycall'
import { directFetch } from 'steadycall/transport'

const llm = steady(new OpenAI({ fetch: directFetch() }))
// #endregion

const model = 'gpt-5-mini'
const messages = [{ role: 'user' as const, content: 'Prove it step by step.' }]
const completion = await llm.chat.completions.create({ model, messages })
console.log(completion.choices[0]?.message.content)

// #region options
const fetch = directFetch({ connections: 64, keepAliveMs: 30_000, bodyTimeoutMs: 120_000 })
const patient = steady(new OpenAI({ fetch, timeout: 20 * 60_000 }))
// #endregion

const stream = await patient.chat.completions.create({ model, messages, stream: true })
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '')
console.log()
