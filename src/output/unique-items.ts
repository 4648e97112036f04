import type { Ajv, SchemaValidateFunction } from 'ajv'
import { sortedJson } from './json-value.ts'

/**
 * `uniqueItems` in a time that is linear in the array: AJV's own compares each element with every
 * other one where it does not know their types.
 */
export function addUniqueItems(ajv: Ajv): void {
  const validate: SchemaValidateFunction = (wanted: unknown, items: readonly unknown[]) => {
    const found = wanted === true ? duplicateIn(items) : undefined
    if (found !== undefined) validate.errors = [{ keyword: 'uniqueItems', ...found }]
    return found === undefined
  }
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({ keyword: 'uniqueItems', type: 'array', schemaType: 'boolean', validate })
}

/** Of the first item that came before: where both are, and what is said of it; undefined for none. */
export function duplicateIn(
  items: readonly unknown[],
):
  | { readonly params: { readonly i: number; readonly j: number }; readonly message: string }
  | undefined {
  const same = firstRepeated(items)
  if (same === undefined) return undefined
  const [i, j] = same
  const message = `must NOT have duplicate items (items ## ${i} and ${j} are identical)`
  return { params: { i, j }, message }
}

function firstRepeated(items: readonly unknown[]): readonly [number, number] | undefined {
  const scalars = new Map<unknown, number>()
  const others = new Map<unknown, number>()
  for (const [index, item] of items.entries()) {
    const isScalar = typeof item !== 'object' || item === null
    const seen = isScalar ? scalars : others
    const key = isScalar ? item : sortedJson(item)
    const known = seen.get(key)
    if (known !== undefined) return [known, index]
    seen.set(key, index)
  }
  return undefined
}
