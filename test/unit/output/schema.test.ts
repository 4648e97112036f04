import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileSchema } from '../../../src/output/schema.ts'

describe('compileSchema', () => {
  it('compiles one schema object once', () => {
    const schema = { type: 'object' }
    expect(compileSchema(schema)).toBe(compileSchema(schema))
    expect(compileSchema(compileSchema(schema))).toBe(compileSchema(schema))
  })

  it('is out of reach of later changes to the object', () => {
    const schema = { type: 'object', required: ['a'] }
    const compiled = compileSchema(schema)
    schema.required.push('b')
    expect(compiled.jsonSchema).toEqual({ type: 'object', required: ['a'] })
    expect(compiled.validate({ a: 1 })).toEqual([])
  })

  it.each([
    ['draft-07', 'http://json-schema.org/draft-07/schema#', { items: [{ type: 'number' }] }],
    ['draft-06', 'http://json-schema.org/draft-06/schema#', { items: [{ type: 'number' }] }],
    ['2019-09', 'https://json-schema.org/draft/2019-09/schema', { items: [{ type: 'number' }] }],
    [
      '2020-12',
      'https://json-schema.org/draft/2020-12/schema',
      { prefixItems: [{ type: 'number' }] },
    ],
    ['no $schema, as 2020-12', undefined, { prefixItems: [{ type: 'number' }] }],
    ['no $schema, as draft-07', undefined, { items: [{ type: 'number' }] }],
  ])('reads %s', (_, dialect, schema) => {
    const compiled = compileSchema(dialect === undefined ? schema : { $schema: dialect, ...schema })
    expect(compiled.validate([1])).toEqual([])
    expect(compiled.validate(['x'])).toEqual([
      { path: '/0', message: 'expected number, got a string' },
    ])
  })

  it('checks formats and ignores those it does not know', () => {
    const schema = compileSchema({ items: { anyOf: [{ format: 'date' }], format: 'postcode' } })
    expect(schema.validate(['2026-02-28'])).toEqual([])
    expect(schema.validate(['2026-02-31'])).toEqual([
      { path: '/0', message: 'must match format "date", such as 2027-03-01' },
    ])
  })

  it('takes two schemas with the same $id', () => {
    const $id = 'https://example.org/thing'
    expect(compileSchema({ $id, type: 'string' }).validate('x')).toEqual([])
    expect(compileSchema({ $id, type: 'number' }).validate(1)).toEqual([])
  })

  it('takes booleans', () => {
    expect(compileSchema(true).validate({ any: 'thing' })).toEqual([])
    expect(compileSchema(false).validate(1)).toHaveLength(1)
  })

  const circular: Record<string, unknown> = { type: 'object' }
  circular['not'] = circular
  let shared: Record<string, unknown> = { type: 'string' }
  for (let level = 0; level < 40; level++) shared = { anyOf: [shared, shared] }

  it.each([
    ['null', null, /got null/],
    ['a string', '{"type":"object"}', /got a string/],
    ['an array', [{ type: 'object' }], /got an array/],
    ['a function', () => ({}), /got a function/],
    ['an instance', new Map(), /an instance of a class/],
    ['fields without a schema around them', { name: z.string() }, /no JSON Schema keyword/],
    ['an unknown type', { type: 'text' }, /^schema: .*type/],
    ['a reference to nothing', { $ref: '#/$defs/x' }, /^schema: .*\$defs\/x/],
    ['a pattern that is none', { pattern: '(' }, /^schema: /],
    ['an unknown dialect', { $schema: 'https://example.org/mine' }, /is not supported/],
    ['an asynchronous schema', { $async: true, type: 'object' }, /\$async/],
    ['a circular object', circular, /100 levels/],
    ['an object shared without end', shared, /1 MiB/],
    ['a large schema', { enum: ['x'.repeat(1_100_000)] }, /1 MiB/],
    ['zod that JSON cannot say', z.object({ at: z.date() }), /zod cannot express it/],
    [
      'a Standard Schema without JSON Schema',
      { '~standard': { version: 1, vendor: 'valibot', validate: () => ({ value: 1 }) } },
      /toStandardJsonSchema/,
    ],
  ])('refuses %s, and says why', (_, schema, message) => {
    expect(() => compileSchema(schema)).toThrow(TypeError)
    expect(() => compileSchema(schema)).toThrow(message)
  })

  it('takes a function that is a Standard Schema', () => {
    const schema = Object.assign(() => undefined, {
      '~standard': {
        version: 1,
        vendor: 'arktype',
        jsonSchema: { input: () => ({ type: 'number' }) },
      },
    })
    expect(compileSchema(schema).validate('x')).toEqual([
      { path: '', message: 'expected number, got a string' },
    ])
  })

  it('falls back to draft-07 where the library knows no 2020-12', () => {
    const schema = {
      '~standard': {
        version: 1,
        vendor: 'old',
        jsonSchema: {
          input({ target }: { target: string }) {
            if (target !== 'draft-07') throw new Error(target)
            return { type: 'number' }
          },
        },
      },
    }
    expect(compileSchema(schema).jsonSchema).toEqual({ type: 'number' })
  })
})

describe('validate', () => {
  it.each([
    ['a type', { type: 'number' }, 'x', { path: '', message: 'expected number, got a string' }],
    [
      'a union of types',
      { anyOf: [{ type: 'number' }, { type: 'null' }] },
      'x',
      { path: '', message: 'expected number or null, got a string' },
    ],
    ['an enum', { enum: ['a', 1] }, 'secret', { path: '', message: 'expected one of "a", 1' }],
    ['a constant', { const: 'a' }, 'secret', { path: '', message: 'expected exactly "a"' }],
    [
      'a missing property',
      { required: ['a'] },
      {},
      { path: '', message: 'missing required property "a"' },
    ],
    [
      'an undeclared property',
      { properties: { a: { additionalProperties: false } } },
      { a: { secret: 1 } },
      { path: '/a', message: 'has a property that the schema does not declare' },
    ],
    [
      'a bound',
      { properties: { 'a/b': { minimum: 3 } } },
      { 'a/b': 2 },
      { path: '/a~1b', message: 'must be >= 3' },
    ],
    ['a pattern', { pattern: '^a' }, 'secret', { path: '', message: 'must match pattern "^a"' }],
    [
      'two branches that both match',
      { oneOf: [{ type: 'number' }, { type: 'integer' }] },
      1,
      { path: '', message: 'matches more than one of the alternatives, expected exactly one' },
    ],
  ])('says what was expected, and never quotes the answer: %s', (_, schema, value, issue) => {
    expect(compileSchema(schema).validate(value)).toEqual([issue])
  })

  it('lists at most twelve issues', () => {
    const schema = compileSchema({ items: { type: 'number' } })
    expect(schema.validate(Array.from({ length: 40 }, () => 'x'))).toHaveLength(12)
  })

  it('stays quick where a union contains itself, also on valid values', () => {
    const node = (op: string) => ({
      type: 'object',
      properties: { op: { const: op }, of: { $ref: '#' } },
      required: ['op'],
    })
    const schema = compileSchema({ anyOf: ['a', 'b', 'c', 'd', 'e', 'f'].map(node) })
    let valid: object = { op: 'f' }
    let invalid: object = { op: 'z' }
    for (let level = 0; level < 60; level++) {
      valid = { op: 'f', of: valid }
      invalid = { op: 'f', of: invalid }
    }
    expect(schema.validate(valid)).toEqual([])
    expect(schema.validate(invalid)).not.toEqual([])
  })
})

describe('finish', () => {
  it('gives a plain value back', async () => {
    const value = { a: 1 }
    expect(await compileSchema({ type: 'object' }).finish(value)).toEqual({ ok: true, value })
  })

  it('awaits the transforms of a Standard Schema', async () => {
    const schema = compileSchema(z.object({ n: z.string().transform(async (n) => Number(n)) }))
    expect(await schema.finish({ n: '3' })).toEqual({ ok: true, value: { n: 3 } })
  })

  it('gives the issues of its refinements', async () => {
    const schema = compileSchema(z.object({ a: z.array(z.number().refine(() => false, 'no')) }))
    expect(await schema.finish({ a: [1] })).toEqual({
      ok: false,
      issues: [{ path: '/a/0', message: 'no' }],
    })
  })
})
