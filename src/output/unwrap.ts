import { childPath, isRecord, own } from './json-value.ts'
import { lettersOf } from './value-rules.ts'
import type { SchemaValidator } from './schema.ts'

// Names that say nothing about the content. An "error" or a "reason" does.
const WRAPPERS: ReadonlySet<string> = new Set(
  'answer arguments data input items json list object output parameters response result results value'.split(
    ' ',
  ),
)

/** What stands alone under a wrapper key, under the schema's own title, or in a tool call. */
function wrapped(
  value: unknown,
  { jsonSchema }: SchemaValidator,
): { readonly path: string; readonly value: unknown } | undefined {
  if (!isRecord(value)) return undefined
  const keys = Object.keys(value)
  const key = keys.find((name) => name !== 'name' && name !== 'type' && name !== 'id')
  if (key === undefined || own(own(jsonSchema, 'properties'), key) !== undefined) return undefined
  const isCall =
    typeof own(value, 'name') === 'string' && /^(?:arguments|parameters|input)$/.test(key)
  const rest = keys.filter((name) => name !== key)
  if (rest.length > 0 && !(isCall && rest.every((name) => typeof value[name] === 'string'))) {
    return undefined
  }
  const title = own(jsonSchema, 'title')
  const isTitle = typeof title === 'string' && lettersOf(title) === lettersOf(key)
  if (!WRAPPERS.has(key.toLowerCase()) && !isTitle) return undefined
  return { path: childPath('', key), value: value[key] }
}

const lettersOf = (name: string): string => name.toLowerCase().replace(/[\s_-]/g, '')

