import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../src/output/parse-json.ts'
import { COERCION_RULES } from '../../../src/output/value-rules.ts'

const property = (schema: object, name = 'v') => ({
  type: 'object',
  properties: { [name]: schema },
  required: [name],
})
/** The value of the only property at level `lenient`, or `refused`. */
function leniently(value: unknown, schema: object, name = 'v'): unknown {
  const text = JSON.stringify({ [name]: value })
  const result = parseJson(text, property(schema, name), { level: 'lenient' })
  return result.ok ? Reflect.get(Object(result.value), name) : 'refused'
}

const rules = Object.entries(COERCION_RULES)

describe('each rule of coercion', () => {
  it.each(rules)('%s is applied from its level on, and named', (rule, { level, example }) => {
    const { schema, from, to } = example
    const below = level === 'safe' ? 'syntax' : 'safe'
    expect(parseJson(from, schema, { level: below })).toMatchObject({ ok: false })
    const result = parseJson(from, schema, { level })
    expect(result).toMatchObject({ ok: true, value: JSON.parse(to) })
    expect(result.ok && result.repairs.map((repair) => repair.rule)).toEqual([rule])
  })

  it.each(rules)('%s says what is lost', (_, { level, loses }) => {
    expect(loses === 'nothing').toBe(level === 'safe')
  })
})

const number = { type: 'number' }
const integer = { type: 'integer' }

describe('a number with separators, at lenient', () => {
  it.each<[string, object, unknown]>([
    ['12,111.123', number, 12111.123],
    ['1,234,567', number, 1234567],
    ['-1,234,567.5', number, -1234567.5],
    ['1.234.567', number, 1234567],
    ['1.234,50', number, 1234.5],
    ['1 234,5', number, 1234.5],
    ['1\u202f234\u202f567', number, 1234567],
    ["1'234.50", number, 1234.5],
    ['1_000_000', integer, 1000000],
    ['12,34,567', integer, 1234567],
    ['19,99', number, 19.99],
    ['0,5', number, 0.5],
    ['\u22123', integer, -3],
    ['.5', number, 0.5],
    ['5.', integer, 5],
    // 1.234 is no integer.
    ['1,234', integer, 1234],
    ['1,000', integer, 1000],
    ['1,000', number, 'refused'],
    ['1,234', number, 'refused'],
    ['-1,234', number, 'refused'],
    // JSON's own reading comes first.
    ['1.234', number, 1.234],
    ['1.234', integer, 'refused'],
    ['1,23,4', number, 'refused'],
    ['1,2345', integer, 'refused'],
    ['1 2345', number, 'refused'],
    ['12 34', number, 'refused'],
    ['1 234\u00a0567', number, 'refused'],
    ['1,234;567', number, 'refused'],
    ['1.2.3', number, 'refused'],
    ['007', integer, 'refused'],
    ['0,123,456', integer, 'refused'],
    ['0x1F', integer, 'refused'],
    ['1e400', number, 'refused'],
    ['9,007,199,254,740,993', integer, 'refused'],
    ['9,007,199,254,740,992', integer, 9007199254740992],
    ['NaN', number, 'refused'],
    ['Infinity', number, 'refused'],
    ['+-1', number, 'refused'],
    ['--1', number, 'refused'],
    ['twelve', integer, 'refused'],
    ['30-35', integer, 'refused'],
  ])('%s for %o is %s', (text, schema, value) => {
    expect(leniently(text, schema)).toBe(value)
  })

  it.each<[string, readonly unknown[] | 'refused']>([
    ['["1,234","12.50"]', [1234, 12.5]],
    ['["1,234","12,50"]', [1.234, 12.5]],
    ['["1.234,5","1,234"]', [1234.5, 1.234]],
    ['["12,50","1,234","12.50"]', 'refused'],
    ['["1,234","2,345"]', 'refused'],
  ])('with two readings is read as the other numbers of the answer are: %s', (text, value) => {
    const result = parseJson(text, { type: 'array', items: number }, { level: 'lenient' })
    expect(result.ok ? result.value : 'refused').toEqual(value)
  })

  it('is no integer where the other numbers have a decimal comma', () => {
    const schema = { type: 'array', items: [integer, number] }
    expect(parseJson('["1,234","12,50"]', schema, { level: 'lenient' }).ok).toBe(false)
  })
})

describe('a percentage, at lenient', () => {
  it.each<[string, object, string, unknown]>([
    ['85%', number, 'confidence', 0.85],
    ['85 percent', number, 'confidence', 0.85],
    ['85 %', number, 'confidence', 0.85],
    ['12.5%', number, 'rate', 0.125],
    ['-7%', number, 'change', -0.07],
    ['0,5 %', number, 'rate', 0.005],
    ['29%', number, 'rate', 0.29],
    ['85%', { type: 'number', maximum: 1 }, 'percent', 0.85],
    ['85%', { type: 'number', maximum: 100 }, 'confidence', 85],
    ['85%', integer, 'confidence', 85],
    ['85%', number, 'discountPercent', 85],
    ['85%', number, 'tax_pct', 85],
    ['185%', { type: 'number', maximum: 1 }, 'share', 'refused'],
    ['1.234%', number, 'rate', 'refused'],
    ['12.5%', integer, 'share', 'refused'],
    ['about 85%', number, 'share', 'refused'],
    ['80%-85%', number, 'share', 'refused'],
    ['%', number, 'share', 'refused'],
    ['5‰', number, 'share', 'refused'],
  ])('%s for %o as %s is %s', (text, schema, name, value) => {
    expect(leniently(text, schema, name)).toBe(value)
  })
})

describe('a number with a unit, at lenient', () => {
  it.each<[string, string, unknown]>([
    ['$12', 'price', 12],
    ['-$12.50', 'balance', -12.5],
    ['$-12.50', 'balance', -12.5],
    ['€ 1.234,50', 'price', 1234.5],
    ['12,50 €', 'price', 12.5],
    ['USD 12', 'price', 12],
    ['12 USD', 'price', 12],
    ['$12 USD', 'price', 12],
    ['12 kg', 'weight', 12],
    ['12kg', 'weight', 12],
    ['36 years old', 'age', 36],
    ['5 Minutes', 'duration', 5],
    ['80 m2', 'area', 80],
    ['-5 °C', 'temperature', -5],
    ['12 kg', 'weight_kg', 12],
    ['12 kilograms', 'weightKg', 12],
    // One letter is a unit only behind a name.
    ['12 kg', 'v', 12],
    ['12 s', 'v', 12],
    ['12 kg', 'weight_g', 'refused'],
    // Prices have two decimal places.
    ['$1,234', 'price', 1234],
    ['€ 1.234', 'price', 1234],
    ['$1.5', 'price', 1.5],
    ['$0.125', 'price', 0.125],
    ['1.234 kg', 'weight', 'refused'],
    ['1,234 kg', 'weight', 'refused'],
    ['1.5 kg', 'weight', 1.5],
    ['1.2345 kg', 'weight', 1.2345],
    ['1 234 kg', 'weight', 1234],
    // Another unit than the one that is asked for.
    ['12 lb', 'weight_kg', 'refused'],
    ['5 minutes', 'durationSeconds', 'refused'],
    ['€5', 'price_usd', 'refused'],
    ['$12 EUR', 'price', 'refused'],
    // Multiples and approximations.
    ['5k', 'count', 'refused'],
    ['$5M', 'revenue', 'refused'],
    ['5 million', 'count', 'refused'],
    ['$5 billion', 'revenue', 'refused'],
    ['3 dozen', 'count', 'refused'],
    ['about 5 kg', 'weight', 'refused'],
    ['~5 kg', 'weight', 'refused'],
    ['5+ years', 'experience', 'refused'],
    ['< 5 kg', 'weight', 'refused'],
    // More than one number.
    ['5 ft 3 in', 'height', 'refused'],
    ['3-4 kg', 'weight', 'refused'],
    ['1/2 kg', 'weight', 'refused'],
    ['12 of 20', 'count', 'refused'],
    ['12 apples', 'count', 'refused'],
    ['kg 12', 'weight', 'refused'],
    ['($12)', 'balance', 'refused'],
    ['kg', 'weight', 'refused'],
    ['007 kg', 'weight', 'refused'],
  ])('%s as %s is %s', (text, name, value) => {
    expect(leniently(text, number, name)).toBe(value)
  })

  it('is read as the other numbers of the answer are', () => {
    const items = { type: 'array', items: number }
    const lenient = { level: 'lenient' } as const
    expect(parseJson('["1.234 kg","12,50"]', items, lenient)).toMatchObject({ value: [1234, 12.5] })
    expect(parseJson('["1.234 kg","12.50"]', items, lenient)).toMatchObject({
      value: [1.234, 12.5],
    })
    expect(parseJson('["$1.234","12.50"]', items, lenient)).toMatchObject({ value: [1.234, 12.5] })
  })

  it('keeps the unit of the description', () => {
    const inKilograms = { type: 'number', description: 'The weight in kg.' }
    expect(leniently('12 lb', inKilograms, 'weight')).toBe('refused')
    expect(leniently('12 kg', inKilograms, 'weight')).toBe(12)
  })
})

describe('words, at lenient', () => {
  const level = { enum: ['low', 'medium', 'high', 'very high'] }
  const nullable = { type: ['integer', 'null'] }

  it.each<[string, unknown, object, unknown]>([
    ['v', 'yes', { type: 'boolean' }, true],
    ['v', ' NO ', { type: 'boolean' }, false],
    ['v', 'on', { type: 'boolean' }, true],
    ['v', 'Off', { type: 'boolean' }, false],
    ['v', 'tRuE', { type: 'boolean' }, true],
    ['v', 'maybe', { type: 'boolean' }, 'refused'],
    ['v', 'yes, but', { type: 'boolean' }, 'refused'],
    ['v', '1', { type: 'boolean' }, 'refused'],
    ['v', 1, { type: 'boolean' }, 'refused'],
    ['v', '', { type: 'boolean' }, 'refused'],
    ['v', false, { type: 'string' }, 'false'],
    ['v', true, { enum: ['yes', 'no'] }, 'refused'],
    ['v', 'high priority', level, 'high'],
    ['urgency', 'Urgency: HIGH.', level, 'high'],
    ['v', '**high**', level, 'high'],
    ['v', 'The level is "very high"', level, 'very high'],
    ['v', 'not high', level, 'refused'],
    ['v', 'a b', { enum: ['a', 'b'] }, 'refused'],
    ['v', 'the a', { enum: ['a', 'b'] }, 'a'],
    ['v', 'low to medium', level, 'refused'],
    ['v', 'higher', level, 'refused'],
    ['v', 'anything but high', level, 'refused'],
    ['v', 'high-ish', level, 'refused'],
    ['v', 'N/A', nullable, null],
    ['v', 'null', nullable, null],
    ['v', '', nullable, null],
    ['v', 'None', { anyOf: [integer, { type: 'null' }] }, null],
    ['v', 'none', { enum: ['free', null] }, null],
    ['v', 'none', { type: ['string', 'null'] }, 'none'],
    ['v', 'unknown', nullable, 'refused'],
    ['v', 'N/A', integer, 'refused'],
  ])('%s: %o for %o is %s', (name, given, schema, value) => {
    expect(leniently(given, schema, name)).toBe(value)
  })
})

describe('a day, at lenient', () => {
  const date = { type: 'string', format: 'date' }

  it.each<[string, unknown]>([
    ['2024/05/03', '2024-05-03'],
    ['2024.5.3', '2024-05-03'],
    ['2024-5-3', '2024-05-03'],
    ['3 May 2024', '2024-05-03'],
    ['3rd of May, 2024', '2024-05-03'],
    ['May 3, 2024', '2024-05-03'],
    ['Sept. 3rd 2024', '2024-09-03'],
    ['25/12/2024', '2024-12-25'],
    ['12/25/2024', '2024-12-25'],
    ['05.05.2024', '2024-05-05'],
    ['2024-05-03T10:00:00Z', '2024-05-03'],
    ['2024-05-03 10:00', '2024-05-03'],
    ['05/03/2024', 'refused'],
    ['31/02/2024', 'refused'],
    ['13/13/2024', 'refused'],
    ['2024-05', 'refused'],
    ['3/5/24', 'refused'],
    ['2024/05-03', 'refused'],
    ['3 Mai 2024', 'refused'],
    ['May 2024', 'refused'],
    ['yesterday', 'refused'],
  ])('%s is %s', (text, value) => {
    expect(leniently(text, date)).toBe(value)
  })

  it('is never rewritten at safe, nor without the name of its format', () => {
    expect(parseJson('"2024/05/03"', date)).toMatchObject({ ok: false })
    expect(leniently('2024/05/03', { type: 'string' })).toBe('2024/05/03')
    expect(leniently('2024-05-03 10:00', { type: 'string', format: 'date-time' })).toBe('refused')
    expect(leniently('3 May 2024', { type: 'string', pattern: '^\\d{4}-' })).toBe('refused')
  })
})

describe('lists, at lenient', () => {
  const text = { type: 'string' }
  const texts = { type: 'array', items: text }

  it.each<[unknown, object, unknown]>([
    [['Ada'], text, 'Ada'],
    [['Ada', 'Bob'], text, 'Ada'],
    [['36'], integer, 36],
    [[36], integer, 36],
    [[true], { type: 'boolean' }, true],
    [['High', 'low'], { type: 'string', enum: ['low', 'high'] }, 'high'],
    [[30, 35], integer, 'refused'],
    [['Ada', 36], text, 'refused'],
    [['Ada', null], text, 'refused'],
    [['a', 'b', 'c'], text, 'refused'],
    [[], text, 'refused'],
    [[1.5], text, 'refused'],
    [[{ a: 1 }, { a: 2 }], { type: 'object', properties: { a: number } }, 'refused'],
    ['urgent', texts, ['urgent']],
    [7, { type: 'array', items: integer }, [7]],
    ['a, b', texts, 'refused'],
    ['salt and pepper', texts, 'refused'],
    ['a/b', texts, 'refused'],
    ['', texts, 'refused'],
    ['N/A', texts, 'refused'],
    [null, texts, 'refused'],
  ])('%j for %o is %j', (given, schema, value) => {
    expect(leniently(given, schema)).toEqual(value)
  })

  it('are not made of the elements of another list, whose level is then open', () => {
    expect(leniently([1, 2], { type: 'array', items: { type: 'array', items: integer } })).toBe(
      'refused',
    )
  })

  it('are made of an object that has a declared property, and of no other', () => {
    const items = { type: 'object', properties: { a: integer } }
    const schema = { type: 'array', items }
    const lenient = { level: 'lenient' } as const
    expect(parseJson('{"a":1}', schema, lenient)).toMatchObject({ value: [{ a: 1 }] })
    expect(parseJson('{"b":1}', schema, lenient).ok).toBe(false)
  })
})

describe('surplus properties, at lenient', () => {
  const schema = {
    type: 'object',
    properties: { name: { type: 'string' }, age: integer, tags: { type: 'array' } },
    additionalProperties: false,
  }

  it.each<[string, unknown]>([
    ['{"name":"Ada","mood":"fine"}', { name: 'Ada' }],
    ['{"name":"Ada","error":null}', { name: 'Ada' }],
    ['{"name":"Ada","age":"N/A"}', { name: 'Ada' }],
    ['{"name":"Ada","error":"not sure"}', 'refused'],
    ['{"name":"Ada","isExample":true}', 'refused'],
    ['{"name":"Ada","uncertainty":0.9}', 'refused'],
    ['{"name":"Ada","agee":36}', 'refused'],
    ['{"name":"Ada","Age":36}', 'refused'],
    ['{"name":"Ada","age_years":36}', 'refused'],
    ['{"name":"Ada","details":{"age":36}}', 'refused'],
    ['{"mood":"fine"}', 'refused'],
    ['{"name":null,"mood":"fine"}', 'refused'],
  ])('%s gives %j', (text, value) => {
    const result = parseJson(text, schema, { level: 'lenient' })
    expect(result.ok ? result.value : 'refused').toEqual(value)
  })

  it('are named by their rule and without their name', () => {
    const result = parseJson('{"name":"Ada","mood":"fine"}', schema, { level: 'lenient' })
    expect(result).toMatchObject({ repairs: [{ path: '/*', rule: 'drop-unknown' }] })
  })

  it('are not dropped to decide between branches of a union', () => {
    const branch = (name: string) => ({
      type: 'object',
      properties: { [name]: integer },
      required: [name],
      additionalProperties: false,
    })
    const union = { anyOf: [branch('a'), branch('b')] }
    expect(parseJson('{"a":1,"b":2}', union, { level: 'lenient' }).ok).toBe(false)
  })

  it('never make room for a required value', () => {
    const required = { ...schema, required: ['age'] }
    const result = parseJson('{"name":"Ada","mood":1}', required, { level: 'lenient' })
    expect(result.ok).toBe(false)
  })
})

describe('a property under several parts of the schema', () => {
  it('is coerced by its own part and by each pattern that matches its name', () => {
    const schema = {
      properties: { n1: { maximum: 5 } },
      patternProperties: { '^n': { type: 'integer' }, '1$': { type: 'number' } },
    }
    expect(parseJson('{"n1":"4"}', schema)).toMatchObject({ ok: true, value: { n1: 4 } })
    expect(parseJson('{"n1":"6"}', schema)).toMatchObject({ ok: false })
  })

  it('stays as it is where two patterns want different things', () => {
    const schema = { patternProperties: { '^n': { type: 'integer' }, '1$': { type: 'string' } } }
    expect(parseJson('{"n1":"4"}', schema)).toMatchObject({ ok: false })
  })
})

describe('what lenient never does', () => {
  it.each<[string, unknown, object]>([
    ['round', 4.7, integer],
    ['round a text', '4.7', integer],
    [
      'fill in a default',
      {},
      { type: 'object', properties: { a: { default: 1 } }, required: ['a'] },
    ],
    ['read words as digits', 'twelve', integer],
    ['take an object for its text', { a: 1 }, { type: 'string' }],
  ])('%s', (_, value, schema) => {
    expect(leniently(value, schema)).toBe('refused')
  })
})

describe('rules with a loss', () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `declared${index}`)
  const properties = Object.fromEntries(names.map((name) => [name, { type: 'string' }]))
  const lenient = { level: 'lenient' } as const

  it('end after a bounded number of steps, whatever the names', () => {
    const surplus = Array.from({ length: 20_000 }, (_, index) => [`surplus ${index}`, 1])
    const text = JSON.stringify({ declared0: 'x', ...Object.fromEntries(surplus) })
    const schema = { type: 'object', properties, additionalProperties: false }
    const result = parseJson(text, schema, lenient)
    expect(JSON.stringify(result)).toContain('not compared further')
  })

  it('take a time that does not depend on the number of allowed words', () => {
    const items = { enum: names.flatMap((name) => [`${name} a`, `${name} b`, `${name} c`]) }
    const answer = Array.from({ length: 2_000 }, (_, index) => `x declared${index} y`)
    // Comparing each text with each allowed one would exceed the time limit of a test.
    expect(parseJson(JSON.stringify(answer), { type: 'array', items }, lenient).ok).toBe(false)
  })
})
