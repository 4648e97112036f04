import { describe, expect, it } from 'vitest'
import type { Fault } from '../../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../../support/set-up.ts'

function answer(content: unknown, finishReason = 'stop'): Fault {
  return {
    name: 'answer',
    apply: (exchange) =>
      exchange.json(200, {
        id: 'c',
        object: 'chat.completion',
        choices: [
          { index: 0, finish_reason: finishReason, message: { role: 'assistant', content } },
        ],
      }),
  }
}

const good = '{"name":"Ann","age":36}'
const text = (said: string) => ({ type: 'text', text: said })
const who = { ...ask('who?'), schema: person }

describe('the text of an answer', () => {
  it.each([
    ['parts of text', [text(good.slice(0, 9)), text(good.slice(9))]],
    [
      'a part of reasoning, which is never read',
      [{ type: 'thinking', thinking: [text('{"name":"Bob","age":1}')] }, text(good)],
    ],
  ])('is read from %s', async (_, content) => {
    const { llm, server } = await setUp({ script: [answer(content)] })
    const { value } = await llm.json(who)
    expect([value, server.count]).toEqual([{ name: 'Ann', age: 36 }, 1])
  })

  it.each([
    ['parts without text', [{ type: 'audio' }, null, 7, { type: 'text', text: 7 }]],
    ['an object', { text: good }],
  ])('is empty for %s', async (_, content) => {
    const empty = answer(content)
    const { llm } = await setUp({ script: [empty, empty, empty] })
    expect(await rejection(llm.json(who))).toMatchObject({ kind: 'empty_response' })
  })

  it.each(['length', 'MAX_TOKENS', 'model_length'])(
    'is truncated, not empty, where %s left none of it',
    async (reason) => {
      const { llm, server } = await setUp({ script: [answer('', reason)] })
      expect(await rejection(llm.json(who))).toMatchObject({ kind: 'truncated' })
      expect(server.count).toBe(1)
    },
  )
})
