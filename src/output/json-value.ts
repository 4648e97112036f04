/**
 * A number beyond 2^53 that a JavaScript number would round, kept as its original digits. It may be part
 * of a parsed value until a rule turns it into a string, and never leaves this folder.
 */
export class LargeNumber {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

/** The JSON Pointer (RFC 6901) of a member of the value at `path`. */
export function childPath(path: string, key: string): string {
  // A long answer has a path for each of its members, nearly all of them plain.
  if (!key.includes('~') && !key.includes('/')) return `${path}/${key}`
  return `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** The value that a JSON Pointer names; undefined if there is none. */
export function valueAt(value: unknown, pointer: string): unknown {
  const keys = pointer === '' ? [] : pointer.slice(1).split('/')
  return keys.map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~')).reduce(own, value)
}

/** Whether a parsed JSON value is an object: not an array and not null. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof LargeNumber)
  )
}

/** Reads an own property, so that a key such as `constructor` never finds an inherited one. */
export function own(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return Reflect.get(value, key)
}

/** The same text for equal JSON values: keys sorted, no white space. */
export function sortedJson(value: unknown): string {
  if (value instanceof LargeNumber) return value.source
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null'
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${sortedJson(value[key])}`)
  return `{${members.join(',')}}`
}
