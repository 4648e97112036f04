import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import Type from 'typebox'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseJson } from '../../../src/index.ts'
import { ask, setUp } from '../../support/set-up.ts'

const schemas = {
  zod: z.object({
    code: z.string().min(2),
    count: z.int().refine((count) => count % 2 === 0, 'must be even'),
    note: z
      .string()
      .transform((note) => note.length)
      .optional(),
  }),
  Valibot: toStandardJsonSchema(
    v.object({
      code: v.pipe(v.string(), v.minLength(2)),
      count: v.pipe(
        v.number(),
        v.integer(),
        v.check((count) => count % 2 === 0, 'must be even'),
      ),
      note: v.optional(
        v.pipe(
          v.string(),
          v.transform((note) => note.length),
        ),
      ),
    }),
  ),
  ArkType: type({
    code: 'string >= 2',
    count: 'number % 2',
    'note?': type('string').pipe((note) => note.length),
  }),
}

describe.each(Object.entries(schemas))('a schema of %s', (_, schema) => {
  it('repairs and coerces by its JSON Schema, then transforms', () => {
    expect(parseJson('```json\n{"code":"ab","count":"4","note":"four"}\n```', schema)).toEqual({
      ok: true,
      value: { code: 'ab', count: 4, note: 4 },
      repairs: [
        { path: '', rule: 'strip-fence' },
        { path: '/count', rule: 'number-from-string' },
      ],
    })
  })

  it.each([
    ['what JSON Schema can say', '{"code":"a","count":4}', '/code'],
    ['what only the library can say', '{"code":"ab","count":5}', '/count'],
  ])('refuses %s', (_what, text, path) => {
    expect(parseJson(text, schema)).toMatchObject({
      ok: false,
      kind: 'schema_mismatch',
      issues: [{ path }],
    })
  })

  it('is asked for, and asked for again with the errors of both', async () => {
    const { llm, server } = await setUp({
      answer: ({ body }) =>
        body?.messages.length === 1 ? '{"code":"ab","count":5}' : '{"code":"ab","count":6}',
    })
    const { value } = await llm.json({ ...ask('count'), schema })
    expect(value).toEqual({ code: 'ab', count: 6 })
    expect(JSON.stringify(server.requests[1]?.body)).toContain('/count')
  })
})

it('a schema of TypeBox is a JSON Schema', () => {
  const schema = Type.Object({
    count: Type.Integer(),
    kind: Type.Union([Type.Literal('a'), Type.Literal('b')]),
    parent: Type.Optional(Type.Null()),
  })
  expect(parseJson('{"count":"4","kind":"b"}', schema)).toMatchObject({
    value: { count: 4, kind: 'b' },
  })
  expect(parseJson('{"count":"4","kind":"c"}', schema).ok).toBe(false)
})
