import { isRecord } from './json-value.ts'
import { DRAFTS, type Draft } from './schema-engine.ts'

/** The meta-schemas of a draft, by address. */
export type MetaSchemasOf = (draft: Draft) => ReadonlyMap<string, object>

const ADDRESS = /^https?:\/\/json-schema\.org\//

/**
 * The meta-schemas that a schema refers to: those of its draft and of earlier ones, except those that the
 * schema itself contains. Empty for nearly all schemas, which then cost nothing extra.
 */
export function metaSchemasFor(schema: object, draft: Draft, of: MetaSchemasOf): readonly object[] {
  const named: Named = { refers: false, ids: new Set() }
  look(schema, named)
  if (!named.refers) return []
  const drafts = DRAFTS.slice(0, DRAFTS.indexOf(draft) + 1)
  return drafts
    .flatMap((known) => [...of(known)])
    .filter(([address]) => !named.ids.has(address))
    .map(([, metaSchema]) => metaSchema)
}

interface Named {
  refers: boolean
  readonly ids: Set<string>
}

function look(part: unknown, named: Named): void {
  if (Array.isArray(part)) {
    for (const element of part) look(element, named)
  }
  if (!isRecord(part)) return
  const { $ref, $id } = part
  if (typeof $ref === 'string' && ADDRESS.test($ref)) named.refers = true
  if (typeof $id === 'string') {
    // The schema is itself a meta-schema, and these refer to each other.
    if (ADDRESS.test($id)) named.refers = true
    named.ids.add($id.replace(/#$/, ''))
  }
  for (const child of Object.values(part)) look(child, named)
}
