import { describe, expect, it } from 'vitest'
import { FORMAT_REFUSALS, formatAfterRefusal } from '../../../src/output/format-refusals.ts'
import { parseAnswer as parsing } from '../../../src/output/parse-json.ts'
import { formatRequest, withInstructions } from '../../../src/output/response-format.ts'
import { compileSchema } from '../../../src/output/schema.ts'
import { atOnce } from '../../../src/output/work.ts'

const parseAnswer = (...given: Parameters<typeof parsing>) => atOnce(parsing(...given))

const CLOSED = {
  type: 'object',
  properties: { a: { type: 'string' }, b: { type: ['number', 'null'] } },
  required: ['a', 'b'],
  additionalProperties: false,
}
const strictOf = (schema: object) => formatRequest(compileSchema(schema), 'strict')
const closed = (properties: object, more: object = {}) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
})

describe('a strict request', () => {
  it('has the schema without its dialect, under its title', () => {
    const $schema = 'https://json-schema.org/draft/2020-12/schema'
    expect(strictOf({ $schema, title: 'A person', ...CLOSED })).toMatchObject({
      format: 'strict',
      parameter: {
        type: 'json_schema',
        json_schema: { name: 'A_person', schema: { title: 'A person', ...CLOSED }, strict: true },
      },
    })
  })

  it.each([
    ['given', 'the person!', 'the_person_'],
    ['absent', undefined, 'answer'],
    ['too long', 'x'.repeat(80), 'x'.repeat(64)],
  ])('makes a name the provider takes of a title that is %s', (_, title, expected) => {
    const schema = title === undefined ? CLOSED : { ...CLOSED, title }
    expect(strictOf(schema).parameter).toMatchObject({ json_schema: { name: expected } })
  })

  const string = { type: 'string' }
  const orNull = { anyOf: [string, { type: 'null' }] }
  it.each<[string, object, object]>([
    ['closed objects', CLOSED, CLOSED],
    [
      'an open object',
      { type: 'object', properties: { a: string }, required: ['a'] },
      closed({ a: string }),
    ],
    [
      'an optional property: it may be null instead',
      { type: 'object', properties: { a: string, b: string }, required: ['a'] },
      closed({ a: string, b: orNull }),
    ],
    [
      'an optional property that may be null anyway',
      { type: 'object', properties: { b: { type: ['string', 'null'] } } },
      closed({ b: { type: ['string', 'null'] } }),
    ],
    [
      'a nested object in an array',
      closed({ list: { type: 'array', items: { type: 'object', properties: { a: string } } } }),
      closed({ list: { type: 'array', items: closed({ a: orNull }) } }),
    ],
    [
      'keywords it does not know',
      closed({ a: { ...string, minLength: 1, format: 'uri', default: 'x', pattern: '(?=x)x' } }),
      closed({ a: string }),
    ],
    [
      'oneOf, and const without a type',
      closed({ a: { oneOf: [{ const: 'x' }, { type: 'integer' }] } }),
      closed({ a: { anyOf: [{ type: 'string', const: 'x' }, { type: 'integer' }] } }),
    ],
    [
      'references, and a described one as pydantic writes it',
      closed(
        { a: { allOf: [{ $ref: '#/$defs/x' }], description: 'x' } },
        { $defs: { x: { type: 'object', properties: { c: string } } } },
      ),
      closed(
        { a: { description: 'x', $ref: '#/$defs/x' } },
        { $defs: { x: closed({ c: orNull }) } },
      ),
    ],
    ['nullable of OpenAPI', closed({ a: { ...string, nullable: true } }), closed({ a: orNull })],
    [
      'a property named __proto__',
      closed(JSON.parse('{"__proto__":{"type":"string"}}')),
      closed(JSON.parse('{"__proto__":{"type":"string"}}')),
    ],
  ])('adapts %s', (_, schema, sent) => {
    expect(strictOf(schema)).toMatchObject({ format: 'strict' })
    expect(strictOf(schema).parameter).toMatchObject({ json_schema: { strict: true } })
    expect(JSON.parse(JSON.stringify(strictOf(schema).parameter)).json_schema.schema).toEqual(sent)
  })

  it.each<[string, object]>([
    ['a map', closed({ a: { type: 'object', additionalProperties: string } })],
    ['an object of any content', closed({ a: { type: 'object' } })],
    [
      'patterns of keys',
      closed({
        a: { type: 'object', properties: { x: string }, patternProperties: { '^y': string } },
      }),
    ],
    ['a tuple', closed({ a: { type: 'array', prefixItems: [string], items: string } })],
    ['a value of any type', closed({ a: {} })],
    ['parts that have to hold together', closed({ a: { allOf: [CLOSED, CLOSED] } })],
    ['a reference elsewhere', closed({ a: { type: 'array', items: { $ref: 'other.json' } } })],
    [
      'nesting deeper than it takes',
      Array.from({ length: 11 }).reduce<object>(
        (inner) => closed({ a: inner }),
        closed({ a: string }),
      ),
    ],
  ])('is left for the schema as it is, not strict, where it has %s', (_, schema) => {
    const usable = JSON.stringify(schema).includes('other.json')
      ? { ...schema, $defs: { o: { $id: 'other.json' } } }
      : schema
    const { format, parameter, undo } = strictOf(usable)
    expect([format, parameter]).toMatchObject([
      'json_schema',
      { json_schema: { schema, strict: false } },
    ])
    expect(undo.size).toBe(0)
  })

  it.each<[string, object, unknown]>([
    ['an array', { type: 'array', items: string }, ['x']],
    [
      'a union',
      { anyOf: [CLOSED, { type: 'object', properties: { c: string } }] },
      { a: 'x', b: 1 },
    ],
    ['a tree that refers to its root', { type: 'array', items: { $ref: '#' } }, [[], [[]]]],
    ['an enum', { enum: ['yes', 'no'] }, 'yes'],
  ])('asks for %s as the one property of an object, and takes it out again', (_, given, value) => {
    const schema = compileSchema(given)
    const { parameter, undo } = formatRequest(schema, 'strict')
    const sent = JSON.parse(JSON.stringify(parameter)).json_schema.schema
    const wrapped = { answer: value }
    expect(compileSchema(sent).validate(wrapped)).toEqual([])
    expect(compileSchema(sent).validate({ answer: 7 })).not.toEqual([])
    for (const level of ['off', 'safe'] as const) {
      const text = JSON.stringify(wrapped)
      expect(parseAnswer(text, schema, { level, undo })).toEqual({ ok: true, value, repairs: [] })
    }
  })

  it('says what is wrong inside the property that was asked for, as a pointer into the answer', () => {
    const schema = compileSchema({ type: 'array', items: closed({ id: { type: 'integer' } }) })
    const { undo } = formatRequest(schema, 'strict')
    const parsed = parseAnswer('{"answer":[{"id":1},{"id":"x"}]}', schema, { undo })
    expect(parsed).toMatchObject({
      kind: 'schema_mismatch',
      issues: [{ path: '/answer/1/id', message: 'expected integer, got a string' }],
    })
  })

  it('takes a null for "absent" where it asked for it, at every level, and lists no repair', () => {
    const schema = compileSchema({
      type: 'object',
      properties: { a: string, b: string },
      required: ['a'],
    })
    const { undo } = formatRequest(schema, 'strict')
    for (const level of ['off', 'syntax', 'safe'] as const) {
      const parsed = parseAnswer('{"a":"x","b":null}', schema, { level, undo })
      expect(parsed).toEqual({ ok: true, value: { a: 'x' }, repairs: [] })
      expect(parseAnswer('{"a":null,"b":"x"}', schema, { level, undo }).ok).toBe(false)
    }
  })
})

describe('a request that says the schema in the messages', () => {
  const schema = compileSchema(CLOSED)

  it('has no response_format where the provider takes none', () => {
    const { parameter, instructions } = formatRequest(schema, 'none')
    expect(parameter).toBeUndefined()
    expect(instructions).toContain(JSON.stringify(CLOSED))
  })

  it('says JSON, as json_object demands', () => {
    const { parameter, instructions } = formatRequest(schema, 'json_object')
    expect(parameter).toEqual({ type: 'json_object' })
    expect(instructions).toContain('JSON')
  })

  it.each([
    ['text', [{ role: 'user', content: 'hi' }], [{ role: 'user', content: 'hi\n\nnow' }]],
    [
      'parts',
      [{ role: 'user', content: [{ type: 'image_url' }] }],
      [{ role: 'user', content: [{ type: 'image_url' }, { type: 'text', text: 'now' }] }],
    ],
    [
      'an answer',
      [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'yes' },
      ],
      [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'yes' },
        { role: 'user', content: 'now' },
      ],
    ],
    ['nothing', [], [{ role: 'user', content: 'now' }]],
  ])('adds to messages that end with %s, without changing the given ones', (_, given, expected) => {
    const before = structuredClone(given)
    expect(withInstructions(given, 'now')).toEqual(expected)
    expect(given).toEqual(before)
  })
})

describe('a refusal of the format', () => {
  it.each(FORMAT_REFUSALS)('$example leaves $leaves', ({ example, leaves }) => {
    const asked = leaves === 'none' ? 'json_object' : 'strict'
    expect(formatAfterRefusal(example, asked)?.leaves).toBe(leaves)
  })

  it.each([
    ["Invalid 'messages[0].content'"],
    ['context_length_exceeded'],
    ['the model does not exist'],
  ])('is not what %s says', (said) => {
    expect(formatAfterRefusal(said, 'strict')).toBeUndefined()
  })

  it('of the least that can be asked for leaves nothing', () => {
    for (const { example } of FORMAT_REFUSALS) {
      expect(formatAfterRefusal(example, 'none')).toBeUndefined()
    }
  })
})
