import { expect, jest, test } from '@jest/globals'
import { steady } from 'steadycall'

test('a double has the types of openai', async () => {
  const create = jest.fn()
  const answer = {
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: '3' } }],
  }
  create.mockReturnValue(Promise.resolve(answer))
  const llm = steady({ chat: { completions: { create } } })
  const messages = [{ role: 'user' as const, content: 'how many?' }]
  const { value } = await llm.json({ model: 'm', messages, schema: { type: 'integer' } as const })
  expect(value.toFixed(1)).toBe('3.0')
  expect(create).toHaveBeenCalledTimes(1)
})
