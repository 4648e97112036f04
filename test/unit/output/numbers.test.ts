import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../src/output/parse-json.ts'

const levels = ['off', 'syntax', 'safe', 'lenient'] as const
const of = (type: string | readonly string[]) => ({
  type: 'object',
  properties: { v: { type } },
  required: ['v'],
})
const memberOf = (text: string, schema: object, level: (typeof levels)[number] = 'safe') => {
  const result = parseJson(text, schema, { level })
  return result.ok ? Reflect.get(Object(result.value), 'v') : 'refused'
}

describe('a string for a number', () => {
  it.each([
    ['36', 36],
    ['-0.5', -0.5],
    ['6.02E-7', 6.02e-7],
    ['9007199254740992', 9007199254740992],
    ['0.1000', 0.1],
  ])('is read if it is exactly a JSON number: %s', (text, value) => {
    expect(memberOf(JSON.stringify({ v: text }), of('number'))).toBe(value)
  })

  it.each([
    ...[
      '007',
      '1_000',
      '0x1',
      '0b1',
      '0o7',
      '1e',
      '.5',
      '5.',
      '+1',
      ' 1',
      '1 ',
      '1\n',
      '',
      '-',
      '- 1',
    ],
    ...['1,000', '1e400', '-1e400', '9007199254740993', '٣', '１', '½', '1n', 'NaN', 'Infinity'],
    ...['-Infinity', 'nan', 'inf', '∞', 'null', 'true'],
  ])('is refused at safe if it is anything else: %s', (text) => {
    expect(memberOf(JSON.stringify({ v: text }), of('number'))).toBe('refused')
  })

  it.each(['007', '0x1', '1e400', 'NaN', 'Infinity', '-Infinity', 'inf', '9007199254740993'])(
    'is no number at any level: %s',
    (text) => {
      for (const level of levels) {
        expect(memberOf(JSON.stringify({ v: text }), of('number'), level)).toBe('refused')
      }
    },
  )
})

describe('NaN and Infinity', () => {
  it.each(['NaN', 'Infinity', '-Infinity'])('are dead without quotes, at any level: %s', (word) => {
    for (const level of levels) {
      for (const type of ['number', 'integer', 'null']) {
        expect(memberOf(`{"v": ${word}}`, of(type), level)).toBe('refused')
      }
    }
  })
})

describe('a number for a string', () => {
  it.each(['1.50', '1e5', '1E+5', '-0', '-0.10', '1.0', '9007199254740993', '1e400', '0.1e1'])(
    'keeps its notation: %s',
    (written) => {
      expect(memberOf(`{"v":${written}}`, of('string'))).toBe(written)
      expect(memberOf(`{"v": ${written} , "w":1}`, of('string'))).toBe(written)
      expect(memberOf(`{"result":{"v":${written}}}`, of('string'))).toBe(written)
      expect(memberOf(`[{"v":${written}}]`, of('string'))).toBe(written)
      expect(memberOf(JSON.stringify(`{"v":${written}}`), of('string'))).toBe(written)
    },
  )

  it('is the last one of several under the same key', () => {
    expect(memberOf('{"v":1.50,"v":2}', of('string'))).toBe('2')
    expect(memberOf('{"v":2,"v":1.50}', of('string'))).toBe('1.50')
    expect(memberOf('{"v":1.50,"v":"x"}', of('string'))).toBe('x')
  })

  it('is left alone where the schema also takes a number', () => {
    expect(memberOf('{"v":1.50}', of(['string', 'number']))).toBe(1.5)
  })

  it('is refused at syntax and off', () => {
    expect(memberOf('{"v":1.50}', of('string'), 'syntax')).toBe('refused')
    expect(memberOf('{"v":1.50}', of('string'), 'off')).toBe('refused')
  })

  it('is never made of a number that was made of a string', () => {
    const schema = {
      type: 'object',
      properties: { kind: { enum: ['text', 'number'] } },
      if: { properties: { kind: { const: 'text' } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { properties: { v: { type: 'string' } } },
      else: { properties: { v: { type: 'number' } } },
    }
    expect(memberOf('{"kind":"Text","v":"5.0"}', schema)).toBe('5.0')
    expect(memberOf('{"kind":"Number","v":"5.0"}', schema)).toBe(5)
    expect(memberOf('{"kind":"Text","v":5.0}', schema)).toBe('5.0')
  })

  it('is never made of one of another notation, whatever the order of the parts', () => {
    const text = { properties: { kind: { const: 'text' }, v: { type: 'string' } } }
    const number = { properties: { kind: { const: 'number' }, v: { type: 'number' } } }
    const schema = { type: 'object', anyOf: [number, text] }
    expect(memberOf('{"kind":"TEXT","v":"5.0"}', schema)).toBe('5.0')
    const contradiction = { properties: { v: { allOf: [{ type: 'number' }, { type: 'string' }] } } }
    expect(memberOf('{"v":"5.0"}', contradiction)).toBe('refused')
    expect(memberOf('{"v":5.0}', contradiction)).toBe('refused')
  })
})

describe('a fraction for an integer', () => {
  it.each(['4.7', '"4.7"', '-0.5', '1e-1'])('is never rounded, at any level: %s', (written) => {
    for (const level of levels) {
      expect(memberOf(`{"v":${written}}`, of('integer'), level)).toBe('refused')
    }
  })

  it('is an integer if its fraction is zero', () => {
    expect(memberOf('{"v":36.0}', of('integer'), 'off')).toBe(36)
    expect(memberOf('{"v":"36.0"}', of('integer'))).toBe(36)
  })
})
