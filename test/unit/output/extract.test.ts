import { describe, expect, it } from 'vitest'
import { extract as extracting } from '../../../src/output/extract.ts'
import { atOnce, Work } from '../../../src/output/work.ts'

const extract = (text: string) => atOnce(extracting(text, new Work(text)))

const texts = (text: string): string[] => extract(text).candidates.map((one) => one.text)

describe('extract', () => {
  it.each([
    ['one object', 'x {"a":1} y', ['{"a":1}']],
    ['two fences', '```\n{"a":1}\n```\nor\n```\n[2]\n```', ['{"a":1}', '[2]']],
    ['brackets and quotes in strings', '{"a":"}\\"]"} z', ['{"a":"}\\"]"}']],
    ['an apostrophe in a bare word', "{a: 1} it is Ann's {b: 2}", ['{a: 1}', '{b: 2}']],
    ['a comment with a bracket', '{"a":1 // }\n}', ['{"a":1 // }\n}']],
    ['prose in brackets', '[see below] {x > 1} [TODO]', ['[see below] {x > 1} [TODO]']],
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
    expect(extract('x {"a":[1').candidates).toEqual([
      { text: '{"a":[1', closed: false, insideString: false },
    ])
    expect(extract('{"a":"b').candidates).toEqual([
      { text: '{"a":"b', closed: false, insideString: true },
    ])
  })

  it('keeps fifty different candidates and says when there were more', () => {
    const fifty = Array.from({ length: 50 }, (_, n) => `[${n}]`).join(' ')
    expect(extract(fifty)).toMatchObject({ overflow: false })
    expect(extract(`${fifty} [50]`)).toMatchObject({ overflow: true })
    expect(extract(`${fifty} [50]`).candidates).toHaveLength(50)
  })
})
