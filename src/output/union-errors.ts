import { own } from './json-value.ts'
import type { ErrorObject, SchemaEngine } from './schema-engine.ts'

/**
 * AJV's errors with those of a union's branches left out, but for the branch that the value was
 * meant for: the one its discriminator names, or the one with the fewest errors. A union that fails
 * reports all of its branches, and what is said of the others would mislead a model.
 */
export function ofNearestBranches(
  errors: readonly ErrorObject[],
  engine: SchemaEngine,
): readonly ErrorObject[] {
  return nearest(errors, engine, { unions: MAX_UNIONS })
}

// Each is validated branch by branch, and unions nest.
const MAX_UNIONS = 100

interface Left {
  unions: number
}

function nearest(
  errors: readonly ErrorObject[],
  engine: SchemaEngine,
  left: Left,
): readonly ErrorObject[] {
  const kept: ErrorObject[] = []
  // Backwards: a union reports itself after its branches, one after the other.
  let end = errors.length
  for (let error = errors[end - 1]; error !== undefined; error = errors[end - 1]) {
    end -= 1
    const branches = branchesOf(error, engine, left)
    const reported = branches?.flat() ?? []
    const start = end - reported.length
    if (branches === undefined || !areSame(errors.slice(start, end), reported)) {
      kept.push(error)
      continue
    }
    // Inside first: a branch that is a union itself is of several types until then.
    const settled = branches.map((branch) => nearest(branch, engine, left))
    kept.push(...meantOf(settled, error.instancePath).toReversed())
    end = start
  }
  return kept.reverse()
}

/** The errors of each branch; undefined for an error that is none of a union's. */
function branchesOf(
  { keyword, params, schema, data, instancePath }: ErrorObject,
  engine: SchemaEngine,
  left: Left,
): readonly (readonly ErrorObject[])[] | undefined {
  // A oneOf that matched twice has no branch that fails.
  const isUnion = keyword === 'anyOf' || (keyword === 'oneOf' && !own(params, 'passingSchemas'))
  if (!isUnion || !Array.isArray(schema) || left.unions-- <= 0) return undefined
  const pointer = engine.pointerOf(schema)
  if (pointer === undefined) return undefined
  return schema.map((_, index) =>
    engine
      .errorsAt(`${pointer}/${index}`, data)
      .map((error) => ({ ...error, instancePath: instancePath + error.instancePath })),
  )
}

function areSame(some: readonly ErrorObject[], others: readonly ErrorObject[]): boolean {
  return (
    some.length === others.length &&
    some.every(
      ({ keyword, instancePath }, index) =>
        keyword === others[index]?.keyword && instancePath === others[index]?.instancePath,
    )
  )
}

function meantOf(
  branches: readonly (readonly ErrorObject[])[],
  path: string,
): readonly ErrorObject[] {
  const isOfType = (errors: readonly ErrorObject[]) =>
    !errors.some(({ keyword, instancePath }) => keyword === 'type' && instancePath === path)
  const isNamed = (error: ErrorObject) =>
    (error.keyword === 'const' || error.keyword === 'enum') && isNear(error.instancePath, path)
  const typed = branches.filter(isOfType)
  if (typed.length === 0) return branches.flat()
  const meant = typed.filter((errors) => !errors.some(isNamed))
  if (meant.length === 0) return typed.flat().filter(isNamed)
  const fewest = Math.min(...meant.map(({ length }) => length))
  return meant.filter(({ length }) => length === fewest).flat()
}

/** The place itself, or a property of what stands there. */
function isNear(path: string, of: string): boolean {
  return path === of || path.lastIndexOf('/') === of.length
}
