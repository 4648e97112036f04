import type { Draft } from '../schema-engine.ts'
import {
  branching,
  type Check,
  each,
  fail,
  type LocatedValue,
  memberOf,
  type Schema,
  type Validation,
} from './checks.ts'
import type { Keyword, KeywordArguments } from './keyword.ts'
import { forget } from './unions.ts'

/** Keywords that apply schemas to the items of an array. */
export const ITEMS_OF_2020: readonly (readonly [string, Keyword])[] = [
  ['prefixItems', (...made) => tuple('prefixItems', ...made)],
  ['items', itemsBehindPrefix],
  ['contains', contains],
]

export const ITEMS_BEFORE_2020: readonly (readonly [string, Keyword])[] = [
  ['additionalItems', additionalItems],
  ['items', items],
  ['contains', contains],
]

export const UNEVALUATED_ITEMS: readonly [string, Keyword] = ['unevaluatedItems', unevaluatedItems]

function itemsBehindPrefix(...[holds, schema, compiler]: KeywordArguments): Check {
  const { prefixItems } = schema
  const from = Array.isArray(prefixItems) ? prefixItems.length : 0
  return rest('items', from, holds, schema, compiler)
}

/** One schema for all items, or an array with one schema for each. */
function items(...[holds, schema, compiler]: KeywordArguments): Check {
  if (Array.isArray(holds)) return tuple('items', holds, schema, compiler)
  return rest('items', 0, holds, schema, compiler)
}

function additionalItems(...[holds, schema, compiler]: KeywordArguments): Check | undefined {
  const { items: tupled } = schema
  if (!Array.isArray(tupled)) return undefined
  return rest('additionalItems', tupled.length, holds, schema, compiler)
}

function listIn({ value }: LocatedValue): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function tuple(keyword: string, ...[holds, schema, compiler]: KeywordArguments): Check {
  if (!Array.isArray(holds)) throw new TypeError(`${keyword} value must be ["array"]`)
  const checks = holds.map((part) => compiler.checkOf(part, schema))
  return (place, run, evaluated) => {
    if (evaluated !== undefined) evaluated.items = Math.max(evaluated.items, checks.length)
    const list = listIn(place)
    return each(checks.slice(0, list.length), run, (check, index) =>
      check(memberOf(place, index, list[index], run), run, undefined),
    )
  }
}

/** Applies to all items from an index on. */
function rest(
  keyword: string,
  from: number,
  ...[holds, schema, compiler]: KeywordArguments
): Check {
  const check = compiler.checkOf(holds, schema)
  return (place, run, evaluated) => {
    if (evaluated !== undefined) evaluated.items = Number.POSITIVE_INFINITY
    const list = listIn(place)
    // AJV reports too many items if no further ones are allowed.
    if (
      holds === false &&
      (from > 0 || schema['prefixItems'] !== undefined || keyword === 'additionalItems')
    ) {
      return list.length <= from || fail(run, place, tooMany(keyword, from, schema))
    }
    // A loop instead of a function: every stack frame per level reduces the possible nesting depth.
    let valid = true
    for (let index = from; index < list.length; index += 1) {
      if (check(memberOf(place, index, list[index], run), run, undefined)) continue
      valid = false
      if (!run.all) break
    }
    return valid
  }
}

function tooMany(keyword: string, limit: number, schema: Schema) {
  return {
    keyword,
    params: { limit },
    message: `must NOT have more than ${limit} items`,
    schema: schema[keyword],
    parentSchema: schema,
  }
}

function eachFrom(
  from: number,
  list: readonly unknown[],
  place: LocatedValue,
  run: Validation,
  check: Check,
): boolean {
  const left = [...list.entries()].slice(from)
  return each(left, run, ([index, item]) =>
    check(memberOf(place, index, item, run), run, undefined),
  )
}

function contains(...[holds, schema, compiler]: KeywordArguments): Check | undefined {
  const check = compiler.checkOf(holds, schema)
  const { min, max } = countsOf(schema, compiler.draft)
  if (min === 0 && max === undefined) return undefined
  const looksAtItems = !compiler.isAlwaysValid(holds)
  const most = max === undefined ? '' : ` and no more than ${max}`
  const complaint = {
    keyword: 'contains',
    params: max === undefined ? { minContains: min } : { minContains: min, maxContains: max },
    message: `must contain at least ${min}${most} valid item(s)`,
    schema: holds,
    parentSchema: schema,
  }
  const countIn: Counting = (place, run) => {
    let count = 0
    for (const [index, item] of listIn(place).entries()) {
      if (check(memberOf(place, index, item, run), run, undefined)) count++
      if (count > (max ?? min - 1)) break
    }
    return count
  }
  return (place, run, evaluated) => {
    // AJV marks all items as evaluated; the specification says only the matching ones.
    if (evaluated !== undefined && looksAtItems) evaluated.items = Number.POSITIVE_INFINITY
    const before = run.errors?.length ?? 0
    const count = countIn(place, branching(run))
    if (count >= min && count <= (max ?? count)) return forget(run, before)
    // If only the first error counts, it is this one rather than an item's.
    if (!run.all && !run.inUnion) forget(run, before)
    return fail(run, place, complaint)
  }
}

type Counting = (place: LocatedValue, run: Validation) => number

/** How many items must match, and how many may. */
function countsOf({ minContains, maxContains }: Schema, draft: Draft) {
  const isKnown = draft !== 'draft-07'
  return {
    min: isKnown && typeof minContains === 'number' ? minContains : 1,
    max: isKnown && typeof maxContains === 'number' ? maxContains : undefined,
  }
}

function unevaluatedItems(...[holds, schema, compiler]: KeywordArguments): Check {
  const check = compiler.checkOf(holds, schema)
  return (place, run, evaluated) => {
    const from = evaluated?.items ?? 0
    if (evaluated !== undefined) evaluated.items = Number.POSITIVE_INFINITY
    const list = listIn(place)
    if (holds === false) {
      return list.length <= from || fail(run, place, tooMany('unevaluatedItems', from, schema))
    }
    return eachFrom(from, list, place, run, check)
  }
}
