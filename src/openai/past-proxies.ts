/**
 * Reading of objects that may be proxies: tracers answer each property of a client with something
 * of their own. Property descriptors and prototypes say what is really there, since hardly a proxy
 * changes those. Nothing here throws.
 */

// A class of a class of a client; a hostile chain ends here.
const MAX_PROTOTYPES = 20

/** The property's value as the object itself has or inherits it, past what a proxy would answer. */
export function ownValue(object: unknown, key: PropertyKey): unknown {
  for (const holder of chainOf(object)) {
    const found = descriptorOf(holder, key)
    if (found !== undefined) return valueIn(found, object)
  }
  return undefined
}

/** The values under this key all along the object's prototypes, nearest first. */
export function inherited(object: unknown, key: PropertyKey): readonly unknown[] {
  return [...chainOf(object)].map((holder) => descriptorOf(holder, key)?.value)
}

/** Some doubles answer every key, so that no answer of theirs means anything. */
export function answersAnything(object: object): boolean {
  try {
    return Reflect.get(object, Symbol('a key that nobody has')) !== undefined
  } catch {
    return false
  }
}

function* chainOf(object: unknown): Generator<object, void, undefined> {
  let holder = object
  for (let depth = 0; isObject(holder) && depth < MAX_PROTOTYPES; depth++) {
    yield holder
    holder = prototypeOf(holder)
  }
}

function prototypeOf(holder: object): unknown {
  try {
    return Object.getPrototypeOf(holder)
  } catch {
    return undefined
  }
}

function descriptorOf(holder: object, key: PropertyKey): PropertyDescriptor | undefined {
  try {
    return Object.getOwnPropertyDescriptor(holder, key)
  } catch {
    return undefined
  }
}

function valueIn({ get, value }: PropertyDescriptor, object: unknown): unknown {
  if (get === undefined) return value
  try {
    return Reflect.apply(get, object, [])
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
