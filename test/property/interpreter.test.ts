import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ajvCompiler } from '../../src/output/ajv-engine.ts'
import { interpreter } from '../../src/output/interpreter/interpreter.ts'
import type { Draft, SchemaEngine } from '../../src/output/schema-engine.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'

const NAMES = ['a', 'b', 'constructor', '__proto__', 'a/b~']
const name = fc.constantFrom(...NAMES)
const small = fc.integer({ min: 0, max: 4 })

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, false, 0, 1, 2.5, -1, 1e21, Number.POSITIVE_INFINITY),
    fc.constantFrom('', 'a', 'abc', '2027-03-01', '😀😀'),
    fc.array(tie('any'), { maxLength: 4 }),
    fc
      .array(fc.tuple(name, tie('any')), { maxLength: 4 })
      .map((entries) => Object.fromEntries(entries)),
  ),
})).any

const keywords = (part: fc.Arbitrary<unknown>): Record<string, fc.Arbitrary<unknown>> => {
  const map = fc
    .array(fc.tuple(name, part), { maxLength: 3 })
    .map((entries) => Object.fromEntries(entries))
  const list = fc.array(part, { minLength: 1, maxLength: 3 })
  return {
    type: fc.oneof(
      fc.constantFrom('string', 'number', 'integer', 'boolean', 'null', 'object', 'array'),
      fc.constantFrom(['string', 'null'], ['integer', 'object']),
    ),
    const: value,
    enum: fc.array(value, { minLength: 1, maxLength: 3 }),
    minimum: small,
    exclusiveMaximum: small,
    multipleOf: fc.constantFrom(1, 0.5, 2),
    minLength: small,
    maxLength: small,
    pattern: fc.constantFrom('^a', 'b$', '^.$'),
    format: fc.constantFrom('date', 'email', 'int32'),
    minItems: small,
    maxItems: small,
    uniqueItems: fc.boolean(),
    items: part,
    contains: part,
    minContains: small,
    maxContains: small,
    required: fc.uniqueArray(name, { maxLength: 2 }),
    minProperties: small,
    maxProperties: small,
    properties: map,
    patternProperties: part.map((one) => ({ '^a': one })),
    additionalProperties: part,
    propertyNames: part,
    dependentRequired: fc.uniqueArray(name, { maxLength: 2 }).map((names) => ({ a: names })),
    dependentSchemas: map,
    allOf: list,
    anyOf: list,
    oneOf: list,
    not: part,
    if: part,
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: part,
    else: part,
    $ref: fc.constantFrom('#/$defs/one', '#/$defs/two'),
  }
}

const schema = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.boolean(),
    fc
      .uniqueArray(fc.constantFrom(...Object.keys(keywords(fc.boolean()))), { maxLength: 4 })
      .chain((chosen) => {
        const all = keywords(tie('any'))
        return fc.record(Object.fromEntries(chosen.map((key) => [key, all[key] ?? fc.boolean()])))
      }),
  ),
})).any

const root = fc.tuple(schema, schema, schema).map(([whole, one, two]) => ({
  ...(typeof whole === 'object' ? whole : { not: { const: whole } }),
  // Without references, which could go in circles and never end.
  $defs: { one: withoutRef(one), two: withoutRef(two) },
}))

function withoutRef(part: unknown): unknown {
  return JSON.parse(JSON.stringify(part), (key, held) => (key === '$ref' ? undefined : held))
}

function outcome(compile: () => SchemaEngine, answer: unknown) {
  let engine: SchemaEngine
  try {
    engine = compile()
  } catch {
    return 'no schema'
  }
  try {
    const accepts = engine.accepts(answer)
    const errors = engine.errorsAt('', answer)
    const said = errors.map(({ instancePath, message, params }) => [instancePath, message, params])
    return { accepts, errors: said }
  } catch (error) {
    // AJV 8.20 makes faulty code of some unions that hold `additionalProperties`.
    if (error instanceof ReferenceError || error instanceof TypeError) return 'a fault'
    throw error
  }
}

it.each<Draft>(['draft-07', '2019-09', '2020-12'])(
  'the interpreter accepts what AJV accepts, and says the same of what both refuse: %s',
  (draft) => {
    fc.assert(
      fc.property(root, value, (made, answer) => {
        const text = JSON.stringify(made)
        const ajv = outcome(ajvCompiler(text, draft, undefined), answer)
        fc.pre(ajv !== 'a fault')
        expect(outcome(interpreter(text, draft, undefined), answer)).toEqual(ajv)
      }),
      { numRuns: fuzzRuns(200) },
    )
  },
  300_000,
)
