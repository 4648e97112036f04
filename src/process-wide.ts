/**
 * The one object of its kind in this process, made when it is first asked for. It lives on
 * `globalThis` under a registered symbol, so that several copies of the package share it: two copies
 * in one process are normal. The symbol's name carries the version of what it holds.
 */
export function processWide<T extends object>(name: symbol, create: () => T): T {
  const existing: unknown = Reflect.get(globalThis, name)
  // Only this function sets the symbol, and each symbol has one kind of object.
  if (existing !== undefined) return existing as T
  const created = create()
  Object.defineProperty(globalThis, name, { value: created })
  return created
}
