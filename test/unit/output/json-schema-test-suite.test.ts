import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ajvCompiler } from '../../../src/output/ajv-engine.ts'
import { parseJson } from '../../../src/output/parse-json.ts'
import type { Draft, SchemaEngine } from '../../../src/output/schema-engine.ts'
import { type SuiteGroup, schemaSuite } from '../../support/schema-suite.ts'

const PAGE = new URL('../../../docs/reference/coercion.md', import.meta.url)
const NAMES: Readonly<Record<Draft, string>> = {
  'draft-07': 'http://json-schema.org/draft-07/schema#',
  '2019-09': 'https://json-schema.org/draft/2019-09/schema',
  '2020-12': 'https://json-schema.org/draft/2020-12/schema',
}

interface Decided {
  readonly name: string
  readonly data: unknown
  readonly text: string
  readonly schema: object
  readonly isAccepted: boolean
}

/** What AJV decides of all tests whose schema it compiles. */
const decided: readonly Decided[] = schemaSuite().flatMap((group) => {
  const engine = compiled(group)
  if (engine === undefined) return []
  const schema = { ...group.schema, $schema: NAMES[group.draft] }
  return group.tests.flatMap(({ description, data }) => {
    const isAccepted = verdict(engine, data)
    if (isAccepted === undefined) return []
    const name = `${group.draft} ${group.file}: ${group.description}: ${description}`
    return [{ name, data, text: JSON.stringify(data), schema, isAccepted }]
  })
})
const names = (list: readonly Decided[]) => list.map(({ name }) => name)

describe('parseJson on the JSON Schema Test Suite', () => {
  it('has its tests, of all three drafts', () => {
    expect(decided.length).toBeGreaterThan(5_500)
    expect(new Set(decided.map(({ name }) => name.split(' ')[0]))).toEqual(
      new Set(Object.keys(NAMES)),
    )
  })

  it('returns what AJV accepts unchanged, without a repair', () => {
    for (const { name, text, data, schema } of decided.filter((one) => one.isAccepted)) {
      expect(parseJson(text, schema), name).toEqual({ ok: true, value: data, repairs: [] })
    }
  })

  it.each(['off', 'syntax'] as const)('decides as AJV does at %s', (level) => {
    const otherwise = decided.filter(
      ({ text, schema, isAccepted }) => parseJson(text, schema, { level }).ok !== isAccepted,
    )
    expect(names(otherwise)).toEqual([])
  })

  it('accepts more at safe only by rules that docs/reference/coercion.md lists', () => {
    const page = readFileSync(PAGE, 'utf8')
    for (const { name, text, schema, isAccepted } of decided) {
      const result = isAccepted ? undefined : parseJson(text, schema)
      if (result?.ok !== true) continue
      expect(result.repairs, name).not.toEqual([])
      for (const { rule } of result.repairs) expect(page, name).toContain(`| \`${rule}\` |`)
    }
  })

  it('accepts more at safe only where numbers are strings, or strings numbers', () => {
    const others = decided.filter(({ text, data, schema, isAccepted }) => {
      const result = isAccepted ? undefined : parseJson(text, schema)
      return result?.ok === true && asStrings(result.value) !== asStrings(data)
    })
    expect(names(others)).toEqual([])
  })
})

function compiled({ schema, draft }: SuiteGroup): SchemaEngine | undefined {
  try {
    return ajvCompiler(JSON.stringify(schema), draft, undefined)()
  } catch {
    return undefined
  }
}

function verdict(engine: SchemaEngine, data: unknown): boolean | undefined {
  try {
    return engine.accepts(data)
  } catch {
    return undefined
  }
}

/** Its text, with each number in quotes. */
function asStrings(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'number' ? String(part) : part,
  )
}
