import { describe, expect, it } from 'vitest'
import { interpreter } from '../../../../src/output/interpreter/interpreter.ts'

const node = (properties: object) => ({
  $defs: { n: { type: 'object', properties, required: ['v'] } },
  $ref: '#/$defs/n',
})
const number = { type: 'number' }
const self = { $ref: '#/$defs/n' }

describe('a value that is nested deeply', () => {
  it.each<[string, object, number, (inside: string) => string, string]>([
    ['a list of itself', { type: 'array', items: { $ref: '#' } }, 600, (i) => `[${i}]`, '[]'],
    [
      'a tree',
      node({ v: number, c: { type: 'array', items: self } }),
      300,
      (i) => `{"v":1,"c":[${i}]}`,
      '{"v":1}',
    ],
    [
      'a linked list',
      node({ v: number, next: { anyOf: [self, { type: 'null' }] } }),
      300,
      (i) => `{"v":1,"next":${i}}`,
      'null',
    ],
  ])('is checked to its end by the interpreter: %s', (_, schema, levels, level, inside) => {
    const check = interpreter(JSON.stringify(schema), '2020-12', undefined)()
    const nested = (end: string): unknown => {
      let text = end
      for (let at = 0; at < levels; at += 1) text = level(text)
      return JSON.parse(text)
    }
    expect(check.accepts(nested(inside))).toBe(true)
    expect(check.accepts(nested('"x"'))).toBe(false)
  })

  it('is never accepted where the stack ends first', () => {
    const schema = { type: 'array', items: { $ref: '#' } }
    const check = interpreter(JSON.stringify(schema), '2020-12', undefined)()
    const value: unknown = JSON.parse(`${'['.repeat(100_000)}7${']'.repeat(100_000)}`)
    expect(() => check.accepts(value)).toThrow(RangeError)
  })
})
