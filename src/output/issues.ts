import type { OutputIssue } from '../errors/call-error.ts'
import { isRecord, own } from './json-value.ts'
import type { ErrorObject, SchemaEngine } from './schema-engine.ts'
import { partsIn, typeOfValue, typesOf } from './schema-part.ts'
import type { Work } from './work.ts'

/** The maximum number of problems reported for an answer; more help neither a model nor a reader. */
export const MAX_ISSUES = 12

/**
 * Turns AJV's errors into issues that a model can act on: at most twelve, one per place and cause. A
 * message says what was expected and never quotes the answer.
 */
export function issuesOf(errors: readonly ErrorObject[]): readonly OutputIssue[] {
  const useful = withoutUnionNoise(errors)
  const issues: OutputIssue[] = []
  const seen = new Set<string>()
  for (const error of useful) {
    if (issues.length === MAX_ISSUES) break
    const { keyword, instancePath: path } = error
    const isType = keyword === 'type'
    const isMember = MEMBERS.has(keyword)
    const said = isType ? 'type' : isMember ? 'member' : capped(wording(error))
    const identity = `${path} ${said}`
    if (seen.has(identity)) continue
    seen.add(identity)
    // Combines all errors at this place, which needs a pass over every error; hence after the duplicate check.
    const message = isType ? typesAt(path, useful) : isMember ? membersAt(path, useful) : said
    issues.push({ path, message: capped(message) })
  }
  return issues
}

const MAX_MESSAGE = 400

// A failed union reports itself and every branch. The errors of the branches say more, if there are any;
// a oneOf that matched twice has none.
function withoutUnionNoise(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const concrete = errors.filter(({ keyword }) => !UNIONS.has(keyword))
  const explained = new Set<string>()
  for (const { instancePath } of concrete) {
    for (let path = instancePath; !explained.has(path); path = parent(path)) explained.add(path)
  }
  return errors.filter(({ keyword, instancePath, params }) => {
    if (!UNIONS.has(keyword)) return true
    return Array.isArray(own(params, 'passingSchemas')) || !explained.has(instancePath)
  })
}

const UNIONS = new Set(['anyOf', 'oneOf', 'if'])

function parent(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0))
}

/** `expected number or null, got a string`: collects the types of all branches of a union. */
function typesAt(path: string, errors: readonly ErrorObject[]): string {
  const here = errors.filter(
    ({ keyword, instancePath }) => keyword === 'type' && instancePath === path,
  )
  const types = here.flatMap(({ params }) => own(params, 'type'))
  return `expected ${[...new Set(types)].join(' or ')}, got ${typeNameOf(here[0]?.data)}`
}

function typeNameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const MEMBERS = new Set(['const', 'enum'])

/** `expected one of "cat", "dog"`: collects the members of all branches of a union. */
function membersAt(path: string, errors: readonly ErrorObject[]): string {
  const here = errors.filter(
    ({ keyword, instancePath }) => MEMBERS.has(keyword) && instancePath === path,
  )
  const members = here.flatMap(({ keyword, params }) =>
    keyword === 'const' ? [own(params, 'allowedValue')] : own(params, 'allowedValues'),
  )
  const [only, ...others] = new Set(members.map((member) => JSON.stringify(member)))
  const isConst = others.length === 0 && here[0]?.keyword === 'const'
  return isConst ? `expected exactly ${only}` : `expected one of ${[only, ...others].join(', ')}`
}

const MOST_NAMES = 20

function declared(schema: unknown): string {
  const properties = own(schema, 'properties')
  const names = isRecord(properties) ? Object.keys(properties) : []
  if (names.length === 0 || names.length > MOST_NAMES) return ''
  return `; declared are ${listed(names)}`
}

/** Examples for formats whose name does not tell how they are written (RFC 3339, appendix A). */
const FORMAT_EXAMPLES: ReadonlyMap<unknown, string> = new Map([
  ['date', '2027-03-01'],
  ['time', '09:30:00Z'],
  ['date-time', '2027-03-01T09:30:00Z'],
  ['duration', 'P3DT12H'],
])

function exampleOf(format: unknown): string {
  const example = FORMAT_EXAMPLES.get(format)
  return example === undefined ? '' : `, such as ${example}`
}

function capped(message: string): string {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message
}

function wording({ keyword, params, message, parentSchema }: ErrorObject): string {
  switch (keyword) {
    case 'required':
      return `missing required property ${JSON.stringify(own(params, 'missingProperty'))}`
    case 'additionalProperties':
    case 'unevaluatedProperties':
      // The property's own name comes from the model, so it is not quoted.
      return `has a property that the schema does not declare${declared(parentSchema)}`
    case 'format':
      return `${message ?? 'violates format'}${exampleOf(own(params, 'format'))}`
    case 'anyOf':
    case 'oneOf':
      return Array.isArray(own(params, 'passingSchemas'))
        ? 'matches more than one of the alternatives, expected exactly one'
        : 'matches none of the alternatives'
    case 'false schema':
      return 'expected nothing here'
    default:
      return message ?? `violates ${keyword}`
  }
}

function listed(values: unknown): string {
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(', ') : ''
}

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

interface IssueSearch {
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
  { root, settled, work }: IssueSearch,
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

function nearest(errors: readonly ErrorObject[], search: IssueSearch): readonly ErrorObject[] {
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
  search: IssueSearch,
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
  { root }: IssueSearch,
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

/**
 * Describes the first `type` in a schema that JSON Schema does not know, and what to write instead.
 * (TypeBox has types of its own for values that JSON cannot hold.) Undefined if there is none.
 */
export function wrongTypeIn(schema: unknown, path = '', depth = 0): string | undefined {
  if (!isRecord(schema) || depth > MAX_DEPTH) return undefined
  const types = [schema['type']].flat()
  const wrong = types.find((type) => typeof type === 'string' && !TYPES.includes(type))
  if (typeof wrong === 'string') {
    const instead = INSTEAD[wrong] ?? `Its types are ${TYPES.join(', ')}.`
    return `at ${path || '/'}, '${wrong.slice(0, 40)}' is not a JSON Schema type. ${instead}`
  }
  for (const [within, part] of partsIn(schema)) {
    const found = wrongTypeIn(part, `${path}${within}`, depth + 1)
    if (found !== undefined) return found
  }
  return undefined
}

const MAX_DEPTH = 100

const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']

const DATE =
  "JSON holds a date as text: { type: 'string', format: 'date-time' }, in TypeBox Type.String({ format: 'date-time' })."
const BIGINT =
  "JSON holds such a number as text: { type: 'string', pattern: '^-?[0-9]+$' }, in TypeBox Type.String({ pattern: '^-?[0-9]+$' })."
const UNDEFINED =
  'JSON has no undefined: leave the property out, or make it optional (Type.Optional in TypeBox).'

const INSTEAD: Readonly<Record<string, string>> = {
  Date: DATE,
  date: DATE,
  bigint: BIGINT,
  undefined: UNDEFINED,
  void: UNDEFINED,
  Uint8Array:
    "JSON holds bytes as text: { type: 'string', contentEncoding: 'base64' }, in TypeBox Type.String({ contentEncoding: 'base64' }).",
}
