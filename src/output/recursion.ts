import { isRecord, own } from './json-value.ts'
import { localRef, partAt, REFERENCES } from './schema-part.ts'

/**
 * Whether listing all errors of a value can take time exponential in its depth. If a union may contain
 * itself, every branch is followed into every branch of the next level. Stopping at the first error avoids
 * this, because most branches then end at their discriminator.
 */
export function explodes(schema: object): boolean {
  return mentionsUnion(schema) && recurs(schema)
}

/**
 * Whether a schema may contain itself. If it does so by two routes to the same value, such as two patterns
 * or an `if` and its `then`, the time of a check doubles with each level.
 */
export function recurs(schema: object): boolean {
  return refersToItself(schema, schema, new Set(), new Set())
}

function mentionsUnion(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false
  return Object.entries(schema).some(([key, child]) => UNIONS.has(key) || mentionsUnion(child))
}

const UNIONS: ReadonlySet<string> = new Set(['anyOf', 'oneOf'])

/** Depth-first search through nested parts and references; true if it returns to a part it is inside of. */
function refersToItself(
  part: object,
  root: object,
  above: Set<object>,
  done: Set<object>,
): boolean {
  if (done.has(part)) return false
  if (above.has(part)) return true
  above.add(part)
  const found = linksOf(part, root).some(
    (link) => link === undefined || refersToItself(link, root, above, done),
  )
  above.delete(part)
  done.add(part)
  return found
}

/** Undefined stands for a reference that cannot be followed here and may lead anywhere. */
function linksOf(part: object, root: object): readonly (object | undefined)[] {
  const children = Object.values(part).filter(
    (child): child is object => typeof child === 'object' && child !== null,
  )
  const refers = REFERENCES.some((keyword) => typeof own(part, keyword) === 'string')
  if (!refers || !isRecord(part)) return children
  const target = localRef(part)
  return [...children, target === undefined ? undefined : partAt(root, target)]
}
