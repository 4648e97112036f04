import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, storedKey } from '../../src/idempotency/key.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'

/** Values that RFC 8785 and our stricter rules both take. */
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, '', '1', 1, '__proto__'),
    fc.string({ unit: 'grapheme' }),
    fc.maxSafeInteger(),
    fraction(),
    fc.array(tie('json'), { maxLength: 4 }),
    fc.dictionary(memberName(), tie('json'), { maxKeys: 4 }),
  ),
}))

describe('canonicalJson', () => {
  it('means the same as the value it was made from', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('is the same for a value that went through JSON', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(canonicalJson(JSON.parse(JSON.stringify(value)))).toBe(canonicalJson(value))
      }),
    )
  })

  it('ignores the order of members', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value))
      }),
    )
  })

  it('is its own canonical form', () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value)
        expect(canonicalJson(JSON.parse(text))).toBe(text)
      }),
    )
  })

  it('differs whenever the values differ', () => {
    fc.assert(
      fc.property(json, json, (one, other) => {
        const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))
        expect(canonicalJson(one) === canonicalJson(other)).toBe(same)
      }),
      { numRuns: fuzzRuns(20_000) },
    )
  })

  it('gives every double back, bit for bit', () => {
    fc.assert(
      fc.property(fraction(), (value) => {
        expect(Number(canonicalJson(value))).toBe(value)
      }),
      { numRuns: fuzzRuns(5_000) },
    )
  })
})

describe('storedKey', () => {
  it('differs whenever tenant, operation or key differ', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '|', '"', ',', '\\'), minLength: 1 })
    const parts = fc.record({ tenant: text, operation: text, key: text })
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        const same =
          one.tenant === other.tenant && one.operation === other.operation && one.key === other.key
        expect(storedKey(one) === storedKey(other)).toBe(same)
      }),
      { numRuns: fuzzRuns(1_000) },
    )
  })
})

/** Doubles over the whole range, without what we refuse and without -0, which becomes 0. */
function fraction(): fc.Arbitrary<number> {
  return fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((value) => !Object.is(value, -0))
    .filter((value) => !Number.isInteger(value) || Number.isSafeInteger(value))
}

function memberName(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('a', 'A', '1', '10', '9', '__proto__', 'constructor', '😂', '\ufb33'),
    fc.string({ unit: 'grapheme', maxLength: 3 }),
  )
}

/** The same value with the members of every object in the opposite order. */
function reversed(value: unknown): unknown {
  return rebuilt(value, (names) => names.reverse())
}

/** The same value with the members of every object in one fixed order. */
function sorted(value: unknown): unknown {
  return rebuilt(value, (names) => names.sort())
}

function rebuilt(value: unknown, order: (names: string[]) => string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => rebuilt(item, order))
  if (typeof value !== 'object' || value === null) return value
  const copy = Object.create(null)
  for (const name of order(Object.keys(value))) {
    copy[name] = rebuilt(Reflect.get(value, name), order)
  }
  return copy
}
