import { Ajv2020 } from 'ajv/dist/2020.js'
import { jsonrepair } from 'jsonrepair'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  answers,
  callsTool,
  contentFilter,
  damagedJson,
  emptyChoices,
  type Fault,
  type FaultServer,
  fencedJson,
  malformedJson,
  ok,
  refusal,
  schemaInvalid,
  startFaultServer,
  truncatedJson,
  wrongTypes,
} from '../../../src/testing/index.ts'
import { type Client, clients, question } from './clients.ts'

const schema = {
  type: 'object',
  properties: {
    title: { type: 'string' },
    year: { type: 'integer' },
    inPrint: { type: 'boolean' },
    tags: { type: 'array', items: { type: 'string' }, minItems: 1 },
  },
  required: ['title', 'year', 'inPrint', 'tags'],
  additionalProperties: false,
}
const structured = {
  ...question,
  response_format: { type: 'json_schema' as const, json_schema: { name: 'book', schema } },
}
const isValid = new Ajv2020().compile(schema)

describe.each(clients)('with %s', (_name, connect) => {
  let server: FaultServer
  let client: Client
  beforeAll(async () => {
    server = await startFaultServer()
    client = connect(server.baseURL)
  })
  afterAll(() => server.close())

  const choice = async (fault: Fault, body = structured) => {
    server.reset({ script: [fault] })
    const { choices } = await client.chat.completions.create(body)
    return choices[0]
  }
  const streamed = async (fault: Fault) => {
    server.reset({ script: [fault] })
    const chunks = await client.chat.completions.create({ ...structured, stream: true })
    const parts: string[] = []
    let finishReason: string | null | undefined
    for await (const chunk of chunks) {
      const delta = chunk.choices[0]?.delta
      const called = delta?.tool_calls?.[0]?.function?.arguments
      parts.push(delta?.content ?? delta?.refusal ?? called ?? '')
      finishReason ??= chunk.choices[0]?.finish_reason
    }
    return { text: parts.join(''), finishReason }
  }

  it.each([
    [ok(), '{"title":"text","year":1,"inPrint":true,"tags":["text"]}', 'stop'],
    [answers('{"year": 1999}'), '{"year": 1999}', 'stop'],
    [answers('Half an ans', { finishReason: 'length' }), 'Half an ans', 'length'],
    [damagedJson(), "{'title': 'text', 'year': 1, 'inPrint': True, 'tags': ['text', ], }", 'stop'],
    [
      malformedJson(),
      '{"title" => not in the text, "year" => not in the text, "inPrint" => not in the text, "tags" => not in the text}',
      'stop',
    ],
    [wrongTypes(), '{"title":"text","year":"1","inPrint":"true","tags":["text"]}', 'stop'],
    [
      schemaInvalid(),
      '{"title":["wrong","wrong"],"year":["wrong","wrong"],"inPrint":["wrong","wrong"],"tags":"wrong"}',
      'stop',
    ],
    [truncatedJson(), '{"title":"text","year":1,"in', 'length'],
    [contentFilter(), '', 'content_filter'],
  ])('$name says the same with and without a stream', async (fault, text, finishReason) => {
    expect(await choice(fault)).toMatchObject({
      message: { role: 'assistant', content: text, refusal: null },
      finish_reason: finishReason,
    })
    expect(await streamed(fault)).toEqual({ text, finishReason })
  })

  it('fencedJson puts the good answer into a code fence', async () => {
    const content = (await choice(fencedJson()))?.message.content ?? ''
    expect(content).toMatch(/^Here is the JSON:\n```json\n\{\n {2}"title"/)
    expect(JSON.parse(content.split('```')[1]?.slice('json'.length) ?? '')).toEqual({
      title: 'text',
      year: 1,
      inPrint: true,
      tags: ['text'],
    })
  })

  it('refusal refuses with no content', async () => {
    expect(await choice(refusal('No.'))).toMatchObject({
      message: { content: null, refusal: 'No.' },
      finish_reason: 'stop',
    })
    expect(await streamed(refusal('No.'))).toEqual({ text: 'No.', finishReason: 'stop' })
  })

  it('callsTool passes its arguments on as they are', async () => {
    const fault = callsTool('find', '{"query": "it"')
    expect(await choice(fault)).toMatchObject({
      message: {
        content: null,
        tool_calls: [{ type: 'function', function: { name: 'find', arguments: '{"query": "it"' } }],
      },
      finish_reason: 'tool_calls',
    })
    expect(await streamed(fault)).toEqual({ text: '{"query": "it"', finishReason: 'tool_calls' })
  })

  it('emptyChoices is billed and has no choice', async () => {
    server.reset({ script: [emptyChoices()] })
    const { choices, usage } = await client.chat.completions.create(structured)
    expect(choices).toEqual([])
    expect(usage?.prompt_tokens).toBeGreaterThan(0)
    expect(await streamed(emptyChoices())).toEqual({ text: '', finishReason: undefined })
  })
})

describe('what a repair can do with it', () => {
  const goodAnswers = [
    ['a record', '{"title":"It\'s \\"it\\" \\\\ \\n","year":1,"inPrint":true,"tags":["a"]}'],
    ['a record of nothing', '{}'],
    ['a list', '[1, 2]'],
    ['a sentence', 'Nobody knows.'],
    ['a key that poisons', '{"__proto__": {"polluted": 1}}'],
  ] as const

  const say = async (fault: Fault, answer: string) => {
    const server = await startFaultServer({ answer, script: [fault] })
    const response = await fetch(`${server.baseURL}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(question),
    })
    const { choices } = JSON.parse(await response.text())
    await server.close()
    return String(choices[0].message.content)
  }

  it.each(goodAnswers)('malformedJson of %s is beyond jsonrepair', async (_case, answer) => {
    const text = await say(malformedJson(), answer)
    expect(() => JSON.parse(text)).toThrow(SyntaxError)
    expect(() => jsonrepair(text)).toThrow()
  })

  it.each(goodAnswers.slice(0, 3))('damagedJson of %s is within it', async (_case, answer) => {
    const text = await say(damagedJson(), answer)
    expect(text).not.toBe(answer)
    expect(JSON.parse(jsonrepair(text))).toEqual(JSON.parse(answer))
  })

  it.each(goodAnswers)('truncatedJson of %s is not whole', async (_case, answer) => {
    const text = await say(truncatedJson(), answer)
    expect(() => JSON.parse(text)).toThrow(SyntaxError)
  })

  it.each(goodAnswers)(
    'schemaInvalid and wrongTypes of %s are valid JSON',
    async (_case, answer) => {
      for (const fault of [schemaInvalid(), wrongTypes()]) {
        const text = await say(fault, answer)
        expect(text).not.toBe(answer)
        expect(isValid(JSON.parse(text))).toBe(false)
      }
    },
  )

  it('wrongTypes of an answer with nothing to misspell is a JSON string of it', async () => {
    expect(await say(wrongTypes(), '{"a":"b"}')).toBe('"{\\"a\\":\\"b\\"}"')
  })
})
