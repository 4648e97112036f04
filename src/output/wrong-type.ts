import { isRecord } from './json-value.ts'
import { partsIn } from './schema-part.ts'

/**
 * Describes the first `type` in a schema that JSON Schema does not know, and what to write instead.
 * (TypeBox has types of its own for values that JSON cannot hold.) Undefined if there is none.
 */
export function wrongTypeIn(schema: unknown, path = '', depth = 0): string | undefined {
  if (!isRecord(schema) || depth > MAX_DEPTH) return undefined
  const types = [schema['type']].flat()
  const wrong = types.find((type) => typeof type === 'string' && !TYPES.includes(type))
  if (typeof wrong === 'string') {
    const instead = INSTEAD[wrong] ?? `Its types are ${TYPES.join(', ')}.`
    return `at ${path || '/'}, '${wrong.slice(0, 40)}' is not a JSON Schema type. ${instead}`
  }
  for (const [within, part] of partsIn(schema)) {
    const found = wrongTypeIn(part, `${path}${within}`, depth + 1)
    if (found !== undefined) return found
  }
  return undefined
}

const MAX_DEPTH = 100

const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']

const DATE =
  "JSON holds a date as text: { type: 'string', format: 'date-time' }, in TypeBox Type.String({ format: 'date-time' })."
const BIGINT =
  "JSON holds such a number as text: { type: 'string', pattern: '^-?[0-9]+$' }, in TypeBox Type.String({ pattern: '^-?[0-9]+$' })."
const UNDEFINED =
  'JSON has no undefined: leave the property out, or make it optional (Type.Optional in TypeBox).'

const INSTEAD: Readonly<Record<string, string>> = {
  Date: DATE,
  date: DATE,
  bigint: BIGINT,
  undefined: UNDEFINED,
  void: UNDEFINED,
  Uint8Array:
    "JSON holds bytes as text: { type: 'string', contentEncoding: 'base64' }, in TypeBox Type.String({ contentEncoding: 'base64' }).",
}
