import { childPath, isRecord, own } from './json-value.ts'

/** `#/$defs/Person` as a JSON Pointer; other references are left alone. */
function localRef(schema: SchemaPart): string | undefined {
  const ref = schema['$ref']
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

function partsOf(schema: SchemaPart, at: string, keyword: string): readonly string[] {
  const parts = schema[keyword]
  return Array.isArray(parts) ? parts.map((_, index) => `${at}/${keyword}/${index}`) : []
}

/** The part that applies to an element: 2020-12 has `prefixItems`, draft-07 an array of `items`. */
function itemPointer(schema: SchemaPart, at: string, index: number): string | undefined {
  const isTuple = Array.isArray(schema['items'])
  const prefix = isTuple ? 'items' : 'prefixItems'
  const rest = isTuple ? 'additionalItems' : 'items'
  const parts = schema[prefix]
  if (Array.isArray(parts) && index < parts.length) return `${at}/${prefix}/${index}`
  return isRecord(schema[rest]) ? `${at}/${rest}` : undefined
}

function memberPointer(schema: SchemaPart, at: string, key: string): string | undefined {
  if (own(schema['properties'], key) !== undefined) {
    return childPath(`${at}/properties`, key)
  }
  const others = schema['additionalProperties']
  return isRecord(others) && schema['patternProperties'] === undefined
    ? `${at}/additionalProperties`
    : undefined
}
