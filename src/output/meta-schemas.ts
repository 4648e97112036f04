import { isRecord } from './json-value.ts'
import { DRAFTS, type Draft } from './schema-engine.ts'

/** The schemas of a draft's own schemas, by address. */
export type MetaSchemasOf = (draft: Draft) => ReadonlyMap<string, object>

const ADDRESS = /^https?:\/\/json-schema\.org\//

/**
 * The drafts' own schemas that a schema refers to, which then are part of it: those of its draft
 * and of earlier ones, whose keywords it knows. None for a schema that brings them itself, and
 * none for nearly all schemas, which do not pay for them.
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
    // A draft's own schema, given as a schema: it consists of others.
    if (ADDRESS.test($id)) named.refers = true
    named.ids.add($id.replace(/#$/, ''))
  }
  for (const child of Object.values(part)) look(child, named)
}
