import { describe, expect, it } from 'vitest'
import { extract as extracting } from '../../../src/output/extract.ts'
import { atOnce, Work } from '../../../src/output/work.ts'

const extract = (text: string) =>
  atOnce(extracting(text, { schema: undefined, work: new Work(text) }))

const texts = (text: string): string[] => extract(text).candidates.map((one) => one.text)

describe('extract', () => {
  it.each([
    ['one object', 'x {"a":1} y', ['{"a":1}']],
    ['two fences', '```\n{"a":1}\n```\nor\n```\n[2]\n```', ['{"a":1}', '[2]']],
    ['brackets and quotes in strings', '{"a":"}\\"]"} z', ['{"a":"}\\"]"}']],
    ['an apostrophe in a bare word', "{a: 1} it is Ann's {b: 2}", ['{a: 1}', '{b: 2}']],
    ['a comment with a bracket', '{"a":1 // }\n}', ['{"a":1 // }\n}']],
    ['nothing in prose with brackets', '[see below] {x > 1} [TODO]', []],
    ['nested tags', '<a><b>{"a":1}</b></a>', ['{"a":1}']],
    ['Magistral', '[THINK]{"a":0}[/THINK]{"a":1}', ['{"a":1}']],
    ['Harmony', '<|channel|>analysis<|message|>{"a":0}<|end|>{"a":1}', ['{"a":1}']],
    [
      'nothing after what is broken',
      '[{"a":1}, {"b":[2}, {"c":3}]',
      ['[{"a":1}, {"b":[2}, {"c":3}]'],
    ],
    ['no text', ' \n', []],
  ])('finds %s', (_, text, expected) => {
    expect(texts(text)).toEqual(expected)
  })

  it('never reads a reasoning block, closed or not', () => {
    expect(texts('<think>{"a":1}</think>')).toEqual([])
    expect(texts('<think>{"a":1}')).toEqual([])
    expect(texts('<THINKING>{"a":1}')).toEqual([])
  })

  it('says that a text ends before its brackets, and whether in a string', () => {
    expect(extract('x {"a":[1').candidates).toMatchObject([
      { text: '{"a":[1', outcome: { kind: 'cut', insideString: false } },
    ])
    expect(extract('{"a":"b').candidates).toMatchObject([
      { text: '{"a":"b', outcome: { kind: 'cut', insideString: true } },
    ])
  })

  it.each([
    ['a bracket of the prose closes behind it', '{ TODO {"a":1} }'],
    ['a bracket closes behind it that opens nowhere', '{"a":1} foo ]'],
    ['it is the value of a key in the prose', '{name 9, list ["a"]'],
  ])('refuses a piece that is a part of something: %s', (_, text) => {
    expect(extract(text).candidates).toMatchObject([{ outcome: { kind: 'refused' } }])
  })

  it('gives the text as a whole only if nothing was dropped in it', () => {
    expect(extract('```\n42\n```')).toMatchObject({ alone: '42' })
    expect(extract('5<br>6')).toMatchObject({ alone: '' })
  })

  it('keeps fifty different candidates and says when there were more', () => {
    const fifty = Array.from({ length: 50 }, (_, n) => `[${n}]`).join(' ')
    expect(extract(fifty)).toMatchObject({ overflow: false })
    expect(extract(`${fifty} [50]`)).toMatchObject({ overflow: true })
    expect(extract(`${fifty} [50]`).candidates).toHaveLength(50)
  })
})
