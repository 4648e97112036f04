import type { Ajv, SchemaValidateFunction } from 'ajv'
import { sortedJson } from './json-value.ts'

/**
 * `uniqueItems` in a time that is linear in the array: AJV's own compares each element with every
 * other one where it does not know their types.
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

/** Of the first item that came before: where both are, and what is said of it; undefined for none. */
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

// Writing an item as text, of which so much takes the time of a step. Lists in lists are written once
// for each level.
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
