/**
 * Reading of values nobody vouches for: what was thrown, and what a provider sent. Getters may
 * throw, proxies may lie, a body may be of any size. Nothing here throws, and nothing reads more
 * than it was told to.
 */

/** The property's value, or undefined where there is none or its getter throws. */
export function readProperty(value: unknown, key: string | symbol): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

// Deep enough for any honest chain of causes; a cyclic one ends here.
const MAX_CAUSES = 10

/** Does this hold for the error, or for one of those it was caused by? */
export function someCause(error: unknown, holds: (cause: object) => boolean): boolean {
  let current = error
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    if (typeof current !== 'object' || current === null) return false
    if (holds(current)) return true
    current = readProperty(current, 'cause')
  }
  return false
}

/** The property as text, at most `maxLength` characters of it; undefined for anything but a string. */
export function readText(value: unknown, key: string, maxLength: number): string | undefined {
  const text = readProperty(value, key)
  return typeof text === 'string' ? text.slice(0, maxLength) : undefined
}

/** At most `maxItems` items of an array; nothing for any other value. */
export function readItems(value: unknown, maxItems: number): readonly unknown[] {
  try {
    return Array.isArray(value) ? value.slice(0, maxItems) : []
  } catch {
    // a revoked proxy, or one with a `slice` of its own
    return []
  }
}

/** At most `maxMembers` own members of an object, with their names; nothing of one that refuses to be read. */
export function readMembers(
  value: object,
  maxMembers: number,
): readonly (readonly [name: string, value: unknown])[] {
  try {
    const names = Array.isArray(value) ? [] : Object.keys(value)
    return names.slice(0, maxMembers).map((name) => [name, readProperty(value, name)] as const)
  } catch {
    return []
  }
}

/** A `Headers`, anything with its `get`, or a plain record of whatever case. */
export type HeaderSource = Headers | Readonly<Record<string, string>>

const MAX_HEADERS = 200
const MAX_HEADER_LENGTH = 1024

/**
 * One header's value by its lower-case name, several lines of it as `Headers` joins them; undefined
 * when absent, not a string or absurdly long.
 */
export function readHeader(headers: unknown, name: string): string | undefined {
  const found = lookUp(headers, name)
  // undici's own request and many clients give the lines of a repeated header as a list.
  const value = Array.isArray(found) ? found.slice(0, MAX_HEADERS).join(', ') : found
  return typeof value === 'string' && value.length <= MAX_HEADER_LENGTH ? value : undefined
}

function lookUp(headers: unknown, name: string): unknown {
  if (typeof headers !== 'object' || headers === null) return undefined
  try {
    const get: unknown = Reflect.get(headers, 'get')
    if (typeof get === 'function') return Reflect.apply(get, headers, [name])
    if (Object.hasOwn(headers, name)) return Reflect.get(headers, name)
    const key = Object.keys(headers)
      .slice(0, MAX_HEADERS)
      .find((candidate) => candidate.toLowerCase() === name)
    return key === undefined ? undefined : Reflect.get(headers, key)
  } catch {
    return undefined
  }
}
