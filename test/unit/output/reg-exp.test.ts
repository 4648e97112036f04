import { describe, expect, it } from 'vitest'
import { parseJson, type RegExpEngine } from '../../../src/index.ts'
import { ask, setUp } from '../../support/set-up.ts'

const schema = {
  type: 'object',
  properties: { a: { pattern: '^x+$' }, b: { pattern: '^y+$' } },
  patternProperties: { '^z': { type: 'integer' } },
} as const

/** Remembers what it was asked to make. */
function watched() {
  const made: string[] = []
  const regExp: RegExpEngine = (pattern, flags) => {
    made.push(pattern)
    return { test: (text) => new RegExp(pattern, flags).test(text) }
  }
  return { made, regExp }
}

describe('the regExp engine', () => {
  it('makes every expression of a schema, and keeps them apart', () => {
    const { made, regExp } = watched()
    expect(parseJson('{"a":"xx","b":"yy","z1":"4"}', schema, { regExp })).toMatchObject({
      value: { a: 'xx', b: 'yy', z1: 4 },
      repairs: [{ path: '/*', rule: 'number-from-string' }],
    })
    expect(parseJson('{"a":"xx","b":"xx"}', schema, { regExp }).ok).toBe(false)
    expect(new Set(made)).toEqual(new Set(['^x+$', '^y+$', '^z']))
  })

  it('is that of each call, also for one schema object', () => {
    const never: RegExpEngine = () => ({ test: () => false })
    expect(parseJson('{"a":"xx"}', schema).ok).toBe(true)
    expect(parseJson('{"a":"xx"}', schema, { regExp: never }).ok).toBe(false)
    expect(parseJson('{"a":"xx"}', schema).ok).toBe(true)
  })

  it('is an option of json and of tool calls', async () => {
    const { made, regExp } = watched()
    const { llm } = await setUp({ answer: '{"a":"xx"}' }, { regExp, toolCalls: 'check' })
    await llm.json({ ...ask('x'), schema })
    expect(made).toContain('^x+$')
    const parameters = { properties: { c: { pattern: '^w$' } } }
    const tools = [{ type: 'function' as const, function: { name: 'f', parameters } }]
    await llm.chat.completions.create({ ...ask('x'), tools })
  })
})
