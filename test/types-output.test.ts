import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import Type from 'typebox'
import * as v from 'valibot'
import { describe, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import * as mini from 'zod/mini'
import { z as zod3 } from 'zod/v3'
import type { InferSchema, SchemaInput } from '../src/output/infer.ts'
import { parseJson } from '../src/output/parse-json.ts'
import { compileSchema } from '../src/output/schema.ts'

// A stand-in of the shape that infers: what it returns is never read.
function json<const S extends SchemaInput>(_params: { schema: S }): { value?: InferSchema<S> } {
  return {}
}

type ValueOf<R extends { value?: unknown }> = Exclude<R['value'], undefined>

describe('the type of an answer', () => {
  it('is the output of a zod schema', () => {
    const result = json({
      schema: z.object({
        size: z.string().transform(Number),
        colour: z.string().default('red'),
        tags: z.array(z.array(z.string())),
        note: z.string().nullable().optional(),
      }),
    })
    expectTypeOf<ValueOf<typeof result>>().toEqualTypeOf<{
      size: number
      colour: string
      tags: string[][]
      note?: string | null | undefined
    }>()
  })

  it('is the output of a Valibot schema', () => {
    const result = json({
      schema: toStandardJsonSchema(
        v.object({ size: v.pipe(v.string(), v.transform(Number)), note: v.optional(v.string()) }),
      ),
    })
    expectTypeOf<ValueOf<typeof result>>().toEqualTypeOf<{
      size: number
      note?: string | undefined
    }>()
  })

  it('is the output of an ArkType type', () => {
    const result = json({
      schema: type({ size: type('string').pipe((text) => text.length), 'note?': 'string' }),
    })
    expectTypeOf<ValueOf<typeof result>>().toEqualTypeOf<{ size: number; note?: string }>()
  })

  it('is what a TypeBox schema describes', () => {
    const result = json({
      schema: Type.Object({
        size: Type.Number(),
        colour: Type.Union([Type.Literal('red'), Type.Literal('blue')]),
        note: Type.Optional(Type.String()),
      }),
    })
    expectTypeOf<ValueOf<typeof result>['size']>().toEqualTypeOf<number>()
    expectTypeOf<ValueOf<typeof result>['colour']>().toEqualTypeOf<'red' | 'blue'>()
    expectTypeOf<ValueOf<typeof result>['note']>().toEqualTypeOf<string | undefined>()
  })

  it('is what a literal JSON Schema describes, without as const', () => {
    const result = json({
      schema: {
        type: 'object',
        properties: {
          name: { type: 'string' },
          mood: { enum: ['happy', 'sad'] },
          age: { type: ['integer', 'null'] },
          grid: { type: 'array', items: { type: 'array', items: { type: 'number' } } },
        },
        required: ['name', 'grid'],
        additionalProperties: false,
      },
    })
    expectTypeOf<ValueOf<typeof result>>().toEqualTypeOf<{
      name: string
      mood?: 'happy' | 'sad'
      age?: number | null
      grid: number[][]
    }>()
  })

  it('follows references inside the schema', () => {
    const result = json({
      schema: {
        type: 'object',
        properties: { home: { $ref: '#/$defs/city' } },
        required: ['home'],
        additionalProperties: false,
        $defs: { city: { type: 'string', enum: ['Ulm', 'Bonn'] } },
      },
    })
    expectTypeOf<ValueOf<typeof result>>().toEqualTypeOf<{ home: 'Ulm' | 'Bonn' }>()
  })

  it('is not to be had of a schema that gives no JSON Schema: the compiler refuses it', () => {
    // @ts-expect-error Valibot needs toStandardJsonSchema
    json({ schema: v.object({ name: v.string() }) })
    // @ts-expect-error zod/mini needs z.toJSONSchema
    json({ schema: mini.object({ name: mini.string() }) })
    // @ts-expect-error zod 3 has none
    json({ schema: zod3.object({ name: zod3.string() }) })
    // @ts-expect-error a function is no schema
    json({ schema: () => ({}) })
  })

  it('is the output of what zod/mini makes a JSON Schema of', () => {
    const result = json({ schema: mini.toJSONSchema(mini.object({ name: mini.string() })) })
    expectTypeOf<ValueOf<typeof result>>().toEqualTypeOf<{ name: string }>()
  })

  it('goes through functions of the caller, whatever schema they are given', () => {
    const ask = <S extends SchemaInput>(schema: S) => json({ schema })
    const result = ask(z.object({ name: z.string() }))
    expectTypeOf<ValueOf<typeof result>>().toEqualTypeOf<{ name: string }>()
  })

  it('is unknown for a TypeBox schema that refers to itself by name', () => {
    const node = Type.Object({ next: Type.Array(Type.Ref('Node')) })
    const result = json({ schema: Type.Cyclic({ Node: node }, 'Node') })
    expectTypeOf<ValueOf<typeof result>>().toBeUnknown()
  })

  it('is unknown for a schema from a variable', () => {
    const inferred = { type: 'object', properties: { a: { type: 'string' } } }
    const opaque: object = inferred
    const record: Record<string, unknown> = inferred
    expectTypeOf<InferSchema<typeof inferred>>().toBeUnknown()
    expectTypeOf<InferSchema<typeof opaque>>().toBeUnknown()
    expectTypeOf<InferSchema<typeof record>>().toBeUnknown()
    expectTypeOf<InferSchema<Record<never, never>>>().toBeUnknown()
  })
})

describe('parseJson', () => {
  it('types its value by the schema', () => {
    const typed = parseJson('{"a":"1"}', {
      type: 'object',
      properties: { a: { type: 'number' } },
      required: ['a'],
      additionalProperties: false,
    })
    if (typed.ok) expectTypeOf(typed.value).toEqualTypeOf<{ a: number }>()
    else
      expectTypeOf(typed.kind).toEqualTypeOf<
        'malformed_output' | 'schema_mismatch' | 'truncated' | 'refusal'
      >()
    const zod = parseJson('{"a":"1"}', z.object({ a: z.string().transform(Number) }))
    if (zod.ok) expectTypeOf(zod.value).toEqualTypeOf<{ a: number }>()
  })

  it('is unknown without a schema, and with a compiled one', () => {
    const bare = parseJson('1')
    if (bare.ok) expectTypeOf(bare.value).toBeUnknown()
    const compiled = parseJson('1', compileSchema({ type: 'number' }))
    if (compiled.ok) expectTypeOf(compiled.value).toBeUnknown()
  })
})
