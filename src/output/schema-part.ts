import { childPath, isRecord, own, valueAt } from './json-value.ts'

/** The JSON Schema keywords that repairs use, with unchecked values. */
export interface SchemaPart {
  readonly type?: unknown
  readonly enum?: unknown
  readonly const?: unknown
  readonly title?: unknown
  readonly description?: unknown
  readonly maximum?: unknown
  readonly exclusiveMaximum?: unknown
  readonly $ref?: unknown
  readonly allOf?: unknown
  readonly anyOf?: unknown
  readonly oneOf?: unknown
  readonly if?: unknown
  readonly then?: unknown
  readonly else?: unknown
  readonly properties?: unknown
  readonly required?: unknown
  readonly additionalProperties?: unknown
  readonly patternProperties?: unknown
  readonly items?: unknown
  readonly prefixItems?: unknown
  readonly additionalItems?: unknown
  readonly format?: unknown
}

/** Keywords that refer to another schema. */
export const REFERENCES = ['$ref', '$dynamicRef', '$recursiveRef'] as const

/**
 * The nested schemas of a schema and their paths. Includes the values of unknown keywords, such as
 * `components`, because a reference may point into them.
 */
export function partsIn(schema: object): readonly (readonly [path: string, part: unknown])[] {
  return Object.entries(schema).flatMap(([keyword, holds]) => {
    if (NO_SCHEMAS.has(keyword)) return []
    const path = childPath('', keyword)
    const isMany = Array.isArray(holds) || MAPS.has(keyword)
    if (!isMany) return [[path, holds] as const]
    return Object.entries(Object(holds)).map(([key, part]) => [childPath(path, key), part] as const)
  })
}

/** Keywords that hold schemas by name, where the names are not keywords. */
const MAPS: ReadonlySet<string> = new Set([
  ...['properties', 'patternProperties', '$defs', 'definitions'],
  ...['dependentSchemas', 'dependencies'],
])

/** Keywords that hold values or names, which may look like schemas but are not. */
const NO_SCHEMAS: ReadonlySet<string> = new Set([
  ...['const', 'default', 'enum', 'examples', 'dependentRequired'],
])

/** The part of a schema that a JSON Pointer names; undefined if that is not an object. */
export function partAt(root: object, pointer: string): SchemaPart | undefined {
  const part = valueAt(root, pointer)
  return isRecord(part) ? part : undefined
}

/** Whether the schema accepts values of this type, according to `type` or, without one, its listed values. */
export function wants({ type, ...schema }: SchemaPart, name: string): boolean {
  if (type !== undefined) return type === name || (Array.isArray(type) && type.includes(name))
  return membersOf(schema).some((member) => typeof member === name)
}

/**
 * The types of the values that a part of a schema accepts, according to `type`, the listed values, or the
 * part it refers to. Undefined if the schema does not say.
 */
export function typesOf(part: SchemaPart, root: object): readonly string[] | undefined {
  let schema: SchemaPart | undefined = part
  for (let refs = 0; schema !== undefined && refs < MAX_REFS; refs += 1) {
    const { type } = schema
    if (typeof type === 'string') return [type]
    if (Array.isArray(type)) return type
    const members = membersOf(schema)
    if (members.length > 0) return members.map(typeOfValue)
    const target = localRef(schema)
    schema = target === undefined ? undefined : partAt(root, target)
  }
  return undefined
}

const MAX_REFS = 20

/**
 * Whether the schema may accept a number without checking it. False if it constrains every value; true in
 * doubt.
 */
export function isOpen(part: unknown): boolean {
  if (!isRecord(part)) return part !== false
  const schema: SchemaPart = part
  const { type, items, additionalProperties, additionalItems } = schema
  const alternatives = [schema.anyOf, schema.oneOf].filter(Array.isArray)
  const isSaid =
    type !== undefined || membersOf(schema).length > 0 || localRef(schema) !== undefined
  if (!isSaid && alternatives.length === 0) return true
  const types = Array.isArray(type) ? type : [type]
  if (types.includes('object') && isOpen(additionalProperties)) return true
  if (types.includes('array') && isOpen(Array.isArray(items) ? additionalItems : items)) return true
  const named = [schema.properties, schema.patternProperties, part['$defs'], part['definitions']]
  const listed = [...alternatives, schema.prefixItems, items].filter(Array.isArray)
  return [...named.flatMap((parts) => Object.values(Object(parts))), ...listed.flat()].some(isOpen)
}

/** The JSON Schema type of a JSON value; every number is a `number`. */
export function typeOfValue(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** The values listed in `enum` or `const`. */
export function membersOf(schema: SchemaPart): readonly unknown[] {
  if (Array.isArray(schema.enum)) return schema.enum
  return Object.hasOwn(schema, 'const') ? [schema.const] : []
}

/** `#/$defs/Person` as a JSON Pointer; undefined for other references. */
export function localRef(schema: SchemaPart): string | undefined {
  const ref = schema.$ref
  if (typeof ref !== 'string') return undefined
  if (ref === '#') return ''
  return ref.startsWith('#/') ? decoded(ref.slice(1)) : undefined
}

function decoded(fragment: string): string | undefined {
  try {
    return decodeURIComponent(fragment)
  } catch {
    return undefined
  }
}

/** JSON Pointers to the schemas in a list such as `anyOf`. */
export function partsOf(
  schema: SchemaPart,
  at: string,
  keyword: 'allOf' | 'anyOf' | 'oneOf',
): readonly string[] {
  const parts = schema[keyword]
  return Array.isArray(parts) ? parts.map((_, index) => `${at}/${keyword}/${index}`) : []
}

/** The part that applies to an item: 2020-12 has `prefixItems`, draft-07 an array of `items`. */
export function itemPointer(schema: SchemaPart, at: string, index: number): string | undefined {
  const isTuple = Array.isArray(schema.items)
  const prefix = isTuple ? 'items' : 'prefixItems'
  const rest = isTuple ? 'additionalItems' : 'items'
  const parts = schema[prefix]
  if (Array.isArray(parts) && index < parts.length) return `${at}/${prefix}/${index}`
  return isRecord(schema[rest]) ? `${at}/${rest}` : undefined
}

/**
 * The parts that apply to a property: its own and those of the patterns that match its name, or the one for
 * additional properties.
 */
export function memberPointers(
  schema: SchemaPart,
  at: string,
  key: string,
  fits: (pattern: string, name: string) => boolean,
): readonly string[] {
  const { properties, patternProperties, additionalProperties } = schema
  const declared = own(properties, key) === undefined ? [] : [childPath(`${at}/properties`, key)]
  const patterns = isRecord(patternProperties) ? Object.keys(patternProperties) : []
  const matching = patterns.filter((pattern) => fits(pattern, key))
  const named = matching.map((pattern) => childPath(`${at}/patternProperties`, pattern))
  if (declared.length > 0 || named.length > 0) return [...declared, ...named]
  return isRecord(additionalProperties) ? [`${at}/additionalProperties`] : []
}

/**
 * The parts of a schema that may apply to the value itself: through references and combinations, as
 * alternatives or together. At most 50.
 */
export function partsAtTop(root: object): readonly SchemaPart[] {
  const found = new Set<SchemaPart>()
  const left: unknown[] = [root]
  while (left.length > 0 && found.size < MAX_TOP_PARTS) {
    const part = left.pop()
    if (!isRecord(part) || found.has(part)) continue
    found.add(part)
    const schema: SchemaPart = part
    const target = localRef(schema)
    const lists = [schema.allOf, schema.anyOf, schema.oneOf].filter(Array.isArray)
    left.push(target && partAt(root, target), schema.then, schema.else, ...lists.flat())
  }
  return [...found]
}

const MAX_TOP_PARTS = 50

/**
 * Whether listing all errors of a value can take time exponential in its depth. If a union may contain
 * itself, every branch is followed into every branch of the next level. Stopping at the first error avoids
 * this, because most branches then end at their discriminator.
 */
export function explodes(schema: object): boolean {
  return mentionsUnion(schema) && recurs(schema)
}

/**
 * Whether a schema may contain itself. If it does so by two routes to the same value, such as two patterns
 * or an `if` and its `then`, the time of a check doubles with each level.
 */
export function recurs(schema: object): boolean {
  return refersToItself(schema, schema, new Set(), new Set())
}

function mentionsUnion(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false
  return Object.entries(schema).some(([key, child]) => UNIONS.has(key) || mentionsUnion(child))
}

const UNIONS: ReadonlySet<string> = new Set(['anyOf', 'oneOf'])

/** Depth-first search through nested parts and references; true if it returns to a part it is inside of. */
function refersToItself(
  part: object,
  root: object,
  above: Set<object>,
  done: Set<object>,
): boolean {
  if (done.has(part)) return false
  if (above.has(part)) return true
  above.add(part)
  const found = linksOf(part, root).some(
    (link) => link === undefined || refersToItself(link, root, above, done),
  )
  above.delete(part)
  done.add(part)
  return found
}

/** Undefined stands for a reference that cannot be followed here and may lead anywhere. */
function linksOf(part: object, root: object): readonly (object | undefined)[] {
  const children = Object.values(part).filter(
    (child): child is object => typeof child === 'object' && child !== null,
  )
  const refers = REFERENCES.some((keyword) => typeof own(part, keyword) === 'string')
  if (!refers || !isRecord(part)) return children
  const target = localRef(part)
  return [...children, target === undefined ? undefined : partAt(root, target)]
}
