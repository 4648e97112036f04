import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../../src/output/parse-json.ts'
import type { EditName } from '../../../../src/output/parser/edit-name.ts'
import { EDITS } from '../../../../src/output/parser/edits.ts'
import { TextParser } from '../../../../src/output/parser/parser.ts'
import { written } from '../../../../src/output/parser/written.ts'
import { atOnce, Work } from '../../../../src/output/work.ts'

/** What the examples of edits that need a schema are read with. */
const SCHEMA = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    kind: { enum: ['cat', 'dog'] },
    tags: { type: 'array', items: { type: 'string' } },
    total: { type: 'number' },
  },
}

const names = Object.keys(EDITS) as EditName[]
const rows = names.map((name) => ({ name, ...EDITS[name] }))
const schemaFor = ({ schema }: { schema: string }) => (schema === 'needed' ? SCHEMA : undefined)

/** The edits of the cheapest reading. */
function editsIn(text: string, schema: object | undefined): readonly string[] {
  const start = Math.max(0, text.search(/[{[]/))
  const work = new Work(text)
  const parser = new TextParser(schema, work, start)
  parser.feed(text)
  parser.end()
  const outcome = atOnce(parser.read())
  const best = outcome?.kind === 'readings' ? outcome.readings[0] : undefined
  if (best === undefined) return []
  const read = atOnce(written(best.configuration, start, parser.source, work))
  return read?.changes.map(({ edit }) => edit) ?? []
}

describe('the table of edits', () => {
  it.each(rows.filter(({ fate }) => fate === 'taken'))(
    'has an example that is taken: $name',
    (row) => {
      const [text, json] = row.example
      const result = parseJson(text, schemaFor(row), { level: 'lenient' })
      expect(result).toMatchObject({ ok: true, value: JSON.parse(String(json)) })
      expect(editsIn(text, schemaFor(row))).toContain(row.name)
      const rules: readonly string[] = result.ok ? result.repairs.map(({ rule }) => rule) : []
      expect(rules).toContain(row.rule)
    },
  )

  it.each(rows.filter(({ fate }) => fate !== 'taken'))(
    'has an example that is refused: $name',
    (row) => {
      expect(row.example[1]).toBeNull()
      expect(parseJson(row.example[0], schemaFor(row)).ok).toBe(false)
    },
  )

  it.each(rows.filter(({ schema, fate }) => schema === 'needed' && fate === 'taken'))(
    'refuses without a schema what needs one: $name',
    ({ example }) => {
      expect(parseJson(example[0]).ok).toBe(false)
    },
  )
})
