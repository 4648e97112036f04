const OpenAI = require('openai')
const { callReport, createRuntime, steady } = require('steadycall')
const { overloaded, startFaultServer } = require('steadycall/testing')

const ask = { model: 'm', messages: [{ role: 'user', content: 'how many?' }] }
const schema = {
  type: 'object',
  properties: { count: { type: 'integer' } },
  required: ['count'],
}

const quick = () => ({ runtime: createRuntime({ random: () => 0 }) })

const completion = (content) => ({
  id: 'c',
  object: 'chat.completion',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
})

test('a client that is required makes a structured call', async () => {
  const server = await startFaultServer({ answer: '{"count":3}', perCall: [overloaded()] })
  const llm = steady(new OpenAI({ apiKey: 'x', baseURL: server.baseURL }), quick())
  const result = await llm.json({ ...ask, schema })
  await server.close()
  expect(result.value).toEqual({ count: 3 })
  expect(callReport(result).attempts).toHaveLength(2)
})

test('a double of jest.fn() is a client', async () => {
  const create = jest.fn()
  create.mockRejectedValueOnce({ status: 503 }).mockResolvedValue(completion('{"count":3}'))
  const llm = steady({ chat: { completions: { create } } }, quick())
  expect((await llm.json({ ...ask, schema })).value).toEqual({ count: 3 })
  expect(create).toHaveBeenCalledTimes(2)
})

test("an automock of openai's class is a client", async () => {
  const Mocked = jest.createMockFromModule('openai')
  const client = new Mocked({ apiKey: 'x' })
  client.chat = { completions: { create: jest.fn(async () => ({ choices: [] })) } }
  const llm = steady(client, quick())
  const error = await llm.chat.completions.create(ask).catch((caught) => caught)
  expect(callReport(error).outcome).toBe('empty_response')
  expect(error.message).toContain('it has no choice')
})
