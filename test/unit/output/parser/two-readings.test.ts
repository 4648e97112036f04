import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../../src/output/parse-json.ts'

const LIST = { type: 'array' }
const LIST_OF_TEXT = { type: 'array', items: { type: 'string' } }
const MEMBER = { properties: { a: { type: 'array', items: { type: 'string' } } } }
const TEXT = { properties: { a: { type: 'string' } } }
const NUMBER = { type: 'object', properties: { a: { type: 'number' } } }

describe('a text with two readings that are plausible is refused', () => {
  it.each<[what: string, text: string, schema?: object]>([
    ['a list that ended too early', '[{},]\n[{"a":1}]\n]'],
    ['an empty list before an object and a bracket', '[]\n{"a":[]}\n]', LIST],
    ['a list twice, and elements behind it', '[][],947]', LIST],
    ['a doubled bracket in a list', '[\n][\n{},1\n]\n]', LIST],
    ['an object that ended too early', '{}\n"tags":[\n"k"\n]\n}'],
    ['a value behind a list that ended too early', '[\n]false,\n[],\n"12"\n]', LIST],
    ['a list that may have lost its first bracket', '{"a":1}]'],
    ['the same, and a schema that says nothing', '{"a":1}]', {}],
    ['an object that may have lost its first bracket', '[1]}', {}],
    ['a list with one element, which may be none', '{"a":[true,\n"b":{"c":1}}'],
    ['the same before a closing brace', '{"d":{"b":{"a":["x"}},"c":1}'],
    ['the same with an object in it', '{"a":[{"b":1},"c":{"d":2}}'],
    ['the same where the schema has no list', '{"a":["x","b":1}', TEXT],
    ['a brace before a key, in an object', '[{"a":[1],"b":"x",{"c":1},877]'],
    ['a brace twice, where an earlier one may be the doubled one', '[{"a":{"b":1},"c":null}}]'],
    ['the same without a comma', '{"a":{"b":[1],}"c":[2]}}'],
    ['a number in quotes that lost one, or has one too many', '{"a":"55,"b":true}'],
    [
      'the same where the schema takes both',
      '["x","true]',
      { items: { type: ['string', 'boolean'] } },
    ],
    ['a literal behind a quote and a line break', '[["\n  true\n]]'],
    ['a container behind a quote', '[["a"],"{}\n]'],
    ['a quote and a line break before a string', '[1,"\n "x y"]'],
    ['a quote and a blank before a string', '{"a":" "100%"}'],
    ['two quotes at the end', '{"a":"x y""}'],
    ['two quotes behind a quote that opens nothing', '{"a":"\\",""}'],
    ['two quotes behind a number', '{"a":"12""}', TEXT],
    ['a colon in a list, behind an inch mark', '["5\\" disk":[],"a:b"]'],
    ['a key whose quotes are of two kinds', '{\'a": {}, "b": "O\'Brien"}'],
    ['a comment that may be a string', '[\n# tag,\n[]\n]'],
    ['a comment that may be a string, for the value of a key', '{"a":\n# tag,\n"b"}'],
    ['a comment behind two quotes', '[1,\n""# tag"\n]'],
    ['a comment that lost an opening quote', '[\n# tag",\n1\n]'],
    ['a colon in a string behind a stray number', '{"a":1,"b": 7 "x: y"}'],
    ['a colon in a string behind two quotes', '{"a":""e-mail: x","b":1}'],
    ['a quote before the last bracket', '{"a":"5\\" disk"\n"}'],
    ['a quote twice before an inch mark', '[1,""5\\" disk"]'],
    ['a key that ends in two quotes', '[{"a": true,"b"": -2.75\n}]'],
    ['a backslash and a comma', '["\\,"]'],
    ['a backslash that may have lost its quote', '["say \\"x\\ now"]'],
    ['a backslash before the other quote', '["say \\x\\" now"]'],
    ['a backslash behind a number', '["5\\ disk"]'],
    ['a number before a string in a list', '[7 "x"]'],
    ['a number on its own line where the schema has a string', '[7\n"x"]', LIST_OF_TEXT],
    ['a number behind a string where the schema has a string', '["x" 7,"y"]', LIST_OF_TEXT],
    ['null before an object in a list', '[null {}]'],
    ['words made of literals', '[nullnull]', LIST_OF_TEXT],
    ['words behind an inch mark', '[\n5" disk,\n{}\n]', { items: { type: ['string', 'object'] } }],
  ])('%s', (_, text, schema) => {
    expect(parseJson(text, schema)).toMatchObject({ ok: false })
  })
})

describe('a text with one reading is read', () => {
  it.each<[what: string, text: string, value: unknown, schema?: object]>([
    ['a list in prose that is no JSON', '{"a":1}\nSee [1 2] and [3 4].', { a: 1 }],
    ['prose with brackets behind the value', '{"a":1}\nSee a) and [x, y].', { a: 1 }],
    ['a bracket too many where the schema has no list', '{"a":1}]', { a: 1 }, NUMBER],
    ['a list with two elements', '{"a":["x","y","b":1}', { a: ['x', 'y'], b: 1 }],
    ['a list with one where the schema has a list', '{"a":["x","b":1}', { a: ['x'], b: 1 }, MEMBER],
    [
      'an object with the keys of the one before',
      '[{"a":1,"b":2, {"a":3,"b":4}]',
      [
        { a: 1, b: 2 },
        { a: 3, b: 4 },
      ],
    ],
    [
      'a brace twice where none may be earlier',
      '[{"a":{"b":1}}},{"a":2}]',
      [{ a: { b: 1 } }, { a: 2 }],
    ],
    [
      'a number that lost a quote where the schema has a string',
      '{"a":"55,"b":1}',
      { a: '55', b: 1 },
      TEXT,
    ],
    ['a quotation at the end', '{"a":"say "no""}', { a: 'say "no"' }],
    ['a quotation whose first quote is escaped', '{"a":"say \\"no""}', { a: 'say "no"' }],
    ['an inch mark at the end', '{"a":"a disk of 5""}', { a: 'a disk of 5"' }],
    ['a comment behind a value', '[\n"a", // one\n"b"\n]', ['a', 'b']],
    ['an element in a comment', '[\n// "a",\n"b"\n]', ['b']],
    ['backslashes between quotes', '["say \\"\\d\\" now"]', ['say "\\d" now']],
    ['a number before a string on the next line', '[7\n"x"]', [7, 'x']],
    ['a number behind a string', '["x" 7]', ['x', 7]],
  ])('%s', (_, text, value, schema) => {
    expect(parseJson(text, schema)).toMatchObject({ ok: true, value })
  })

  it('is read beside a thousand pieces that are no JSON', () => {
    const text = `{"a":1}\n${'[1 2] '.repeat(1_500)}`
    expect(parseJson(text).ok).toBe(true)
  })

  it('is refused in linear time if a string with many escaped quotes stays open', () => {
    expect(parseJson(`[1 2 "${'\\"'.repeat(200_000)}`).ok).toBe(false)
  })
})
