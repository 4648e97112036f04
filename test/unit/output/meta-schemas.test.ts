import { describe, expect, it } from 'vitest'
import { ajvCompiler, metaSchemasOf } from '../../../src/output/ajv-engine.ts'
import { interpreter } from '../../../src/output/interpreter/interpreter.ts'
import { parseJson } from '../../../src/output/parse-json.ts'
import type { Draft } from '../../../src/output/schema-engine.ts'

const ADDRESSES: readonly (readonly [Draft, string])[] = [
  ['draft-07', 'http://json-schema.org/draft-07/schema#'],
  ['draft-07', 'http://json-schema.org/draft-07/schema'],
  ['2019-09', 'https://json-schema.org/draft/2019-09/schema'],
  ['2020-12', 'https://json-schema.org/draft/2020-12/schema'],
  ['2020-12', 'https://json-schema.org/draft/2020-12/schema#'],
]

const valid = { type: 'object', properties: { a: { minLength: 1 } } }
const invalid = { type: 'object', properties: { a: { minLength: -1 } } }

describe.each([
  ['AJV', ajvCompiler],
  ['the interpreter', interpreter],
])('%s', (_, compiler) => {
  it.each(ADDRESSES)('follows a $ref of %s to %s', (draft, $ref) => {
    const engine = compiler(
      JSON.stringify({ properties: { schema: { $ref } } }),
      draft,
      undefined,
    )()
    expect(engine.accepts({ schema: valid })).toBe(true)
    expect(engine.accepts({ schema: invalid })).toBe(false)
    expect(engine.errorsAt('', { schema: invalid })).toMatchObject([
      { instancePath: '/schema/properties/a/minLength', message: 'must be >= 0' },
    ])
  })

  it('follows a $ref to an earlier draft, and none to a later one', () => {
    const [earlier, later] = [ADDRESSES[0]?.[1], ADDRESSES[3]?.[1]]
    const engine = compiler(JSON.stringify({ items: { $ref: earlier } }), '2020-12', undefined)()
    expect([engine.accepts([valid]), engine.accepts([invalid])]).toEqual([true, false])
    const unknown = compiler(JSON.stringify({ items: { $ref: later } }), 'draft-07', undefined)
    expect(unknown).toThrow(`can't resolve reference ${later}`)
  })

  it.each(ADDRESSES)('takes the own schema of %s (%s) as a schema', (draft, address) => {
    const metaSchema = metaSchemasOf(draft).get(address.replace('#', ''))
    const engine = compiler(JSON.stringify(metaSchema), draft, undefined)()
    expect([engine.accepts(valid), engine.accepts(invalid)]).toEqual([true, false])
  })

  it('follows a $ref into a part of it', () => {
    const $ref = 'http://json-schema.org/draft-07/schema#/definitions/nonNegativeInteger'
    const engine = compiler(JSON.stringify({ $ref }), 'draft-07', undefined)()
    expect([engine.accepts(1), engine.accepts(-1)]).toEqual([true, false])
  })
})

it('a $ref to a draft is found without $schema too', () => {
  const tools = { items: { $ref: 'http://json-schema.org/draft-07/schema#' } }
  expect(parseJson(JSON.stringify([valid]), tools).ok).toBe(true)
  expect(parseJson(JSON.stringify([invalid]), tools).ok).toBe(false)
})
