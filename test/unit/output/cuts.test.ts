import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../src/output/parse-json.ts'

/** Whole answers. Within their strings are addresses, signs of comments, brackets and quotations. */
const TEXTS = {
  compact: `{"name":"Ada","url":"https://a.b/c//d#e","tags":["a","// b","/* c","# d"],"n":[1.5,-2e3,true,null]}`,
  indented: JSON.stringify(
    {
      title: 'a "b" c',
      items: [
        { id: 1, note: 'x, y: z' },
        { id: 2, note: "it's" },
      ],
      ok: false,
    },
    undefined,
    2,
  ),
  'with brackets in strings': `[{"code": "if (a) { b[0] }", "empty": ""}, {"code": "}", "empty": "]"}]`,
}

describe.each(Object.entries(TEXTS))('a text cut anywhere, %s', (_, text) => {
  const positions = Array.from({ length: text.length - 1 }, (__, index) => index + 1)

  it('is truncated', () => {
    const others = positions.flatMap((position) => {
      const result = parseJson(text.slice(0, position))
      return !result.ok && result.kind === 'truncated' ? [] : [text.slice(0, position)]
    })
    expect(others).toEqual([])
  })

  it('is truncated in a fence that has no end, and behind words', () => {
    const others = positions.flatMap((position) => {
      const cut = text.slice(0, position)
      const kinds = [`\`\`\`json\n${cut}`, `Here you are: ${cut}`].map((answer) => {
        const result = parseJson(answer)
        return result.ok ? 'accepted' : result.kind
      })
      return kinds.every((kind) => kind === 'truncated') ? [] : [`${kinds.join()}: ${cut}`]
    })
    expect(others).toEqual([])
  })
})

describe.each(Object.entries(TEXTS))('a whole text, %s', (_, text) => {
  it('is no cut one, whatever its strings hold', () => {
    expect(parseJson(text)).toEqual({ ok: true, value: JSON.parse(text), repairs: [] })
    const damaged = parseJson(text.replace(/([}\]])$/, ',$1'))
    expect(damaged).toMatchObject({ ok: true, value: JSON.parse(text) })
  })
})
