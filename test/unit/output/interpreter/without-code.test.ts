import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseJson, type RegExpEngine } from '../../../../src/index.ts'
import { ask, setUp } from '../../../support/set-up.ts'

const SAID = Symbol.for('steadycall.said.v1')

/** Each test has schemas of its own: a validator is kept by its schema's text. */
let made = 0
const unused = () => ({ $comment: `schema ${made++}` })

/** As V8 says it where the flag --disallow-code-generation-from-strings is set. */
class Refusing {
  constructor() {
    throw new EvalError('Code generation from strings disallowed for this context')
  }
}

beforeEach(() => {
  Object.assign(Reflect.get(globalThis, SAID) ?? {}, { isInterpreting: false })
})

afterEach(() => {
  vi.unstubAllGlobals()
})

describe('where code generation is refused', () => {
  it('answers are checked all the same, and it is said once', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue()
    vi.stubGlobal('Function', Refusing)
    const schema = { ...unused(), type: 'object', properties: { n: { type: 'integer' } } } as const
    expect(parseJson('{"n": 1}', schema)).toMatchObject({ ok: true, value: { n: 1 }, repairs: [] })
    expect(parseJson('{"n": "x"}', { ...schema, ...unused() })).toEqual({
      ok: false,
      kind: 'schema_mismatch',
      issues: [{ path: '/n', message: 'expected integer, got a string' }],
    })
    const codes = warned.mock.calls.map(([, options]) => Reflect.get(Object(options), 'code'))
    expect(codes).toEqual(['STEADYCALL_INTERPRETED'])
  })

  it('a schema is checked where only the code that AJV makes of it is refused', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue()
    const short = new Proxy(Function, {
      construct: (real, code) =>
        Reflect.construct(code.join('').length > 20 ? Refusing : real, code),
    })
    vi.stubGlobal('Function', short)
    const schema = { ...unused(), type: 'object', properties: { n: { type: 'integer' } } }
    expect(parseJson('{"n": 1}', schema).ok).toBe(true)
    expect(parseJson('{"n": []}', schema).ok).toBe(false)
    expect(warned.mock.calls.length).toBe(1)
  })

  it('repairs, unions and re-asks work', async () => {
    vi.spyOn(process, 'emitWarning').mockReturnValue()
    vi.stubGlobal('Function', Refusing)
    const pet = {
      anyOf: [
        {
          type: 'object',
          properties: { kind: { const: 'cat' }, lives: { type: 'integer' } },
          required: ['kind', 'lives'],
        },
        { type: 'object', properties: { kind: { const: 'dog' } }, required: ['kind'] },
      ],
    }
    expect(parseJson('{"kind":"cat","lives":"nine"}', { ...unused(), ...pet })).toMatchObject({
      issues: [{ path: '/lives', message: 'expected integer, got a string' }],
    })
    expect(parseJson("{'kind': 'cat', 'lives': '9',}", { ...unused(), ...pet })).toMatchObject({
      value: { kind: 'cat', lives: 9 },
    })
    const { llm, server } = await setUp()
    const schema = { ...unused(), type: 'object', properties: { n: { type: 'integer' } } } as const
    const { value } = await llm.json({ ...ask('how many?'), schema })
    expect(typeof value.n).toBe('number')
    await server.close()
  })

  it('own properties, infinite numbers and the regExp option are as with AJV', () => {
    vi.spyOn(process, 'emitWarning').mockReturnValue()
    vi.stubGlobal('Function', Refusing)
    const inherited = { ...unused(), type: 'object', required: ['constructor'] }
    expect(parseJson('{}', inherited).ok).toBe(false)
    expect(parseJson('{"constructor":1}', inherited).ok).toBe(true)
    const own = JSON.parse('{"type":"object","additionalProperties":{"type":"integer"}}')
    expect(parseJson('{"__proto__":{"a":1}}', { ...unused(), ...own }).ok).toBe(false)
    expect(parseJson('1e400', { ...unused(), type: 'number' }).ok).toBe(false)
    const asked: string[] = []
    const regExp: RegExpEngine = (pattern) => {
      asked.push(pattern)
      return { test: (text) => text === 'yes' }
    }
    const patterned = { ...unused(), pattern: '^x' }
    expect(parseJson('"yes"', patterned, { regExp }).ok).toBe(true)
    expect(parseJson('"x"', patterned, { regExp }).ok).toBe(false)
    expect(asked).toContain('^x')
  })

  it('a schema that is none is refused with the same words', () => {
    vi.spyOn(process, 'emitWarning').mockReturnValue()
    const wrong = [
      { type: 'text' },
      { minLength: -1 },
      { $ref: '#/$defs/none' },
      { pattern: '(' },
      { enum: [] },
    ]
    const said = (schema: object) => {
      try {
        return parseJson('1', { ...unused(), ...schema })
      } catch (error) {
        return String(error)
      }
    }
    const byAjv = wrong.map(said)
    vi.stubGlobal('Function', Refusing)
    expect(wrong.map(said)).toEqual(byAjv)
    expect(byAjv.every((text) => String(text).startsWith('TypeError: schema: '))).toBe(true)
  })

  it('what can be compiled but not explained is explained by the interpreter', () => {
    vi.spyOn(process, 'emitWarning').mockReturnValue()
    const schema = { ...unused(), type: 'object', properties: { n: { type: 'integer' } } }
    expect(parseJson('{"n":1}', schema).ok).toBe(true)
    vi.stubGlobal('Function', Refusing)
    expect(parseJson('{"n":"x"}', schema)).toMatchObject({
      issues: [{ path: '/n', message: 'expected integer, got a string' }],
    })
  })
})

it('a schema of which AJV makes faulty code is checked by the interpreter', () => {
  const schema = { patternProperties: { '^a': false }, anyOf: [{ additionalProperties: false }] }
  expect(parseJson('{"a":{}}', schema).ok).toBe(false)
  expect(parseJson('{}', schema).ok).toBe(true)
})

it('a stack without room for compiling is not taken for a fault of the schema', () => {
  expect(parseJson('1', { ...unused(), type: 'integer' }).ok).toBe(true)
  const failures: unknown[] = []
  let levels = 0
  const untilItFits = (): void => {
    levels += 1
    try {
      untilItFits()
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
    }
    levels -= 1
    if (levels % 100 > 0 || (failures.at(-1) === undefined && failures.length > 0)) return
    try {
      failures.push(parseJson('1', { ...unused(), type: 'integer' }).ok ? undefined : 'refused')
    } catch (error) {
      failures.push(error)
    }
  }
  untilItFits()
  const thrown = failures.filter((failure) => failure !== undefined)
  expect(thrown.length).toBeGreaterThan(0)
  expect(thrown.every((failure) => failure instanceof RangeError)).toBe(true)
})
