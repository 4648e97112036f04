import { describe, expect, it } from 'vitest'
import { responseFormatFor } from '../../../src/output/response-format.ts'
import { compileSchema } from '../../../src/output/schema.ts'

const CLOSED = {
  type: 'object',
  properties: { a: { type: 'string' }, b: { type: ['number', 'null'] } },
  required: ['a', 'b'],
  additionalProperties: false,
}

describe('responseFormatFor', () => {
  it('sends the schema without its dialect', () => {
    const schema = compileSchema({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      title: 'A person',
      ...CLOSED,
    })
    expect(responseFormatFor(schema)).toEqual({
      type: 'json_schema',
      json_schema: { name: 'A_person', schema: { title: 'A person', ...CLOSED }, strict: true },
    })
  })

  it.each([
    ['given', 'the person!', 'the_person_'],
    ['absent', undefined, 'answer'],
    ['too long', 'x'.repeat(80), 'x'.repeat(64)],
  ])('makes a name the provider takes of one that is %s', (_, name, expected) => {
    expect(responseFormatFor(compileSchema(CLOSED), name).json_schema.name).toBe(expected)
  })

  it.each([
    ['closed objects', CLOSED, true],
    [
      'nested closed objects',
      { ...CLOSED, properties: { a: CLOSED, b: { type: 'array', items: CLOSED } } },
      true,
    ],
    [
      'references',
      { ...CLOSED, properties: { a: { $ref: '#/$defs/x' }, b: {} }, $defs: { x: CLOSED } },
      true,
    ],
    ['an optional property', { ...CLOSED, required: ['a'] }, false],
    ['an open object', { type: 'object', properties: {}, required: [] }, false],
    ['an open object inside', { ...CLOSED, properties: { a: { type: 'object' }, b: {} } }, false],
    ['an unsupported keyword', { ...CLOSED, properties: { a: { minLength: 1 }, b: {} } }, false],
    [
      'a format it does not know',
      { ...CLOSED, properties: { a: { format: 'uri' }, b: {} } },
      false,
    ],
    ['a root that is no object', { type: 'array', items: CLOSED }, false],
  ])('is strict only where strict mode takes the schema: %s', (_, schema, strict) => {
    expect(responseFormatFor(compileSchema(schema)).json_schema.strict).toBe(strict)
  })
})
