import { describe, expect, it } from 'vitest'
import { compileSchema } from '../../../src/output/schema.ts'

const object = (properties: object, more: object = {}) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
})
const string = { type: 'string' }
const cat = object({ kind: { const: 'cat' }, lives: { type: 'integer' } })
const dog = object({ kind: { const: 'dog' }, tricks: { type: 'array', items: string } })
const at = (schema: object, value: unknown, more: object = {}) =>
  compileSchema(object({ a: schema }, more))
    .validate({ a: value })
    .map(({ path, message }) => `${path} ${message}`)

describe('what is wrong with a value of a union', () => {
  it.each([
    [
      'a union within another',
      { anyOf: [{ anyOf: [string, { type: 'number' }] }, { type: 'null' }] },
    ],
    ['a union of one', { anyOf: [{ anyOf: [string] }] }],
    ['a oneOf', { oneOf: [{ oneOf: [string, { type: 'null' }] }] }],
    ['a reference', { anyOf: [{ $ref: '#/$defs/text' }, { type: 'null' }] }],
  ])('is said where no branch is for its type: %s', (_, schema) => {
    const more = { $defs: { text: { anyOf: [string, { type: 'number' }] } } }
    expect(at(schema, [], more)).not.toEqual([])
    expect(at(schema, {}, more)).not.toEqual([])
  })

  it.each<[string, object, unknown, readonly string[]]>([
    [
      'is said of the branch that its discriminator names',
      { oneOf: [cat, dog] },
      { kind: 'dog', tricks: 'sit' },
      ['/a/tricks expected array, got a string'],
    ],
    [
      'is its discriminator, where no branch has that one',
      { anyOf: [cat, dog] },
      { kind: 'cow', milk: 3 },
      ['/a/kind expected one of "cat", "dog"'],
    ],
    [
      'is said of the branch with the fewest problems, where there is no discriminator',
      { anyOf: [object({ a: string, b: string, c: string }), object({ a: string, d: string })] },
      { a: 'x' },
      ['/a missing required property "d"'],
    ],
    [
      'is said of the one branch of its type',
      { anyOf: [{ type: 'null' }, cat] },
      { kind: 'cat', lives: 'nine' },
      ['/a/lives expected integer, got a string'],
    ],
    [
      'is its type, where no branch has that one',
      { anyOf: [string, { type: 'number' }, { type: 'null' }] },
      {},
      ['/a expected string or number or null, got an object'],
    ],
    [
      'is said of a union in a union',
      { anyOf: [{ type: 'null' }, { oneOf: [cat, { anyOf: [dog, string] }] }] },
      { kind: 'dog', tricks: [1] },
      ['/a/tricks/0 expected string, got a number'],
    ],
  ])('%s', (_, schema, value, expected) => {
    expect(at(schema, value)).toEqual(expected)
    const shared = { $defs: { 'the/union ~%é': schema } }
    expect(at({ $ref: '#/$defs/the~1union%20~0%25%C3%A9' }, value, shared)).toEqual(expected)
  })

  it('does not hide what is wrong beside it', () => {
    const schema = object(
      { a: { anyOf: [cat, dog], minProperties: 5 }, b: string },
      { required: ['a', 'b'] },
    )
    const issues = compileSchema(schema).validate({ a: { kind: 'dog', tricks: 1 } })
    expect(issues.map(({ path }) => path).sort()).toEqual(['', '/a', '/a/tricks'])
  })

  it('leaves room for the rest, however many branches there are', () => {
    const branches = Array.from({ length: 30 }, (_, index) =>
      object({ kind: { const: index }, x: string, y: string, z: string }),
    )
    const schema = object({ a: { anyOf: branches }, b: string })
    const issues = compileSchema(schema).validate({ a: { kind: 29, x: '1', y: '2', z: 3 }, b: 4 })
    expect(issues.map(({ path }) => path)).toEqual(['/a/z', '/b'])
  })

  it('is found in a tree of unions, in a time that does not double with its depth', () => {
    const node = {
      anyOf: [object({ leaf: string }), object({ one: { $ref: '#' }, two: { $ref: '#' } })],
    }
    const tree = (depth: number): object =>
      depth === 0 ? { leaf: 7 } : { one: tree(depth - 1), two: { leaf: 'x' } }
    // Doubled sixty times, it would not end.
    const issues = compileSchema(node).validate(tree(60))
    expect(issues.length).toBeGreaterThan(0)
    expect(issues.length).toBeLessThanOrEqual(12)
  })
})
