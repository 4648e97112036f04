import { isRecord, own } from './json-value.ts'
import type { SchemaPart } from './schema-part.ts'

/** A schema as OpenAI's strict mode takes it: what is sent, never what an answer is checked against. */
export interface StrictSchema {
  readonly schema: Readonly<Record<string, unknown>>
  /** Optional properties became required ones that may be null; such a null means "absent". */
  readonly nullMeansAbsent: boolean
}

/**
 * The schema in the terms of strict mode ("Structured model outputs", section "Supported schemas",
 * OpenAI docs): all properties required and no others allowed, an optional one may be null instead.
 * Keywords that it does not know are left out; so the result may accept more than the schema, in
 * details that are checked here anyway. Undefined where strict mode could not produce every kind of
 * valid answer: maps with free keys, tuples, values of any type, deep nesting.
 */
export function strictSchema(schema: object): StrictSchema | undefined {
  const adapter = new Adapter(schema)
  try {
    const adapted = adapter.root()
    return { schema: adapted, nullMeansAbsent: adapter.nullMeansAbsent }
  } catch (error) {
    if (error instanceof Unsuitable) return undefined
    throw error
  }
}

class Unsuitable extends Error {}

// The limits and the keywords of that section.
const MAX_DEPTH = 10
const MAX_PROPERTIES = 5_000
const MAX_ENUM_VALUES = 1_000
const KEPT =
  'title description minItems maxItems multipleOf minimum maximum exclusiveMinimum exclusiveMaximum'.split(
    ' ',
  )
const FORMATS: ReadonlySet<unknown> = new Set([
  'date-time',
  'time',
  'date',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uuid',
])
// Lookarounds and backreferences are beyond its regular expressions.
const HARD_PATTERN = /\(\?[=!<]|\\[1-9k]/

type Adapted = Record<string, unknown>

interface Part extends SchemaPart {
  readonly $defs?: unknown
  readonly definitions?: unknown
  readonly nullable?: unknown
  readonly pattern?: unknown
}

class Adapter {
  nullMeansAbsent = false
  readonly #root: object
  #properties = 0
  #enumValues = 0

  constructor(root: object) {
    this.#root = root
  }

  root(): Adapted {
    const root: Part = this.#root
    const adapted = this.#part(root, 1)
    if (adapted['type'] !== 'object') throw new Unsuitable()
    for (const keyword of ['$defs', 'definitions'] as const) {
      const parts = root[keyword]
      if (isRecord(parts)) adapted[keyword] = this.#each(parts, 1)
    }
    return adapted
  }

  #part(part: unknown, depth: number): Adapted {
    if (!isRecord(part) || depth > MAX_DEPTH) throw new Unsuitable()
    const schema: Part = part
    const only = onlyPart(schema)
    if (only !== undefined) return { ...this.#kept(schema), ...this.#part(only, depth) }
    const adapted = this.#alternatives(schema, depth) ?? this.#typed(schema, depth)
    return schema.nullable === true ? orNull(adapted) : adapted
  }

  /** A reference or a union; undefined for anything else. */
  #alternatives(schema: Part, depth: number): Adapted | undefined {
    if (typeof schema.$ref === 'string') {
      if (!schema.$ref.startsWith('#')) throw new Unsuitable()
      // It takes no sibling of a reference.
      return { $ref: schema.$ref }
    }
    const branches = schema.anyOf ?? schema.oneOf
    if (branches === undefined) return undefined
    if (!Array.isArray(branches) || schema.properties !== undefined) throw new Unsuitable()
    return { ...this.#kept(schema), anyOf: branches.map((branch) => this.#part(branch, depth)) }
  }

  #typed(schema: Part, depth: number): Adapted {
    const type = schema.type ?? typeOf(schema)
    if (type === undefined) throw new Unsuitable()
    const adapted: Adapted = { type, ...this.#kept(schema) }
    const isOneOf = (name: string) => type === name || (Array.isArray(type) && type.includes(name))
    if (isOneOf('object')) Object.assign(adapted, this.#object(schema, depth))
    if (isOneOf('array')) Object.assign(adapted, this.#array(schema, depth))
    return adapted
  }

  #object(schema: Part, depth: number): Adapted {
    const { properties = {}, required, additionalProperties, patternProperties } = schema
    if (!isRecord(properties) || isRecord(additionalProperties)) throw new Unsuitable()
    if (patternProperties !== undefined) throw new Unsuitable()
    const keys = Object.keys(properties)
    // An object that says nothing of its keys is a map.
    if (keys.length === 0 && additionalProperties !== false) throw new Unsuitable()
    this.#properties += keys.length
    if (this.#properties > MAX_PROPERTIES) throw new Unsuitable()
    const adapted = this.#each(properties, depth + 1)
    for (const key of keys) {
      const isOptional = !(Array.isArray(required) && required.includes(key))
      const part = own(adapted, key)
      if (!isOptional || !isRecord(part) || takesNull(part)) continue
      this.nullMeansAbsent = true
      define(adapted, key, orNull(part))
    }
    return { properties: adapted, required: keys, additionalProperties: false }
  }

  #array(schema: Part, depth: number): Adapted {
    if (schema.prefixItems !== undefined || !isRecord(schema.items)) throw new Unsuitable()
    return { items: this.#part(schema.items, depth + 1) }
  }

  #each(parts: Readonly<Record<string, unknown>>, depth: number): Adapted {
    const adapted: Adapted = {}
    for (const key of Object.keys(parts)) define(adapted, key, this.#part(parts[key], depth))
    return adapted
  }

  #kept(schema: Part): Adapted {
    const kept: Adapted = {}
    for (const keyword of KEPT) {
      if (own(schema, keyword) !== undefined) kept[keyword] = own(schema, keyword)
    }
    if (FORMATS.has(schema.format)) kept['format'] = schema.format
    const { pattern } = schema
    if (typeof pattern === 'string' && !HARD_PATTERN.test(pattern)) kept['pattern'] = pattern
    if (Object.hasOwn(schema, 'const')) kept['const'] = schema.const
    if (Array.isArray(schema.enum)) {
      this.#enumValues += schema.enum.length
      if (this.#enumValues > MAX_ENUM_VALUES) throw new Unsuitable()
      kept['enum'] = schema.enum
    }
    return kept
  }
}

/** pydantic and others write a described reference as an `allOf` of one. */
function onlyPart({ allOf, type, properties }: Part): unknown {
  if (allOf === undefined) return undefined
  if (
    !Array.isArray(allOf) ||
    allOf.length !== 1 ||
    type !== undefined ||
    properties !== undefined
  ) {
    throw new Unsuitable()
  }
  return allOf[0]
}

/** Strict mode wants a type everywhere: that of the members, or of what the keywords are about. */
function typeOf(schema: Part): string | undefined {
  if (schema.properties !== undefined) return 'object'
  if (schema.items !== undefined) return 'array'
  const members = Array.isArray(schema.enum)
    ? schema.enum
    : Object.hasOwn(schema, 'const')
      ? [schema.const]
      : []
  const types = new Set(members.map((member) => typeof member))
  const [type] = types
  const isPlain = type === 'string' || type === 'number' || type === 'boolean'
  return types.size === 1 && isPlain ? type : undefined
}

function takesNull({ type, anyOf, enum: members }: SchemaPart): boolean {
  if (Array.isArray(members)) return members.includes(null)
  if (Array.isArray(anyOf)) return anyOf.some((branch) => isRecord(branch) && takesNull(branch))
  return type === 'null' || (Array.isArray(type) && type.includes('null'))
}

function orNull(part: Readonly<Record<string, unknown>>): Adapted {
  return { anyOf: [part, { type: 'null' }] }
}

/** An own property, also for the key __proto__. */
function define(record: object, key: string, value: unknown): void {
  const descriptor = { value, enumerable: true, writable: true, configurable: true }
  Object.defineProperty(record, key, descriptor)
}
