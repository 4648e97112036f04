import { isRecord, own } from './json-value.ts'
import { localRef, partAt, REFERENCES } from './schema-part.ts'

/**
 * True when the time to list all errors of a value can grow exponentially with its depth: where a
 * union may contain itself, every branch is followed into every branch of the level below. Where
 * the first error ends a branch, most branches end at their discriminator.
 */
export function explodes(schema: object): boolean {
  return mentionsUnion(schema) && recurs(schema)
}

/**
 * True when a schema may contain itself: where it does so by two ways to the same value, such as two
 * patterns or an `if` and its `then`, checking takes a time that doubles with each level.
 */
export function recurs(schema: object): boolean {
  return refersToItself(schema, schema, new Set(), new Set())
}

function mentionsUnion(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false
  return Object.entries(schema).some(([key, child]) => UNIONS.has(key) || mentionsUnion(child))
}

const UNIONS: ReadonlySet<string> = new Set(['anyOf', 'oneOf'])

/** Depth first over what a schema contains and refers to; true at a reference to what is above. */
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

/** Undefined stands for a reference that only AJV can follow, which may lead anywhere. */
function linksOf(part: object, root: object): readonly (object | undefined)[] {
  const children = Object.values(part).filter(
    (child): child is object => typeof child === 'object' && child !== null,
  )
  const refers = REFERENCES.some((keyword) => typeof own(part, keyword) === 'string')
  if (!refers || !isRecord(part)) return children
  const target = localRef(part)
  return [...children, target === undefined ? undefined : partAt(root, target)]
}
