import { describe, expect, it } from 'vitest'
import { strictSchema } from '../../../src/output/strict-schema.ts'

const string = { type: 'string' }
const closed = (properties: object, more: object = {}) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
})
// A written-out `then` looks like a promise's to the linter.
const whenAThen = (name: string): object =>
  JSON.parse(`{"if":{"required":["a"]},"then":{"required":["${name}"]}}`)
const list = (count: number, length: number) =>
  Array.from({ length: count }, (_, index) => String(index).padStart(length, 'x'))

describe('strictSchema', () => {
  it.each<[string, object, object]>([
    [
      'members of several types',
      closed({ a: { enum: ['x', 1, true, null] }, b: { const: null } }),
      closed({
        a: { type: ['string', 'number', 'boolean', 'null'], enum: ['x', 1, true, null] },
        b: { type: 'null', const: null },
      }),
    ],
    [
      'conditions on properties that are declared',
      closed({ a: string, b: string }, whenAThen('b')),
      closed({ a: string, b: string }),
    ],
    [
      'a reference into what stays in its place',
      closed({ a: closed({ b: string }), c: { $ref: '#/properties/a/properties/b' } }),
      closed({ a: closed({ b: string }), c: { $ref: '#/properties/a/properties/b' } }),
    ],
  ])('takes %s', (_, schema, sent) => {
    expect(strictSchema(schema)?.schema).toEqual(sent)
  })

  it.each<[string, object]>([
    [
      'a required property that is not declared',
      { type: 'object', properties: { a: string }, required: ['a', 'b'] },
    ],
    ['a condition that asks for one', closed({ a: string }, whenAThen('z'))],
    [
      'a dependent schema that has one',
      closed({ a: string }, { dependentSchemas: { a: { properties: { z: string } } } }),
    ],
    ['properties that depend on one', closed({ a: string }, { dependentRequired: { a: ['z'] } })],
    [
      'further properties, where it says so',
      { type: 'object', properties: { a: string }, required: ['a'], additionalProperties: true },
    ],
    [
      'a reference to what strict mode moves: an optional property may be null',
      {
        type: 'object',
        properties: { a: closed({ b: string }), c: { $ref: '#/properties/a/properties/b' } },
      },
    ],
    [
      'a reference into oneOf',
      closed({
        a: { oneOf: [closed({ b: string }), string] },
        c: { $ref: '#/properties/a/oneOf/0' },
      }),
    ],
    ['an anchor', closed({ a: { $ref: '#x' } }, { $defs: { x: { $anchor: 'x', ...string } } })],
    ['a $defs inside', closed({ a: { $ref: '#/$defs/x/$defs/y' } }, { $defs: { x: string } })],
    ['more enum values than it takes', closed({ a: { ...string, enum: list(1_001, 4) } })],
    ['a long enum of long values', closed({ a: { ...string, enum: list(251, 60) } })],
    [
      'names and values of more characters than it takes in all',
      closed(Object.fromEntries(list(1_000, 121).map((name) => [name, string]))),
    ],
  ])('leaves alone %s', (_, schema) => {
    expect(strictSchema(schema)).toBeUndefined()
  })

  it('takes as many and as long ones as the documentation says', () => {
    for (const schema of [
      closed({ a: { ...string, enum: list(1_000, 15) } }),
      closed({ a: { ...string, enum: list(250, 400) } }),
      closed(Object.fromEntries(list(1_000, 120).map((name) => [name, string]))),
    ]) {
      expect(strictSchema(schema)).toBeDefined()
    }
  })
})
