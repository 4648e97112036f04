import type { ErrorObject } from 'ajv'
import type { SchemaEngine } from './ajv-engine.ts'
import { isRecord, own } from './json-value.ts'
import { typeOfValue, typesOf } from './schema-part.ts'
import type { Work } from './work.ts'

/**
 * AJV's errors with those of a union's branches left out, but for the branch that the value was
 * meant for: the one its discriminator names, or the one with the fewest errors. A union that fails
 * reports all of its branches, and what is said of the others would mislead a model.
 * @throws {OutOfSteps}
 */
export function ofNearestBranches(
  errors: readonly ErrorObject[],
  root: object,
  engine: SchemaEngine,
  work: Work,
): readonly ErrorObject[] {
  return nearest(ofOnlyBranches(errors, root, work), { engine, work, unions: MAX_UNIONS })
}

/**
 * Without what is said of branches for values of other types, where that leaves one: of a list or a tree
 * there is such a union on each level, and this is linear in them.
 */
function ofOnlyBranches(
  errors: readonly ErrorObject[],
  root: object,
  work: Work,
): readonly ErrorObject[] {
  const settled = new Set<string>()
  const left = errors.filter((error) => {
    // Looking a path up takes a time of its length.
    work.spend(1 + error.instancePath.length / CHARS_A_STEP)
    if (!isUnion(error) || !hasOneBranchFor(error, root)) return true
    settled.add(error.instancePath)
    return false
  })
  if (settled.size === 0) return errors
  return left.filter(({ keyword, instancePath }) => {
    work.spend(1 + instancePath.length / CHARS_A_STEP)
    return keyword !== 'type' || !settled.has(instancePath)
  })
}

const CHARS_A_STEP = 16

/** For an object or a list: a number may be of the only type there is, and still none of its values. */
function hasOneBranchFor({ schema, data }: ErrorObject, root: object): boolean {
  if (!Array.isArray(schema) || typeof data !== 'object' || data === null) return false
  const type = typeOfValue(data)
  const fitting = schema.filter(
    (branch) => isRecord(branch) && (typesOf(branch, root)?.includes(type) ?? true),
  )
  return fitting.length === 1
}

/** A oneOf that matched twice has no branch that fails. */
function isUnion({ keyword, params }: ErrorObject): boolean {
  return keyword === 'anyOf' || (keyword === 'oneOf' && !own(params, 'passingSchemas'))
}

// Each is validated branch by branch, and unions nest.
const MAX_UNIONS = 100

interface Search {
  readonly engine: SchemaEngine
  readonly work: Work
  /** So many more may be looked at. */
  unions: number
}

function nearest(errors: readonly ErrorObject[], search: Search): readonly ErrorObject[] {
  const kept: ErrorObject[] = []
  // Backwards: a union reports itself after its branches, one after the other.
  let end = errors.length
  for (let error = errors[end - 1]; error !== undefined; error = errors[end - 1]) {
    end -= 1
    const branches = branchesOf(error, search)
    const reported = branches?.flat() ?? []
    const start = end - reported.length
    if (branches === undefined || !areSame(errors.slice(start, end), reported)) {
      kept.push(error)
      continue
    }
    // Inside first: a branch that is a union itself is of several types until then.
    const settled = branches.map((branch) => nearest(branch, search))
    kept.push(...meantOf(settled, error.instancePath).toReversed())
    end = start
  }
  return kept.reverse()
}

/** The errors of each branch; undefined for an error that is none of a union's. */
function branchesOf(
  error: ErrorObject,
  search: Search,
): readonly (readonly ErrorObject[])[] | undefined {
  const { schema, data, instancePath } = error
  if (!isUnion(error) || !Array.isArray(schema) || search.unions-- <= 0) return undefined
  const { engine, work } = search
  const pointer = engine.pointerOf(schema)
  if (pointer === undefined) return undefined
  return schema.map((_, index) =>
    engine.errorsAt(`${pointer}/${index}`, data, work).map((inside) => {
      const path = instancePath + inside.instancePath
      work.spend(1 + path.length / CHARS_A_STEP)
      return { ...inside, instancePath: path }
    }),
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
