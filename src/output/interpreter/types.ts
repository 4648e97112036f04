import {
  type Check,
  fail,
  isObject,
  type LocatedValue,
  type Schema,
  type Validation,
} from './checks.ts'

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
