import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import type { Draft } from '../../src/output/schema-engine.ts'

/** A schema of the JSON Schema Test Suite, with values that it takes or refuses. */
export interface SuiteGroup {
  readonly draft: Draft
  readonly file: string
  readonly description: string
  readonly schema: object
  readonly tests: readonly {
    readonly description: string
    readonly data: unknown
    readonly valid: boolean
  }[]
}

const FILE = new URL('../fixtures/json-schema-test-suite/suite.json.gz', import.meta.url)

/** All of it but schemas that are `true` or `false`, which become objects before they are compiled. */
export function schemaSuite(): readonly SuiteGroup[] {
  // The file is what its README says.
  const suite = JSON.parse(gunzipSync(readFileSync(FILE)).toString()) as Record<
    Draft,
    Record<string, readonly Omit<SuiteGroup, 'draft' | 'file'>[]>
  >
  return (Object.entries(suite) as [Draft, (typeof suite)[Draft]][]).flatMap(([draft, files]) =>
    Object.entries(files).flatMap(([file, groups]) =>
      groups
        .filter(({ schema }) => typeof schema === 'object')
        .map((group) => ({ ...group, draft, file })),
    ),
  )
}
