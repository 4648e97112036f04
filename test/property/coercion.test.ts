import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ParseResult, parseJson } from '../../src/output/parse-json.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'

// Each run compiles a schema of its own.
const RUNS = fuzzRuns(100)

const { schema: schemas } = fc.letrec<{ schema: object; object: object }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(
      ...['string', 'number', 'integer', 'boolean', 'null'].map((type) => ({ type })),
      { type: ['integer', 'null'] },
      { type: ['string', 'null'] },
      { type: 'number', maximum: 1 },
      { type: 'string', format: 'date' },
      { enum: ['low', 'high'] },
      { enum: ['Low', 'low', 3, null] },
    ),
    tie('object'),
    fc.record({ type: fc.constant('array'), items: tie('schema') }),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ oneOf: fc.array(tie('schema'), { minLength: 2, maxLength: 3 }) }),
    fc.record({ allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
  ),
  object: fc.record(
    {
      type: fc.constant('object'),
      title: fc.constantFrom('Point', 'Ticket'),
      properties: fc.dictionary(fc.constantFrom('a', 'b', 'kind'), tie('schema'), { maxKeys: 3 }),
      required: fc.subarray(['a', 'kind']),
      additionalProperties: fc.constantFrom(false, true, { type: 'integer' }),
    },
    { requiredKeys: ['type', 'properties'] },
  ),
}))

/** Values as models write them: often the right one in another form. */
const { value: values } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown[]>(
      ...[null, true, false, 0, 1, 3, -0.5, 1e21, 'x', '', ' 36', '36', '1.50', '1,234', '1.234,5'],
      ...['19,99', '85%', '$12', '12 kg', '5k', 'True', 'yes', 'Off', 'HIGH', 'high priority'],
      ...['not high', 'N/A', 'null', '2024-05-03', '3 May 2024', '05/03/2024', '{"a":"1"}', '[1]'],
    ),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        'a',
        'b',
        'kind',
        'result',
        'data',
        'point',
        'extra',
        '__typename',
        '$schema',
      ),
      tie('value'),
      { maxKeys: 3 },
    ),
  ),
}))

type Level = 'off' | 'safe' | 'lenient'
const read = (value: unknown, schema: object, level: Level): ParseResult<unknown> =>
  parseJson(JSON.stringify(value), schema, { level })

const given = fc.tuple(values, schemas)

describe('coercion', () => {
  it('never touches valid data', () => {
    fc.assert(
      fc.property(given, ([value, schema]) => {
        fc.pre(read(value, schema, 'off').ok)
        const same = { ok: true, value: JSON.parse(JSON.stringify(value)), repairs: [] }
        expect(read(value, schema, 'safe')).toEqual(same)
        expect(read(value, schema, 'lenient')).toEqual(same)
      }),
      { numRuns: RUNS / 2, maxSkipsPerRun: 1_000 },
    )
  })

  it.each(['safe', 'lenient'] as const)('is idempotent at %s', (level) => {
    fc.assert(
      fc.property(given, ([value, schema]) => {
        const once = read(value, schema, level)
        if (once.ok) expect(read(once.value, schema, level)).toEqual({ ...once, repairs: [] })
      }),
      { numRuns: RUNS },
    )
  })

  it('returns at lenient what it returns at safe, wherever that is a value', () => {
    fc.assert(
      fc.property(given, ([value, schema]) => {
        const safe = read(value, schema, 'safe')
        if (safe.ok) expect(read(value, schema, 'lenient')).toEqual(safe)
      }),
      { numRuns: RUNS },
    )
  })

  it.each(['off', 'safe', 'lenient'] as const)('returns at %s only what AJV takes', (level) => {
    fc.assert(
      fc.property(given, ([value, schema]) => {
        const result = read(value, schema, level)
        if (!result.ok) expect(result.issues).not.toEqual([])
        else
          expect(
            formats.default(new Ajv2020({ strict: false })).validate(schema, result.value),
          ).toBe(true)
      }),
      { numRuns: RUNS },
    )
  })

  it('names every change', () => {
    fc.assert(
      fc.property(given, fc.constantFrom('safe', 'lenient'), ([value, schema], level) => {
        const result = read(value, schema, level)
        if (result.ok && result.repairs.length === 0) expect(result.value).toEqual(value)
      }),
      { numRuns: RUNS },
    )
  })

  it('loses nothing at safe but notation', () => {
    fc.assert(
      fc.property(given, ([value, schema]) => {
        const result = read(value, schema, 'safe')
        if (result.ok) expect(meaningOf(result.value)).toEqual(meaningOf(value))
      }),
      { numRuns: RUNS },
    )
  })

  it('never fills in a required property', () => {
    fc.assert(
      fc.property(values, fc.constantFrom('safe', 'lenient'), (value, level) => {
        const schema = { type: 'object', properties: { only: { default: 1 } }, required: ['only'] }
        expect(read(value, schema, level).ok).toBe(false)
      }),
      { numRuns: RUNS },
    )
  })
})

const MARKERS = new Set(['__typename', '$schema'])
const WRAPPERS = new Set(['result', 'data', 'point'])

/** The same for all notations of a value: of its numbers, words, lists of one, wrappers and nulls. */
function meaningOf(value: unknown): unknown {
  if (typeof value === 'string') return meaningOfText(value)
  if (Array.isArray(value)) {
    const elements = value.map(meaningOf)
    const [only] = elements
    const isOne = elements.length === 1 && typeof only === 'object' && !Array.isArray(only)
    return isOne ? only : elements
  }
  if (typeof value !== 'object' || value === null) return String(value)
  const members = Object.entries(value).filter(
    ([key, member]) => member !== null && !(MARKERS.has(key) && typeof member === 'string'),
  )
  const [only, ...others] = members
  if (only !== undefined && others.length === 0 && WRAPPERS.has(only[0])) return meaningOf(only[1])
  return Object.fromEntries(members.map(([key, member]) => [key, meaningOf(member)]))
}

function meaningOfText(text: string): unknown {
  if (/^[{[]/.test(text)) return meaningOf(JSON.parse(text))
  const folded = text.trim().toLowerCase()
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(folded) ? String(Number(folded)) : folded
}
