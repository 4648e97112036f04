import { describe, expect, it } from 'vitest'
import { repairSyntax as repairing } from '../../../src/output/repair-syntax.ts'
import { atOnce, Work } from '../../../src/output/work.ts'

const repairSyntax = (text: string) => atOnce(repairing(text, new Work(text)))

describe('repairSyntax', () => {
  it.each([
    ['[1,2,]', '[1,2]'],
    ['{a:1,$b_c:2}', '{"a":1,"$b_c":2}'],
    ['[{"a":1} {"a":2}]', '[{"a":1},{"a":2}]'],
    ['["a"\n"b"]', '["a","b"]'],
    ['[True, False, None]', '[true,false,null]'],
    ['[\'say "hi"\']', '["say \\"hi\\""]'],
    ['["tab\there"]', '["tab\\there"]'],
    ['[\u00a01,\u200b2,]', '[1,2]'],
    ['# result\n[1]', '[1]'],
  ])('%s becomes %s', (text, expected) => {
    expect(repairSyntax(text)).toEqual({ ok: true, text: expected, rules: ['fix-syntax'] })
  })

  it.each([
    ['keeps the backslash of an escape JSON has not', '["\\d",]', '["\\\\d"]'],
    ['keeps escapes JSON has', '["\\n\\u00e4\\"\\\\",]', '["\\n\\u00e4\\"\\\\"]'],
    ['keeps a backslash before a u that begins no number', '["C:\\users"]', '["C:\\\\users"]'],
    ['ends triple quotes at the next three', '{"a":"""say "x"\ny"""}', '{"a":"say \\"x\\"\\ny"}'],
    ['reads an empty string in triple quotes', "['''''']", '[""]'],
    ['takes = and => for the colon they stand for', '{"a" => 1, b = 2}', '{"a":1,"b":2}'],
    ['takes a semicolon for the comma it stands for', '{"a":1; "b":2}', '{"a":1,"b":2}'],
    ['makes one of strings that are added', '["a" + "b" + "c\\n"]', '["abc\\n"]'],
    [
      'takes \\b in a regular expression for what it is',
      '["\\bfoo\\b\\s"]',
      '["\\\\bfoo\\\\b\\\\s"]',
    ],
    ['takes \\frac for what it is, on its own too', '["\\frac{1}{2}",]', '["\\\\frac{1}{2}"]'],
    ['leaves a line break before a word that is no command', '["\\name \\d"]', '["\\name \\\\d"]'],
  ])('%s', (_, text, expected) => {
    expect(repairSyntax(text)).toMatchObject({ ok: true, text: expected })
  })

  it.each([
    ['unescaped quotes', '{"a":"the "b" one"}', { a: 'the "b" one' }],
    ['words without quotes', '{"a": red apple}', { a: 'red apple' }],
  ])('lets jsonrepair settle %s', (_, text, expected) => {
    const repaired = repairSyntax(text)
    expect(repaired).toMatchObject({ ok: true, rules: ['guess-quotes'] })
    expect(repaired.ok && JSON.parse(repaired.text)).toEqual(expected)
  })

  it.each([
    ['an element left out', '[1,,2]'],
    ['a line break after a backslash', '["a\\\n\\d"]'],
    ['a leading comma', '[,1]'],
    ['a value left out', '{"a":}'],
    ['a number jsonrepair would complete', '[2.]'],
    ['an ellipsis', '[1, 2, ...]'],
    ['an ellipsis of one character', '[1, 2, …]'],
    ['a comment that stands for content', '[1 /* remaining rows omitted */]'],
    ['undefined', '{"a":undefined}'],
    ['an escape that lost a digit', '["\\u00e"]'],
    ['a string and a variable', '{"a":"x" + y}'],
    ['a sum that begins and ends with strings', '{"a":"x" + y + "z"}'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the answer's own.
    ['a template with a placeholder', '{"a":`x ${y}`}'],
    ['Infinity', '[-Infinity]'],
    ['a call around a value', '{"id": ObjectId("1")}'],
    ['brackets that do not match', '[1}'],
    ['a text with more quotes than jsonrepair may read', `[${'"a" b" '.repeat(2_000)}]`],
  ])('refuses %s', (_, text) => {
    expect(repairSyntax(text)).toMatchObject({ ok: false })
  })
})
