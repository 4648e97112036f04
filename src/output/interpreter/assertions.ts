import { membership } from '../enum-members.ts'
import { duplicateIn, isEqual } from '../json-value.ts'
import {
  type Check,
  type Compiler,
  type Complaint,
  fail,
  isObject,
  type Keyword,
  type LocatedValue,
  type Schema,
  type Validation,
} from './unions.ts'

/** A keyword whose check is a test of the value alone. */
function asserting<T>(
  keyword: string,
  isKind: (holds: unknown) => holds is T,
  assertion: (
    holds: T,
    schema: Schema,
    compiler: Compiler,
  ) => Pick<Complaint, 'params' | 'message'> & { readonly accepts: (value: never) => boolean },
): readonly [string, Keyword] {
  const make: Keyword = (holds, schema, compiler) => {
    if (!isKind(holds)) throw new TypeError(`${keyword} has an invalid value`)
    const { accepts, params, message } = assertion(holds, schema, compiler)
    // Safe: keywords are grouped by type and checked only against values of that type.
    const isAccepted = accepts as (value: unknown) => boolean
    const complaint = { keyword, params, message, schema: holds, parentSchema: schema }
    return (place, run) => isAccepted(place.value) || fail(run, place, complaint)
  }
  return [keyword, make]
}

const isNumber = (holds: unknown): holds is number => typeof holds === 'number'
const isString = (holds: unknown): holds is string => typeof holds === 'string'
const isAnything = (_: unknown): _ is unknown => true
const isList = (holds: unknown): holds is readonly unknown[] => Array.isArray(holds)

function bound(keyword: string, comparison: string, isWithin: (a: number, b: number) => boolean) {
  return asserting(keyword, isNumber, (limit) => ({
    accepts: (value: number) => isWithin(value, limit),
    params: { comparison, limit },
    message: `must be ${comparison} ${limit}`,
  }))
}

function size<T>(keyword: string, sizeOf: (value: T) => number, unit: string) {
  const isMost = keyword.startsWith('max')
  return asserting(keyword, isNumber, (limit) => ({
    accepts: (value: T) => (isMost ? sizeOf(value) <= limit : sizeOf(value) >= limit),
    params: { limit },
    message: `must NOT have ${isMost ? 'more' : 'fewer'} than ${limit} ${unit}`,
  }))
}

const lengthOf = (value: string | readonly unknown[]): number => value.length
const keyCount = (value: object): number => Object.keys(value).length

function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}

function format(type: 'string' | 'number') {
  return asserting('format', isString, (name, _, { formats }) => ({
    accepts: formats.get(name)?.[type] ?? (() => true),
    params: { format: name },
    message: `must match format "${name}"`,
  }))
}

function formatLimit(keyword: string, comparison: string, isWithin: (order: number) => boolean) {
  return asserting(keyword, isString, (limit, schema, { formats }) => {
    const { format: name } = schema
    if (name === undefined) {
      throw new TypeError(`parent schema must have dependencies of ${keyword}: format`)
    }
    const known = formats.get(String(name))
    if (known !== undefined && known.compare === undefined) {
      throw new TypeError(`"${keyword}": format "${name}" does not define "compare" function`)
    }
    return {
      accepts: (value: string) => {
        const order = known?.compare?.(value, limit)
        return order === undefined || isWithin(order)
      },
      params: { comparison, limit },
      message: `should be ${comparison} ${limit}`,
    }
  })
}

/** Keywords for values of every type. */
export const ANY_ASSERTIONS: readonly (readonly [string, Keyword])[] = [
  asserting('const', isAnything, (allowedValue) => ({
    accepts: (value) => isEqual(value, allowedValue),
    params: { allowedValue },
    message: 'must be equal to constant',
  })),
  asserting('enum', isList, (allowedValues) => {
    if (allowedValues.length === 0) throw new TypeError('enum must have non-empty array')
    return {
      accepts: membership(allowedValues),
      params: { allowedValues },
      message: 'must be equal to one of the allowed values',
    }
  }),
]

export const NUMBER_ASSERTIONS: readonly (readonly [string, Keyword])[] = [
  bound('maximum', '<=', (value, limit) => value <= limit),
  bound('minimum', '>=', (value, limit) => value >= limit),
  bound('exclusiveMaximum', '<', (value, limit) => value < limit),
  bound('exclusiveMinimum', '>', (value, limit) => value > limit),
  asserting('multipleOf', isNumber, (multipleOf) => ({
    // Divides in the same way as AJV, so that both round alike.
    accepts: (value: number) => {
      const times = value / multipleOf
      return multipleOf !== 0 && times === Number.parseInt(String(times), 10)
    },
    params: { multipleOf },
    message: `must be multiple of ${multipleOf}`,
  })),
  format('number'),
]

export const STRING_ASSERTIONS: readonly (readonly [string, Keyword])[] = [
  size('maxLength', codePoints, 'characters'),
  size('minLength', codePoints, 'characters'),
  asserting('pattern', isString, (pattern, _, { regExp }) => {
    const expression = regExp(pattern, 'u')
    return {
      accepts: (value: string) => expression.test(value),
      params: { pattern },
      message: `must match pattern "${pattern}"`,
    }
  }),
  format('string'),
  formatLimit('formatMaximum', '<=', (order) => order <= 0),
  formatLimit('formatMinimum', '>=', (order) => order >= 0),
  formatLimit('formatExclusiveMaximum', '<', (order) => order < 0),
  formatLimit('formatExclusiveMinimum', '>', (order) => order > 0),
]

export const ARRAY_ASSERTIONS: readonly (readonly [string, Keyword])[] = [
  size('maxItems', lengthOf, 'items'),
  size('minItems', lengthOf, 'items'),
]

/** Checked after the items themselves, as AJV does. */
export const UNIQUE_ITEMS: readonly [string, Keyword] = [
  'uniqueItems',
  (holds, schema) => {
    if (typeof holds !== 'boolean') throw new TypeError('uniqueItems value must be ["boolean"]')
    if (!holds) return undefined
    return (place, run) => {
      const spend = (steps: number): void => run.work?.spend(steps)
      const found = Array.isArray(place.value) ? duplicateIn(place.value, spend) : undefined
      if (found === undefined) return true
      return fail(run, place, {
        keyword: 'uniqueItems',
        ...found,
        schema: holds,
        parentSchema: schema,
      })
    }
  },
]

export const OBJECT_ASSERTIONS: readonly (readonly [string, Keyword])[] = [
  size('maxProperties', keyCount, 'properties'),
  size('minProperties', keyCount, 'properties'),
  [
    'required',
    (holds, schema) => {
      if (!isList(holds)) throw new TypeError('required has an invalid value')
      if (holds.length === 0) return undefined
      return (place, run) => {
        let valid = true
        for (const name of holds) {
          if (Object.hasOwn(Object(place.value), String(name))) continue
          valid = fail(run, place, {
            keyword: 'required',
            params: { missingProperty: name },
            message: `must have required property '${name}'`,
            schema: holds,
            parentSchema: schema,
          })
          if (!run.all) break
        }
        return valid
      }
    },
  ],
]

const NAMES: ReadonlySet<unknown> = new Set([
  'string',
  'number',
  'integer',
  'boolean',
  'null',
  'object',
  'array',
])

/** Whether the value has this type. Numbers that JSON cannot express, such as Infinity, have none. */
export function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'null':
      return value === null
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isObject(value)
    case 'number':
      return Number.isFinite(value)
    case 'integer':
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}

/** The types that a schema allows, including OpenAPI's `nullable`; empty if it names none. */
export function typesOf({ type, nullable }: Schema): readonly string[] {
  const types: readonly unknown[] = Array.isArray(type) ? type : type ? [type] : []
  const isName = (name: unknown): name is string => NAMES.has(name)
  if (!types.every(isName)) {
    throw new TypeError(`type must be JSONType or JSONType[]: ${types.join(',')}`)
  }
  if (types.includes('null')) {
    if (nullable === false) throw new TypeError('type: null contradicts nullable: false')
    return types
  }
  if (types.length === 0 && nullable !== undefined) {
    throw new TypeError('"nullable" cannot be used without "type"')
  }
  return nullable === true ? [...types, 'null'] : types
}

export function typeCheck(schema: Schema, types: readonly string[]): Check {
  const complaint = {
    keyword: 'type',
    params: { type: schema['type'] },
    message: `must be ${schema['type']}`,
    schema: schema['type'],
    parentSchema: schema,
  }
  return (place: LocatedValue, run: Validation) =>
    types.some((type) => isOfType(place.value, type)) || fail(run, place, complaint)
}
