/**
 * The one object of its kind in this process, made when it is first asked for. It lives on
 * `globalThis` under a registered symbol, so that several copies of the package share it: two copies
 * in one process are normal. The symbol's name carries the version of what it holds.
 */
export function processWide<T extends object>(name: symbol, create: () => T): T {
  // Only this module sets the symbol, and each symbol has one kind of object.
  return (found.get(name) ?? find(name, create)) as T
}

// Asked for several times in each call, and a property of the global object is slow to find.
const found = new Map<symbol, object>()

function find(name: symbol, create: () => object): object {
  const existing: unknown = Reflect.get(globalThis, name)
  const object = existing instanceof Object ? existing : create()
  if (object !== existing) Object.defineProperty(globalThis, name, { value: object })
  found.set(name, object)
  return object
}
