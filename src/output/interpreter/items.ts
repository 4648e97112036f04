import type { Draft } from '../schema-engine.ts'
import {
  branching,
  type Check,
  type Evaluated,
  each,
  fail,
  forget,
  isObject,
  type Keyword,
  type KeywordArguments,
  type LocatedValue,
  memberOf,
  merged,
  type Schema,
  type Validation,
} from './unions.ts'

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

/** Keywords that apply schemas to the properties of an object. */
export const PROPERTIES: readonly (readonly [string, Keyword])[] = [
  ['propertyNames', propertyNames],
  ['additionalProperties', additionalProperties],
  ['dependencies', dependencies],
  ['properties', properties],
  ['patternProperties', patternProperties],
]

export const DEPENDENT: readonly (readonly [string, Keyword])[] = [
  [
    'dependentRequired',
    (...[holds, schema]: KeywordArguments) => dependentNames('dependentRequired', holds, schema),
  ],
  ['dependentSchemas', (...made: KeywordArguments) => dependentSchemas(...made)],
]

export const UNEVALUATED_PROPERTIES: readonly [string, Keyword] = [
  'unevaluatedProperties',
  unevaluatedProperties,
]

function objectIn({ value }: LocatedValue): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {}
}

/** The entries of a keyword whose value is an object. */
function namedIn(keyword: string, holds: unknown): readonly (readonly [string, unknown])[] {
  if (!isObject(holds)) throw new TypeError(`${keyword} value must be ["object"]`)
  return Object.entries(holds)
}

/** Without `__proto__`, which AJV ignores in all but the dependent keywords. */
function declaredIn(keyword: string, holds: unknown): readonly (readonly [string, unknown])[] {
  return namedIn(keyword, holds).filter(([name]) => name !== '__proto__')
}

function propertyNames(...[holds, schema, compiler]: KeywordArguments): Check {
  const check = compiler.checkOf(holds, schema)
  return (place, run) =>
    each(Object.keys(objectIn(place)), run, (propertyName) => {
      if (check({ ...place, value: propertyName }, branching(run), undefined)) return true
      return fail(run, place, {
        keyword: 'propertyNames',
        params: { propertyName },
        message: 'property name must be valid',
        schema: holds,
        parentSchema: schema,
      })
    })
}

/** Checks a property that no other keyword covers: against a schema, or rejects it. */
function leftover(
  what: 'additional' | 'unevaluated',
  ...[holds, schema, compiler]: KeywordArguments
) {
  const check = compiler.checkOf(holds, schema)
  return (place: LocatedValue, run: Validation, name: string, value: unknown): boolean => {
    if (holds !== false) return check(memberOf(place, name, value, run), run, undefined)
    return fail(run, place, {
      keyword: `${what}Properties`,
      params: { [`${what}Property`]: name },
      message: `must NOT have ${what} properties`,
      schema: holds,
      parentSchema: schema,
    })
  }
}

function additionalProperties(...made: KeywordArguments): Check {
  const [, schema, compiler] = made
  const accepts = leftover('additional', ...made)
  const { properties: declared = {}, patternProperties: patterned = {} } = schema
  const names = new Set(declaredIn('properties', declared).map(([name]) => name))
  const patterns = declaredIn('patternProperties', patterned).map(([pattern]) =>
    compiler.regExp(pattern, 'u'),
  )
  return (place, run, evaluated) => {
    if (evaluated !== undefined) evaluated.allProperties = true
    return each(Object.entries(objectIn(place)), run, ([name, value]) => {
      if (names.has(name) || patterns.some((pattern) => pattern.test(name))) return true
      return accepts(place, run, name, value)
    })
  }
}

function properties(...[holds, schema, compiler]: KeywordArguments): Check {
  const checks = declaredIn('properties', holds).map(
    ([name, part]) => [name, compiler.checkOf(part, schema)] as const,
  )
  return (place, run, evaluated) => {
    const object = objectIn(place)
    for (const [name] of checks) evaluated?.properties.add(name)
    // A loop instead of a function: every stack frame per level reduces the possible nesting depth.
    let valid = true
    for (const [name, check] of checks) {
      if (!Object.hasOwn(object, name)) continue
      if (check(memberOf(place, name, object[name], run), run, undefined)) continue
      valid = false
      if (!run.all) break
    }
    return valid
  }
}

function patternProperties(...[holds, schema, compiler]: KeywordArguments): Check {
  const checks = declaredIn('patternProperties', holds).map(([pattern, part]) => ({
    expression: compiler.regExp(pattern, 'u'),
    check: compiler.checkOf(part, schema),
  }))
  return (place, run, evaluated) =>
    each(checks, run, ({ expression, check }) =>
      each(Object.entries(objectIn(place)), run, ([name, value]) => {
        if (!expression.test(name)) return true
        evaluated?.properties.add(name)
        return check(memberOf(place, name, value, run), run, undefined)
      }),
    )
}

/** draft-07: property names that a property requires, or a schema that applies if it is present. */
function dependencies(...[holds, schema, compiler]: KeywordArguments): Check {
  const entries = declaredIn('dependencies', holds)
  const names = entries.filter(([, needed]) => Array.isArray(needed))
  const schemas = entries.filter(([, needed]) => !Array.isArray(needed))
  const first = dependentNames('dependencies', Object.fromEntries(names), schema)
  const second = dependentSchemas(Object.fromEntries(schemas), schema, compiler)
  return (place, run, evaluated) => {
    const valid = first(place, run, evaluated)
    return (valid || run.all) && second(place, run, evaluated) && valid
  }
}

function dependentNames(keyword: string, holds: unknown, schema: Schema): Check {
  const needs = namedIn(keyword, holds).map(([property, names]) => {
    if (!Array.isArray(names)) throw new TypeError(`${keyword} value must be ["array"]`)
    return { property, names }
  })
  return (place, run) => {
    const object = objectIn(place)
    return each(needs, run, ({ property, names }) =>
      each(Object.hasOwn(object, property) ? names : [], run, (missingProperty) => {
        if (Object.hasOwn(object, missingProperty)) return true
        const deps = names.join(', ')
        const noun = names.length === 1 ? 'property' : 'properties'
        return fail(run, place, {
          keyword,
          params: { property, missingProperty, depsCount: names.length, deps },
          message: `must have ${noun} ${deps} when property ${property} is present`,
          schema: schema[keyword],
          parentSchema: schema,
        })
      }),
    )
  }
}

function dependentSchemas(...[holds, schema, compiler]: KeywordArguments): Check {
  const checks = namedIn('dependentSchemas', holds).map(
    ([name, part]) => [name, compiler.checkOf(part, schema)] as const,
  )
  return (place, run, evaluated: Evaluated | undefined) =>
    each(checks, run, ([name, check]) =>
      Object.hasOwn(objectIn(place), name) ? merged(check, place, run, evaluated) : true,
    )
}

function unevaluatedProperties(...made: KeywordArguments): Check {
  const accepts = leftover('unevaluated', ...made)
  return (place, run, evaluated) => {
    const left = evaluated?.allProperties
      ? []
      : Object.entries(objectIn(place)).filter(([name]) => !evaluated?.properties.has(name))
    if (evaluated !== undefined) evaluated.allProperties = true
    return each(left, run, ([name, value]) => accepts(place, run, name, value))
  }
}
