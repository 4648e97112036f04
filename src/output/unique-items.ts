import type { Ajv, SchemaValidateFunction } from 'ajv'
import { sortedJson } from './json-value.ts'

/**
 * `uniqueItems` in time linear in the array. AJV's own compares every pair of elements if their types are
 * unknown.
 */
export function addUniqueItems(ajv: Ajv, spend: Spend): void {
  const validate: SchemaValidateFunction = (
    wanted: unknown,
    items: readonly unknown[],
    parentSchema = {},
  ) => {
    const found = wanted === true ? duplicateIn(items, spend) : undefined
    if (found !== undefined) validate.errors = [{ keyword: 'uniqueItems', ...found, parentSchema }]
    return found === undefined
  }
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({ keyword: 'uniqueItems', type: 'array', schemaType: 'boolean', validate })
}

type Spend = (steps: number) => void

/** The indices and error message of the first repeated item; undefined if there is none. */
export function duplicateIn(
  items: readonly unknown[],
  spend: Spend,
):
  | { readonly params: { readonly i: number; readonly j: number }; readonly message: string }
  | undefined {
  const same = firstRepeated(items, spend)
  if (same === undefined) return undefined
  const [i, j] = same
  const message = `must NOT have duplicate items (items ## ${i} and ${j} are identical)`
  return { params: { i, j }, message }
}

// Characters of an item serialized in the time of one step. Nested arrays are serialized once per level.
const CHARS_A_STEP = 16

function firstRepeated(
  items: readonly unknown[],
  spend: Spend,
): readonly [number, number] | undefined {
  const scalars = new Map<unknown, number>()
  const others = new Map<unknown, number>()
  for (const [index, item] of items.entries()) {
    const isScalar = typeof item !== 'object' || item === null
    const seen = isScalar ? scalars : others
    const key = isScalar ? item : sortedJson(item)
    if (typeof key === 'string') spend(key.length / CHARS_A_STEP)
    const known = seen.get(key)
    if (known !== undefined) return [known, index]
    seen.set(key, index)
  }
  return undefined
}
