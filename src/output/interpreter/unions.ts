import { childPath } from '../json-value.ts'
import type { Draft, ErrorObject, RegExpEngine } from '../schema-engine.ts'
import type { Work } from '../work.ts'
import type { Formats, Located, References } from './references.ts'

const isList = (holds: unknown): holds is readonly unknown[] => Array.isArray(holds)

function branchesOf(keyword: string, holds: unknown): readonly unknown[] {
  if (!isList(holds)) throw new TypeError(`${keyword} value must be ["array"]`)
  return holds
}

/** Keywords that apply further schemas to the same value. */
export const UNIONS: readonly (readonly [string, Keyword])[] = [
  ['not', not],
  ['anyOf', anyOf],
  ['oneOf', oneOf],
  ['allOf', allOf],
  ['if', conditional],
]

function not(...[holds, schema, compiler]: Parameters<Keyword>): Check {
  const refused = compiler.checkOf(holds, schema)
  return (place, run) =>
    !refused(place, silent(run), undefined) ||
    fail(run, place, {
      keyword: 'not',
      params: {},
      message: 'must NOT be valid',
      schema: holds,
      parentSchema: schema,
    })
}

function anyOf(...[holds, schema, compiler]: Parameters<Keyword>): Check {
  const branches = branchesOf('anyOf', holds).map((branch) => compiler.checkOf(branch, schema))
  return (place, run, evaluated) => {
    const before = run.errors?.length ?? 0
    const inBranch = branching(run)
    let valid = false
    for (const branch of branches) {
      // All branches have to run if the evaluated members are recorded.
      if (valid && evaluated === undefined) break
      valid = merged(branch, place, inBranch, evaluated) || valid
    }
    if (valid) return forget(run, before)
    return fail(run, place, {
      keyword: 'anyOf',
      params: {},
      message: 'must match a schema in anyOf',
      schema: holds,
      parentSchema: schema,
    })
  }
}

function oneOf(...[holds, schema, compiler]: Parameters<Keyword>): Check {
  const branches = branchesOf('oneOf', holds).map((branch) => compiler.checkOf(branch, schema))
  return (place, run, evaluated) => {
    const before = run.errors?.length ?? 0
    const inBranch = branching(run)
    const passing: number[] = []
    for (const [index, branch] of branches.entries()) {
      if (merged(branch, place, inBranch, evaluated)) passing.push(index)
      if (passing.length > 1) break
    }
    if (passing.length === 1) return forget(run, before)
    return fail(run, place, {
      keyword: 'oneOf',
      params: { passingSchemas: passing.length === 0 ? null : passing },
      message: 'must match exactly one schema in oneOf',
      schema: holds,
      parentSchema: schema,
    })
  }
}

function allOf(...[holds, schema, compiler]: Parameters<Keyword>): Check {
  const branches = branchesOf('allOf', holds).map((branch) => compiler.checkOf(branch, schema))
  return (place, run, evaluated) => {
    let valid = true
    for (const branch of branches) {
      if (branch(place, run, evaluated)) continue
      valid = false
      if (!run.all) break
    }
    return valid
  }
}

function conditional(...[holds, schema, compiler]: Parameters<Keyword>): Check | undefined {
  const clauseOf = (keyword: 'then' | 'else') => {
    const clause = schema[keyword]
    if (clause === undefined || compiler.isAlwaysValid(clause)) return undefined
    return { keyword, check: compiler.checkOf(clause, schema) }
  }
  const [then, otherwise] = [clauseOf('then'), clauseOf('else')]
  if (then === undefined && otherwise === undefined) return undefined
  const condition = compiler.checkOf(holds, schema)
  return (place, run, evaluated) => {
    const clause = merged(condition, place, silent(run), evaluated) ? then : otherwise
    if (clause === undefined || merged(clause.check, place, run, evaluated)) return true
    return fail(run, place, {
      keyword: 'if',
      params: { failingKeyword: clause.keyword },
      message: `must match "${clause.keyword}" schema`,
      schema: holds,
      parentSchema: schema,
    })
  }
}

/** Records the members that a schema evaluated, but only if it accepts the value. */
export function merged(
  check: Check,
  place: Parameters<Check>[0],
  run: Validation,
  evaluated: Evaluated | undefined,
): boolean {
  if (evaluated === undefined) return check(place, run, undefined)
  const own = new Evaluated()
  const valid = check(place, run, own)
  if (valid) evaluated.add(own)
  return valid
}

/** Drops the errors of the other branches once one branch accepts the value. */
export function forget({ errors }: Validation, before: number): true {
  if (errors !== undefined) errors.length = before
  return true
}

/** `$ref`: applies the schema it names. */
export function ref(...[holds, schema, compiler]: KeywordArguments): Check {
  const { schema: target, base } = targetOf('$ref', holds, schema, compiler)
  return compiler.checkIn(target, base)
}

/**
 * `$dynamicRef` of 2020-12: like `$ref`, unless a schema in the current scope has a dynamic anchor of the
 * same name; then the outermost of these applies.
 */
export function dynamicRef(...[holds, schema, compiler]: KeywordArguments): Check {
  const target = targetOf('$dynamicRef', holds, schema, compiler)
  const name = compiler.references.dynamicName(baseOf(schema, compiler), String(holds))
  const plain = compiler.checkIn(target.schema, target.base)
  if (name === undefined) return plain
  return outermost(compiler, plain, ({ address }) =>
    compiler.references.dynamicAnchor(address, name),
  )
}

/** `$recursiveRef` of 2019-09: its own schema, or the outermost one if both set `$recursiveAnchor`. */
export function recursiveRef(...[holds, schema, compiler]: KeywordArguments): Check {
  const target = targetOf('$recursiveRef', holds, schema, compiler)
  const plain = compiler.checkIn(target.schema, target.base)
  const recurs = (found: Located | undefined) =>
    Reflect.get(Object(found?.schema), '$recursiveAnchor') === true ? found : undefined
  if (recurs(target) === undefined) return plain
  return outermost(compiler, plain, ({ address }) => recurs(compiler.references.resource(address)))
}

function baseOf(schema: Schema, { references }: Compiler): string {
  return references.baseOf(schema, references.root.base)
}

function targetOf(keyword: string, holds: unknown, schema: Schema, compiler: Compiler): Located {
  if (typeof holds !== 'string') throw new TypeError(`${keyword} value must be ["string"]`)
  return compiler.references.resolve({ base: baseOf(schema, compiler), ref: holds })
}

function outermost(
  compiler: Compiler,
  plain: Check,
  find: (scope: DynamicScope) => Located | undefined,
): Check {
  return (place, run, evaluated) => {
    let found: Located | undefined
    for (let scope = run.scope; scope !== undefined; scope = scope.outer)
      found = find(scope) ?? found
    const check = found === undefined ? plain : compiler.checkIn(found.schema, found.base)
    return check(place, run, evaluated)
  }
}

/** A JSON Schema that is an object. */
export type Schema = Readonly<Record<string, unknown>>

/** A value and its position. */
export interface LocatedValue {
  readonly value: unknown
  /** JSON Pointer; empty if no errors are collected. */
  readonly path: string
}

/** The settings and state of one validation. */
export interface Validation {
  /** Undefined if only the verdict is needed. */
  readonly errors: ErrorObject[] | undefined
  /** Whether to collect all errors rather than only the first. */
  readonly all: boolean
  /** Inside a branch of a union, an error does not decide the verdict. */
  readonly inUnion: boolean
  /** The chain of schema addresses that led here, the most recent first. */
  readonly scope: DynamicScope | undefined
  /** Set if steps are counted. */
  readonly work?: Work | undefined
}

export interface DynamicScope {
  readonly address: string
  readonly outer: DynamicScope | undefined
}

/** Whether a schema accepts the value. Adds errors to the validation. */
export type Check = (
  place: LocatedValue,
  run: Validation,
  evaluated: Evaluated | undefined,
) => boolean

/** Items and properties evaluated so far, for `unevaluatedItems` and `unevaluatedProperties`. */
export class Evaluated {
  /** How many items, counted from the first. */
  items = 0
  allProperties = false
  readonly properties: Set<string> = new Set()

  add(other: Evaluated): void {
    this.items = Math.max(this.items, other.items)
    this.allProperties ||= other.allProperties
    for (const name of other.properties) this.properties.add(name)
  }
}

/** The parts of an error that come from its keyword. */
export interface Complaint {
  readonly keyword: string
  readonly params: unknown
  readonly message: string
  readonly schema: unknown
  readonly parentSchema: unknown
}

/** Adds an error to the validation, if errors are collected. */
export function fail(
  { errors }: Validation,
  { value, path }: LocatedValue,
  complaint: Complaint,
): false {
  errors?.push({ ...complaint, instancePath: path, data: value })
  return false
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member of the value, with its position. */
export function memberOf(
  place: LocatedValue,
  key: string | number,
  value: unknown,
  run: Validation,
): LocatedValue {
  return { value, path: run.errors === undefined ? '' : childPath(place.path, String(key)) }
}

/** A run that collects no errors. */
function silent(run: Validation): Validation {
  return { ...run, errors: undefined, all: false }
}

/** A run for a branch of a union, in which an error does not end the validation. */
export function branching(run: Validation): Validation {
  return run.inUnion ? run : { ...run, inUnion: true }
}

/** Checks every element, or stops at the first failure if one error is enough. */
export function each<T>(
  elements: readonly T[],
  run: Validation,
  accepts: (element: T, index: number) => boolean,
): boolean {
  let valid = true
  // An index loop: an iterator uses more of the stack, which limits how deeply a value may be nested.
  for (let at = 0; at < elements.length && (valid || run.all); at += 1) {
    // `at` is below the length, so the element exists.
    valid = accepts(elements[at] as T, at) && valid
  }
  return valid
}

/** Creates the check of a keyword; undefined if the keyword has no effect. */
export type Keyword = (holds: unknown, schema: Schema, compiler: Compiler) => Check | undefined

export type KeywordArguments = Parameters<Keyword>

/** What a keyword needs of the schema it is part of. */
export interface Compiler {
  readonly draft: Draft
  readonly references: References
  readonly regExp: RegExpEngine
  readonly formats: Formats
  /** The check of a part nested in another one. */
  checkOf(part: unknown, around: Schema): Check
  /** The check of a part whose base URI is `around`. */
  checkIn(part: unknown, around: string): Check
  /** Whether the schema has no keyword that can reject a value. */
  isAlwaysValid(part: unknown): boolean
}
