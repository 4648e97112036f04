import { isObject } from './checks.ts'

/** Are two JSON values the same? The order of an object's properties says nothing. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((element, index) => isEqual(element, b[index]))
  }
  if (!isObject(a) || !isObject(b)) return false
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]))
  )
}

/** Where two items of a list are equal; undefined where none are. */
export function duplicateIn(items: readonly unknown[]): readonly [number, number] | undefined {
  // Most lists are of strings or numbers, and have none: found in one pass.
  const isFlat = items.every((item) => typeof item !== 'object' || item === null)
  if (isFlat && new Set(items).size === items.length) return undefined
  for (let i = items.length - 1; i > 0; i--) {
    for (let j = i - 1; j >= 0; j--) {
      if (isEqual(items[i], items[j])) return [i, j]
    }
  }
  return undefined
}
