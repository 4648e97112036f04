import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { base64Of } from '../../../src/idempotency/encryption.ts'
import { keepingOf } from '../../../src/idempotency/kept-result.ts'
import { steady } from '../../../src/index.ts'
import { rejection } from '../../support/set-up.ts'

const key = 'a'.repeat(64)
const fingerprint = 'b'.repeat(64)
const oldKey = randomBytes(32)
const newKey = randomBytes(32)
const encryption = { keys: { old: oldKey }, use: 'old' }
const long = JSON.stringify({ text: 'one and the same sentence '.repeat(2_000) })
const random = JSON.stringify(randomBytes(20_000).toString('base64'))

describe('a kept result', () => {
  describe.each([
    ['in plain text', {}],
    ['encrypted', { encryption }],
  ])('%s', (_, options) => {
    it.each([
      ['a short one', '{"answer":42}'],
      ['an empty one', ''],
      ['one with every kind of character', '{"Grüße":"😀 \\u0000 \u2028"}'],
      ['a long one', long],
      ['one that does not compress', random],
    ])('comes back to the letter: %s', async (_case, text) => {
      const keeping = keepingOf(options, key, fingerprint)
      const { kept, whole } = await keeping.seal(text)
      expect(whole).toBe(true)
      expect(await keeping.open(kept)).toBe(text)
    })

    it('is compressed above 8 KiB, where that helps', async () => {
      const keeping = keepingOf(options, key, fingerprint)
      expect((await keeping.seal(long)).kept.length).toBeLessThan(long.length / 50)
      const { kept } = await keeping.seal(JSON.stringify('x'.repeat(8_190)))
      expect(kept.length).toBeGreaterThan(8_192)
    })

    it('belongs to its key and its payload', async () => {
      const { kept } = await keepingOf(options, key, fingerprint).seal('"mine"')
      await expectUnreadable(keepingOf(options, 'c'.repeat(64), fingerprint).open(kept))
      await expectUnreadable(keepingOf(options, key, 'c'.repeat(64)).open(kept))
    })

    it('settled by hand belongs to its key, whatever the payload', async () => {
      const { kept } = await keepingOf(options, key).seal('"by hand"')
      expect(await keepingOf(options, key, fingerprint).open(kept)).toBe('"by hand"')
      await expectUnreadable(keepingOf(options, 'c'.repeat(64), fingerprint).open(kept))
    })

    it('is refused with any of its characters changed, cut or added', async () => {
      const keeping = keepingOf(options, key, fingerprint)
      const { kept } = await keeping.seal(JSON.stringify({ text: 'abc '.repeat(20) }))
      for (let at = 0; at < kept.length; at++) {
        const other = kept[at] === '1' ? '2' : '1'
        await expectUnreadable(keeping.open(kept.slice(0, at) + other + kept.slice(at + 1)))
        await expectUnreadable(keeping.open(kept.slice(0, at)))
      }
      await expectUnreadable(keeping.open(`${kept}1`))
    })
  })

  it('is as large as maxResultBytes, in UTF-8, and not a byte larger', async () => {
    const keeping = keepingOf({ maxResultBytes: 10 }, key, fingerprint)
    expect((await keeping.seal('"éééé"')).whole).toBe(true)
    const { kept, whole } = await keeping.seal('"éééé0"')
    expect([kept, whole]).toEqual(['1x:11:', false])
    await expectUnreadable(keeping.open(kept), 'its 11 bytes exceed maxResultBytes')
  })

  it('may be 1 MiB by default', async () => {
    const keeping = keepingOf({}, key, fingerprint)
    expect((await keeping.seal('x'.repeat(2 ** 20))).whole).toBe(true)
    expect((await keeping.seal('x'.repeat(2 ** 20 + 1))).whole).toBe(false)
  })

  it('does not unfold beyond maxResultBytes', async () => {
    const writer = keepingOf({ maxResultBytes: 2 ** 28 }, key, fingerprint)
    const { kept } = await writer.seal(JSON.stringify('x'.repeat(100 * 2 ** 20)))
    expect(kept.length).toBeLessThan(200_000)
    const before = process.memoryUsage().arrayBuffers
    const reader = keepingOf({}, key, fingerprint)
    await expectUnreadable(reader.open(kept), 'longer than maxResultBytes (1048576)')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50 * 2 ** 20)
    await expectUnreadable(
      keepingOf({ maxResultBytes: 100 }, key, fingerprint).open(`1:0123456789abcdef:${long}`),
      'longer than maxResultBytes (100)',
    )
  })

  it.each([
    ['of a newer version', '2:0123456789abcdef:{}', 'a newer version of steadycall'],
    ['of no version', '{"answer":42}', 'it is damaged'],
    ['of version 0', '0:0123456789abcdef:{}', 'it is damaged'],
    ['with a flag that is none', '1q:0123456789abcdef:{}', 'it is damaged'],
    ['that is empty', '', 'it is damaged'],
    ['that says it is gzip', `1z:0123456789abcdef:${base64Of(gzipSync('{}'))}`, 'it is damaged'],
    ['encrypted, with no encryption set', '1e:old:AAAA', 'no encryption is set'],
  ])('%s is refused', async (_, kept, why) => {
    await expectUnreadable(keepingOf({}, key, fingerprint).open(kept), why)
  })

  it('with a checksum that fits but no gzip behind it is refused, cause and all', async () => {
    const keeping = keepingOf({}, key, fingerprint)
    const { kept } = await keeping.seal(long)
    expect(kept).toMatch(/^1z:/)
    // The writer's own checksum over another body: as a defect, not an attack, would leave it.
    const { createHash } = await import('node:crypto')
    const check = createHash('sha256').update(`1z\n${key}\n${fingerprint}\nAAAA`).digest('hex')
    const error = await rejection(keeping.open(`1z:${check.slice(0, 16)}:AAAA`))
    expect(error).toMatchObject({ kind: 'store_unavailable', cause: expect.any(Error) })
  })
})

describe('an encrypted result', () => {
  it('has nothing of its text, and is another each time', async () => {
    const keeping = keepingOf({ encryption }, key, fingerprint)
    const one = (await keeping.seal('{"name":"canary"}')).kept
    const other = (await keeping.seal('{"name":"canary"}')).kept
    expect(one).toMatch(/^1e:old:[A-Za-z0-9+/=]+$/)
    expect(atob(one.slice('1e:old:'.length))).not.toContain('canary')
    expect(one).not.toBe(other)
  })

  it('is read with an old key while new ones are written with the new', async () => {
    const { kept } = await keepingOf({ encryption }, key, fingerprint).seal('"old"')
    const both = { keys: { old: oldKey, new: newKey.toString('base64') }, use: 'new' }
    const keeping = keepingOf({ encryption: both }, key, fingerprint)
    expect(await keeping.open(kept)).toBe('"old"')
    expect((await keeping.seal('"new"')).kept).toMatch(/^1e:new:/)
  })

  it('is refused without its key, which is named, and with another of the same name', async () => {
    const { kept } = await keepingOf({ encryption }, key, fingerprint).seal('"old"')
    const without = { keys: { new: newKey }, use: 'new' }
    await expectUnreadable(
      keepingOf({ encryption: without }, key, fingerprint).open(kept),
      "encrypted with the key 'old', which is not in encryption.keys",
    )
    const other = { keys: { old: newKey }, use: 'old' }
    const error = await rejection(keepingOf({ encryption: other }, key, fingerprint).open(kept))
    expect(error).toMatchObject({ cause: expect.any(Error) })
    await expectUnreadable(
      keepingOf({ encryption }, key, fingerprint).open(kept.replace(':old:', ':toString:')),
    )
  })

  it('cannot be replaced by one in plain text, unless that is allowed', async () => {
    const { kept } = await keepingOf({}, key, fingerprint).seal('"planted"')
    await expectUnreadable(
      keepingOf({ encryption }, key, fingerprint).open(kept),
      'it is not encrypted',
    )
    const introducing = { ...encryption, acceptPlain: true }
    expect(await keepingOf({ encryption: introducing }, key, fingerprint).open(kept)).toBe(
      '"planted"',
    )
  })

  it('cannot be taken for one that was settled by hand', async () => {
    const { kept } = await keepingOf({ encryption }, key, fingerprint).seal('"mine"')
    await expectUnreadable(
      keepingOf({ encryption }, key, 'c'.repeat(64)).open(kept.replace('1e:', '1ke:')),
    )
  })
})

describe('encryption options', () => {
  it.each([
    ['no key to use', { keys: { a: oldKey }, use: 'b' }],
    ['a key of the prototype', { keys: {}, use: 'toString' }],
    ['31 bytes', { keys: { a: randomBytes(31) }, use: 'a' }],
    ['31 bytes in base64', { keys: { a: randomBytes(31).toString('base64') }, use: 'a' }],
    ['hex', { keys: { a: randomBytes(32).toString('hex') }, use: 'a' }],
    ['an id with a colon', { keys: { 'a:b': oldKey }, use: 'a:b' }],
    ['an id that is too long', { keys: { ['a'.repeat(65)]: oldKey }, use: 'a'.repeat(65) }],
    ['an unknown field', { keys: { a: oldKey }, use: 'a', algorithm: 'none' }],
    ['acceptPlain that is no boolean', { keys: { a: oldKey }, use: 'a', acceptPlain: 1 }],
  ])('are refused with %s', (_, options) => {
    // What JavaScript may pass, whatever the types say.
    const client = new OpenAI({ apiKey: 'k' })
    expect(() => steady(client, { encryption: options as never })).toThrow(TypeError)
  })
})

async function expectUnreadable(opening: Promise<string>, why = ''): Promise<void> {
  const error = await rejection(opening)
  expect(error).toMatchObject({
    name: 'CallError',
    kind: 'store_unavailable',
    executed: 'yes',
    retryable: false,
    source: 'store',
  })
  expect(String(error)).toContain(why)
  expect(String(error)).not.toMatch(/abc|sentence|canary|mine|planted/)
}
