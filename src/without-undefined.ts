type Optional<T> = {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}
type Required<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] }

/** What remains of `T` when every member that is `undefined` is left out. */
export type WithoutUndefined<T> = Optional<T> & Required<T>

/**
 * A copy without the members that are `undefined`: in reports and options an absent member means
 * "there was none" or "the default", and `exactOptionalPropertyTypes` holds us to that.
 */
export function withoutUndefined<T extends object>(object: T): WithoutUndefined<T> {
  const kept: Record<string, unknown> = {}
  // By name: pairs would be as many arrays, at every attempt of every call.
  for (const name of Object.keys(object)) {
    const value: unknown = Reflect.get(object, name)
    if (value !== undefined) kept[name] = value
  }
  // Exactly the members of T whose value is not undefined.
  return kept as WithoutUndefined<T>
}
