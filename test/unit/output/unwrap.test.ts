import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../src/output/parse-json.ts'
import { schemaSuite } from '../../support/schema-suite.ts'

const PERSON = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' } },
  required: ['name', 'age'],
  additionalProperties: false,
}
const ADA = { name: 'Ada', age: 36 }
const ada = JSON.stringify(ADA)
const rulesOf = (text: string, schema: object) => {
  const result = parseJson(text, schema)
  return result.ok
    ? result.repairs.map(({ path, rule }) => `${path} ${rule}`.trim())
    : [result.kind]
}

describe('an answer in a wrapper that says nothing about it', () => {
  it.each<[string, string, readonly string[]]>([
    ['a usual key', `{"result":${ada}}`, ['/result unwrap']],
    ['several words for the same', `{"final_answer":${ada}}`, ['/final_answer unwrap']],
    ['the same in another convention', `{"jsonOutput":${ada}}`, ['/jsonOutput unwrap']],
    ['a plain noun', `{"person":${ada}}`, ['/* unwrap']],
    ['a plain noun and a usual word', `{"extracted_person":${ada}}`, ['/* unwrap']],
    ['a name that was never filled in', `{"$PARAMETER_NAME":${ada}}`, ['/* unwrap']],
    [
      'one within another',
      `{"response":{"data":${ada}}}`,
      ['/response unwrap', '/response/data unwrap'],
    ],
    ['a key beside the marker of the schema', `{"$schema":"x","data":${ada}}`, ['/data unwrap']],
    ['the layout of the schema', `{"properties":${ada}}`, ['/properties unwrap']],
    [
      'that layout with its other keywords',
      `{"type":"object","properties":${ada},"required":["name","age"]}`,
      ['/properties unwrap'],
    ],
    ['a list of one', `[${ada}]`, ['unwrap-list']],
    ['a list of one under a plural', `{"entities":[${ada}]}`, ['/* unwrap', 'unwrap-list']],
    ['a list of one under a key', `{"items":[${ada}]}`, ['/items unwrap', 'unwrap-list']],
    [
      'a stringified answer under a key',
      `{"data":${JSON.stringify(ada)}}`,
      ['/data unwrap', 'parse-stringified'],
    ],
    ['a call', `{"name":"save","arguments":${ada}}`, ['/arguments unwrap']],
    [
      'a call of another provider',
      `{"type":"tool_use","id":"t1","name":"save","input":${ada}}`,
      ['/input unwrap'],
    ],
    ['a call of a framework', `{"action":"save","action_input":${ada}}`, ['/action_input unwrap']],
    [
      'a call with stringified arguments',
      `{"id":"c","type":"function","function":{"name":"save","arguments":${JSON.stringify(ada)}}}`,
      ['/function unwrap', '/function/arguments unwrap', 'parse-stringified'],
    ],
    [
      'a list of one call',
      `[{"name":"save","arguments":${ada}}]`,
      ['/0 unwrap', '/0/arguments unwrap'],
    ],
    [
      'a message',
      `{"role":"assistant","content":${JSON.stringify(ada)},"tool_calls":[]}`,
      ['/content unwrap', 'parse-stringified'],
    ],
    [
      'a part of a message',
      `[{"type":"text","text":${JSON.stringify(ada)}}]`,
      ['/0 unwrap', '/0/text unwrap', 'parse-stringified'],
    ],
  ])('is read: %s', (_, text, rules) => {
    expect(parseJson(text, PERSON)).toMatchObject({ ok: true, value: ADA })
    expect(rulesOf(text, PERSON)).toEqual(rules)
  })

  it.each([
    ['under a word for a role', `{"spouse":${ada}}`],
    ['under a word for the opposite', `{"rejected":${ada}}`],
    ['under a word for a part that somebody plays', `{"candidate":${ada}}`],
    ['under a negation', `{"nobody":${ada}}`],
    ['under a plain noun with a doubt', `{"previous_person":${ada}}`],
    ['under an error', `{"error":${ada}}`],
    ['beside another key', `{"status":"partial","data":${ada}}`],
    ['beside a keyword that is not the schema’s', `{"type":"array","properties":${ada}}`],
    ['in a call of an unknown type', `{"type":"error","name":"save","input":${ada}}`],
    ['in a call beside something else', `{"name":"save","arguments":${ada},"error":"failed"}`],
    ['in a message of the user', `{"role":"user","content":${JSON.stringify(ada)}}`],
    [
      'in a message of another type',
      `{"role":"assistant","type":"error","content":${JSON.stringify(ada)}}`,
    ],
    ['beside a marker that holds something', `{"$schema":[],"data":${ada}}`],
    ['in a call whose id holds something', `{"id":{"error":"x"},"name":"save","arguments":${ada}}`],
    ['as one of two', `[${ada},${ada}]`],
    [
      'in one of two calls',
      `{"tool_calls":[{"name":"a","arguments":${ada}},{"name":"b","arguments":{}}]}`,
    ],
    ['deeper than five levels', `{"data":{"data":{"data":{"data":{"data":${ada}}}}}}`],
  ])('is refused %s', (_, text) => {
    expect(rulesOf(text, PERSON)).toEqual(['schema_mismatch'])
  })

  it('is not taken for the answer by a schema that says little', () => {
    const vacuous = { properties: { foo: { $ref: '#' } }, additionalProperties: false }
    for (const text of ['{"bar":false}', '{"result":false}', '{"data":{}}', '{"value":"x"}']) {
      expect(rulesOf(text, vacuous)).toEqual(['schema_mismatch'])
    }
    expect(rulesOf('{"data":{"foo":{}}}', vacuous)).toEqual(['/data unwrap'])
  })

  it('is a scalar only where the schema asks for one', () => {
    expect(rulesOf('{"answer":42}', { type: 'integer' })).toEqual(['/answer unwrap'])
    expect(rulesOf('{"answer":"Yes"}', { enum: ['yes', 'no'] })).toEqual([
      '/answer unwrap',
      'enum-case',
    ])
    expect(rulesOf('{"answer":4.50}', { type: 'string' })).toEqual([
      '/answer unwrap',
      'string-from-number',
    ])
    expect(rulesOf('{"person":42}', { type: 'integer' })).toEqual(['schema_mismatch'])
    expect(rulesOf('{"answer":null}', { minProperties: 2 })).toEqual(['schema_mismatch'])
  })

  it('is not the schema again', () => {
    const free = { type: 'object', properties: { a: {}, b: {} }, additionalProperties: false }
    const echo = '{"properties":{"a":{"type":"string"},"b":{"$ref":"#"}}}'
    expect(rulesOf(echo, free)).toEqual(['schema_mismatch'])
  })

  it('is left in a wrapper that the schema declares, also behind a reference', () => {
    const schema = {
      $ref: '#/$defs/own',
      $defs: {
        own: {
          type: 'object',
          properties: { id: { type: 'integer' }, data: { type: 'object' } },
          required: ['id'],
        },
      },
    }
    expect(rulesOf('{"data":{"id":7}}', schema)).toEqual(['schema_mismatch'])
    expect(rulesOf('{"result":{"id":7}}', schema)).toEqual(['/result unwrap'])
  })
})

describe('a list of one', () => {
  it.each<[string, object, string, unknown]>([
    ['in a property', { type: 'object', properties: { p: PERSON } }, `{"p":[${ada}]}`, { p: ADA }],
    [
      'in a union that has no list',
      { type: 'object', properties: { p: { anyOf: [PERSON, { type: 'null' }] } } },
      `{"p":[${ada}]}`,
      { p: ADA },
    ],
  ])('is its object: %s', (_, schema, text, value) => {
    expect(parseJson(text, schema)).toMatchObject({ ok: true, value })
  })

  it('stays a list where a branch takes lists', () => {
    const schema = { anyOf: [PERSON, { type: 'array', items: PERSON }] }
    expect(parseJson('[{"name":"Ada","age":"36"}]', schema)).toMatchObject({ value: [ADA] })
  })

  it('is refused where two branches take the object differently', () => {
    const branch = (type: string) => ({ type: 'object', properties: { a: { type } } })
    const schema = { anyOf: [branch('integer'), branch('boolean')] }
    expect(rulesOf('[{"a":"1"}]', schema)).toEqual(['unwrap-list', '/a number-from-string'])
    expect(rulesOf('[{}]', schema)).toEqual(['unwrap-list'])
    const alike = { anyOf: [branch('integer'), branch('string')] }
    expect(rulesOf('[{"a":[]}]', alike)).toEqual(['schema_mismatch'])
  })

  it('is refused for a text, a number or a boolean', () => {
    expect(rulesOf('["Ada"]', { type: 'string' })).toEqual(['schema_mismatch'])
    expect(rulesOf('[1]', { type: 'integer' })).toEqual(['schema_mismatch'])
  })
})

describe('a marker of the schema', () => {
  const point = {
    type: 'object',
    title: 'Point',
    properties: { x: { type: 'number' } },
    required: ['x'],
    additionalProperties: false,
  }

  it.each([
    ['the address of the schema', '{"$schema":"https://json-schema.org/draft-07/schema","x":1}'],
    ['a tag', '{"__typename":"Point","x":1}'],
    ['a tag in another case', '{"@type":"point","x":1}'],
    ['the title as a type', '{"type":"Point","x":1}'],
    ['a keyword of the schema', '{"x":1,"additionalProperties":false}'],
    ['two of them', '{"type":"object","_type":"Point","x":1}'],
  ])('is dropped: %s', (_, text) => {
    const result = parseJson(text, point)
    expect(result).toMatchObject({ ok: true, value: { x: 1 } })
    expect(result.ok && new Set(result.repairs.map(({ rule }) => rule))).toEqual(
      new Set(['drop-marker']),
    )
  })

  it.each([
    ['a tag of something else', '{"__typename":"Line","x":1}'],
    ['a type of something else', '{"type":"Line","x":1}'],
    ['a tag that is no text', '{"_type":{"a":1},"x":1}'],
    ['an empty tag', '{"_type":"","x":1}'],
    ['another value of a keyword', '{"required":["y"],"x":1}'],
    ['any other key', '{"kind":"Point","x":1}'],
  ])('is not %s', (_, text) => {
    expect(rulesOf(text, point)).toEqual(['schema_mismatch'])
  })

  it('has the name of a definition where there is no title', () => {
    const schema = {
      type: 'object',
      properties: { at: { $ref: '#/$defs/Point' } },
      $defs: {
        Point: {
          type: 'object',
          properties: { x: { type: 'number' } },
          additionalProperties: false,
        },
      },
    }
    expect(rulesOf('{"at":{"__typename":"Point","x":1}}', schema)).toEqual(['/at/* drop-marker'])
    expect(rulesOf('{"at":{"__typename":"Line","x":1}}', schema)).toEqual(['schema_mismatch'])
  })

  it('stays where the schema allows it', () => {
    const open = { ...point, additionalProperties: { type: 'string' } }
    expect(parseJson('{"__typename":"Point","x":"1"}', open)).toMatchObject({
      value: { __typename: 'Point', x: 1 },
    })
  })
})

describe('data of the JSON Schema Test Suite', () => {
  const TYPES = new Set(['number-from-string', 'string-from-number'])

  it('is decided at safe as AJV decides it, but for texts of numbers and numbers for texts', () => {
    const otherwise = schemaSuite().flatMap(({ draft, file, schema, tests }) =>
      tests
        .filter(({ data }) => !isAlike(JSON.stringify(data), schema))
        .map(({ description }) => `${draft} ${file}: ${description}`),
    )
    expect(otherwise).toEqual([])
  })

  function isAlike(text: string, schema: object): boolean {
    const strict = attempt(text, schema, 'off')
    const safe = attempt(text, schema, 'safe')
    if (strict === undefined || safe?.ok !== true) return strict?.ok !== true
    const { repairs } = safe
    return strict.ok ? repairs.length === 0 : repairs.every(({ rule }) => TYPES.has(rule))
  }

  /** Undefined for a schema that refers to others, which nobody gives here. */
  function attempt(text: string, schema: object, level: 'off' | 'safe') {
    try {
      return parseJson(text, schema, { level })
    } catch {
      return undefined
    }
  }
})
