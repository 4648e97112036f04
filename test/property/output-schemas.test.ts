import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson, parseAnswer as parsing } from '../../src/output/parse-json.ts'
import { formatRequest } from '../../src/output/response-format.ts'
import { compileSchema } from '../../src/output/schema.ts'
import { atOnce } from '../../src/output/work.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'

const parseAnswer = (...given: Parameters<typeof parsing>) => atOnce(parsing(...given))

const numRuns = fuzzRuns(100)

/** A schema, and a value that it accepts. */
interface Pair {
  readonly schema: Readonly<Record<string, unknown>>
  readonly value: unknown
}

// Not __proto__: AJV takes no property of that name for declared.
const names = fc.constantFrom('a', 'b', 'name', 'Id', 'x-y', 'constructor', 'toString', 'ß')
const members = ['open', 'closed', 'In Progress']

const { pair } = fc.letrec<{ pair: Pair; leaf: Pair }>((tie) => ({
  leaf: fc.oneof(
    fc.string({ unit: 'grapheme' }).map((value) => ({ schema: { type: 'string' }, value })),
    fc.maxSafeInteger().map((value) => ({ schema: { type: 'integer' }, value })),
    fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .map((value) => ({ schema: { type: 'number' }, value: value === 0 ? 0 : value })),
    fc.boolean().map((value) => ({ schema: { type: 'boolean' }, value })),
    fc.constantFrom(...members).map((value) => ({ schema: { enum: members }, value })),
    fc
      .option(fc.maxSafeInteger())
      .map((value) => ({ schema: { type: ['integer', 'null'] }, value })),
  ),
  pair: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    tie('leaf'),
    fc.tuple(tie('pair'), fc.nat(3)).map(([{ schema, value }, times]) => ({
      schema: { type: 'array', items: schema },
      value: Array.from({ length: times }, () => value),
    })),
    objects(tie('pair')),
    fc.tuple(tie('pair'), fc.nat(2)).map(([{ schema, value }, times]) => ({
      schema: { type: 'object', additionalProperties: schema },
      value: Object.fromEntries(Array.from({ length: times }, (_, index) => [`k${index}`, value])),
    })),
    tie('pair').map(({ schema, value }) => ({
      schema: { anyOf: [schema, { type: 'null' }] },
      value,
    })),
    tie('pair').map(({ schema, value }) => ({ schema: { allOf: [schema] }, value })),
  ),
}))

function objects(member: fc.Arbitrary<Pair>): fc.Arbitrary<Pair> {
  const property = fc.record({ name: names, member, required: fc.boolean(), there: fc.boolean() })
  return fc
    .uniqueArray(property, { maxLength: 4, selector: ({ name }) => name })
    .map((properties) => ({
      schema: {
        type: 'object',
        properties: Object.fromEntries(properties.map((one) => [one.name, one.member.schema])),
        required: properties.filter((one) => one.required).map(({ name }) => name),
        additionalProperties: false,
      },
      value: Object.fromEntries(
        properties
          .filter((one) => one.required || one.there)
          .map((one) => [one.name, one.member.value]),
      ),
    }))
}

const ajv = new Ajv2020({ strict: false, ownProperties: true })
const isValid = (schema: object, value: unknown) => ajv.validate(structuredClone(schema), value)

describe('for any schema', () => {
  it('a value that validates is returned unchanged', () => {
    fc.assert(
      fc.property(pair, ({ schema, value }) => {
        const text = JSON.stringify(value)
        expect(parseJson(text, schema)).toEqual({ ok: true, value: JSON.parse(text), repairs: [] })
      }),
      { numRuns },
    )
  })

  const damages: Readonly<Record<string, (text: string) => string>> = {
    'numbers and booleans in quotes': (text) =>
      text.replace(/(?<=[:[,]|^)(-?\d[^,\]}]*|true|false)(?=[,\]}]|$)/g, '"$1"'),
    'null for everything': (text) => text.replace(/(?<=[:[,])(?:-?\d[^,\]}]*|true|false)/g, 'null'),
    capitals: (text) => text.replace(/"(open|closed|In Progress)"/g, (m) => m.toUpperCase()),
    'a stringified object': (text) => JSON.stringify(text),
    'trailing commas and a fence': (text) =>
      `\`\`\`\n${text.replace(/([^[{])([\]}])$/, '$1,$2')}\n\`\`\``,
  }
  it.each(Object.entries(damages))('%s: what is returned validates', (_, damage) => {
    fc.assert(
      fc.property(pair, ({ schema, value }) => {
        const result = parseJson(damage(JSON.stringify(value)), schema)
        if (result.ok) expect(isValid(schema, result.value)).toBe(true)
      }),
      { numRuns },
    )
  })

  it('an answer in the form that strict mode asks for is taken back to the value', () => {
    fc.assert(
      fc.property(pair, ({ schema, value }) => {
        const compiled = compileSchema(schema)
        const { undo, parameter } = formatRequest(compiled, 'strict')
        const sent = JSON.parse(JSON.stringify(parameter)).json_schema
        const isObject = schema['type'] === 'object'
        const plain = isObject ? value : { answer: value }
        const asked: unknown = sent.strict ? withNulls(sent.schema, plain) : plain
        expect(isValid(sent.schema, asked), JSON.stringify([sent.schema, asked])).toBe(true)
        const result = parseAnswer(JSON.stringify(asked), compiled, { level: 'off', undo })
        expect(result).toMatchObject({ ok: true, repairs: [] })
        if (!result.ok) return
        expect(isValid(schema, result.value)).toBe(true)
        // Where a property is optional and may be null, nobody knows which of both was meant.
        expect(withoutNulls(result.value)).toEqual(withoutNulls(value))
      }),
      { numRuns },
    )
  })
})

interface Sent {
  readonly properties?: Readonly<Record<string, Sent>>
  readonly items?: Sent
  readonly anyOf?: readonly Sent[]
}

/** The value with null for each property that strict mode made required, and that is not there. */
function withNulls({ properties, items, anyOf }: Sent, value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  const [first] = anyOf ?? []
  if (first !== undefined) return withNulls(first, value)
  if (Array.isArray(value))
    return items === undefined ? value : value.map((one) => withNulls(items, one))
  if (properties === undefined) return value
  return Object.fromEntries(
    Object.entries(properties).map(([name, part]) => [
      name,
      Object.hasOwn(value, name) ? withNulls(part, Reflect.get(value, name)) : null,
    ]),
  )
}

/** JSON without the properties that are null. */
function withoutNulls(value: unknown): unknown {
  const isAbsent = (holder: unknown, member: unknown) => member === null && !Array.isArray(holder)
  const text = JSON.stringify(value, function (this: unknown, key, member: unknown) {
    return key !== '' && isAbsent(this, member) ? undefined : member
  })
  return JSON.parse(text)
}
