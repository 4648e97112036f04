import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { isRounded, mayOverflow, mayRound } from '../../../src/output/json-value.ts'
import { type ParseOptions, parseJson } from '../../../src/output/parse-json.ts'
import { compileSchema } from '../../../src/output/schema.ts'

const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    age: { type: 'integer' },
    mood: { enum: ['happy', 'sad', 'in_between'] },
    married: { type: 'boolean' },
    nickname: { type: 'string' },
    score: { type: 'number' },
    zip: { type: 'string' },
    address: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
  required: ['name', 'age'],
}

const rulesOf = (text: string, schema?: object, options?: ParseOptions): string[] => {
  const result = parseJson(text, schema, options)
  return result.ok
    ? result.repairs.map(({ path, rule }) => (path === '' ? rule : `${path} ${rule}`))
    : [result.kind]
}

describe('a text that parses and validates', () => {
  it.each([
    ['an object', '{"name":"Ann","age":36}', { name: 'Ann', age: 36 }],
    ['white space around it', '\n {"name":"Ann","age":36}\t', { name: 'Ann', age: 36 }],
    [
      'fences and tags inside a string',
      '{"name":"```json {} ``` <think>x</think>","age":1}',
      { name: '```json {} ``` <think>x</think>', age: 1 },
    ],
    ['an undeclared property', '{"name":"Ann","age":1,"x":[]}', { name: 'Ann', age: 1, x: [] }],
  ])('is returned unchanged: %s', (_, text, value) => {
    expect(parseJson(text, PERSON)).toEqual({ ok: true, value, repairs: [] })
  })

  it('needs no schema', () => {
    expect(parseJson('[1, "two", null]')).toEqual({
      ok: true,
      value: [1, 'two', null],
      repairs: [],
    })
  })
})

describe('what surrounds the JSON is dropped and listed', () => {
  it.each([
    ['a fence', '```json\n{"name":"Ann","age":36}\n```', ['strip-fence']],
    ['a fence on one line', '```{"name":"Ann","age":36}```', ['strip-fence']],
    [
      'prose on both sides',
      'Sure! Here it is:\n{"name":"Ann","age":36}\nAnything else?',
      ['strip-prose'],
    ],
    [
      'prose with brackets',
      'As asked [see above] {x | x > 0}: {"name":"Ann","age":36}',
      ['strip-prose'],
    ],
    ['a citation', 'From [1]: {"name":"Ann","age":36}', ['strip-prose']],
    ['a byte order mark', '\ufeff{"name":"Ann","age":36}', ['strip-invisible']],
    ['zero-width spaces', '\u200b{"name":"Ann","age":36}\u200b', ['strip-invisible']],
    [
      'a reasoning block with another answer in it',
      '<think>maybe {"name":"Bob","age":1}</think>\n{"name":"Ann","age":36}',
      ['strip-reasoning'],
    ],
    [
      'reasoning whose opening mark was in the prompt',
      'So {"name":"Bob","age":1}.\n</think>\n{"name":"Ann","age":36}',
      ['strip-reasoning'],
    ],
    ['XML tags', '<answer>{"name":"Ann","age":36}</answer>', ['strip-tags']],
    [
      'the same answer twice',
      '{"name":"Ann","age":36}\n{"name":"Ann","age":36}',
      ['collapse-duplicates'],
    ],
    [
      'the same answer twice, written differently',
      '{"name":"Ann","age":36}\n{"age": 36, "name": "Ann"}',
      ['collapse-duplicates'],
    ],
    [
      'a tool call',
      '<tool_call>{"name":"save","arguments":{"name":"Ann","age":36}}</tool_call>',
      ['strip-tags', '/arguments unwrap'],
    ],
  ])('%s', (_, text, rules) => {
    expect(parseJson(text, PERSON)).toMatchObject({ ok: true, value: { name: 'Ann', age: 36 } })
    expect(rulesOf(text, PERSON)).toEqual(rules)
  })

  it('finds a value that stands alone without brackets', () => {
    expect(parseJson('<think>hm</think>\n```\n42\n```', { type: 'number' })).toEqual({
      ok: true,
      value: 42,
      repairs: [
        { path: '', rule: 'strip-reasoning' },
        { path: '', rule: 'strip-fence' },
      ],
    })
  })
})

describe('syntax is mended where there is one reading', () => {
  it.each([
    ['a trailing comma', '{"name":"Ann","age":36,}', { name: 'Ann', age: 36 }],
    ['single quotes (Python)', `{'name': 'Ann', 'age': 36}`, { name: 'Ann', age: 36 }],
    [
      'an apostrophe in single quotes',
      `{'name': 'it's Ann', 'age': 36}`,
      { name: "it's Ann", age: 36 },
    ],
    ['an escaped apostrophe', `{'name': 'it\\'s Ann', 'age': 36}`, { name: "it's Ann", age: 36 }],
    ['typographic quotes', '{“name”: “Ann”, “age”: 36}', { name: 'Ann', age: 36 }],
    ['unquoted keys', '{name: "Ann", age: 36}', { name: 'Ann', age: 36 }],
    ['comments', '{"name":"Ann", // her name\n"age":36 /* years */}', { name: 'Ann', age: 36 }],
    ['a comma that is missing', '{"name":"Ann"\n"age":36}', { name: 'Ann', age: 36 }],
    [
      'literals of Python',
      '{"name":"Ann","age":36,"married":True,"x":None}',
      { name: 'Ann', age: 36, married: true, x: null },
    ],
    ['a raw line break in a string', '{"name":"Ann\nLee","age":36}', { name: 'Ann\nLee', age: 36 }],
    [
      'a colon, braces and commas in a string',
      `{'name': 'a: {b}, [c]', 'age': 1}`,
      { name: 'a: {b}, [c]', age: 1 },
    ],
    ['quotes in a string', '{"name":"the "Ann" one","age":36}', { name: 'the "Ann" one', age: 36 }],
    [
      'LaTeX',
      '{"name":"\\frac{1}{2} \\alpha \\times \\nu","age":1}',
      { name: '\\frac{1}{2} \\alpha \\times \\nu', age: 1 },
    ],
    ['a regular expression', '{"name":"^\\d+\\.\\w*$","age":1}', { name: '^\\d+\\.\\w*$', age: 1 }],
    [
      'a Windows path',
      '{"name":"C:\\temp\\new\\Users","age":1}',
      { name: 'C:\\temp\\new\\Users', age: 1 },
    ],
    [
      'a line break beside an invalid escape',
      '{"name":"a\\nb \\d","age":1}',
      { name: 'a\nb \\d', age: 1 },
    ],
  ])('%s', (_, text, value) => {
    expect(parseJson(text, PERSON)).toMatchObject({ ok: true, value })
  })
})

describe('values are coerced without loss', () => {
  it.each([
    ['number-from-string', '{"name":"Ann","age":"36"}', { age: 36 }, '/age'],
    ['number-from-string', '{"name":"Ann","age":1,"score":"-0.93e1"}', { score: -9.3 }, '/score'],
    [
      'boolean-from-string',
      '{"name":"Ann","age":1,"married":"False"}',
      { married: false },
      '/married',
    ],
    ['enum-case', '{"name":"Ann","age":1,"mood":" Happy "}', { mood: 'happy' }, '/mood'],
    ['string-from-number', '{"name":"Ann","age":1,"zip":1.50}', { zip: '1.50' }, '/zip'],
    [
      'string-from-number',
      '{"name":"Ann","age":1,"zip":12345678901234567890}',
      { zip: '12345678901234567890' },
      '/zip',
    ],
    [
      'parse-stringified',
      '{"name":"Ann","age":1,"address":"{\\"city\\":\\"Ulm\\"}"}',
      { address: { city: 'Ulm' } },
      '/address',
    ],
  ])('%s %s', (rule, text, part, path) => {
    const result = parseJson(text, PERSON)
    expect(result).toMatchObject({ ok: true, value: part, repairs: [{ path, rule }] })
  })

  it('drops null for an optional property, and only there', () => {
    expect(parseJson('{"name":"Ann","age":1,"nickname":null}', PERSON)).toEqual({
      ok: true,
      value: { name: 'Ann', age: 1 },
      repairs: [{ path: '/nickname', rule: 'drop-null' }],
    })
    expect(rulesOf('{"name":null,"age":1}', PERSON)).toEqual(['schema_mismatch'])
  })

  it.each([
    [
      'result',
      '{"result":{"name":"Ann","age":"36"}}',
      ['/result unwrap', '/age number-from-string'],
    ],
    ['a stringified whole', '"{\\"name\\":\\"Ann\\",\\"age\\":36}"', ['parse-stringified']],
  ])('unwraps %s', (_, text, rules) => {
    expect(parseJson(text, PERSON)).toMatchObject({ ok: true, value: { name: 'Ann', age: 36 } })
    expect(rulesOf(text, PERSON)).toEqual(rules)
  })

  it.each([
    [
      'properties > items',
      { properties: { a: { items: { type: 'number' } } } },
      '{"a":["1"]}',
      { a: [1] },
    ],
    ['additionalProperties', { additionalProperties: { type: 'number' } }, '{"x":"1"}', { x: 1 }],
    [
      'prefixItems',
      { prefixItems: [{ type: 'string' }, { type: 'number' }] },
      '["1","1"]',
      ['1', 1],
    ],
    [
      '$ref',
      { properties: { a: { $ref: '#/$defs/n' } }, $defs: { n: { type: 'number' } } },
      '{"a":"1"}',
      { a: 1 },
    ],
    ['allOf', { allOf: [{ properties: { a: { type: 'number' } } }] }, '{"a":"1"}', { a: 1 }],
    [
      'anyOf, one branch',
      { properties: { a: { anyOf: [{ type: 'number' }, { type: 'null' }] } } },
      '{"a":"1"}',
      { a: 1 },
    ],
    [
      'a recursive schema',
      { properties: { n: { type: 'number' }, next: { $ref: '#' } } },
      '{"next":{"next":{"n":"1"}}}',
      { next: { next: { n: 1 } } },
    ],
    ['a list of types', { items: { type: ['number', 'null'] } }, '["1",null]', [1, null]],
    ['members without a type', { items: { enum: [1, 2, true] } }, '["true"]', [true]],
  ])('reaches through %s', (_, schema, text, value) => {
    expect(parseJson(text, schema)).toMatchObject({ ok: true, value })
  })

  it('reaches through nested nullable fields of zod', () => {
    const schema = z.object({ a: z.nullable(z.object({ b: z.nullable(z.number()) })) })
    expect(parseJson('{"a":{"b":"36"}}', schema)).toEqual({
      ok: true,
      value: { a: { b: 36 } },
      repairs: [{ path: '/a/b', rule: 'number-from-string' }],
    })
  })
})

describe('nothing is guessed', () => {
  it.each([
    ['a decimal comma', '{"name":"Ann","age":1,"score":"1.234,50"}'],
    ['a percentage', '{"name":"Ann","age":1,"score":"85%"}'],
    ['a unit', '{"name":"Ann","age":"12kg"}'],
    ['an empty string for a number', '{"name":"Ann","age":""}'],
    ['N/A', '{"name":"Ann","age":"N/A"}'],
    ['a range', '{"name":"Ann","age":"30-35"}'],
    ['a leading zero', '{"name":"Ann","age":"007"}'],
    ['spaces around a number', '{"name":"Ann","age":" 36 "}'],
    ['a fraction for an integer', '{"name":"Ann","age":"36.5"}'],
    ['an empty string for a boolean', '{"name":"Ann","age":1,"married":""}'],
    ['a number for a boolean', '{"name":"Ann","age":1,"married":1}'],
    ['yes for a boolean', '{"name":"Ann","age":1,"married":"yes"}'],
    ['a member that is nearly right', '{"name":"Ann","age":1,"mood":"hapy"}'],
    ['a missing required property', '{"name":"Ann"}'],
    ['a misspelled key', '{"nane":"Ann","age":1}'],
    ['null for a required property', '{"name":"Ann","age":null}'],
    ['an error under a wrapper', '{"error":{"name":"Ann","age":1}}'],
    ['an integer that a number would round', '{"name":"Ann","age":9007199254740993}'],
    ['the same as a string', '{"name":"Ann","age":"9007199254740993"}'],
  ])('%s is a schema mismatch', (_, text) => {
    expect(rulesOf(text, PERSON)).toEqual(['schema_mismatch'])
  })

  it.each([
    [
      'two branches would fit, with different values',
      { anyOf: [{ type: 'boolean' }, { enum: ['TRUE'] }] },
      '"true"',
    ],
    [
      'two branches agree where exactly one has to fit',
      { oneOf: [{ type: 'number' }, { type: 'integer' }] },
      '"1"',
    ],
    [
      'a wrapper that says something of what it holds',
      { ...PERSON, additionalProperties: false },
      '{"previous_answer":{"name":"Ann","age":1}}',
    ],
    ['two members would match', { enum: ['Yes', 'YES'] }, '"yes"'],
    ['a map loses no entry', { additionalProperties: { type: 'number' } }, '{"x":null}'],
  ])('%s', (_, schema, text) => {
    expect(rulesOf(text, schema)).toEqual(['schema_mismatch'])
  })

  it.each<[string, object, string, unknown]>([
    ['branches that agree', { anyOf: [{ type: 'number' }, { type: 'integer' }] }, '"1"', 1],
    [
      'a wrapper that the schema has no room for',
      { ...PERSON, additionalProperties: false },
      '{"person":{"name":"Ann","age":1}}',
      { name: 'Ann', age: 1 },
    ],
    ['a literal of Python alone', { type: 'boolean' }, 'True', true],
    [
      'the branch that the value itself chooses',
      {
        properties: { kind: { type: 'string' }, n: {} },
        if: { properties: { kind: { const: 'count' } } },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { properties: { n: { type: 'integer' } } },
      },
      '{"kind":"count","n":"4"}',
      { kind: 'count', n: 4 },
    ],
  ])('%s: is certain', (_, schema, text, value) => {
    expect(parseJson(text, schema)).toMatchObject({ ok: true, value })
  })

  it.each([
    ['two different answers', '{"name":"Ann","age":1}\n{"name":"Bob","age":1}'],
    ['an ellipsis', '{"name":"Ann","age":1, ...}'],
    ['an ellipsis in a comment', '{"name":"Ann","age":1, // ... and so on\n}'],
    ['a value that was left out', '{"name":"Ann","age":,"zip":"1"}'],
    ['brackets that do not match', '{"name":"Ann","age":[1}'],
    ['NaN', '{"name":"Ann","age":NaN}'],
    ['only reasoning', '<think>{"name":"Ann","age":1}</think>'],
    ['reasoning that never ends', '<think>so {"name":"Ann","age":1}'],
    ['prose', 'Ann is 36 years old.'],
    ['nothing', ''],
  ])('%s is malformed', (_, text) => {
    expect(rulesOf(text, PERSON)).toEqual(['malformed_output'])
  })

  it('takes no two candidates without a schema to choose', () => {
    expect(rulesOf('{"a":1} or {"a":2}')).toEqual(['malformed_output'])
    expect(parseJson('It is {"a":1}.')).toMatchObject({ ok: true, value: { a: 1 } })
  })

  it('refuses JSON that repeats the schema, also where every property is optional', () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } }
    expect(rulesOf(JSON.stringify(schema), schema)).toEqual(['schema_mismatch'])
  })

  it('refuses an integer it would have to round even without a schema', () => {
    expect(parseJson('{"id":[12345678901234567891]}')).toEqual({
      ok: false,
      kind: 'schema_mismatch',
      issues: [
        {
          path: '/id/0',
          message: 'integer too large to keep exactly; expected it as a string, or smaller',
        },
      ],
    })
    expect(parseJson('{"id":9007199254740992}')).toMatchObject({ ok: true })
  })
})

describe('an integer that a number would round', () => {
  it.each(Array.from({ length: 34 }, (_, offset) => offset))('is seen at offset %i', (offset) => {
    const text = `${' '.repeat(offset)}9007199254740993`
    expect(parseJson(text, { type: 'string' })).toMatchObject({
      ok: true,
      value: '9007199254740993',
    })
    expect(rulesOf(text, { type: 'integer' })).toEqual(['schema_mismatch'])
  })

  it.each([
    '9007199254740992',
    '-9007199254740991',
    '1000000000000000000000',
    '0.12345678901234567',
  ])('%s is none', (text) => {
    expect(parseJson(text, { type: 'number' })).toMatchObject({ ok: true, repairs: [] })
  })
})

describe('truncated text is rejected, never closed', () => {
  it.each([
    ['in a string', '{"name":"An'],
    ['after a value', '{"name":"Ann","age":36'],
    ['after a whole item of a list', '[{"name":"Ann","age":36},{"name":"Bob","age":1}'],
    ['after a comma', '{"name":"Ann",'],
    ['in a fence', 'Here:\n```json\n{"name":"Ann","age":3'],
    ['at the first bracket', '```json\n{'],
    ['in a repetition', '{"name":"Ann","age":36}\n{"name":"Ann","a'],
    ['in a comment', '{"name":"Ann","age":36 /* '],
  ])('%s', (_, text) => {
    expect(rulesOf(text, PERSON)).toEqual(['truncated'])
    expect(rulesOf(text, PERSON, { level: 'off' })).toEqual(['truncated'])
  })

  it.each(['length', 'max_tokens', 'MAX_TOKENS'])(
    'whenever the provider says %s',
    (finishReason) => {
      expect(rulesOf('{"name":"Ann","age":36}', PERSON, { finishReason })).toEqual(['truncated'])
    },
  )

  it('is told from a text whose quotes were not escaped', () => {
    const text = '{"name":"a 12" pipe","age":36}'
    expect(parseJson(text, PERSON)).toEqual({
      ok: true,
      value: { name: 'a 12" pipe', age: 36 },
      repairs: [{ path: '/name', rule: 'guess-quotes', offset: 8 }],
    })
    for (const end of ['"age":36', '"ag', '']) {
      expect(rulesOf(`{"name":"a 12" pipe",${end}`, PERSON)).toEqual(['truncated'])
    }
    expect(rulesOf('{"code":"if (x) {}', {})).toEqual(['truncated'])
  })
})

describe('a quote inside a string', () => {
  it.each([
    ['before words', '{"a":"he said "no" to it"}', 'he said "no" to it'],
    ['before a comma and no key', '{"a":"select "x", "y" from z","b":1}', 'select "x", "y" from z'],
    ['at its end', '{"a":"he said "no"","b":1}', 'he said "no"'],
    ['beside those that are escaped', '{"a":"\\"x\\" and "y"","b":1}', '"x" and "y"'],
    ['around JSON', '{"a":"{"x": 1, "y": 2}","b":1}', '{"x": 1, "y": 2}'],
    ['around JSON with strings', '{"a":"{"x": "1", "y": 2}"}', '{"x": "1", "y": 2}'],
  ])('%s is a part of it', (_, text, a) => {
    expect(parseJson(text)).toMatchObject({
      value: { a },
      repairs: [{ path: '/a', rule: 'guess-quotes', offset: 5 }],
    })
  })

  it.each([
    ['in a list', '["say "yes", "no" or "maybe", "later""]'],
    ['that leaves brackets open', '{"a":"{"x": "1", "y": 2"}"}'],
    ['without an end', '{"a":"he said "no'],
  ])('%s is refused', (_, text) => {
    expect(parseJson(text).ok).toBe(false)
  })
})

describe('words around the JSON that speak against it', () => {
  it.each([
    ['[1,2]\n(The remaining 14 rows are omitted for brevity.)', 'malformed_output'],
    ['Here is a blank template: {"name":"","age":0}', 'malformed_output'],
    ['I\'m unable to answer that. {"name":"","age":0}', 'refusal'],
  ])('refuse it: %s', (text, kind) => {
    expect(rulesOf(text)).toEqual([kind])
  })

  it.each([
    'Here is an example of what you asked for: {"name":"Ann","age":36}',
    'I cannot find a middle name, so it is left out. {"name":"Ann","age":36}',
    '{"name":"I cannot answer that","age":36} is all I know.',
  ])('and other words do not: %s', (text) => {
    expect(parseJson(text, PERSON).ok).toBe(true)
  })
})

describe('a refusal', () => {
  it.each([
    "I'm sorry, but I can't help with that.",
    'I cannot assist with this request.',
    'I’m unable to provide that.',
  ])('is recognised where there is no JSON: %s', (text) => {
    expect(rulesOf(text, PERSON)).toEqual(['refusal'])
  })

  it('is not seen in a bad answer', () => {
    expect(rulesOf("I can't find an age, so: unknown", PERSON)).toEqual(['malformed_output'])
  })
})

describe('levels', () => {
  const FENCED = '```\n{"name":"Ann","age":36,}\n```'
  const COERCIBLE = '{"name":"Ann","age":"36"}'

  it.each([
    ['off', FENCED, 'malformed_output'],
    ['off', COERCIBLE, 'schema_mismatch'],
    ['syntax', FENCED, undefined],
    ['syntax', COERCIBLE, 'schema_mismatch'],
    ['safe', COERCIBLE, undefined],
    ['safe', '{"name":"Ann","age":" +36 "}', 'schema_mismatch'],
    ['lenient', '{"name":"Ann","age":" +36 "}', undefined],
    ['lenient', '{"name":"Ann","age":"1,234,567"}', undefined],
    ['lenient', '{"name":"Ann","age":"1,234"}', undefined],
    ['lenient', '{"name":"Ann","age":1,"score":"1,234"}', 'schema_mismatch'],
    ['safe', '{"name":"Ann","age":1,"mood":"In between"}', 'schema_mismatch'],
    ['lenient', '{"name":"Ann","age":1,"mood":"In between"}', undefined],
  ] as const)('%s: %s', (level, text, kind) => {
    const result = parseJson(text, PERSON, { level })
    expect(result.ok ? undefined : result.kind).toBe(kind)
  })
})

describe('a Standard Schema', () => {
  const schema = z.object({ size: z.string().transform(Number), colour: z.string().default('red') })

  it('gives its output', () => {
    expect(parseJson('{"size":"3"}', schema)).toEqual({
      ok: true,
      value: { size: 3, colour: 'red' },
      repairs: [],
    })
  })

  it('leaves its transforms to finish once compiled', () => {
    expect(parseJson('{"size":"3"}', compileSchema(schema))).toMatchObject({
      ok: true,
      value: { size: '3' },
    })
  })

  it('reports the problems of its refinements', () => {
    const even = z.object({ n: z.number().refine((n) => n % 2 === 0, 'must be even') })
    expect(parseJson('{"n":3}', even)).toEqual({
      ok: false,
      kind: 'schema_mismatch',
      issues: [{ path: '/n', message: 'must be even' }],
    })
  })

  it('is refused when it validates asynchronously', () => {
    const slow = z.object({ n: z.number().refine(() => Promise.resolve(true)) })
    expect(() => parseJson('{"n":3}', slow)).toThrow(/schema: validates asynchronously/)
  })
})

describe('which texts need their numbers looked at', () => {
  it.each([
    ['an integer of 16 digits', '{"a":9007199254740993}', true],
    ['one that is negative, at the end', '[1,-1234567890123456]', true],
    ['one in a string, which costs time and no more', '{"a":"1234567890123456"}', true],
    ['an integer with an exponent', '[1.2345678901234567e20]', true],
    ['a fraction with many digits', '[0.14285714285714285,0.3333333333333333]', false],
    ['15 digits', '[123456789012345]', false],
    ['many short numbers', `[${'12345678,'.repeat(100)}1]`, false],
  ])('%s', (_, text, expected) => {
    for (let shift = 0; shift < 16; shift += 1) {
      expect(mayRound(' '.repeat(shift) + text)).toBe(expected)
    }
  })

  it('misses none that is rounded', () => {
    const pieces = fc.constantFrom('1', '23', '4567890', '.', ',', '-', 'e', '"')
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60, size: 'max' }), (parts) => {
        const text = parts.join('')
        const numbers = text.match(/(?<![\d.])-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?/g) ?? []
        const hasRounded = numbers.some((number) => isRounded(number, Number(number)))
        if (hasRounded) expect(mayRound(text) || mayOverflow(text)).toBe(true)
      }),
    )
  })
})

describe('hostile text', () => {
  const TREE = { properties: { a: { $ref: '#' } }, items: { $ref: '#' } }

  it.each([
    ['open brackets', '['.repeat(1_000_000)],
    ['balanced brackets', '['.repeat(200_000) + ']'.repeat(200_000)],
    ['balanced brackets with a stray comma', `${'['.repeat(200_000)},${']'.repeat(200_000)}`],
    ['open objects', '{"a":'.repeat(100_000)],
    ['balanced objects', `${'{"a":'.repeat(100_000)}"x"${'}'.repeat(100_000)}`],
    ['open braces', '{'.repeat(1_000_000)],
    ['backticks', '`'.repeat(1_000_000)],
    ['fences', '```\n'.repeat(250_000)],
    ['reasoning that opens', '<think>'.repeat(100_000)],
    ['reasoning that closes', '</think>'.repeat(100_000)],
    ['tags', '<a '.repeat(300_000)],
    ['empty arrays', '[] '.repeat(300_000)],
    ['quotes', `[${'"a '.repeat(300_000)}]`],
    ['apostrophes', `[${"'a ".repeat(300_000)}]`],
    ['commas', `[${','.repeat(1_000_000)}]`],
    ['backslashes', `{"a":"${'\\'.repeat(1_000_001)}q",}`],
    ['white space', `{"a":1${' '.repeat(1_000_000)},}`],
    ['digits', '1'.repeat(1_000_000)],
    ['digits in a list', `[${'1'.repeat(1_000_000)}]`],
    ['missing commas', `[${'1 '.repeat(500_000)}]`],
    ['comments', `[${'//x\n'.repeat(250_000)}1,]`],
  ])('ends soon and never throws: %s', (_, text) => {
    expect(parseJson(text, TREE)).toHaveProperty('ok')
    expect(parseJson(text)).toHaveProperty('ok')
  })

  it('buys no more than bounded work from unions that nest', () => {
    const branches = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((op) => ({
      type: 'object',
      properties: { op: { const: op }, n: { type: 'number' }, of: { $ref: '#' } },
      required: ['op', 'n'],
    }))
    const text = `${'{"op":"z","n":"1","of":'.repeat(30)}1${'}'.repeat(30)}`
    expect(rulesOf(text, { anyOf: branches })).toEqual(['schema_mismatch'])
  })

  it('is not read beyond maxBytes', () => {
    expect(parseJson('"ää"', undefined, { maxBytes: 5 })).toEqual({
      ok: false,
      kind: 'malformed_output',
      issues: [{ path: '', message: 'expected at most 5 bytes' }],
    })
    expect(parseJson('"ää"', undefined, { maxBytes: 6 })).toMatchObject({ ok: true })
  })

  it('pollutes no prototype', () => {
    const result = parseJson('{"__proto__":{"polluted":true},"n":"1",}', {
      properties: { n: { type: 'number' } },
    })
    expect(result).toMatchObject({ ok: true, value: { n: 1 } })
    expect(result.ok && Object.getPrototypeOf(result.value)).toBe(Object.prototype)
    expect({}).not.toHaveProperty('polluted')
  })

  it('finds no inherited property', () => {
    const schema = {
      properties: { constructor: { type: 'string' }, toString: { type: 'string' } },
      required: ['constructor'],
    }
    expect(rulesOf('{}', schema)).toEqual(['schema_mismatch'])
    expect(parseJson('{"constructor":"McLaren"}', schema)).toMatchObject({ ok: true })
  })
})
