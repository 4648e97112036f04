import { describe, expect, it } from 'vitest'
import { answerSignature, reaskMessages } from '../../../src/output/reask.ts'

describe('reaskMessages', () => {
  it('gives the answer back, and says what was expected where', () => {
    expect(
      reaskMessages({
        answer: '{"age":"old"}',
        issues: [
          { path: '/age', message: 'expected integer' },
          { path: '', message: 'missing required property "name"' },
        ],
        kind: 'schema_mismatch',
      }),
    ).toEqual([
      { role: 'assistant', content: '{"age":"old"}' },
      {
        role: 'user',
        content: [
          'Your answer is JSON, but it does not follow the schema.',
          'What is wrong, with JSON Pointers into it:',
          '- /age: expected integer',
          '- the whole answer: missing required property "name"',
          'Answer again with the corrected JSON only: no explanation and no Markdown.',
        ].join('\n'),
      },
    ])
  })

  it('lists at most twelve issues', () => {
    const issues = Array.from({ length: 20 }, (_, n) => ({
      path: `/${n}`,
      message: 'expected null',
    }))
    const [, user] = reaskMessages({ answer: '[]', issues, kind: 'schema_mismatch' })
    expect(user?.content.match(/expected null/g)).toHaveLength(12)
  })

  it('leaves out the middle of an answer beyond 32 KiB', () => {
    const answer = `begin${'x'.repeat(100_000)}end`
    const [assistant] = reaskMessages({ answer, issues: [], kind: 'malformed_output' })
    expect(assistant?.content.length).toBeLessThanOrEqual(32_768)
    expect(assistant?.content).toMatch(/^beginx+\n\[… part of the answer left out …\]\nx+end$/)
  })

  it('cuts no character in half', () => {
    for (const pad of ['', 'x']) {
      const answer = pad + '😀'.repeat(40_000)
      const [assistant] = reaskMessages({ answer, issues: [], kind: 'malformed_output' })
      expect(() => encodeURIComponent(assistant?.content ?? '')).not.toThrow()
    }
  })

  it('sends no assistant message without content', () => {
    const messages = reaskMessages({ answer: ' ', issues: [], kind: 'malformed_output' })
    expect(messages.map(({ role }) => role)).toEqual(['user'])
  })
})

describe('answerSignature', () => {
  it.each([
    ['spelling of the same JSON', '{"a":1,"b":[2]}', ' { "b": [2.0], "a": 1 }\n'],
    ['white space around text', 'no idea', '\nno idea '],
  ])('ignores %s', (_, one, other) => {
    expect(answerSignature(one)).toBe(answerSignature(other))
  })

  it.each([
    ['values', '{"a":1}', '{"a":2}'],
    ['the order of a list', '[1,2]', '[2,1]'],
    ['texts', 'no idea', 'no Idea'],
    ['a number and its string', '1', '"1"'],
  ])('tells %s apart', (_, one, other) => {
    expect(answerSignature(one)).not.toBe(answerSignature(other))
  })

  it('reads JSON that is nested too deeply to be walked as text', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000)
    expect(answerSignature(deep)).toMatch(/^[0-9a-f]{64}$/)
  })
})
