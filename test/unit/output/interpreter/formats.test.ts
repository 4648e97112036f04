import { describe, expect, it } from 'vitest'
import { ajvCompiler } from '../../../../src/output/ajv-engine.ts'
import { interpreter } from '../../../../src/output/interpreter/interpreter.ts'

/** A value of each format, and one that is not. */
const SAMPLES: readonly (readonly [string, unknown, unknown])[] = [
  ['date', '2027-02-28', '2027-02-29'],
  ['time', '09:30:00Z', '09:30:00'],
  ['date-time', '2027-03-01T09:30:00+01:00', '2027-03-01 25:30'],
  ['iso-time', '09:30:00', '09:30'],
  ['iso-date-time', '2027-03-01T09:30:00', '2027-03-01'],
  ['duration', 'P3DT12H', 'P'],
  ['uri', 'https://example.org/a?b#c', '/a'],
  ['uri-reference', '/a', 'a b'],
  ['uri-template', 'https://example.org/{id}', '{'],
  ['url', 'https://example.org', 'example'],
  ['email', 'ada@example.org', 'ada@'],
  ['hostname', 'example.org', '-a'],
  ['ipv4', '192.0.2.1', '192.0.2.256'],
  ['ipv6', '2001:db8::1', '2001:db8'],
  ['regex', '^a+$', '('],
  ['uuid', '123e4567-e89b-12d3-a456-426614174000', '123e4567'],
  ['json-pointer', '/a~1b', 'a'],
  ['json-pointer-uri-fragment', '#/a', '/a'],
  ['relative-json-pointer', '1/a', '/a'],
  ['byte', 'YWJj', 'YWJ'],
  ['int32', 2 ** 31 - 1, 2 ** 31],
  ['int64', 5, 5.5],
]

/** Formats that check nothing, and one that nobody knows. */
const ANYTHING = ['float', 'double', 'password', 'binary', 'postcode', 'toString']

function bothVerdicts(schema: object, value: unknown): readonly boolean[] {
  const text = JSON.stringify(schema)
  return [ajvCompiler, interpreter].map((compiler) =>
    compiler(text, '2020-12', undefined)().accepts(value),
  )
}

describe('formats', () => {
  it.each(SAMPLES)('have one verdict on %s', (format, valid, invalid) => {
    expect(bothVerdicts({ format }, valid)).toEqual([true, true])
    expect(bothVerdicts({ format }, invalid)).toEqual([false, false])
    expect(bothVerdicts({ not: { format } }, invalid)).toEqual([true, true])
  })

  it.each(ANYTHING)('check nothing where they are %s', (format) => {
    expect(bothVerdicts({ format }, 'x')).toEqual([true, true])
    expect(bothVerdicts({ format }, 1.5)).toEqual([true, true])
  })

  it('are asked of their own type only', () => {
    expect(bothVerdicts({ format: 'date' }, 5)).toEqual([true, true])
    expect(bothVerdicts({ format: 'int32' }, 'x')).toEqual([true, true])
  })

  it('have bounds where they have an order', () => {
    const schema = {
      format: 'date',
      formatMinimum: '2027-01-01',
      formatExclusiveMaximum: '2028-01-01',
    }
    expect(bothVerdicts(schema, '2027-01-01')).toEqual([true, true])
    expect(bothVerdicts(schema, '2026-12-31')).toEqual([false, false])
    expect(bothVerdicts(schema, '2028-01-01')).toEqual([false, false])
  })
})
