import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isRounded } from '../../../src/output/json-value.ts'
import { parseJson } from '../../../src/output/parse-json.ts'
import { answerSignature } from '../../../src/output/reask.ts'

const ID = {
  type: 'object',
  properties: { id: { type: 'integer' } },
  required: ['id'],
}
const TOO_LARGE = 'integer too large to keep exactly; expected it as a string, or smaller'

/** Each of them is another number as a double. */
const ROUNDED = [
  '9007199254740993',
  '9007199254740993.0',
  '9007199254740993.000000000000000000',
  '9007199254740993e0',
  '9007199254740993E+0',
  '9007199254740993.0e0',
  '9.007199254740993e15',
  '90071992.54740993e8',
  '90071992547409930e-1',
  '0.9007199254740993e16',
  '900719925474099300000e-5',
  '-9007199254740993.0',
  '-9.007199254740993e15',
  // Between 2^52 and 2^53, where the double beside it is an integer.
  '4503599627370497.5',
  '45035996.273704975e8',
  '1234567890123456789.0',
  '12345678901234567.8',
  '9007199254740993.5',
  '1.2345678901234567891e30',
  '1e400',
  '1e309',
  '-1e0400',
  '17976931348623159e292',
  `${'9'.repeat(400)}`,
]

/** Each of them is the very number, or how JavaScript itself prints it. */
const KEPT: readonly (readonly [string, number])[] = [
  ['9007199254740992', 9007199254740992],
  ['9007199254740992.0', 9007199254740992],
  ['9007199254740994e0', 9007199254740994],
  ['9.007199254740992e15', 9007199254740992],
  ['90071992547409920e-1', 9007199254740992],
  ['18014398509481984.000', 18014398509481984],
  ['1e21', 1e21],
  ['1000000000000000000000', 1e21],
  ['1.0e23', 1e23],
  ['123456789012345680000', 123456789012345680000],
  ['123456789012345683968', 123456789012345680000],
  ['-36028797018963968.0', -36028797018963968],
  ['36.0', 36],
  ['3.6e1', 36],
  ['-0', -0],
  ['0e999999999', 0],
]

describe('an integer that a double would round', () => {
  it.each(ROUNDED)('is refused where a number is due: %s', (written) => {
    const refused = { ok: false, kind: 'schema_mismatch' }
    expect(parseJson(`{"id":${written}}`, ID)).toMatchObject(refused)
    expect(parseJson(`{"id":"${written}"}`, ID)).toMatchObject(refused)
    expect(parseJson(`\`\`\`\n{"id":${written},}\n\`\`\``, ID)).toMatchObject(refused)
    expect(parseJson(`[1,{"id":[${written}]}]`)).toMatchObject({
      ...refused,
      issues: [{ path: '/1/id/0', message: TOO_LARGE }],
    })
    const union = { anyOf: [ID, { type: 'object', properties: { id: { type: 'number' } } }] }
    expect(parseJson(`{"id":${written}}`, union)).toMatchObject(refused)
    expect(parseJson(`{"id":${written}}`, { type: 'object' })).toMatchObject(refused)
  })

  it.each(ROUNDED)('becomes a string where one is due, as it was written: %s', (written) => {
    const schema = { type: 'object', properties: { id: { type: 'string' } } }
    expect(parseJson(`{"id":${written}}`, schema)).toEqual({
      ok: true,
      value: { id: written },
      repairs: [{ path: '/id', rule: 'string-from-number' }],
    })
  })

  it('is named by its path', () => {
    expect(parseJson('{"id":9007199254740993.0}', ID)).toMatchObject({
      issues: [{ path: '/id', message: TOO_LARGE }],
    })
  })

  it('is found in a list that was written as a string, also with its digits escaped', () => {
    const schema = { type: 'object', properties: { ids: { type: 'array' } } }
    const digits = [...'9007199254740993'].map((d) => `\\u003${d}`).join('')
    expect(parseJson(`{"ids":"[${digits}]"}`, schema)).toMatchObject({ ok: false })
  })

  it('makes another answer of two that differ in nothing else', () => {
    const one = answerSignature('{"id":9007199254740993.0}')
    expect(answerSignature('{"id":9007199254740995.0}')).not.toBe(one)
  })
})

describe('a number that is kept as it is', () => {
  it.each(KEPT)('%s', (written, value) => {
    const schema = { type: 'object', properties: { id: { type: 'number' } } }
    expect(parseJson(`{"id":${written}}`, schema)).toEqual({
      ok: true,
      value: { id: value },
      repairs: [],
    })
    expect(parseJson(`{"id":"${written}"}`, schema)).toMatchObject({ value: { id: value } })
  })

  it('is a fraction, however many digits it has', () => {
    const text =
      '[0.12345678901234567890,0.1,1e-400,0.99999999999999999999,3.3333333333333333333e-5]'
    expect(parseJson(text, { type: 'array', items: { type: 'number' } })).toMatchObject({
      ok: true,
    })
  })

  it('is any that JavaScript prints, in either notation', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(isRounded(String(value), value)).toBe(false)
        expect(isRounded(value.toExponential(), value)).toBe(false)
        const exact = Math.abs(value) >= 2 ** 53 ? BigInt(value).toString() : String(value)
        expect(
          isRounded(
            `${exact}${Number.isInteger(value) && !exact.includes('e') ? '.0' : ''}`,
            value,
          ),
        ).toBe(false)
      }),
    )
  })

  it('is none whose integer the double does not equal, in any notation', () => {
    const large = fc.bigInt({ min: 2n ** 53n, max: 2n ** 80n })
    fc.assert(
      fc.property(large, fc.nat(30), (integer, shift) => {
        const digits = integer.toString()
        const point = Math.min(shift, digits.length - 1)
        const moved =
          point === 0
            ? `${digits}.0`
            : `${digits.slice(0, -point)}.${digits.slice(-point)}e${point}`
        const isExact = BigInt(Number(digits)) === integer || String(Number(digits)) === digits
        for (const written of [digits, moved, `${digits}${'0'.repeat(shift)}e-${shift}`]) {
          const result = parseJson(`[${written}]`, { type: 'array', items: { type: 'number' } })
          expect(result.ok, written).toBe(isExact)
        }
      }),
    )
  })

  it('takes a time that does not depend on its exponent', () => {
    const texts = [
      '[1e999999999]',
      `[${'1'.repeat(1_000_000)}e-999990]`,
      `[1${'0'.repeat(1_000_000)}1e-1000000]`,
      `[0.${'0'.repeat(1_000_000)}1e1000017]`,
    ]
    expect(texts.map((text) => parseJson(text, { items: { type: 'number' } }).ok)).toEqual([
      false,
      true,
      true,
      true,
    ])
  })
})
