import { isRecord, own } from './json-value.ts'
import type { ErrorObject, SchemaEngine } from './schema-engine.ts'
import { typeOfValue, typesOf } from './schema-part.ts'
import type { Work } from './work.ts'

/**
 * Reduces the errors of a failed union to those of the branch that the value was meant for: the one named
 * by its discriminator, or the one with the fewest errors. AJV reports all branches, and errors of the
 * other branches would mislead a model.
 * @throws {OutOfSteps}
 */
export function ofNearestBranches(
  errors: readonly ErrorObject[],
  root: object,
  engine: SchemaEngine,
  work: Work,
): readonly ErrorObject[] {
  const search = { root, engine, work, settled: settledIn(errors, root, work), unions: MAX_UNIONS }
  const found = nearest(withoutSettled(errors, search), search)
  // No errors would mean that the value is valid.
  return found.length === 0 ? errors : found
}

interface Search {
  readonly root: object
  readonly engine: SchemaEngine
  readonly work: Work
  /** Paths of unions that have exactly one branch for the type of the value. */
  readonly settled: ReadonlySet<string>
  /** How many more unions may be analysed. */
  unions: number
}

/** Handles recursive lists and trees, which have such a union on each level, in linear time. */
function settledIn(errors: readonly ErrorObject[], root: object, work: Work): ReadonlySet<string> {
  const settled = new Set<string>()
  for (const error of errors) {
    work.spend(1)
    if (!hasOneBranchFor(error, root)) continue
    // The cost of hashing a path is proportional to its length.
    work.spend(error.instancePath.length / CHARS_A_STEP)
    settled.add(error.instancePath)
  }
  return settled
}

/** Drops such unions, and the type errors of their branches for other types. */
function withoutSettled(
  errors: readonly ErrorObject[],
  { root, settled, work }: Search,
): readonly ErrorObject[] {
  if (settled.size === 0) return errors
  return errors.filter((error) => {
    work.spend(1 + error.instancePath.length / CHARS_A_STEP)
    const isOfOtherType = error.keyword === 'type' && settled.has(error.instancePath)
    return !isOfOtherType && !hasOneBranchFor(error, root)
  })
}

const CHARS_A_STEP = 16

function hasOneBranchFor(error: ErrorObject, root: object): boolean {
  const { schema, data } = error
  if (!isUnion(error) || !Array.isArray(schema) || !isContainer(data)) return false
  const [only, ...others] = schema.filter((branch) => isFor(data, branch, root))
  // A branch that does not say its type may be a union that has no branch for this one.
  return isRecord(only) && others.length === 0 && typesOf(only, root) !== undefined
}

/** Only containers: a scalar may have a branch's type without being one of its values. */
function isContainer(data: unknown): boolean {
  return typeof data === 'object' && data !== null
}

function isFor(data: unknown, branch: unknown, root: object): boolean {
  return isRecord(branch) && (typesOf(branch, root)?.includes(typeOfValue(data)) ?? true)
}

/** Excludes a oneOf that matched twice, because none of its branches failed. */
function isUnion({ keyword, params }: ErrorObject): boolean {
  return keyword === 'anyOf' || (keyword === 'oneOf' && !own(params, 'passingSchemas'))
}

// Unions nest, and each is validated branch by branch.
const MAX_UNIONS = 100

function nearest(errors: readonly ErrorObject[], search: Search): readonly ErrorObject[] {
  const kept: ErrorObject[] = []
  // Backwards, because a union's error follows those of its branches.
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
    // Inner unions first: until it is reduced, a branch that is itself a union mixes errors of several types.
    const settled = possible(branches, error, search).map((branch) => nearest(branch, search))
    kept.push(...meantOf(settled, error.instancePath).toReversed())
    end = start
  }
  return kept.reverse()
}

/** The errors of each branch; undefined if the error is not a union's. */
function branchesOf(
  error: ErrorObject,
  search: Search,
): readonly (readonly ErrorObject[])[] | undefined {
  const { schema, data, instancePath } = error
  if (!isUnion(error) || !Array.isArray(schema) || search.unions-- <= 0) return undefined
  const { engine, work } = search
  const pointer = engine.pointerOf(schema)
  if (pointer === undefined) return undefined
  return schema.map((_, index) => {
    const errors = engine.errorsAt(`${pointer}/${index}`, data, work).map((inside) => {
      const path = instancePath + inside.instancePath
      work.spend(1 + path.length / CHARS_A_STEP)
      return { ...inside, instancePath: path }
    })
    return withoutSettled(errors, search)
  })
}

/** Excludes branches that are only for values of other types. */
function possible(
  branches: readonly (readonly ErrorObject[])[],
  { schema, data }: ErrorObject,
  { root }: Search,
): readonly (readonly ErrorObject[])[] {
  if (!Array.isArray(schema) || !isContainer(data)) return branches
  const left = branches.filter((_, index) => isFor(data, schema[index], root))
  return left.length === 0 ? branches : left
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

/** Whether a path is the place itself or a direct property of it. */
function isNear(path: string, of: string): boolean {
  return path === of || path.lastIndexOf('/') === of.length
}
