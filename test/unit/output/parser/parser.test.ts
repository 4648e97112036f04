import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../../src/output/parse-json.ts'
import { TextParser } from '../../../../src/output/parser/parser.ts'
import { written } from '../../../../src/output/parser/written.ts'
import { atOnce, Work } from '../../../../src/output/work.ts'

/** What comes of a text that is fed in such pieces. */
function outcomeOf(pieces: readonly string[], schema?: object): unknown {
  const work = new Work(pieces.join(''))
  const parser = new TextParser(schema, work)
  let outcome: ReturnType<typeof parser.read> extends Generator<unknown, infer R> ? R : never
  for (const piece of pieces) {
    parser.feed(piece)
    outcome = atOnce(parser.read())
  }
  parser.end()
  outcome = atOnce(parser.read())
  if (outcome?.kind !== 'readings') return outcome
  const { isGuessed } = outcome
  return outcome.readings.map(({ configuration, end }) => ({
    json: atOnce(written(configuration, 0, parser.source, work))?.json,
    end,
    isGuessed,
  }))
}

const TEXTS: readonly string[] = [
  '{"a": [1, -2.5e3, true, null], "b": {"c": "x\\n\\u00e9"}, "d": []}',
  '{"a": "he said "no" to it", "b": [1, 2,], "c": {"d": "x}, "e": 1}}',
  "{'a': 'it\\'s', b: True, // a comment\n c: “x”, d: .5} and prose",
  '{"a": ["x", "y"}, "b": 1}}',
  '[{"a": 1 "b": 2}, {"a" 3}, {"a": x", "b": 4}]',
  '{"a": """say "x"\nnow""", "b": "x" + "y"}',
  '{"a": "C:\\new\\dir", "b": "\\d+"}',
  '{"a": [1, 2',
  '{"a": "x" or "y"}',
  // The value seems to end at the first brace.
  '{"a": "x"}, "b": true}',
  // Two of three quotes are an empty string.
  '{"a": """x""", "b": "", "c": ""}',
]

describe('a text that is fed in pieces', () => {
  it.each(TEXTS)('is read as if it came whole: %s', (text) => {
    const whole = outcomeOf([text])
    for (const size of [1, 2, 3, 7, 16]) {
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
      expect(outcomeOf(pieces)).toEqual(whole)
    }
  })

  it('has a certain part, which only grows', () => {
    for (const text of TEXTS) {
      const parser = new TextParser(undefined, new Work(text))
      let before = 0
      for (const character of text) {
        parser.feed(character)
        atOnce(parser.read())
        expect(parser.certain.pos).toBeGreaterThanOrEqual(before)
        before = parser.certain.pos
      }
    }
  })
})

describe('a value', () => {
  it.each([
    ['prose', '{"a": 1} and so on', 8],
    ['another value', '{"a": 1} {"b": 2}', 8],
    ['brackets in strings', '{"a": "}]"}, which', 11],
    ['a bracket too many', '{"a": 1}}', 9],
  ])('ends where the parser says so, before %s', (_, text, end) => {
    expect(outcomeOf([text])).toMatchObject([{ end }])
  })

  it.each([
    ['a quote', '{"a": "x"}"}'],
    ['a comma and a member', '{"a": 1}, "b": 2}'],
    ['a comma and the end', '{"a": 1},'],
    ['a bracket that closes a list once more', '["a"]]'],
  ])('does not end before %s', (_, text) => {
    expect(parseJson(text).ok).toBe(false)
  })
})

describe('a repair', () => {
  it('is listed with its rule, the path and the place in the text', () => {
    const text = '{"a": {"list": [1, "x" "y",]}, b: \'z\'}'
    expect(parseJson(text)).toEqual({
      ok: true,
      value: { a: { list: [1, 'x', 'y'] }, b: 'z' },
      repairs: [
        { path: '/a/list', rule: 'fix-syntax', offset: 22 },
        { path: '/b', rule: 'fix-syntax', offset: 31 },
      ],
    })
  })

  it.each([
    ['behind blanks', '  \u200b "a" + "b" ', [undefined, 7]],
    ['of a tuple behind blanks', '  \n (1, 2,)', [4]],
    [
      'not at all, where every quote was escaped',
      '{\\"a\\": 1, b: \\"x\\",}',
      [undefined, undefined, undefined],
    ],
    [
      'not at all, in a quotation of Markdown',
      '> {"a": 1,\n>  b: "x",}',
      [undefined, undefined, undefined],
    ],
  ])('is listed with an offset in the text as it came: %s', (_, text, offsets) => {
    const result = parseJson(text)
    expect(result.ok && result.repairs.map(({ offset }) => offset)).toEqual(offsets)
  })

  it('is listed under names of the schema, and * for other names', () => {
    const schema = { properties: { a: { type: 'object' } } }
    expect(parseJson('{a: {"secret": [1,]}}', schema)).toMatchObject({
      repairs: [
        { path: '/a', rule: 'fix-syntax', offset: 1 },
        { path: '/a/*', rule: 'fix-syntax', offset: 17 },
      ],
    })
  })
})

describe('a text that is cut', () => {
  const WHOLE: readonly string[] = [
    '{"u": "https://a.b/c?d=e#f // x", "l": ["a, b", "it\'s", "#1"], "n": [1, 2.5e3, true], "q": "\\"hi\\" \\u00e9"}',
    "{'name': 'Ada', 'ok': True, 'tags': ['x', 'it\\'s'], 'n': None}",
    '[{"a": 1, "b": "x"}, {"a": 2, "b": "/* y */"}]',
    '{a: "he said "no" to it", b: [1, 2,], c: {d: "x"}}',
    '{"u": "http://x.y", // the link\n "n": "a \\"quoted\\" one",}',
  ]

  it.each(WHOLE)('is truncated at each place: %s', (text) => {
    for (let end = 1; end < text.length; end += 1) {
      expect([end, parseJson(text.slice(0, end))]).toMatchObject([end, { kind: 'truncated' }])
    }
    expect(parseJson(text).ok).toBe(true)
  })

  it('is malformed if a fence or a last bracket shows that only a quote is missing', () => {
    expect(parseJson('```json\n{"a": "x}\n```\nHope this helps')).toMatchObject({
      kind: 'malformed_output',
    })
    expect(parseJson('{"a": "x}', undefined, { finishReason: 'stop' })).toMatchObject({
      kind: 'malformed_output',
    })
  })
})

describe('the limits', () => {
  it('refuses a text that is damaged in more than 2,000 places', () => {
    const damaged = (places: number) => `[${'{"a": 1 "b": 2},'.repeat(places)}]`
    expect(parseJson(damaged(1_999)).ok).toBe(true)
    expect(parseJson(damaged(2_001))).toMatchObject({ ok: false, kind: 'malformed_output' })
  })

  it('refuses more than 2,000 open brackets', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}1,${']'.repeat(depth)}`
    expect(parseJson(nested(1_000)).ok).toBe(true)
    expect(parseJson(nested(2_001)).ok).toBe(false)
  })

  it.each(['__proto__', 'constructor', 'toString'])(
    'takes %s for a name like any other',
    (name) => {
      const result = parseJson(`{"a": {"${name}": 1,},}`, {
        properties: { a: { type: 'object' } },
      })
      expect(result).toMatchObject({ ok: true, repairs: [{ path: '/a' }, { path: '' }] })
      expect(result.ok && JSON.stringify(result.value)).toBe(`{"a":{"${name}":1}}`)
    },
  )
})
