import { type ChatBody, field, isRecord } from './completion.ts'

/**
 * A small value that a JSON Schema accepts. The fault server answers with it to a request with a
 * `json_schema` response format.
 *
 * Uses `const`, the first of `enum` or `examples`, or `default`. Otherwise builds a value by type, with
 * required properties only and lists as short as allowed. Supports local `$ref`s, `allOf`, the first branch
 * of `anyOf` or `oneOf` that can be built, bounds of numbers, strings and lists, and common formats.
 *
 * @throws Error if no value can be built: `pattern` without an example, `uniqueItems` with more than one
 * item, a required recursion, a contradiction, or more than 10,000 parts.
 */
export function exampleValue(schema: unknown): unknown {
  return new Builder(schema).build(schema, [])
}

// A schema that uses a definition twice at every level doubles the value with each level.
const MAX_PARTS = 10_000

class Builder {
  readonly #root: unknown
  #parts = 0

  constructor(root: unknown) {
    this.#root = root
  }

  /** `open` holds the references being followed; meeting one again means an endless recursion. */
  build(schema: unknown, open: readonly string[]): unknown {
    this.#parts += 1
    if (this.#parts > MAX_PARTS) throw new Error(`the value has more than ${MAX_PARTS} parts`)
    if (schema === true) return {}
    if (!isSchema(schema)) throw new Error('a schema is an object or true')
    if (typeof schema.$ref === 'string') return this.#follow(schema, schema.$ref, open)
    if ('const' in schema) return schema.const
    for (const listed of [schema.enum, schema.examples]) {
      if (Array.isArray(listed) && listed.length > 0) return listed[0]
    }
    if ('default' in schema) return schema.default
    if (Array.isArray(schema.allOf)) return this.#merged(schema, schema.allOf, open)
    const branches = schema.anyOf ?? schema.oneOf
    if (Array.isArray(branches)) return this.#firstBranch(schema, branches, open)
    return this.#ofType(schema, open)
  }

  #follow(schema: ExampleSchema, reference: string, open: readonly string[]): unknown {
    if (open.includes(reference)) throw new Error(`${reference} requires itself`)
    const { $ref: _, ...beside } = schema
    const target = lookUp(this.#root, reference)
    return this.build(isSchema(target) ? mergeSchemas(target, beside) : target, [
      ...open,
      reference,
    ])
  }

  #merged(schema: ExampleSchema, parts: readonly unknown[], open: readonly string[]): unknown {
    const { allOf: _, ...beside } = schema
    const resolved = parts.map((part) =>
      isSchema(part) && typeof part.$ref === 'string' ? lookUp(this.#root, part.$ref) : part,
    )
    return this.build(resolved.filter(isSchema).reduce(mergeSchemas, beside), open)
  }

  #firstBranch(
    schema: ExampleSchema,
    branches: readonly unknown[],
    open: readonly string[],
  ): unknown {
    const { anyOf: _, oneOf: __, ...beside } = schema
    let reason: unknown
    for (const branch of branches) {
      try {
        return this.build(isSchema(branch) ? mergeSchemas(beside, branch) : branch, open)
      } catch (error) {
        reason = error
      }
    }
    throw new Error('no branch can be built', { cause: reason })
  }

  #ofType(schema: ExampleSchema, open: readonly string[]): unknown {
    const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
    switch (type ?? impliedType(schema)) {
      case 'object':
        return this.#object(schema, open)
      case 'array':
        return this.#array(schema, open)
      case 'string':
        return exampleString(schema)
      case 'integer':
        return exampleNumber(schema, true)
      case 'number':
        return exampleNumber(schema, false)
      case 'boolean':
        return true
      case 'null':
        return null
      default:
        throw new Error(`unknown type ${JSON.stringify(type)}`)
    }
  }

  #object(schema: ExampleSchema, open: readonly string[]): unknown {
    const properties = isRecord(schema.properties) ? schema.properties : {}
    const required = Array.isArray(schema.required) ? schema.required.map(String) : []
    // fromEntries defines own properties, even one named __proto__.
    return Object.fromEntries(
      required.map((name) => [
        name,
        this.build(Object.hasOwn(properties, name) ? properties[name] : true, open),
      ]),
    )
  }

  #array(schema: ExampleSchema, open: readonly string[]): unknown {
    const count = numberOr(schema.minItems, 0)
    if (count > 1 && schema.uniqueItems === true) throw new Error('uniqueItems is not supported')
    if (count > MAX_PARTS) throw new Error(`minItems is above ${MAX_PARTS}`)
    const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : []
    return Array.from({ length: count }, (_, index) =>
      this.build(prefix[index] ?? schema.items ?? true, open),
    )
  }
}

/** The supported keywords. Their values come from the caller and are checked where they are read. */
interface ExampleSchema {
  readonly $ref?: unknown
  readonly const?: unknown
  readonly default?: unknown
  readonly enum?: unknown
  readonly examples?: unknown
  readonly type?: unknown
  readonly allOf?: unknown
  readonly anyOf?: unknown
  readonly oneOf?: unknown
  readonly properties?: unknown
  readonly required?: unknown
  readonly items?: unknown
  readonly prefixItems?: unknown
  readonly minItems?: unknown
  readonly uniqueItems?: unknown
  readonly format?: unknown
  readonly minLength?: unknown
  readonly maxLength?: unknown
  readonly multipleOf?: unknown
  readonly minimum?: unknown
  readonly maximum?: unknown
  readonly exclusiveMinimum?: unknown
  readonly exclusiveMaximum?: unknown
}

function isSchema(value: unknown): value is ExampleSchema {
  return isRecord(value)
}

/** Resolves `#` and `#/…` (JSON Pointer, RFC 6901) within the schema. */
function lookUp(root: unknown, reference: string): unknown {
  if (reference !== '#' && !reference.startsWith('#/')) {
    throw new Error(`${reference} is not a reference within the schema`)
  }
  let found: unknown = root
  for (const token of reference.split('/').slice(1)) {
    const key = decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) {
      throw new Error(`${reference} is not in the schema`)
    }
    found = Reflect.get(found, key)
  }
  return found
}

/** Combines the keywords of both. If both have one, the second wins, except that properties are merged. */
function mergeSchemas(one: ExampleSchema, other: ExampleSchema): ExampleSchema {
  const merged = { ...one, ...other }
  if (isRecord(one.properties) && isRecord(other.properties)) {
    merged.properties = { ...one.properties, ...other.properties }
  }
  if (Array.isArray(one.required) && Array.isArray(other.required)) {
    merged.required = [...one.required, ...other.required]
  }
  return merged
}

function impliedType(schema: ExampleSchema): string {
  if ('items' in schema || 'prefixItems' in schema || 'minItems' in schema) return 'array'
  if ('minLength' in schema || 'pattern' in schema || 'format' in schema) return 'string'
  if ('minimum' in schema || 'maximum' in schema) return 'number'
  return 'object'
}

/** A valid text for each common format of JSON Schema 2020-12 (Validation, section 7.3). */
const FORMATS: Readonly<Record<string, string>> = {
  date: '2024-01-31',
  'date-time': '2024-01-31T12:00:00Z',
  duration: 'PT1H',
  email: 'someone@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  time: '12:00:00Z',
  uri: 'https://example.com/',
  uuid: '123e4567-e89b-42d3-a456-426614174000',
}

function exampleString(schema: ExampleSchema): string {
  if ('pattern' in schema) throw new Error('pattern is not supported')
  const format = schema.format
  if (typeof format === 'string' && Object.hasOwn(FORMATS, format)) return FORMATS[format] ?? ''
  const minLength = numberOr(schema.minLength, 0)
  if (minLength > MAX_PARTS) throw new Error(`minLength is above ${MAX_PARTS}`)
  return 'text'.padEnd(minLength, '.').slice(0, numberOr(schema.maxLength, minLength + 4))
}

function exampleNumber(schema: ExampleSchema, integer: boolean): number {
  const step = numberOr(schema.multipleOf, integer ? 1 : 0)
  const low = numberOr(schema.minimum, Number.NEGATIVE_INFINITY)
  const high = numberOr(schema.maximum, Number.POSITIVE_INFINITY)
  const above = numberOr(schema.exclusiveMinimum, Number.NEGATIVE_INFINITY)
  const below = numberOr(schema.exclusiveMaximum, Number.POSITIVE_INFINITY)
  const fits = (candidate: number) =>
    Number.isFinite(candidate) &&
    candidate >= low &&
    candidate <= high &&
    candidate > above &&
    candidate < below &&
    (!integer || Number.isInteger(candidate)) &&
    (step === 0 || Number.isInteger(candidate / step))
  const onStep = (bound: number) => (step === 0 ? bound : Math.ceil(bound / step) * step)
  const floor = Math.max(low, above)
  const ceiling = Math.min(high, below)
  const candidates = [
    1,
    0,
    onStep(floor),
    onStep(floor) + (step || 1),
    (floor + ceiling) / 2,
    ceiling,
    ceiling - (step || 1),
    step,
  ]
  const value = candidates.find(fits)
  if (value === undefined) throw new Error('no number within the bounds was found')
  return value
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}

/**
 * The default good answer: for a `json_schema` response format, the JSON of a small value that the schema
 * accepts; for `json_object`, an empty object; otherwise a sentence.
 *
 * @throws Error if `exampleValue` cannot build a value for the schema.
 */
export function defaultAnswer(body: ChatBody): string {
  const type = field(body.response_format, 'type')
  if (type === 'json_object') return '{}'
  if (type !== 'json_schema') return 'This is a good answer from the fault server.'
  try {
    const schema = field(field(body.response_format, 'json_schema'), 'schema')
    return JSON.stringify(exampleValue(schema))
  } catch (error) {
    throw new Error('cannot build an example for this schema; pass the option answer', {
      cause: error,
    })
  }
}
