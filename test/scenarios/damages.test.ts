import { describe, expect, it } from 'vitest'
import type { RepairRule } from '../../src/index.ts'
import type { Fault } from '../../src/testing/index.ts'
import { ask, rejection, setUp } from '../support/set-up.ts'

const schema = {
  type: 'object',
  properties: {
    title: { type: 'string' },
    floor: { type: 'integer' },
    urgent: { type: 'boolean' },
    kind: { enum: ['fire', 'water'] },
    tags: { type: 'array', items: { type: 'string' } },
    note: { type: 'string' },
  },
  required: ['title', 'floor', 'urgent', 'kind', 'tags'],
  additionalProperties: false,
} as const

const value = { title: 'Printer', floor: 3, urgent: true, kind: 'fire', tags: ['a', 'b'] }
const json = JSON.stringify(value)
const damaged = (found: string | RegExp, put: string) => json.replace(found, put)

/** What comes first; the second answer, where one is asked for, is good. */
async function answered(text: string) {
  const { llm, server } = await setUp({
    answer: ({ body }) => (body?.messages.length === 1 ? text : json),
  })
  const result = await llm.json({ ...ask('ticket'), schema })
  return { ...result, requests: server.count }
}

describe('a damage that is mended here costs one request', () => {
  it.each<[string, string, readonly RepairRule[]]>([
    ['none', json, []],
    ['a fence and prose', `Here:\n\`\`\`json\n${json}\n\`\`\``, ['strip-fence', 'strip-prose']],
    ['reasoning', `<think>{"title":"no"}</think>${json}`, ['strip-reasoning']],
    ['tags', `<answer>${json}</answer>`, ['strip-tags']],
    ['invisible characters', `\u200b${json}\u200b`, ['strip-invisible']],
    ['the answer twice', `${json}\n${json}`, ['collapse-duplicates']],
    ['a trailing comma', damaged(/\}$/, ',}'), ['fix-syntax']],
    ['single quotes and Python', json.replaceAll('"', "'").replace('true', 'True'), ['fix-syntax']],
    ['a backslash', damaged('Printer', 'a\\d'), ['keep-backslash']],
    ['quotes in a string', damaged('Printer', 'the "big" one'), ['guess-quotes']],
    ['a number in quotes', damaged('3', '"3"'), ['number-from-string']],
    ['a boolean in quotes', damaged('true', '"True"'), ['boolean-from-string']],
    ['an enum in capitals', damaged('"fire"', '"Fire"'), ['enum-case']],
    ['a stringified list', damaged('["a","b"]', '"[\\"a\\",\\"b\\"]"'), ['parse-stringified']],
    ['a number for a string', damaged('"Printer"', '7'), ['string-from-number']],
    ['null for an optional property', damaged(/\}$/, ',"note":null}'), []],
    ['a wrapper', `{"result":${json}}`, ['unwrap']],
  ])('%s', async (_, text, rules) => {
    const { requests, repairs } = await answered(text)
    expect(requests).toBe(1)
    expect([...new Set(repairs.map(({ rule }) => rule))]).toEqual(rules)
  })
})

describe('a damage that cannot be mended costs two', () => {
  it.each([
    ['no JSON', 'There is a fire on the third floor.'],
    ['a required property that is missing', damaged('"floor":3,', '')],
    ['a property that is not declared', damaged('"floor"', '"storey"')],
    ['a value of another kind', damaged('3', '"third"')],
    ['two answers that differ', `${json} or ${damaged('3', '4')}`],
    ['an ellipsis', damaged('"b"', '...')],
    ['the schema', JSON.stringify(schema)],
    ['quotes in an element of a list', damaged('"a","b"', '"a "b", "c" d"')],
    ['words that call it a template', `Here is a blank template: ${json}`],
  ])('%s', async (_, text) => {
    const { requests, value: got, repairs } = await answered(text)
    expect([requests, got, repairs]).toEqual([2, value, []])
  })
})

describe('an answer that was cut is not asked for again: it would be cut again', () => {
  it.each([
    ['as the provider says, though it looks whole', json, 'length'],
    ['as it looks, though the provider says that it ended', json.slice(0, -20), 'stop'],
  ])('%s', async (_, content, finish) => {
    const message = { role: 'assistant', content }
    const cut: Fault = {
      name: 'cut',
      apply: (exchange) =>
        exchange.json(200, {
          id: 'c',
          object: 'chat.completion',
          choices: [{ index: 0, finish_reason: finish, message }],
        }),
    }
    const { llm, server } = await setUp({ script: [cut] })
    const error = await rejection(llm.json({ ...ask('ticket'), schema }))
    expect(error).toMatchObject({ kind: 'truncated' })
    expect(server.count).toBe(1)
  })
})
