import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { canonicalJson, deriveKey, fingerprintOf, storedKey } from '../../../src/idempotency/key.ts'

describe('canonicalJson', () => {
  // The test data that RFC 8785 names (github.com/cyberphone/json-canonicalization, testdata/), whole
  // but for the 1E30 in values.json, which is an integer beyond 2^53 and refused: see below.
  it.each([
    ['arrays', '[56,{"d":true,"10":null,"1":[ ]}]', '[56,{"1":[],"10":null,"d":true}]'],
    [
      'french',
      '{"peach":"This sorting order","péché":"is wrong according to French",' +
        '"pêche":"but canonicalization MUST","sin":"ignore locale"}',
      '{"peach":"This sorting order","péché":"is wrong according to French",' +
        '"pêche":"but canonicalization MUST","sin":"ignore locale"}',
    ],
    [
      'structures',
      '{"1":{"f":{"f":"hi","F":5},"\\n":56.0},"10":{},"":"empty","a":{},' +
        '"111":[{"e":"yes","E":"no"}],"A":{}}',
      '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},' +
        '"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
    ],
    ['unicode', '{"Unnormalized Unicode":"A\\u030a"}', '{"Unnormalized Unicode":"A\u030a"}'],
    [
      'values',
      '{"numbers":[333333333.33333329,4.50,2e-3,0.000000000000000000000000001],' +
        '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/",' +
        '"literals":[null,true,false]}',
      '{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    ],
    [
      'weird',
      '{"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\u000a":"Newline","1":"One",' +
        '"\\u0080":"Control\\u007f","\\ud83d\\ude02":"Smiley",' +
        '"\\u00f6":"Latin Small Letter O With Diaeresis",' +
        '"\\ufb33":"Hebrew Letter Dalet With Dagesh","</script>":"Browser Challenge"}',
      '{"\\n":"Newline","\\r":"Carriage Return","1":"One","</script>":"Browser Challenge",' +
        '"\u0080":"Control\u007f","ö":"Latin Small Letter O With Diaeresis",' +
        '"€":"Euro Sign","😂":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    ],
  ])('gives the text that RFC 8785 publishes for %s', (_, input, expected) => {
    expect(canonicalJson(JSON.parse(input))).toBe(expected)
  })

  it("refuses the 1E30 in the RFC's values.json, by its place", () => {
    expect(() => canonicalJson(JSON.parse('{"numbers":[333333333.33333329,1E30]}'))).toThrow(
      'an integer beyond 2^53 - 1 (pass it as a string) at /numbers/1',
    )
  })

  // RFC 8785, appendix B, by IEEE 754 bits.
  it.each([
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555554', '333333333.33333325'],
    ['41b3de4355555555', '333333333.3333333'],
    ['41b3de4355555556', '333333333.3333334'],
    ['41b3de4355555557', '333333333.33333343'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ])('writes the double %s as %s', (bits, expected) => {
    expect(canonicalJson(doubleOf(bits))).toBe(expected)
  })

  it.each([
    ['NaN', '7fffffffffffffff'],
    ['infinity', '7ff0000000000000'],
    ['the largest double', '7fefffffffffffff'],
    ['2^53', '4340000000000000'],
    ['-2^53', 'c340000000000000'],
    ['295147905179352830000', '4430000000000000'],
    ['1e+23', '44b52d02c7e14af6'],
    ['1e+21', '444b1ae4d6e2ef50'],
  ])('refuses %s: its integer value is not known', (_, bits) => {
    expect(() => canonicalJson({ n: doubleOf(bits) })).toThrow(/ at \/n /)
  })

  it('keeps the safe integers to the last', () => {
    expect(canonicalJson([2 ** 53 - 1, -(2 ** 53 - 1)])).toBe(
      '[9007199254740991,-9007199254740991]',
    )
  })

  it.each<[string, unknown, string]>([
    ['drops undefined members', { a: undefined, b: 1 }, '{"b":1}'],
    ['writes dates as ISO 8601', { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    ['writes typed arrays as base64', new Uint8Array([104, 105]), '{"$b64":"aGk="}'],
    ['takes the part a view shows', new Uint8Array([1, 104, 105]).subarray(1), '{"$b64":"aGk="}'],
    ['writes a Buffer like any bytes', Buffer.from('hi'), '{"$b64":"aGk="}'],
    ['writes dates of another realm', runInNewContext('new Date(0)'), '"1970-01-01T00:00:00.000Z"'],
    ["asks a date's own toJSON", Object.assign(new Date(0), { toJSON: () => 'own' }), '"own"'],
    ['asks toJSON', { url: new URL('http://a/b') }, '{"url":"http://a/b"}'],
    ['keeps a __proto__ member', JSON.parse('{"__proto__":1,"a":2}'), '{"__proto__":1,"a":2}'],
    ['takes objects without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['leaves the line separator alone', '\u2028', '"\u2028"'],
    ['writes shared parts wherever they occur', sharedTwice(), '[{"a":1},{"a":1}]'],
  ])('%s', (_, value, expected) => {
    expect(canonicalJson(value)).toBe(expected)
  })

  it('orders by UTF-16 code units, not by code points or letters', () => {
    const value = { '\ufb33': 1, '\ud83d\ude02': 2, a: 3, B: 4, '10': 5, '9': 6 }
    expect(canonicalJson(value)).toBe('{"10":5,"9":6,"B":4,"a":3,"😂":2,"\ufb33":1}')
  })

  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'its root'],
    ['a function', { a: [() => 1] }, '/a/0'],
    ['a symbol', { a: Symbol('x') }, '/a'],
    ['a symbol as member name', { a: { [Symbol('x')]: 1 } }, '/a'],
    ['a BigInt', { a: 1n }, '/a'],
    ['undefined in an array', [1, undefined], '/1'],
    // biome-ignore lint/suspicious/noSparseArray: the hole is the case
    ['a hole in an array', [1, , 2], '/1'],
    ['a lone surrogate', { a: ['\ud800'] }, '/a/0'],
    ['a lone surrogate in a member name', { a: { '\udc00': 1 } }, '/a'],
    ['a Map', { a: new Map() }, '/a'],
    ['a Set', { a: new Set() }, '/a'],
    ['a RegExp', { a: /x/ }, '/a'],
    ['a Promise', { a: Promise.resolve() }, '/a'],
    ['an Error', { a: new Error('x') }, '/a'],
    ['an instance of a class', { a: new (class Point {})() }, '/a'],
    ['an ArrayBuffer', { a: new ArrayBuffer(1) }, '/a'],
    ['an invalid Date', { a: new Date(Number.NaN) }, '/a'],
    [
      'a getter that throws',
      {
        get a() {
          throw new Error('no')
        },
      },
      '/a',
    ],
    [
      'a toJSON that throws',
      {
        a: {
          toJSON() {
            throw new Error('no')
          },
        },
      },
      '/a',
    ],
    ['an invalid Date of another realm', { a: runInNewContext('new Date(NaN)') }, '/a'],
    ['a Map of another realm', { a: runInNewContext('new Map()') }, '/a'],
    ['a boxed string', { a: new String('x') }, '/a'],
    ['a symbol as member name of an array', { a: Object.assign([1], { [Symbol('x')]: 1 }) }, '/a'],
    ['a revoked proxy', { a: [revokedProxy()] }, '/a/0'],
    ['a proxy whose members cannot be listed', { a: trapped('ownKeys') }, '/a'],
    ['a proxy without a prototype to be read', { a: trapped('getPrototypeOf') }, '/a'],
    ['bytes that were given away', { a: givenAway() }, '/a'],
    ['a class that cannot be named', { a: Object.create(trapped('get')) }, '/a'],
    ['a toJSON that gives a function', { a: { toJSON: () => () => 1 } }, '/a'],
    ['names that need escaping', { 'a/b': { 'm~n': Number.NaN } }, '/a~1b/m~0n'],
  ])('refuses %s and says where', (_, value, place) => {
    expect(() => canonicalJson(value)).toThrow(TypeError)
    expect(() => canonicalJson(value)).toThrow(` at ${place} `)
  })

  it('names the class it refuses, and never its content', () => {
    class Secret {
      readonly apiKey = 'sk-123'
    }
    expect(() => canonicalJson({ a: new Secret() })).toThrow(
      'A payload with an instance of Secret at /a has no canonical JSON',
    )
  })

  it('refuses a cycle', () => {
    const value: { self?: unknown } = {}
    value.self = [value]
    expect(() => canonicalJson(value)).toThrow('a cycle at /self/0')
  })

  it('takes 100 levels and refuses the 101st', () => {
    expect(canonicalJson(nested(100))).toBe(`${'['.repeat(100)}${']'.repeat(100)}`)
    expect(() => canonicalJson(nested(101))).toThrow('nesting deeper than 100')
  })

  it('takes 8 Mi characters and refuses one more', () => {
    expect(canonicalJson('x'.repeat(2 ** 23 - 2))).toHaveLength(2 ** 23)
    expect(() => canonicalJson('x'.repeat(2 ** 23 - 1))).toThrow('longer than 8388608 characters')
    expect(() => canonicalJson(new Uint8Array(2 ** 24))).toThrow('longer than 8388608 characters')
  })

  it('stops at the size limit when a small value would unfold into a huge text', () => {
    let bomb: unknown = 'x'
    for (let level = 0; level < 90; level++) bomb = [bomb, bomb]
    expect(() => canonicalJson(bomb)).toThrow('longer than 8388608 characters')
  })

  it('reads each member and calls toJSON once', () => {
    let reads = 0
    let calls = 0
    const value = {
      get a() {
        return ++reads
      },
      b: {
        toJSON() {
          calls++
          return { toJSON: 1 }
        },
      },
    }
    expect(canonicalJson(value)).toBe('{"a":1,"b":{"toJSON":1}}')
    expect([reads, calls]).toEqual([1, 1])
  })

  it('leaves Object.prototype alone', () => {
    canonicalJson(JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1}}'))
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })
})

describe('storedKey, deriveKey and fingerprintOf', () => {
  const payload = { b: 'x', a: [1, 2] }

  // Computed with sha256sum and openssl over the canonical text: a change loses every stored key.
  it.each([
    [
      'a stored key',
      storedKey({ operation: 'chat', key: 'order-1' }),
      'a4d6a0bc83f03d22d3f1f3fbdcdc2fb6f3e205e71323a64012bfbd581189f498',
    ],
    [
      'a stored key of a tenant',
      storedKey({ operation: 'chat', key: 'order-1', tenant: 'acme' }),
      '4fbbba1a748dc1a5a95a1dbf06eb57605398668fe3aee923c611f2cae8e468e4',
    ],
    [
      'a stored key with a secret',
      storedKey({ operation: 'chat', key: 'order-1', keySecret: 'pepper' }),
      '6328282d64b6f8e66c4cd4eb9b842950175455c4644fb43b1b385e122a990910',
    ],
    [
      'a derived key',
      deriveKey('chat', payload, { tenant: 'acme' }),
      'b4a26d8efe0303c840c58d8040537f1f551676415dbf65eeee1a061a32256601',
    ],
    [
      'a derived key with a secret',
      deriveKey('chat', payload, { tenant: 'acme', keySecret: 'pepper' }),
      'a6347de756560289e00652d0e95f60284e361ce3b2b76aab0e8fdab3d108c556',
    ],
    [
      'a fingerprint',
      fingerprintOf(payload),
      '4644f2fc35161e1c481430740b350f0ed13f345ec867e66566ede85af556948d',
    ],
    [
      'a fingerprint with a secret',
      fingerprintOf(payload, { keySecret: 'pepper' }),
      'a4d339325b7a6f939d5893dc915ca8cd93c763174eff508327576c20c207a827',
    ],
  ])('gives %s the same hash in every release', (_, hash, expected) => {
    expect(hash).toBe(expected)
  })

  it.each([
    [
      'tenant and operation that run together',
      { tenant: 'a', operation: 'bc' },
      { tenant: 'ab', operation: 'c' },
    ],
    [
      'a separator within a tenant',
      { tenant: 'a","b', operation: 'c' },
      { tenant: 'a', operation: 'b","c' },
    ],
    ['no tenant and the tenant null', { operation: 'c' }, { tenant: 'null', operation: 'c' }],
    ['two secrets', { operation: 'c', keySecret: 'a' }, { operation: 'c', keySecret: 'b' }],
  ])('tells apart %s', (_, one, other) => {
    expect(storedKey({ ...one, key: 'k' })).not.toBe(storedKey({ ...other, key: 'k' }))
  })

  it('tells a derived key from a given one of the same text', () => {
    expect(deriveKey('chat', 'k')).not.toBe(storedKey({ operation: 'chat', key: 'k' }))
  })

  it.each([
    ['an empty key', { operation: 'chat', key: '' }, /idempotencyKey .* got 0 characters/],
    ['256 characters', { operation: 'chat', key: 'k'.repeat(256) }, /got 256 characters/],
    ['an empty operation', { operation: '', key: 'k' }, /operation must be a non-empty string/],
    ['an empty tenant', { operation: 'chat', tenant: '', key: 'k' }, /tenant must be/],
    ['an empty secret', { operation: 'chat', keySecret: '', key: 'k' }, /keySecret must be/],
    ['a lone surrogate', { operation: 'chat', key: '\ud800' }, /lone surrogate/],
  ])('refuses %s', (_, parts, message) => {
    expect(() => storedKey(parts)).toThrow(TypeError)
    expect(() => storedKey(parts)).toThrow(message)
  })

  it('takes a key of 255 characters', () => {
    expect(storedKey({ operation: 'chat', key: 'k'.repeat(255) })).toMatch(/^[0-9a-f]{64}$/)
  })

  it('names the place within the payload, not within what is hashed', () => {
    expect(() => deriveKey('chat', { a: Number.NaN })).toThrow(' at /a ')
  })
})

function doubleOf(bits: string): number {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, BigInt(`0x${bits}`))
  return view.getFloat64(0)
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

function trapped(trap: 'ownKeys' | 'getPrototypeOf' | 'get'): object {
  const no = () => {
    throw new Error('no')
  }
  return new Proxy({}, { [trap]: no })
}

function givenAway(): Uint8Array {
  const bytes = new Uint8Array(8)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

function sharedTwice(): unknown {
  const part = { a: 1 }
  return [part, part]
}

function nested(levels: number): unknown {
  let value: unknown[] = []
  for (let level = 1; level < levels; level++) value = [value]
  return value
}
