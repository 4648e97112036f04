import { isRecord, own } from './json-value.ts'
import type { SchemaPart } from './schema-part.ts'
import { lettersOf } from './value-rules.ts'

/**
 * What stands alone under a wrapper key: `{"result": …}`, the schema's own title, or the arguments
 * of a tool call. Undefined where the schema itself declares such a key.
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
  // Any other name is the model's own.
  const isUsual = WRAPPERS.has(key) || ARGUMENTS.has(key)
  return isWrapper ? { key, path: isUsual ? `/${key}` : '/*', value: value[key] } : undefined
}

// OpenAI's and Anthropic's tool calls, as models imitate them in text.
const CALL_KEYS: ReadonlySet<string> = new Set(['name', 'type', 'id'])
const ARGUMENTS: ReadonlySet<string> = new Set(['arguments', 'parameters', 'input'])

// Names that say nothing about the content. An "error" or a "reason" does.
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

/** No name that the schema could take, nor one that says something about what it holds. */
function isForeign(key: string, { additionalProperties, patternProperties }: SchemaPart): boolean {
  const hasNoRoom = additionalProperties === false && patternProperties === undefined
  return hasNoRoom && !SAYS_SOMETHING.test(key)
}

const SAYS_SOMETHING =
  /error|fail|reason|example|sample|template|placeholder|draft|previous|old|before|invalid|wrong|not|bad|schema|format|default|partial|preview|think|question|input|test/i

function isTitle(key: string, { title }: SchemaPart): boolean {
  return typeof title === 'string' && lettersOf(title) === lettersOf(key)
}
