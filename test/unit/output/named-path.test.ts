import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { SchemaNames } from '../../../src/output/named-path.ts'
import { parseJson } from '../../../src/output/parse-json.ts'

const number = { type: 'number' }
const NODE = {
  $defs: {
    node: {
      $anchor: 'node',
      type: 'object',
      properties: { value: number, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
      additionalProperties: { $ref: '#node' },
    },
  },
  $ref: '#/$defs/node',
}

describe('a path names', () => {
  it.each<[string, object, string, unknown, string]>([
    ['a declared property', { properties: { a: number } }, '/a', { a: 1 }, '/a'],
    ['a required one', { required: ['a'] }, '/a', { a: 1 }, '/a'],
    ['no other', { properties: { a: number } }, '/Ada', { Ada: 1 }, '/*'],
    [
      'no property elsewhere in the schema',
      { properties: { a: { properties: { b: {} } } } },
      '/b',
      { b: 1 },
      '/*',
    ],
    [
      'no property that a pattern takes',
      { patternProperties: { '^A': number } },
      '/Ada',
      { Ada: 1 },
      '/*',
    ],
    [
      'what is declared below a key of a map',
      { additionalProperties: { properties: { a: number } } },
      '/Ada/a',
      { Ada: { a: 1 } },
      '/*/a',
    ],
    ['an index of a list', { items: number }, '/12', Array(13).fill(1), '/12'],
    ['an index of a list that the schema does not know', {}, '/0/0', [[1]], '/0/0'],
    [
      'no key of digits',
      { additionalProperties: number },
      '/4111111111111111',
      { '4111111111111111': 1 },
      '/*',
    ],
    [
      'no key of digits below a list',
      { items: {} },
      '/0/378282246310005',
      [{ '378282246310005': 1 }],
      '/0/*',
    ],
    [
      'no key that is inherited',
      { properties: { a: number } },
      '/constructor',
      { constructor: 1 },
      '/*',
    ],
    [
      'a property of a branch',
      { anyOf: [{ properties: { a: number } }, { type: 'null' }] },
      '/a',
      { a: 1 },
      '/a',
    ],
    [
      'a property of a condition',
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      { if: { properties: { a: {} } }, then: { properties: { b: number } } },
      '/b',
      { b: 1 },
      '/b',
    ],
    [
      'a property that another one asks for',
      { dependentRequired: { a: ['b'] } },
      '/b',
      { b: 1 },
      '/b',
    ],
    [
      'a property of a dependent schema',
      { dependentSchemas: { a: { properties: { b: number } } } },
      '/b',
      { b: 1 },
      '/b',
    ],
    [
      'a listed name of a record',
      { propertyNames: { enum: ['a', 'b'] }, additionalProperties: number },
      '/b',
      { b: 1 },
      '/b',
    ],
    [
      'what is declared through references, however deep',
      NODE,
      '/next/next/value',
      { next: { next: { value: 1 } } },
      '/next/next/value',
    ],
    [
      'what is declared through anchors',
      NODE,
      '/Ada/next/Bob/value',
      { Ada: { next: { Bob: { value: 1 } } } },
      '/*/next/*/value',
    ],
    [
      'what is declared by draft-07',
      { definitions: { p: { properties: { a: number } } }, items: [{ $ref: '#/definitions/p' }] },
      '/0/a',
      [{ a: 1 }],
      '/0/a',
    ],
    [
      'a property with a slash, a tilde or a star',
      { properties: { 'a/b~c': { properties: { '*': number } } } },
      '/a~1b~0c/*',
      { 'a/b~c': { '*': 1 } },
      '/a~1b~0c/*',
    ],
    ['nothing of a key with a slash', {}, '/Ada~1Bob', { 'Ada/Bob': 1 }, '/*'],
  ])('%s', (_, schema, path, value, expected) => {
    expect(new SchemaNames(schema).path(path, value)).toBe(expected)
  })

  it('what it can of a schema that refers to itself in every way', () => {
    const all = { $ref: '#', anyOf: [{ $ref: '#' }], allOf: [{ $ref: '#/anyOf/0' }] }
    const path = '/a'.repeat(2_000)
    expect(new SchemaNames({ ...all, additionalProperties: all }).path(path, {})).toBe(
      '/*'.repeat(2_000),
    )
  })
})

describe('what parseJson returns names nothing that the schema does not', () => {
  const amounts = { type: 'object', additionalProperties: number }

  it('in repairs', () => {
    expect(parseJson('{"Ada Lovelace":"5"}', amounts)).toEqual({
      ok: true,
      value: { 'Ada Lovelace': 5 },
      repairs: [{ path: '/*', rule: 'number-from-string' }],
    })
  })

  it('in the repair that took a wrapper away, but for the usual names', () => {
    const closed = { properties: { a: number }, required: ['a'], additionalProperties: false }
    const rulesOf = (text: string) => parseJson(text, closed)
    expect(rulesOf('{"person":{"a":1}}')).toMatchObject({
      repairs: [{ path: '/*', rule: 'unwrap' }],
    })
    expect(rulesOf('{"data":{"a":1}}')).toMatchObject({
      repairs: [{ path: '/data', rule: 'unwrap' }],
    })
  })

  it('in issues and their messages', () => {
    const schema = {
      type: 'object',
      properties: { kind: { enum: ['cat', 'dog'] }, list: { uniqueItems: true } },
      additionalProperties: { type: 'number', multipleOf: 5 },
      propertyNames: { maxLength: 8 },
      dependentRequired: { kind: ['list'] },
    }
    const text = '{"kind":"Ada","Ada":"Ada","Bobby McGee":3,"4111":[]}'
    const result = parseJson(text, schema)
    expect(JSON.stringify(result)).not.toMatch(/Ada|Bob|4111/)
    expect(result).toMatchObject({ ok: false, kind: 'schema_mismatch' })
  })

  it('in the paths of a Standard Schema', () => {
    const schema = z.record(
      z.string(),
      z.string().refine((text) => text !== 'no'),
    )
    expect(parseJson('{"Ada":"no"}', schema)).toMatchObject({ issues: [{ path: '/*' }] })
  })
})
