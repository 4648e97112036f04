import { isRecord, own } from './json-value.ts'
import type { CompiledSchema } from './schema.ts'
import type { SchemaPart } from './schema-part.ts'

/** OpenAI's `response_format` for an answer that follows a JSON Schema. */
export interface JsonSchemaFormat {
  readonly type: 'json_schema'
  readonly json_schema: {
    readonly name: string
    readonly schema: Record<string, unknown>
    readonly strict: boolean
  }
}

/**
 * Asks the provider for the schema. `strict` only where the schema already is what OpenAI's
 * strict mode takes, as a provider answers 400 to any other.
 *
 * @param name - Letters, digits, `_` and `-`, at most 64; other characters become `_`. The
 * schema's title by default, else `answer`.
 */
export function responseFormatFor(schema: CompiledSchema, name?: string): JsonSchemaFormat {
  const { $schema: _dialect, ...sent } = { ...schema.jsonSchema } as Record<string, unknown>
  return {
    type: 'json_schema',
    json_schema: {
      name: nameFor(name ?? own(schema.jsonSchema, 'title')),
      schema: sent,
      strict: isStrictRoot(sent),
    },
  }
}

function nameFor(name: unknown): string {
  const usable = typeof name === 'string' ? name.replace(/[^\w-]/g, '_').slice(0, 64) : ''
  return usable === '' ? 'answer' : usable
}

function isStrictRoot(schema: SchemaPart): boolean {
  return schema.type === 'object' && schema.anyOf === undefined && isStrict(schema, 1)
}

// OpenAI, "Structured model outputs", section "Supported schemas".
const MAX_DEPTH = 10
const SUPPORTED: ReadonlySet<string> = new Set(
  (
    'type title description enum const anyOf $ref $defs definitions ' +
    'properties required additionalProperties items minItems maxItems ' +
    'pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum'
  ).split(' '),
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

interface StrictPart extends SchemaPart {
  readonly $defs?: unknown
  readonly definitions?: unknown
}

function isStrict(schema: unknown, depth: number): boolean {
  if (!isRecord(schema) || depth > MAX_DEPTH) return false
  if (!Object.keys(schema).every((keyword) => SUPPORTED.has(keyword))) return false
  const { format, properties, items, anyOf, $defs, definitions }: StrictPart = schema
  if (format !== undefined && !FORMATS.has(format)) return false
  if (isObjectSchema(schema) && !isClosed(schema)) return false
  return [
    ...valuesOf(properties),
    ...valuesOf($defs),
    ...valuesOf(definitions),
    ...(Array.isArray(anyOf) ? anyOf : []),
    ...(items === undefined ? [] : [items]),
  ].every((part) => isStrict(part, depth + 1))
}

function isObjectSchema({ type, properties }: SchemaPart): boolean {
  return (
    type === 'object' ||
    properties !== undefined ||
    (Array.isArray(type) && type.includes('object'))
  )
}

/** Nothing but its properties, and all of them. */
function isClosed({ properties = {}, required = [], additionalProperties }: SchemaPart): boolean {
  return (
    additionalProperties === false &&
    isRecord(properties) &&
    Array.isArray(required) &&
    Object.keys(properties).every((key) => required.includes(key))
  )
}

function valuesOf(parts: unknown): readonly unknown[] {
  return isRecord(parts) ? Object.values(parts) : []
}
