/**
 * Safe reading of untrusted values: thrown errors and provider responses. Getters and proxies may throw,
 * and a body may have any size. Nothing here throws, and every read has a limit.
 */

/** Whether it can have properties; a function does not count. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** The property's value, or undefined if it does not exist or its getter throws. */
export function readProperty(value: unknown, key: string | symbol): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

// More than any real chain of causes has; ends a cyclic chain.
const MAX_CAUSES = 10

/** Whether the predicate holds for the error or for one of its causes. */
export function someCause(error: unknown, holds: (cause: object) => boolean): boolean {
  let current = error
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    if (typeof current !== 'object' || current === null) return false
    if (holds(current)) return true
    current = readProperty(current, 'cause')
  }
  return false
}

/** The property as text, cut to `maxLength` characters; undefined if it is not a string. */
export function readText(value: unknown, key: string, maxLength: number): string | undefined {
  const text = readProperty(value, key)
  return typeof text === 'string' ? text.slice(0, maxLength) : undefined
}

/** At most `maxItems` items of an array; an empty array for any other value. */
export function readItems(value: unknown, maxItems: number): readonly unknown[] {
  try {
    return Array.isArray(value) ? value.slice(0, maxItems) : []
  } catch {
    // A revoked proxy, or an array whose own `slice` throws.
    return []
  }
}

/** At most `maxMembers` own members of an object as name and value; empty for arrays and if reading throws. */
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

/** A `Headers`, anything with its `get` method, or a plain record in any letter case. */
export type HeaderSource = Headers | Readonly<Record<string, string>>

const MAX_HEADERS = 200
const MAX_HEADER_LENGTH = 1024

/**
 * The value of one header by its lower-case name, repeated lines joined as `Headers` does. Undefined if
 * it is absent, not a string, or longer than 1024 characters.
 */
export function readHeader(headers: unknown, name: string): string | undefined {
  const found = lookUp(headers, name)
  // undici's own request and many clients represent a repeated header as a list.
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
