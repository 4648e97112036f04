import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { describe, expect, it } from 'vitest'
import { exampleValue } from '../../../src/testing/index.ts'

const ajv = new Ajv2020({ strict: false })
addFormats.default(ajv)

describe('exampleValue', () => {
  it.each([
    [
      'required properties only',
      { properties: { a: { type: 'null' }, b: {} }, required: ['a'] },
      { a: null },
    ],
    ['a required property without a schema', { type: 'object', required: ['x'] }, { x: {} }],
    ['const', { const: 'v2' }, 'v2'],
    ['the first of an enum', { type: 'string', enum: ['red', 'green'] }, 'red'],
    ['an example before a pattern', { type: 'string', pattern: '^A', examples: ['A1'] }, 'A1'],
    ['a default', { type: 'integer', default: 7 }, 7],
    ['a type list', { type: ['string', 'null'] }, 'text'],
    ['an empty list', { type: 'array', items: { type: 'string' } }, []],
    [
      'a list as short as allowed',
      { type: 'array', minItems: 2, items: { type: 'boolean' } },
      [true, true],
    ],
    [
      'prefixItems',
      { type: 'array', minItems: 2, prefixItems: [{ const: 'a' }], items: { const: 1 } },
      ['a', 1],
    ],
    ['maxLength', { type: 'string', maxLength: 2 }, 'te'],
    ['minLength', { type: 'string', minLength: 6 }, 'text..'],
    ['a format', { type: 'string', format: 'date-time' }, '2024-01-31T12:00:00Z'],
    ['a minimum', { type: 'integer', minimum: 18 }, 18],
    ['a maximum', { type: 'number', maximum: -2 }, -2],
    [
      'exclusive bounds of integers',
      { type: 'integer', exclusiveMinimum: 4, exclusiveMaximum: 6 },
      5,
    ],
    [
      'exclusive bounds of numbers',
      { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
      0.5,
    ],
    ['multipleOf', { type: 'integer', minimum: 10, multipleOf: 8 }, 16],
    ['anyOf', { anyOf: [{ type: 'string', pattern: 'x' }, { type: 'null' }] }, null],
    [
      'allOf',
      {
        allOf: [
          { properties: { a: { const: 1 } }, required: ['a'] },
          { properties: { b: { const: 2 } }, required: ['b'] },
        ],
      },
      { a: 1, b: 2 },
    ],
    ['a reference', { $ref: '#/$defs/a~1b', $defs: { 'a/b': { const: 3 } } }, 3],
    [
      'a list of itself',
      {
        type: 'object',
        properties: { children: { anyOf: [{ $ref: '#' }, { type: 'null' }] } },
        required: ['children'],
      },
      { children: { children: null } },
    ],
  ])('knows %s', (_case, schema, expected) => {
    const value = exampleValue(schema)
    expect(value).toEqual(expected)
    expect(ajv.validate(schema, value), ajv.errorsText()).toBe(true)
  })

  it.each([
    ['a pattern', { type: 'string', pattern: '^[A-Z]{3}$' }, 'pattern is not supported'],
    ['unique items', { type: 'array', minItems: 2, uniqueItems: true }, 'uniqueItems'],
    [
      'a recursion without end',
      { properties: { me: { $ref: '#' } }, required: ['me'] },
      'requires itself',
    ],
    ['bounds that leave nothing', { type: 'integer', minimum: 2, maximum: 1 }, 'no number'],
    ['a reference elsewhere', { $ref: 'https://example.com/schema' }, 'not a reference within'],
    ['a missing definition', { $ref: '#/$defs/none' }, '#/$defs/none is not in the schema'],
    ['false', false, 'a schema is an object or true'],
    ['no schema at all', undefined, 'a schema is an object or true'],
    ['a huge list', { type: 'array', minItems: 1e9 }, 'minItems is above 10000'],
  ])('refuses %s instead of an invalid value', (_case, schema, message) => {
    expect(() => exampleValue(schema)).toThrow(message)
  })

  it('stops at a schema that doubles its value at every level', () => {
    const $defs: Record<string, unknown> = { d0: { const: 1 } }
    for (let level = 1; level <= 40; level++) {
      const below = { $ref: `#/$defs/d${level - 1}` }
      $defs[`d${level}`] = { type: 'array', minItems: 2, items: below }
    }
    expect(() => exampleValue({ $ref: '#/$defs/d40', $defs })).toThrow('more than 10000 parts')
  })

  it('keeps a property named __proto__ a property', () => {
    const schema = JSON.parse('{"properties":{"__proto__":{"const":1}},"required":["__proto__"]}')
    expect(JSON.stringify(exampleValue(schema))).toBe('{"__proto__":1}')
  })
})
