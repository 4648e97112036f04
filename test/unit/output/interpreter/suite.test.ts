import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ajvCompiler } from '../../../../src/output/ajv-engine.ts'
import { interpreter } from '../../../../src/output/interpreter/interpreter.ts'
import type { SchemaEngine } from '../../../../src/output/schema-engine.ts'
import { type SuiteGroup, schemaSuite } from '../../../support/schema-suite.ts'

const PAGE = new URL('../../../../docs/reference/interpreter.md', import.meta.url)
const BEGIN = '<!-- what follows is written by test/unit/output/interpreter/suite.test.ts -->\n'

type Verdict = 'accepts' | 'refuses' | 'fails' | 'refuses the schema'

const word = (verdict: boolean): Verdict => (verdict ? 'accepts' : 'refuses')

function engineOr(compile: () => SchemaEngine): SchemaEngine | undefined {
  try {
    return compile()
  } catch {
    return undefined
  }
}

function verdictOf(engine: SchemaEngine | undefined, data: unknown): Verdict {
  if (engine === undefined) return 'refuses the schema'
  try {
    return word(engine.accepts(data))
  } catch {
    return 'fails'
  }
}

function said(engine: SchemaEngine | undefined, value: unknown): string | undefined {
  if (verdictOf(engine, value) !== 'refuses') return undefined
  const errors = engine?.errorsAt('', value) ?? []
  return JSON.stringify(
    errors.map(({ keyword, instancePath, params, message, schema, parentSchema, data }) => [
      keyword,
      instancePath,
      params,
      message,
      schema,
      parentSchema,
      data,
    ]),
    // The mark by which AJV's code counts its steps is no part of what the schema says.
    (key, part: unknown) => (key === 'steadycall-steps' ? undefined : part),
  )
}

interface Compared {
  readonly group: SuiteGroup
  readonly test: string
  readonly ajv: Verdict
  readonly interpreter: Verdict
  readonly right: Verdict
  /** Both give the same errors, where both refuse the value. */
  readonly saySame: boolean
}

const compared: readonly Compared[] = schemaSuite().flatMap((group) => {
  const text = JSON.stringify(group.schema)
  const ajv = engineOr(ajvCompiler(text, group.draft, undefined))
  const own = engineOr(interpreter(text, group.draft, undefined))
  return group.tests.map(({ description, data, valid }) => ({
    group,
    test: description,
    ajv: verdictOf(ajv, data),
    interpreter: verdictOf(own, data),
    right: word(valid),
    saySame: said(ajv, data) === said(own, data),
  }))
})

const differing = compared.filter((one) => one.ajv !== one.interpreter)

function differences(): string {
  const rows = differing.map(({ group, test, ajv, interpreter: own }) => {
    const what = `${group.description}: ${test}`.replaceAll('|', '\\|')
    return `| ${group.draft} | ${group.file} | ${what} | ${ajv} | ${own} |`
  })
  return [
    `Of ${compared.length} tests, ${differing.length}:`,
    '',
    '| draft | file | test | AJV | interpreter |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

describe('the interpreter and AJV on the JSON Schema Test Suite', () => {
  it('differ only where AJV is wrong', () => {
    const wrong = differing.filter((one) => one.interpreter !== one.right)
    expect(wrong.map(({ group, test }) => `${group.file}: ${test}`)).toEqual([])
  })

  it('give the same verdict on every test that is not about dynamic or unevaluated parts', () => {
    const files = new Set(differing.map(({ group }) => group.file))
    expect([...files].sort()).toEqual([
      'dynamicRef',
      'optional/dynamicRef',
      'recursiveRef',
      'unevaluatedItems',
      'unevaluatedProperties',
    ])
  })

  it('differ where docs/reference/interpreter.md says', () => {
    const page = readFileSync(PAGE, 'utf8')
    const written = `${page.split(BEGIN)[0]}${BEGIN}\n${differences()}`
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(PAGE, written)
    else expect(page).toBe(written)
  })

  it('say the same of a value that both refuse, where the schema is not about such parts', () => {
    const about = /dynamicRef|recursiveRef|unevaluated/
    const different = compared.filter(
      (one) => one.ajv === 'refuses' && one.interpreter === 'refuses' && !one.saySame,
    )
    const others = different.filter(({ group }) => !about.test(JSON.stringify(group.schema)))
    expect(others.map(({ group, test }) => `${group.draft} ${group.file}: ${test}`)).toEqual([])
  })
})
