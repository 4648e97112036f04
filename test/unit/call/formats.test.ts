import { describe, expect, it } from 'vitest'
import { callReport, steady } from '../../../src/index.ts'
import type { Fault } from '../../../src/testing/index.ts'
import { ask, patientRuntime, person, rejection, setUp } from '../../support/set-up.ts'

const schema = { ...person, required: ['name'] } as const

/** A provider that takes only these formats; every other is refused as DeepSeek, say, refuses it. */
function taking(formats: readonly string[], message: string, status = 400): Fault {
  return {
    name: 'taking',
    apply(exchange) {
      const { response_format: format } = exchange.request.body as {
        response_format?: { type: string; json_schema?: { strict: boolean } }
      }
      const name = format?.json_schema?.strict === true ? 'strict' : (format?.type ?? 'none')
      if (!formats.includes(name)) return exchange.json(status, { error: { message } })
      return exchange.json(200, {
        id: 'c',
        object: 'chat.completion',
        choices: [
          {
            index: 0,
            finish_reason: 'stop',
            message: { role: 'assistant', content: '{"name":"Ann"}' },
          },
        ],
      })
    },
  }
}

const formatOf = (body: unknown) => (body as { response_format?: { type: string } }).response_format

describe('json()', () => {
  it('asks in strict mode with an adapted schema, and checks against its own', async () => {
    const { llm, server } = await setUp({ answer: '{"name":"Ann","age":null}' })
    const { value, repairs } = await llm.json({ ...ask('who?'), schema })
    expect([value, repairs]).toEqual([{ name: 'Ann' }, []])
    expect(formatOf(server.requests[0]?.body)).toMatchObject({
      json_schema: { strict: true, schema: { required: ['name', 'age'] } },
    })
  })

  it.each([
    [
      'no strict mode',
      ['json_schema'],
      "Invalid schema for response_format 'answer': In context=()",
      400,
    ],
    ['no schema', ['json_object'], 'This response_format type is unavailable now', 400],
    [
      'no schema, under 422',
      ['json_object'],
      'response_format.type `json_schema` is unavailable now',
      422,
    ],
    ['no format at all', ['none'], "does not support parameters: {'response_format': {}}", 500],
  ])(
    'asks once more where the provider takes %s, and remembers it',
    async (_, formats, message, status) => {
      const refusing = taking(formats, message, status)
      const { llm, server } = await setUp({
        perCall: () => Array.from({ length: 3 }, () => refusing),
      })
      const { value, attempts } = await llm.json({ ...ask('who?'), schema })
      expect(value).toEqual({ name: 'Ann' })
      expect(attempts.map(({ cause, outcome }) => [cause, outcome])).toEqual([
        ['initial', expect.any(String)],
        ['reask', 'success'],
      ])
      const again = await llm.json({ ...ask('who else?'), schema })
      expect(again.attempts).toHaveLength(1)
      expect(server.count).toBe(3)
    },
  )

  it('says the schema in the messages where the format cannot, and keeps it in re-asks', async () => {
    const { llm, server } = await setUp(
      {
        answer: ({ body }) =>
          (body['messages'] as object[]).length === 1 ? '{"name":7}' : '{"name":"Ann"}',
      },
      { responseFormat: 'none', repair: 'off' },
    )
    await llm.json({ ...ask('who?'), schema })
    expect(server.count).toBe(2)
    for (const { body } of server.requests) {
      expect(formatOf(body)).toBeUndefined()
      expect(JSON.stringify(body)).toContain('JSON Schema')
      expect(JSON.stringify(body)).toContain('additionalProperties')
    }
  })

  it('learns per target: a fallback is asked in its own way', async () => {
    const runtime = patientRuntime()
    const message = 'This response_format type is unavailable now'
    const { client } = await setUp({
      perCall: () => Array.from({ length: 3 }, () => taking(['json_object'], message)),
    })
    const { llm: other, server } = await setUp({ answer: '{"name":"Ann"}' }, { runtime })
    const llm = steady(client, { runtime })
    await llm.json({ ...ask('who?'), schema })
    await other.json({ ...ask('who?'), schema })
    expect(formatOf(server.requests[0]?.body)).toMatchObject({ type: 'json_schema' })
  })

  it('does as it is told where a format is given: a refusal is the answer', async () => {
    const refusing = taking(['json_object'], 'This response_format type is unavailable now')
    const { llm, server } = await setUp(
      { perCall: () => [refusing, refusing] },
      { responseFormat: 'strict' },
    )
    const error = await rejection(llm.json({ ...ask('who?'), schema }))
    expect(callReport(error)).toMatchObject({ outcome: 'invalid_request' })
    expect(server.count).toBe(1)
    const { value } = await llm.json({ ...ask('who?'), schema }, { responseFormat: 'json_object' })
    expect(value).toEqual({ name: 'Ann' })
  })

  it('takes another 400 for what it is', async () => {
    const { llm, server } = await setUp({ perCall: () => [taking([], "Invalid 'messages[0]'")] })
    expect(await rejection(llm.json({ ...ask('who?'), schema }))).toMatchObject({
      kind: 'invalid_request',
    })
    expect(server.count).toBe(1)
  })

  it.each<[string, string, object]>([
    [
      'echoes the request',
      'invalid_request',
      {
        detail: [
          {
            type: 'missing',
            loc: ['body', 'stop'],
            msg: 'Field required',
            input: { response_format: { type: 'json_schema' } },
          },
        ],
      },
    ],
    [
      'is about the length, of which the format has a part',
      'context_length',
      {
        error: {
          message:
            "This model's maximum context length is 10 tokens. However, you requested 15 (5 in response_format).",
          code: 'context_length_exceeded',
        },
      },
    ],
  ])('does not take an error for a refusal of the format that %s', async (_, kind, body) => {
    const { llm, server } = await setUp({
      script: [{ name: 'echo', apply: (exchange) => exchange.json(400, body) }],
    })
    expect(await rejection(llm.json({ ...ask('who?'), schema }))).toMatchObject({ kind })
    expect(server.count).toBe(1)
    await llm.json({ ...ask('who?'), schema })
    expect(formatOf(server.requests[1]?.body)).toMatchObject({ json_schema: { strict: true } })
  })

  it('knows the parameter by where the error is, too', async () => {
    const loc = ['body', 'response_format']
    const detail = [{ type: 'extra_forbidden', loc, msg: 'Extra inputs are not permitted' }]
    const { llm, server } = await setUp({
      script: [{ name: 'extra', apply: (exchange) => exchange.json(422, { detail }) }],
      answer: '{"name":"Ann"}',
    })
    await llm.json({ ...ask('who?'), schema })
    expect(formatOf(server.requests[1]?.body)).toBeUndefined()
  })

  it('remembers for one schema what was said of that schema, and asks for others as before', async () => {
    const refusing: Fault = {
      name: 'refusing',
      apply(exchange) {
        const { response_format: format } = exchange.request.body as {
          response_format?: { json_schema?: { strict: boolean; schema: object } }
        }
        const { strict = false, schema: sent = {} } = format?.json_schema ?? {}
        return strict && JSON.stringify(sent).includes('odd')
          ? exchange.json(400, {
              error: { message: "Invalid schema for response_format 'answer': too odd" },
            })
          : taking(['strict', 'json_schema'], '').apply(exchange)
      },
    }
    const { llm, server } = await setUp({
      perCall: () => Array.from({ length: 3 }, () => refusing),
    })
    const odd = () => ({ ...schema, description: 'odd' })
    const formats = async (sent: object) => {
      const before = server.count
      await llm.json({ ...ask(`who? ${before}`), schema: sent })
      return server.requests
        .slice(before)
        .map(({ body }) =>
          Reflect.get(Object(Reflect.get(Object(formatOf(body)), 'json_schema')), 'strict'),
        )
    }
    expect(await formats(odd())).toEqual([true, false])
    expect(await formats(schema)).toEqual([true])
    // Built anew, as in a function that makes its schema for each call.
    expect(await formats(odd())).toEqual([false])
  })

  describe('where the provider ignores the format', () => {
    const heard = ({ body }: { body?: object | undefined }) =>
      JSON.stringify(body).includes('JSON Schema')
    const said = (request: { body: object }) => (heard(request) ? '{"name":"Ann"}' : 'It is Ann.')
    const last = (body: unknown) => (body as { messages: { content: string }[] }).messages.at(-1)

    it('says the schema in the re-ask, after what is wrong', async () => {
      const { llm, server } = await setUp({ answer: said })
      await llm.json({ ...ask('who?'), schema })
      expect(server.count).toBe(2)
      const [before, after] = server.requests.map(({ body }) => body)
      expect(after?.messages.slice(0, 1)).toEqual(before?.messages)
      expect(last(after)?.content).toContain('could not be read as JSON')
      expect(last(after)?.content).toContain('"additionalProperties":false')
    })

    it('says it to that target from then on, and still asks for the format', async () => {
      const { llm, server } = await setUp({ answer: said })
      await llm.json({ ...ask('who?'), schema })
      const { attempts } = await llm.json({ ...ask('who else?'), schema })
      expect(attempts).toHaveLength(1)
      const { body } = server.requests[2] ?? {}
      expect(last(body)?.content).toMatch(/^who else\?\n\n.*JSON Schema/)
      expect(formatOf(body)).toMatchObject({ json_schema: { strict: true } })
    })

    it('keeps the prefix of a call that began before it was known', async () => {
      const { llm, server } = await setUp({
        answer: ({ body }) =>
          ['It is Ann.', '{"name":7,"x":1}', '{"name":"Ann"}'][
            (body['messages'] as object[]).length >> 1
          ] ?? '',
      })
      await llm.json({ ...ask('who?'), schema })
      const messages = server.requests.map(({ body }) => body?.messages ?? [])
      expect(messages.map((one) => one.length)).toEqual([1, 3, 5])
      expect(messages[1]?.slice(0, 1)).toEqual(messages[0])
      expect(messages[2]?.slice(0, 3)).toEqual(messages[1])
      // Once is enough.
      expect(JSON.stringify(messages[2]).match(/JSON Schema/g)).toHaveLength(1)
    })

    it('knows it by JSON that strict mode could not have made, and by nothing less', async () => {
      const short = {
        ...schema,
        properties: { ...schema.properties, name: { minLength: 3, type: 'string' } },
      }
      for (const [first, isKnown] of [
        ['{"who":"Ann"}', true],
        ['{"name":"A","age":null}', false],
      ] as const) {
        const { llm, server } = await setUp({
          answer: ({ body }) =>
            (body['messages'] as object[]).length === 1 && !heard({ body })
              ? first
              : '{"name":"Ann"}',
        })
        await llm.json({ ...ask('who?'), schema: short })
        await llm.json({ ...ask('who else?'), schema: short })
        expect(last(server.requests[2]?.body)?.content.includes('JSON Schema')).toBe(isKnown)
      }
    })

    it('says nothing of it where a format is given, or the schema is large', async () => {
      const given = await setUp(
        { answer: 'It is Ann.' },
        { responseFormat: 'strict', maxReasks: 0 },
      )
      await rejection(given.llm.json({ ...ask('who?'), schema }))
      await rejection(given.llm.json({ ...ask('who else?'), schema }))
      expect(given.server.requests.map((one) => heard(one))).toEqual([false, false])

      const large = { ...schema, description: 'x'.repeat(20_000) }
      const { llm, server } = await setUp({ answer: 'It is Ann.' })
      await rejection(llm.json({ ...ask('who?'), schema: large }))
      expect(server.requests.some((one) => heard(one))).toBe(false)
    })
  })

  describe('where the provider itself has refused the answer', () => {
    const failed = (text: string): Fault => ({
      name: 'json_validate_failed',
      apply: (exchange) =>
        exchange.json(400, {
          error: {
            message:
              "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
            type: 'invalid_request_error',
            code: 'json_validate_failed',
            failed_generation: text,
          },
        }),
    })

    it('asks again, with that answer, in the same format', async () => {
      const { llm, server } = await setUp({
        script: [failed('Name: Ann')],
        answer: '{"name":"Ann"}',
      })
      const { value, attempts } = await llm.json({ ...ask('who?'), schema })
      expect(value).toEqual({ name: 'Ann' })
      expect(attempts.map(({ cause, outcome }) => [cause, outcome])).toEqual([
        ['initial', 'malformed_output'],
        ['reask', 'success'],
      ])
      const { body } = server.requests[1] ?? {}
      expect(body?.messages).toMatchObject([
        ask('who?').messages[0],
        { role: 'assistant', content: 'Name: Ann' },
        { role: 'user' },
      ])
      expect(formatOf(body)).toMatchObject({ json_schema: { strict: true } })
      await llm.json({ ...ask('who else?'), schema })
      expect(server.requests[2]?.body?.messages).toEqual(ask('who else?').messages)
    })

    it('stops where it is the same answer twice, with the provider’s error as the cause', async () => {
      const { llm, server } = await setUp({ script: [failed('Ann'), failed('Ann'), failed('Ann')] })
      expect(await rejection(llm.json({ ...ask('who?'), schema }))).toMatchObject({
        kind: 'malformed_output',
        deterministic: true,
        cause: { code: 'json_validate_failed' },
      })
      expect(server.count).toBe(2)
    })
  })

  it('does not hold against an answer the nulls that it asked for', async () => {
    const pet = (kind: string) => ({
      type: 'object',
      properties: { kind: { const: kind }, age: { type: 'integer' }, note: { type: 'string' } },
      required: ['kind', 'age'],
      additionalProperties: false,
    })
    const { llm, server } = await setUp({
      answer: ({ body }) =>
        JSON.stringify({
          pet: {
            kind: 'dog',
            age: (body['messages'] as object[]).length === 1 ? null : 3,
            note: null,
          },
          owner: null,
        }),
    })
    const { value } = await llm.json({
      ...ask('whose?'),
      schema: {
        type: 'object',
        properties: { pet: { anyOf: [pet('cat'), pet('dog')] }, owner: { type: 'string' } },
        required: ['pet'],
      },
    })
    expect(value).toEqual({ pet: { kind: 'dog', age: 3 } })
    const said = String(server.requests[1]?.body?.messages.at(-1)?.content)
    const points = said.split('\n').filter((line) => line.startsWith('- '))
    expect(points).toEqual(['- /pet/age: expected integer, got null'])
  })

  it('asks for an array as a property of an object, and returns the array', async () => {
    const { llm, server } = await setUp({ answer: '{"answer":["a","b"]}' })
    const list = { type: 'array', items: { type: 'string' } } as const
    const { value, repairs } = await llm.json({ ...ask('list'), schema: list }, { repair: 'off' })
    expect([value, repairs]).toEqual([['a', 'b'], []])
    expect(formatOf(server.requests[0]?.body)).toMatchObject({ json_schema: { strict: true } })
  })
})
