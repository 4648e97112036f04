import { describe, expect, it } from 'vitest'
import { parseJson } from '../src/output/parse-json.ts'
import { COERCION_RULES, type CoercionTraits } from '../src/output/value-rules.ts'
import { tableAfter } from './support/pages.ts'

const page = 'docs/reference/coercion.md'
const rules = Object.entries(COERCION_RULES)
const shown = {
  safe: tableAfter(page, '| rule at safe |'),
  lenient: tableAfter(page, '| rule at lenient |'),
}

/** The cells of a row, as the table of the code has them. */
function cellsOf(rule: string, { level, meaning, loses, never, example }: CoercionTraits) {
  const { schema, from, to } = example
  const becomes = `\`${from}\` → \`${to}\` for \`${JSON.stringify(schema)}\``
  const cells = level === 'safe' ? [meaning, becomes] : [meaning, loses, becomes]
  return [`\`${rule}\``, ...cells, never]
}

describe('docs/reference/coercion.md', () => {
  it.each(['safe', 'lenient'] as const)(
    'lists every rule of %s, in the words of the code',
    (level) => {
      const meant = rules.filter(([, traits]) => traits.level === level)
      expect(shown[level]).toEqual(meant.map(([rule, traits]) => cellsOf(rule, traits)))
    },
  )

  it.each(rules)('shows for %s what parseJson does', (rule, { level, example }) => {
    const result = parseJson(example.from, example.schema, { level })
    expect(result).toMatchObject({ ok: true, value: JSON.parse(example.to) })
    expect(result.ok && result.repairs.map((repair) => repair.rule)).toEqual([rule])
  })
})
