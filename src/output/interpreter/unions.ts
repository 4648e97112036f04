import { branching, type Check, Evaluated, fail, silent, type Validation } from './checks.ts'
import type { Keyword } from './keyword.ts'

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
