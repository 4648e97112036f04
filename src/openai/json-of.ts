/**
 * What `JSON.stringify` makes of a value, as a value: later changes of the caller's do not reach it,
 * and sent again it is the same text. Texts within are shared, not copied.
 * @throws what a `toJSON` or a getter of the caller's throws, and `JSON.stringify`'s own TypeErrors
 * for a cycle and a BigInt.
 */
export function jsonOf(value: unknown): unknown {
  try {
    return copyOf({ containers: 0, depth: 0 }, value, '')
  } catch (error) {
    if (error !== TOO_MUCH) throw error
    return asJsonSays(value, '')
  }
}

/** The value of a JSON text, which is written again as it stood, numbers beyond a double included. */
export function parseExactly(text: string): unknown {
  const value: unknown = JSON.parse(text)
  return JSON.stringify(value) === text ? value : JSON.parse(text, keepSource)
}

// Far beyond any request. A cycle gets to the one, and what holds the same object again and again to
// the other; JSON has its own answer to both.
const MAX_DEPTH = 200
const MAX_CONTAINERS = 100_000
const TOO_MUCH = Symbol('too much')

interface CopyWalk {
  containers: number
  depth: number
}

/** Walks plain data, which is nearly all there is; whatever has ways of its own is left to JSON. */
function copyOf(walk: CopyWalk, value: unknown, key: string | number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : null
    case 'undefined':
    case 'symbol':
      return undefined
    case 'object':
      return value === null || isPlain(value) ? copyWithin(walk, value) : asJsonSays(value, key)
    default:
      return asJsonSays(value, key)
  }
}

/** Data that JSON reads member by member. */
function isPlain(value: object): boolean {
  if (typeof Reflect.get(value, 'toJSON') === 'function' || isRawJson(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return Array.isArray(value)
    ? prototype === Array.prototype
    : prototype === Object.prototype || prototype === null
}

function copyWithin(walk: CopyWalk, value: object | null): object | null {
  if (value === null) return null
  walk.containers++
  walk.depth++
  if (walk.containers > MAX_CONTAINERS || walk.depth > MAX_DEPTH) throw TOO_MUCH
  const copy = Array.isArray(value) ? copyItems(walk, value) : copyMembers(walk, value)
  walk.depth--
  return copy
}

function copyItems(walk: CopyWalk, array: readonly unknown[]): unknown[] {
  const items: unknown[] = []
  // By index, as JSON does: a hole is read as undefined, and null stands for both.
  for (let index = 0; index < array.length; index++) {
    items.push(copyOf(walk, array[index], index) ?? null)
  }
  return items
}

function copyMembers(walk: CopyWalk, object: object): object {
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(object)) {
    const member = copyOf(walk, Reflect.get(object, name), name)
    if (member !== undefined) setMember(copy, name, member)
  }
  return copy
}

function setMember(object: Record<string, unknown>, name: string, value: unknown): void {
  // Assigned, it would become the prototype.
  if (name === '__proto__') Object.defineProperty(object, name, { ...PLAIN_MEMBER, value })
  else object[name] = value
}

const PLAIN_MEMBER = { configurable: true, enumerable: true, writable: true } as const

function asJsonSays(value: unknown, key: string | number): unknown {
  const said: unknown = parseExactly(JSON.stringify({ [key]: value }))
  // Left out where it has no JSON; what every object inherits is not it.
  return Object.hasOwn(Object(said), key) ? Reflect.get(Object(said), key) : undefined
}

/** `JSON.rawJSON` and its kin are too young for the libraries that TypeScript checks us against. */
function isRawJson(value: object): boolean {
  const isRaw: unknown = Reflect.get(JSON, 'isRawJSON')
  return typeof isRaw === 'function' && Reflect.apply(isRaw, JSON, [value]) === true
}

function keepSource(_: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source
  if (source === undefined || JSON.stringify(value) === source) return value
  const raw: unknown = Reflect.get(JSON, 'rawJSON')
  return typeof raw === 'function' ? Reflect.apply(raw, JSON, [source]) : value
}
