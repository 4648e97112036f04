import OpenAI from 'openai'
import { createRuntime, steady } from 'steadycall'
import { overloaded, startFaultServer } from 'steadycall/testing'

test('a client that is imported streams', async () => {
  const server = await startFaultServer({ answer: 'hello', perCall: [overloaded()] })
  const client = new OpenAI({ apiKey: 'x', baseURL: server.baseURL })
  const llm = steady(client, { runtime: createRuntime({ random: () => 0 }) })
  const messages = [{ role: 'user', content: 'hi' }]
  let text = ''
  const stream = await llm.chat.completions.create({ model: 'm', messages, stream: true })
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  await server.close()
  expect(text).toBe('hello')
  expect(server.count).toBe(2)
})
