import { isRecord, own } from './json-value.ts'
import { localRef, membersOf, partAt, type SchemaPart } from './schema-part.ts'

/** A schema adapted to OpenAI's strict mode. It is sent to the provider; answers are checked against the original. */
export interface StrictSchema {
  readonly schema: Readonly<Record<string, unknown>>
  /** Whether optional properties became required and nullable, so that null means "absent". */
  readonly nullMeansAbsent: boolean
}

/**
 * Adapts a schema to strict mode ("Structured model outputs", section "Supported schemas", OpenAI docs):
 * all properties are required, no others are allowed, and an optional one may be null instead. Unsupported
 * keywords are left out, so the result may accept more than the original; answers are checked against the
 * original anyway. Undefined if strict mode could not express every valid answer: maps with free keys,
 * tuples, values of any type, deep nesting.
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

// The limits and keywords listed in that section of OpenAI's docs.
const MAX_DEPTH = 10
const MAX_PROPERTIES = 5_000
const MAX_ENUM_VALUES = 1_000
// The total length of property names, definition names, and enum and const values.
const MAX_CHARS = 120_000
// The total length of the values of one enum with more than 250 values.
const MAX_LONG_ENUM_CHARS = 15_000
const LONG_ENUM = 250
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
// Strict mode supports neither lookarounds nor backreferences.
const HARD_PATTERN = /\(\?[=!<]|\\[1-9k]/

type Adapted = Record<string, unknown>

interface Part extends SchemaPart {
  readonly $defs?: unknown
  readonly definitions?: unknown
  readonly nullable?: unknown
  readonly pattern?: unknown
  readonly dependentRequired?: unknown
  readonly dependentSchemas?: unknown
  readonly dependencies?: unknown
}

class Adapter {
  nullMeansAbsent = false
  readonly #root: object
  #properties = 0
  #enumValues = 0
  #chars = 0
  readonly #refs: SchemaPart[] = []

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
    if (!this.#refs.every((ref) => leadsSomewhere(ref, adapted))) throw new Unsuitable()
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
      this.#refs.push(schema)
      // Strict mode allows no siblings of a reference.
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
    if (!isRecord(properties) || patternProperties !== undefined) throw new Unsuitable()
    if (isRecord(additionalProperties) || additionalProperties === true) throw new Unsuitable()
    const keys = Object.keys(properties)
    // Strict mode excludes undeclared properties from answers.
    if (namesAskedFor(schema).some((name) => !keys.includes(name))) throw new Unsuitable()
    // An object without declared properties is a map.
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
    for (const key of Object.keys(parts)) {
      this.#count([key])
      define(adapted, key, this.#part(parts[key], depth))
    }
    return adapted
  }

  #count(texts: readonly unknown[]): number {
    const chars = texts.reduce<number>((sum, text) => sum + String(text).length, 0)
    this.#chars += chars
    if (this.#chars > MAX_CHARS) throw new Unsuitable()
    return chars
  }

  #kept(schema: Part): Adapted {
    const kept: Adapted = {}
    for (const keyword of KEPT) {
      if (own(schema, keyword) !== undefined) kept[keyword] = own(schema, keyword)
    }
    if (FORMATS.has(schema.format)) kept['format'] = schema.format
    const { pattern } = schema
    if (typeof pattern === 'string' && !HARD_PATTERN.test(pattern)) kept['pattern'] = pattern
    const members = membersOf(schema)
    const chars = this.#count(members)
    if (members.length > LONG_ENUM && chars > MAX_LONG_ENUM_CHARS) throw new Unsuitable()
    if (Object.hasOwn(schema, 'const')) kept['const'] = schema.const
    if (Array.isArray(schema.enum)) {
      this.#enumValues += schema.enum.length
      if (this.#enumValues > MAX_ENUM_VALUES) throw new Unsuitable()
      kept['enum'] = schema.enum
    }
    return kept
  }
}

/** False for a reference that does not resolve in the adapted schema. */
function leadsSomewhere(ref: SchemaPart, adapted: object): boolean {
  const target = localRef(ref)
  return target !== undefined && partAt(adapted, target) !== undefined
}

/** The properties that an object must have, or may have under a condition. */
function namesAskedFor(schema: Part): readonly string[] {
  const { dependentRequired, dependentSchemas, dependencies } = schema
  const dependent = [dependentRequired, dependentSchemas, dependencies]
    .filter(isRecord)
    .flatMap((byName) => Object.values(byName))
  const conditional = [schema.then, schema.else, ...dependent].flatMap((part) =>
    Array.isArray(part)
      ? part
      : [...keysOf(own(part, 'properties')), ...listOf(own(part, 'required'))],
  )
  return [...listOf(schema.required), ...conditional].filter((name) => typeof name === 'string')
}

function keysOf(value: unknown): readonly string[] {
  return isRecord(value) ? Object.keys(value) : []
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** pydantic and others write a reference with a description as an `allOf` of one. */
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

/** Strict mode requires a type everywhere; it is derived from the keywords or the listed values. */
function typeOf(schema: Part): string | readonly string[] | undefined {
  if (schema.properties !== undefined) return 'object'
  if (schema.items !== undefined) return 'array'
  const types = new Set(membersOf(schema).map((one) => (one === null ? 'null' : typeof one)))
  const [type, ...others] = types
  if (type === undefined || types.has('object')) return undefined
  return others.length === 0 ? type : [type, ...others]
}

function takesNull({ type, anyOf, enum: members }: SchemaPart): boolean {
  if (Array.isArray(members)) return members.includes(null)
  if (Array.isArray(anyOf)) return anyOf.some((branch) => isRecord(branch) && takesNull(branch))
  return type === 'null' || (Array.isArray(type) && type.includes('null'))
}

function orNull(part: Readonly<Record<string, unknown>>): Adapted {
  return { anyOf: [part, { type: 'null' }] }
}

/** Defines an own property, even for the key __proto__. */
function define(record: object, key: string, value: unknown): void {
  const descriptor = { value, enumerable: true, writable: true, configurable: true }
  Object.defineProperty(record, key, descriptor)
}

/**
 * Whether a text without JSON is the model declining to answer. Prefers `false` in doubt: a refusal taken
 * for a bad answer only costs a re-ask, but a bad answer taken for a refusal ends the call.
 */
export function isRefusal(text: string): boolean {
  return text.length <= MAX_REFUSAL_CHARS && DECLINES.test(text.trim())
}

const MAX_REFUSAL_CHARS = 1_000

const DECLINES = new RegExp(
  "^(?:(?:i['’]m |i am )?(?:very |so )?sorry,? (?:but )?|i apologi[sz]e,? (?:but )?|unfortunately,? )?" +
    "i(?: can['’]?t| cannot| can not| won['’]t| will not|['’]m unable to| am unable to|['’]m not able to| am not able to) " +
    '(?:help|assist|comply|fulfil|provide|create|generate|produce|write|share|discuss|engage|continue|do that|answer)\\b',
  'i',
)

/**
 * Objections in the text around a piece of JSON: the model declines, or says that the JSON is an example or
 * a template, or that a part is left out; or the JSON did not end where it seemed to. Undefined if there
 * are none. Prefers an objection in doubt, because a re-ask costs less than a wrong value.
 */
export function saidAround(prose: string): string | undefined {
  const words = prose.slice(0, MAX_REFUSAL_CHARS)
  if (LEFT_OVER.test(prose.slice(-MAX_REFUSAL_CHARS))) return 'a string and brackets are left over'
  if (DECLINES_SOMEWHERE.test(words)) return 'declined'
  return OBJECTIONS.find(({ says }) => says.test(words))?.means
}

// At the start of a sentence, where it is the answer rather than part of an explanation.
const DECLINES_SOMEWHERE =
  /(?:^|[.!?\n]\s*)(?:(?:i['’]m |i am )?(?:very |so )?sorry,? (?:but )?|unfortunately,? )?i(?: can['’]?t| cannot|['’]m unable to| am unable to|['’]m not able to) (?:help|assist|comply|fulfil|identify|provide|answer|extract|determine)\b/i

const LEFT_OVER = /"\s{0,20}[}\]][}\]\s]{0,100}$/

const OBJECTIONS: readonly { readonly says: RegExp; readonly means: string }[] = [
  {
    says: /\b(?:omitted|left out|truncated|shortened|abbreviated) (?:here |below |above )?(?:for|due to|because)\b|\b(?:remaining|rest of the|other) [^.\n]{0,60}\b(?:omitted|follow the same|left out|not shown)\b/i,
    means: 'the answer says that a part of it was left out',
  },
  {
    says: /\b(?:blank|empty) template\b|\b(?:like|only|just) (?:this|an|the following) example\b|\bwill look like\b|\bfill (?:it |this )?in yourself\b/i,
    means: 'the answer says that it is an example',
  },
  {
    says: /\bwould be (?:wrong|incorrect|invalid|a mistake)\b|\b(?:wrong|incorrect|bad) (?:answer|output|example|format)\b/i,
    means: 'the answer says that it is wrong',
  },
]
