import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { interpreter } from '../../../src/output/interpreter/interpreter.ts'
import { type ParseResult, parseAnswer, parseJson } from '../../../src/output/parse-json.ts'
import { compileSchema, engineFor } from '../../../src/output/schema.ts'
import { OutOfSteps, type Resting, Work } from '../../../src/output/work.ts'
import { fuzzRuns } from '../../support/fuzz-runs.ts'

const number = { type: 'number' }
const nullable = (ref: string) => ({ anyOf: [{ $ref: ref }, { type: 'null' }] })
const LIST = {
  $defs: { node: { type: 'object', properties: { v: number, next: nullable('#/$defs/node') } } },
  $ref: '#/$defs/node',
}
const operation = (op: string) => ({
  type: 'object',
  properties: { op: { const: op }, l: { $ref: '#/$defs/e' }, r: { $ref: '#/$defs/e' } },
  required: ['op', 'l', 'r'],
})
const EXPRESSION = {
  $defs: { e: { anyOf: [operation('add'), operation('mul'), number] } },
  $ref: '#/$defs/e',
}
/** Both branches go down before either is refused: two to the power of the depth. */
const DOUBLING = {
  $defs: {
    e: {
      anyOf: [
        { type: 'object', properties: { a: { $ref: '#/$defs/e' } }, maxProperties: 1 },
        { type: 'object', properties: { a: { $ref: '#/$defs/e' } }, maxProperties: 1, title: 'b' },
        number,
      ],
    },
  },
  $ref: '#/$defs/e',
}
const DYNAMIC = {
  $dynamicAnchor: 'node',
  type: 'object',
  properties: {
    c: { type: 'array', items: { anyOf: [{ $dynamicRef: '#node' }, { type: 'null' }] } },
  },
}
const nested = (depth: number, open: string, inside: string, close: string) =>
  open.repeat(depth) + inside + close.repeat(depth)
const list = (length: number, member: (index: number) => string) =>
  Array.from({ length }, (_, index) => member(index)).join(',')

/** How often the work rests, which is once for so many steps, and what comes of it. */
function restsOf<T>(work: Resting<T>): { readonly rests: number; readonly result: T } {
  for (let rests = 0; ; rests += 1) {
    const step = work.next()
    if (step.done === true) return { rests, result: step.value }
  }
}
const read = (text: string, schema: object) =>
  restsOf(parseAnswer(text, compileSchema(schema), { undo: new Set() }))

const issuesOf = (result: ParseResult<unknown>) => (result.ok ? [] : result.issues)

const BOUND =
  /^not compared further with the schema: (?:that takes )?more than \d+ (?:steps|problems)$/

describe('a wrong answer to a recursive schema', () => {
  it('is explained where it is wrong, hundreds of levels down', () => {
    const text = nested(800, '{"v":1,"next":', '"x"', '}')
    expect(parseJson(text, LIST)).toEqual({
      ok: false,
      kind: 'schema_mismatch',
      issues: [{ path: '/next'.repeat(800), message: 'expected object or null, got a string' }],
    })
  })

  it('takes steps that grow with its depth, not with the square of it', () => {
    const restsAt = (depth: number) => read(nested(depth, '{"v":1,"next":', '"x"', '}'), LIST).rests
    expect(restsAt(100)).toBeLessThanOrEqual(1)
    expect(restsAt(400)).toBeLessThanOrEqual(5)
  })

  it.each<[string, string, object]>([
    ['a list', nested(3_000, '{"v":1,"next":', '"x"', '}'), LIST],
    ['an expression', nested(300, '{"op":"mul","l":1,"r":', '"x"', '}'), EXPRESSION],
    ['one that both branches follow', nested(60, '{"a":', '"x"', '}'), DOUBLING],
  ])('is refused within a stated bound: %s', (_, text, schema) => {
    const { rests, result } = read(text, schema)
    // A million steps and some, and 50,000 between two rests.
    expect(rests).toBeLessThan(30)
    expect(result).toMatchObject({ ok: false, kind: 'schema_mismatch' })
    const issues = issuesOf(parseJson(text, schema))
    expect(issues.map(({ message }) => message)).toContainEqual(expect.stringMatching(BOUND))
    expect(issues.length).toBeLessThanOrEqual(12)
  })

  it('is refused by a dynamic reference too', () => {
    const text = nested(200, '{"c":[', '"x"', ']}')
    expect(parseJson(text, DYNAMIC)).toMatchObject({
      ok: false,
      kind: 'schema_mismatch',
      issues: [{ path: '/c/0'.repeat(200), message: 'expected object or null, got a string' }],
    })
  })

  it('is coerced where a small one can be', () => {
    expect(parseJson(nested(8, '{"v":"1","next":', 'null', '}'), LIST)).toMatchObject({
      ok: true,
      value: { v: 1, next: { v: 1 } },
    })
  })
})

describe('a valid answer to a recursive schema', () => {
  it('is never refused for its steps', () => {
    const text = nested(1_000, '{"v":1,"next":', 'null', '}')
    expect(parseJson(text, LIST)).toMatchObject({ ok: true, repairs: [] })
  })
})

describe('a schema that comes to the same value by two ways, on each level', () => {
  const next = { properties: { next: { $ref: '#/$defs/n' } } }
  const part = (keywords: object) => ({ $defs: { n: keywords }, $ref: '#/$defs/n' })
  const dynamic = (ref: object) => ({ properties: { next: { anyOf: [ref, ref] } } })
  const component = { $ref: '#/components/schemas/n' }
  const twice: [string, object, string][] = [
    ['allOf', part({ type: 'object', allOf: [next, next] }), '{}'],
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
    ['if and then', part({ type: 'object', if: next, then: next }), '{}'],
    ['dependentSchemas', part({ ...next, dependentSchemas: { next } }), '{}'],
    [
      'two patterns',
      part({ patternProperties: { '^n': { $ref: '#/$defs/n' }, t$: { $ref: '#/$defs/n' } } }),
      '{}',
    ],
    [
      'a dynamic reference',
      { $dynamicAnchor: 'n', type: 'object', ...dynamic({ $dynamicRef: '#n' }) },
      '"x"',
    ],
    [
      'a recursive reference',
      {
        $schema: 'https://json-schema.org/draft/2019-09/schema',
        $recursiveAnchor: true,
        type: 'object',
        ...dynamic({ $recursiveRef: '#' }),
      },
      '"x"',
    ],
    [
      'a part that is under no keyword',
      { components: { schemas: { n: { type: 'object', ...dynamic(component) } } }, ...component },
      '"x"',
    ],
  ]

  it.each(twice)('is refused within a stated bound: %s', (_, schema, inside) => {
    const result = parseJson(nested(40, '{"next":', inside, '}'), schema)
    expect(result).toMatchObject({ ok: false, kind: 'schema_mismatch' })
    expect(issuesOf(result).at(-1)?.message).toMatch(BOUND)
  })

  it.each(twice)('is refused by the interpreter too: %s', (_, schema, inside) => {
    const draft = JSON.stringify(schema).includes('2019-09') ? '2019-09' : '2020-12'
    const text = nested(40, '{"next":', inside, '}')
    const engine = interpreter(JSON.stringify(schema), draft, undefined)()
    expect(() => engine.accepts(JSON.parse(text), new Work(text))).toThrow(OutOfSteps)
  })
})

describe('a large answer that is wrong in every place', () => {
  it('is refused in a time that is linear in its length where its schema contains itself', () => {
    const tree = {
      $defs: {
        n: {
          type: 'object',
          properties: { v: number, c: { type: 'array', items: { $ref: '#/$defs/n' } } },
        },
      },
      $ref: '#/$defs/n',
    }
    // Of AJV's own lists of errors, each is copied for each that follows: that took a minute.
    const text = `{"c":[${list(300_000, () => '{"v":"x"}')}]}`
    const result = parseJson(text, tree)
    expect(issuesOf(result)[0]).toEqual({
      path: '/c/0/v',
      message: 'expected number, got a string',
    })
    expect(issuesOf(result).at(-1)?.message).toMatch(BOUND)
  })

  it('has each of its errors said at its place, in the order of the text', () => {
    const n = { type: 'object', properties: { v: number, c: { items: { $ref: '#/$defs/n' } } } }
    const text =
      '{"v":"a","c":[{"v":"b","c":[{"v":"c"},{"v":1}]},{"v":"d"},{"v":2,"c":[{"v":"e"}]}]}'
    const result = parseJson(text, { $defs: { n }, $ref: '#/$defs/n' })
    expect(issuesOf(result).map(({ path }) => path)).toEqual([
      '/v',
      '/c/0/v',
      '/c/0/c/0/v',
      '/c/1/v',
      '/c/2/c/0/v',
    ])
  })

  it.each<[string, string, object]>([
    ['types', `[${list(300_000, () => '"a"')}]`, { items: number }],
    [
      'missing properties',
      `[${list(100_000, () => '{}')}]`,
      { items: { required: Array.from({ length: 100 }, (_, index) => `p${index}`) } },
    ],
    [
      'branches',
      `[${list(20_000, () => '{"k":"x"}')}]`,
      {
        items: {
          anyOf: Array.from({ length: 100 }, (_, index) => ({
            type: 'object',
            properties: { k: { const: index }, v: number },
            required: ['v'],
          })),
        },
      },
    ],
  ])('is refused within a stated bound: %s', (_, text, schema) => {
    const result = parseJson(text, schema)
    expect(result).toMatchObject({ ok: false, kind: 'schema_mismatch' })
    const issues = issuesOf(result)
    expect(issues[0]?.path).toMatch(/^\/\d+/)
    expect(issues.at(-1)?.message).toMatch(BOUND)
  })

  it('is coerced where that is all it takes', () => {
    const text = `[${list(50_000, (index) => `"${index}"`)}]`
    const result = parseJson(text, { type: 'array', items: { type: 'integer' } })
    expect(result.ok && result.repairs.length).toBe(50_000)
  })
})

describe('what is done between two rests', () => {
  it('is stopped before all steps are spent', () => {
    const work = new Work('x'.repeat(1_000))
    expect(() => work.spend(403_000)).not.toThrow()
    expect(() => work.spend(1)).toThrow(/more than 403000 steps$/)
  })

  it('is counted anew after a rest, until all steps are spent', () => {
    const work = new Work('x'.repeat(1_000))
    for (let rest = 0; rest < 4; rest += 1) {
      work.spend(251_000)
      expect(work.mayRest()).toBe(true)
    }
    expect(() => work.spend(1)).toThrow(/more than 1004000 steps$/)
  })

  it('is enough for a valid answer to a schema with many alternatives', () => {
    const names = Array.from({ length: 60 }, (_, index) => `Kind${index}`)
    const node = (kind: string) => ({
      type: 'object',
      properties: {
        type: { const: kind },
        body: { type: 'array', items: { $ref: '#/$defs/any' } },
      },
      required: ['type'],
    })
    const schema = {
      $defs: {
        ...Object.fromEntries(names.map((name) => [name, node(name)])),
        any: { anyOf: names.map((name) => ({ $ref: `#/$defs/${name}` })) },
      },
      $ref: '#/$defs/any',
    }
    const text = `{"type":"Kind59","body":[${list(20_000, () => '{"type":"Kind59","body":[]}')}]}`
    expect(parseJson(text, schema)).toMatchObject({ ok: true, repairs: [] })
  })
})

describe('enum', () => {
  it('is checked in a time that does not grow with its members, objects among them', () => {
    const members = Array.from({ length: 2_000 }, (_, id) => ({ id }))
    const schema = { type: 'array', items: { enum: members } }
    const text = (id: number) => `[${list(200_000, () => `{"id":${id}}`)}]`
    expect(parseJson(text(1_999), schema).ok).toBe(true)
    expect(parseJson(text(2_000), schema).ok).toBe(false)
  })

  it('accepts what AJV accepts, and says the same', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    const value = fc.oneof(
      fc.constantFrom(0, -0, 1, '1', true, false, null, '', 'null', '{}', '[]'),
      // AJV calls what a value has under these names.
      fc
        .json({ maxDepth: 2 })
        .filter((text) => !/valueOf|toString|constructor/.test(text))
        .map((text) => JSON.parse(text)),
    )
    const members = fc.oneof(
      fc.array(value, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(300), { minLength: 201, maxLength: 250 }),
    )
    fc.assert(
      fc.property(members, value, fc.nat(300), (all, other, index) => {
        const schema = { enum: all, not: { const: 'null' } }
        const validate = ajv.compile(JSON.parse(JSON.stringify(schema)))
        for (const written of [all[index % all.length], other, index]) {
          const text = JSON.stringify(written)
          const parsed: unknown = JSON.parse(text)
          const engine = engineFor(JSON.stringify(schema), undefined)
          expect(engine.accepts(parsed)).toBe(validate(parsed))
          const said = (validate.errors ?? []).map(({ keyword }) => keyword)
          expect(engine.errorsAt('', parsed).map(({ keyword }) => keyword)).toEqual(said)
        }
      }),
      { numRuns: fuzzRuns(50) },
    )
  })

  it('does not take a number that JSON cannot write for null', () => {
    expect(parseJson('{"a":[1e400]}', { enum: [{ a: [null] }, { a: null }] }).ok).toBe(false)
    expect(parseJson('{"a":1e400}', { enum: [{ a: [null] }, { a: null }] }).ok).toBe(false)
  })
})

describe('uniqueItems', () => {
  const UNIQUE = { type: 'array', uniqueItems: true }

  it('is checked in a time that is linear in the list', () => {
    const text = `[${list(200_000, (index) => `{"id":${index}}`)}]`
    expect(parseJson(text, UNIQUE)).toMatchObject({ ok: true })
  })

  it('is bounded for lists in lists, each of which is compared with all that is in it', () => {
    const schema = {
      $defs: { l: { uniqueItems: true, items: { $ref: '#/$defs/l' } } },
      $ref: '#/$defs/l',
    }
    const text = nested(400, '[', `"${'x'.repeat(500_000)}"`, ']')
    const result = parseJson(text, schema)
    expect(issuesOf(result)).toEqual([{ path: '', message: expect.stringMatching(BOUND) }])
    const engine = interpreter(JSON.stringify(schema), '2020-12', undefined)()
    expect(() => engine.accepts(JSON.parse(text), new Work(text))).toThrow(OutOfSteps)
  })

  it('says what AJV says', () => {
    const ajv = new Ajv2020({ strict: false })
    const validate = ajv.compile(UNIQUE)
    const item = fc.oneof(
      fc.constantFrom(0, -0, 1, '1', true, false, null, '', 'null', '{}'),
      // AJV calls what a value has under these names.
      fc
        .json({ maxDepth: 2 })
        .filter((text) => !/valueOf|toString|constructor/.test(text))
        .map((text) => JSON.parse(text)),
    )
    fc.assert(
      fc.property(fc.array(item, { maxLength: 6 }), (items) => {
        const text = JSON.stringify(items)
        const value: unknown = JSON.parse(text)
        expect(parseJson(text, UNIQUE, { level: 'off' }).ok).toBe(validate(value))
      }),
    )
  })

  it('takes objects for equal whatever the order of their keys', () => {
    expect(parseJson('[{"a":1,"b":[2]},{"b":[2],"a":1.0}]', UNIQUE)).toEqual({
      ok: false,
      kind: 'schema_mismatch',
      issues: [
        { path: '', message: 'must NOT have duplicate items (items ## 0 and 1 are identical)' },
      ],
    })
  })
})

describe('reading a large text', () => {
  const damaged = `[${list(20_000, (index) => `{"id":${index},"name":"x",}`)}]`

  it('rests again and again', () => {
    const { rests, result } = read(damaged, { type: 'array' })
    expect(result.ok).toBe(true)
    expect(rests).toBeGreaterThan(10)
  })

  it('rests while the places of many repairs are named', () => {
    const quoted = `[${list(20_000, (index) => `{'id':${index},'name':'x'}`)}]`
    const items = { type: 'object', properties: { id: { type: 'integer' } } }
    expect(read(quoted, { type: 'array', items }).rests).toBeGreaterThan(40)
  })

  it('rests within one long string too', () => {
    const escaped = `{"a":"${'\\d'.repeat(300_000)}",}`
    expect(read(escaped, { type: 'object' }).rests).toBeGreaterThan(5)
  })

  it('looks at sixty quotes in a string, and no further', () => {
    const quoted = (times: number) => `{"a":"${'"x" '.repeat(times)}"}`
    expect(read(quoted(8), { type: 'object' }).result.ok).toBe(true)
    expect(read(quoted(100_000), { type: 'object' }).result.ok).toBe(false)
  })

  it.each([
    ['lists that a comment leaves open', '[1 # x]\n'],
    ['quotes that no other closes', '[\u201ca" b` c\' d]\n'],
    ['words in brackets', '[b] '],
    ['empty objects', '{} '],
    ['objects behind which reasoning ends', '{"a":1}</think>'],
  ])('is bounded for many pieces: %s', (_, piece) => {
    const schema = { type: 'array', items: { type: 'string' } }
    const few = read(piece.repeat(200_000 / piece.length), schema).rests
    const many = read(piece.repeat(800_000 / piece.length), schema).rests
    expect(few).toBeLessThan(100)
    expect(many).toBeLessThanOrEqual(4 * few + 20)
  })

  it('looks for the end of a refused piece once, where all of its quotes are escaped', () => {
    const records = Array.from({ length: 5_000 }, () => '{"id":1,"text":"a, b"}').join()
    const escaped = JSON.stringify(`[${records}]`).slice(1, -1)
    const { rests, result } = read(escaped, { type: 'array' })
    expect(result.ok).toBe(false)
    expect(rests).toBeLessThan(10)
  })

  it('does not rest for a small one', () => {
    expect(read('```\n{"id":"1",}\n```', { properties: { id: { type: 'integer' } } }).rests).toBe(0)
  })
})
