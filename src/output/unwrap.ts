import { isRecord, own } from './json-value.ts'
import type { SchemaPart } from './schema-part.ts'
import { lettersOf } from './value-rules.ts'

/**
 * The value inside a wrapper: `{"result": …}`, an object keyed by the schema's own title, or the arguments
 * of a tool call. Undefined if the schema itself declares such a key.
 */
export function wrapped(
  value: unknown,
  schema: SchemaPart,
): { readonly key: string; readonly path: string; readonly value: unknown } | undefined {
  if (!isRecord(value)) return undefined
  const keys = Object.keys(value)
  const isCall = typeof own(value, 'name') === 'string'
  const [key, ...others] = isCall ? keys.filter((name) => !CALL_KEYS.has(name)) : keys
  if (key === undefined || others.length > 0) return undefined
  if (own(schema.properties, key) !== undefined) return undefined
  const isWrapper = isCall
    ? ARGUMENTS.has(key)
    : WRAPPERS.has(key) || ARGUMENTS.has(key) || isTitle(key, schema) || isForeign(key, schema)
  // Any other key is the model's own text and is not shown.
  const isUsual = WRAPPERS.has(key) || ARGUMENTS.has(key)
  return isWrapper ? { key, path: isUsual ? `/${key}` : '/*', value: value[key] } : undefined
}

// The tool call formats of OpenAI and Anthropic, which models imitate in text.
const CALL_KEYS: ReadonlySet<string> = new Set(['name', 'type', 'id'])
const ARGUMENTS: ReadonlySet<string> = new Set(['arguments', 'parameters', 'input'])

// Names that say nothing about the content, unlike "error" or "reason".
const WRAPPERS: ReadonlySet<string> = new Set([
  'answer',
  'data',
  'items',
  'json',
  'list',
  'object',
  'output',
  'properties',
  'response',
  'result',
  'results',
  'value',
])

/** Whether the schema cannot accept the key, and the key says nothing about its content. */
function isForeign(key: string, { additionalProperties, patternProperties }: SchemaPart): boolean {
  const hasNoRoom = additionalProperties === false && patternProperties === undefined
  return hasNoRoom && !SAYS_SOMETHING.test(key)
}

const SAYS_SOMETHING =
  /error|fail|reason|example|sample|template|placeholder|draft|previous|old|before|invalid|wrong|not|bad|schema|format|default|partial|preview|think|question|input|test/i

function isTitle(key: string, { title }: SchemaPart): boolean {
  return typeof title === 'string' && lettersOf(title) === lettersOf(key)
}
