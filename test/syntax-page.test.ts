import { jsonrepair } from 'jsonrepair'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../src/output/parse-json.ts'
import { EDITS, type EditTraits } from '../src/output/parser/edits.ts'
import { tableAfter } from './support/pages.ts'

const page = 'docs/reference/syntax.md'
const edits: readonly (readonly [string, EditTraits])[] = Object.entries(EDITS)
const code = (text: string) =>
  `\`${text.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll('`', "'")}\``
const when = ({ when: place, schema }: EditTraits) =>
  place + (schema === 'needed' ? ', with a schema' : '')

describe('docs/reference/syntax.md', () => {
  it('lists every edit that is taken, in the words of the code', () => {
    const taken = edits.filter(([, { fate }]) => fate === 'taken')
    expect(tableAfter(page, '| edit | what it is |')).toEqual(
      taken.map(([name, traits]) => {
        const [text, json] = traits.example
        return [`\`${name}\``, traits.says, code(text), code(String(json)), when(traits)]
      }),
    )
  })

  it('lists every edit that is refused, in the words of the code', () => {
    const refused = edits.filter(([, { fate }]) => fate !== 'taken')
    expect(tableAfter(page, '| refused edit |')).toEqual(
      refused.map(([name, traits]) => [`\`${name}\``, traits.says, code(traits.example[0])]),
    )
  })

  it('shows what becomes of ten damages here and with jsonrepair', () => {
    const rows = tableAfter(page, '| what happened |')
    expect(rows).toHaveLength(10)
    for (const [, shown = '', here, there] of rows) {
      const text = shown.slice(1, -1).replaceAll('⏎', '\n')
      const result = parseJson(text)
      expect([here, there], text).toEqual([
        result.ok ? code(JSON.stringify(result.value)) : 'refused',
        repaired(text),
      ])
    }
  })
})

function repaired(text: string): string {
  try {
    return code(JSON.stringify(JSON.parse(jsonrepair(text))))
  } catch {
    return 'throws'
  }
}
