import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import Type from 'typebox'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import * as mini from 'zod/mini'
import { z as zod3 } from 'zod/v3'
import { compileSchema } from '../../../src/output/schema.ts'
import { ask, rejection, setUp } from '../../support/set-up.ts'

function refusal(schema: unknown): string {
  try {
    compileSchema(schema)
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return error instanceof Error ? error.message : 'no error'
  }
  return 'accepted'
}

const zodDate =
  'JSON holds a date as text: z.iso.datetime() keeps it as a string, z.iso.datetime().transform((text) => new Date(text)) or a z.codec makes it a Date.'
const valibotDate =
  'JSON holds a date as text: v.pipe(v.string(), v.isoTimestamp()) keeps it as a string, v.transform((text) => new Date(text)) at its end makes it a Date.'
const typeBoxDate =
  "JSON holds a date as text: { type: 'string', format: 'date-time' }, in TypeBox Type.String({ format: 'date-time' })."

describe('what no JSON can hold', () => {
  it.each<[string, unknown, string, string]>([
    [
      'z.date()',
      z.object({ at: z.object({ when: z.date() }) }),
      '/properties/at/properties/when',
      zodDate,
    ],
    ['z.coerce.date()', z.object({ when: z.coerce.date() }), '/properties/when', zodDate],
    ['z.date() in a list', z.array(z.date().optional()), '/items', zodDate],
    [
      'z.date() as an alternative',
      z.object({ a: z.union([z.string(), z.date()]) }),
      '/properties/a/anyOf/1',
      zodDate,
    ],
    ['z.date() alone', z.date(), '/', zodDate],
    [
      'z.bigint()',
      z.object({ id: z.bigint() }),
      '/properties/id',
      'JSON holds such a number as text: z.string().regex(/^-?\\d+$/).transform(BigInt).',
    ],
    [
      'z.map()',
      z.object({ by: z.map(z.string(), z.string()) }),
      '/properties/by',
      'JSON has objects: z.record(…).transform((record) => new Map(Object.entries(record))).',
    ],
    [
      'z.set()',
      z.set(z.string()),
      '/',
      'JSON has arrays: z.array(…).transform((items) => new Set(items)).',
    ],
    [
      'z.custom()',
      z.object({ a: z.custom<string>() }),
      '/properties/a',
      "Describe what JSON holds there and transform it, such as z.string().transform(…), or pass z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).",
    ],
    [
      'v.date()',
      toStandardJsonSchema(v.object({ at: v.object({ when: v.optional(v.date()) }) })),
      '/properties/at/properties/when',
      valibotDate,
    ],
    [
      'v.bigint()',
      toStandardJsonSchema(v.object({ ids: v.array(v.bigint()) })),
      '/properties/ids/items',
      'JSON holds such a number as text: v.pipe(v.string(), v.regex(/^-?\\d+$/), v.transform(BigInt)).',
    ],
    [
      'Date of ArkType',
      type({ at: { when: 'Date' } }),
      '/properties/at/properties/when',
      "Describe what JSON holds there and morph it, such as 'string.date.iso.parse' for a Date, or type('string').pipe(BigInt).",
    ],
    [
      'bigint of ArkType',
      type({ ids: 'bigint[]' }),
      '/properties/ids/items',
      "Describe what JSON holds there and morph it, such as 'string.date.iso.parse' for a Date, or type('string').pipe(BigInt).",
    ],
  ])('%s is refused with its path and what to write', (_, schema, path, instead) => {
    expect(refusal(schema)).toMatch(
      /^schema: (zod|valibot|arktype) cannot express it as JSON Schema/,
    )
    expect(refusal(schema)).toContain(` (at ${path}). ${instead}`)
  })

  it.each<[string, unknown, string]>([
    ['Type.BigInt()', Type.Object({ id: Type.BigInt() }), "at /properties/id, 'bigint'"],
    [
      "@sinclair/typebox's Type.Date()",
      { type: 'object', properties: { when: { type: 'Date', [Symbol('kind')]: 'Date' } } },
      `at /properties/when, 'Date' is not a JSON Schema type. ${typeBoxDate}`,
    ],
    [
      'such a type at the root',
      { type: 'Date' },
      `at /, 'Date' is not a JSON Schema type. ${typeBoxDate}`,
    ],
    [
      'such a type among others',
      { type: ['null', 'Date'] },
      "at /, 'Date' is not a JSON Schema type",
    ],
    [
      'in a list',
      { items: { type: 'Uint8Array' } },
      "at /items, 'Uint8Array' is not a JSON Schema type",
    ],
    [
      'a slip of the pen',
      { type: 'object', properties: { a: { type: 'strin' } } },
      "at /properties/a, 'strin' is not a JSON Schema type. Its types are string, number, integer, boolean, object, array, null.",
    ],
  ])('%s is refused with its path and what to write', (_, schema, said) => {
    expect(refusal(schema)).toContain(`schema: ${said}`)
  })

  it('is not looked for in names and values that only look like it', () => {
    const properties = { type: { type: 'string' }, default: { enum: [{ type: 'Date' }] } }
    expect(refusal({ type: 'object', properties })).toBe('accepted')
    expect(refusal({ type: 'object', properties, required: 'x' })).not.toContain(
      'is not a JSON Schema type',
    )
  })

  it('is refused before any request', async () => {
    const { llm, server } = await setUp()
    const error = await rejection(llm.json({ ...ask('when?'), schema: z.object({ at: z.date() }) }))
    expect(String(error)).toContain(`(at /properties/at). ${zodDate}`)
    expect(server.count).toBe(0)
  })
})

describe('what a library offers instead', () => {
  it.each<[string, unknown]>([
    ['zod: a transform', z.object({ at: z.iso.datetime().transform((text) => new Date(text)) })],
    [
      'zod: a codec',
      z.object({
        at: z.codec(z.iso.datetime(), z.date(), {
          decode: (text) => new Date(text),
          encode: (date) => date.toISOString(),
        }),
      }),
    ],
    [
      'zod: a big integer',
      z.object({
        at: z
          .string()
          .regex(/^-?\d+$/)
          .transform(BigInt),
      }),
    ],
    [
      'Valibot: a transform',
      toStandardJsonSchema(
        v.object({
          at: v.pipe(
            v.string(),
            v.isoTimestamp(),
            v.transform((text) => new Date(text)),
          ),
        }),
      ),
    ],
    ['ArkType: a morph', type({ at: 'string.date.iso.parse' })],
    ['ArkType: a date as an alternative', type({ at: 'string | Date' })],
    [
      'ArkType: instances beside JSON',
      type({ at: 'string', 'list?': 'string[]', 'any?': 'object' }),
    ],
    ['TypeBox: text with a format', Type.Object({ at: Type.String({ format: 'date-time' }) })],
    [
      'zod/mini: its JSON Schema',
      mini.toJSONSchema(mini.object({ at: mini.string() }), { io: 'input' }),
    ],
    [
      'zod: an open part',
      z.toJSONSchema(z.object({ at: z.custom<string>() }), { io: 'input', unrepresentable: 'any' }),
    ],
  ])('%s is taken', (_, schema) => {
    expect(refusal(schema)).toBe('accepted')
  })
})

describe('a schema that gives no JSON Schema by itself', () => {
  it.each<[string, unknown, string]>([
    [
      'zod/mini',
      mini.object({ a: mini.string() }),
      "this schema is one of zod/mini, which gives no JSON Schema by itself: pass z.toJSONSchema(schema), with { io: 'input' } where it transforms or has defaults. Or write it with zod, 4.2 or later.",
    ],
    [
      'zod 3',
      zod3.object({ a: zod3.string() }),
      "this schema is one of zod 3, which gives no JSON Schema. Use zod 4.2 or later (from 'zod', not 'zod/v3'), or pass a JSON Schema.",
    ],
    [
      'zod 4.1',
      { _def: {}, _zod: {}, '~standard': { vendor: 'zod', version: 1, validate: () => ({}) } },
      "this schema is one of zod 4.0 or 4.1, which gives no JSON Schema by itself. Use zod 4.2 or later, or pass z.toJSONSchema(schema), with { io: 'input' } where it transforms or has defaults.",
    ],
    [
      'plain Valibot',
      v.object({ a: v.string() }),
      'this valibot schema gives no JSON Schema by itself. Wrap it: toStandardJsonSchema(schema) of @valibot/to-json-schema.',
    ],
    [
      'any other library',
      { '~standard': { vendor: 'yup', version: 1, validate: () => ({}) } },
      'this yup schema gives no JSON Schema (Standard JSON Schema). Use a version of the library whose schemas do, or pass a JSON Schema.',
    ],
  ])('of %s is told what to do', (_, schema, said) => {
    expect(refusal(schema)).toBe(`schema: ${said}`)
  })
})
