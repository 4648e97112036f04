type Optional<T> = {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}
type Required<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] }

/** `T` without the members that are `undefined`. */
export type WithoutUndefined<T> = Optional<T> & Required<T>

/**
 * A copy without the members that are `undefined`. In reports and options, an absent member means "there was
 * none" or "the default", and `exactOptionalPropertyTypes` enforces this.
 */
export function withoutUndefined<T extends object>(object: T): WithoutUndefined<T> {
  const kept: Record<string, unknown> = {}
  // By key: Object.entries would allocate an array per member, for every attempt.
  for (const name of Object.keys(object)) {
    const value: unknown = Reflect.get(object, name)
    if (value !== undefined) kept[name] = value
  }
  // Safe: these are exactly the members of T that are not undefined.
  return kept as WithoutUndefined<T>
}
