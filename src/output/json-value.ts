import type { Ajv, SchemaValidateFunction } from 'ajv'

/**
 * A number beyond 2^53 that a JavaScript number would round, kept as its original digits. It may be part
 * of a parsed value until a rule turns it into a string, and never leaves this folder.
 */
export class LargeNumber {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

/** The JSON Pointer (RFC 6901) of a member of the value at `path`. */
export function childPath(path: string, key: string): string {
  // A long answer has a path for each of its members, nearly all of them plain.
  if (!key.includes('~') && !key.includes('/')) return `${path}/${key}`
  return `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** The value that a JSON Pointer names; undefined if there is none. */
export function valueAt(value: unknown, pointer: string): unknown {
  const keys = pointer === '' ? [] : pointer.slice(1).split('/')
  return keys.map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~')).reduce(own, value)
}

/** Whether a parsed JSON value is an object: not an array and not null. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof LargeNumber)
  )
}

/** Reads an own property, so that a key such as `constructor` never finds an inherited one. */
export function own(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return Reflect.get(value, key)
}

/** The same text for equal JSON values: keys sorted, no white space. */
export function sortedJson(value: unknown): string {
  if (value instanceof LargeNumber) return value.source
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null'
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${sortedJson(value[key])}`)
  return `{${members.join(',')}}`
}

/**
 * A fast check before `isRounded`: false if no number in the text can be rounded by a double (numbers too
 * large for any double aside). Such a number has at least 16 digits, so looking at every 16th character is
 * enough to find it. Long fractions are common, since divisions produce them, and count only with an
 * exponent.
 */
export function mayRound(text: string): boolean {
  for (let at = RUN - 1; at < text.length; at += RUN) {
    if (!isDigitOrPoint(text, at)) continue
    let start = at
    while (isDigitOrPoint(text, start - 1)) start -= 1
    let end = at + 1
    while (isDigitOrPoint(text, end)) end += 1
    if (end - start >= RUN && (isExponent(text, end) || digitsFrom(text, start) >= RUN)) return true
    at = end
  }
  return false
}

const RUN = 16

/** A fast check: false if no number in the text has an exponent large enough to overflow a double. */
export function mayOverflow(text: string): boolean {
  return OVERFLOWING.test(text)
}

// The largest double is about 1.8e308.
const OVERFLOWING = /\d[eE]\+?\d{3}/

function isDigitOrPoint(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return (code >= 48 && code <= 57) || code === 46
}

function isExponent(text: string, at: number): boolean {
  return text[at] === 'e' || text[at] === 'E'
}

/** The number of digits before a decimal point or any other character. */
function digitsFrom(text: string, start: number): number {
  let end = start
  while (isDigitOrPoint(text, end) && text[end] !== '.') end += 1
  return end - start
}

/**
 * Whether a number was changed by being read as a double. Only numbers from 2^52 on are checked: there
 * doubles have no fractions, and from 2^53 on not every integer. A number is unchanged if the double equals
 * it, or prints the same, as 1.5e300 does. Runs in time linear in the text, whatever the exponent.
 */
export function isRounded(written: string, value: number): boolean {
  if (Math.abs(value) < 2 ** 52) return false
  if (!Number.isFinite(value)) return true
  const { digits, exponent } = decimalOf(written)
  const printed = decimalOf(String(value))
  if (digits === printed.digits && exponent === printed.exponent) return false
  // Has a fraction, or more digits than any double.
  if (exponent < 0 || digits.length + exponent > MAX_DIGITS) return true
  return BigInt(digits + '0'.repeat(exponent)) !== BigInt(Math.abs(value))
}

const MAX_DIGITS = 309

/** A JSON number without its sign: its digits without outer zeros, and a power of ten. */
function decimalOf(literal: string): { readonly digits: string; readonly exponent: number } {
  const [mantissa = '', power = '0'] = literal.replace(/^-/, '').split(/e/i)
  const [whole = '', fraction = ''] = mantissa.split('.')
  const all = whole + fraction
  let start = 0
  while (all[start] === '0') start += 1
  let end = all.length
  while (end > start && all[end - 1] === '0') end -= 1
  const digits = all.slice(start, end)
  return { digits, exponent: Number(power) - fraction.length + (all.length - end) }
}

/** The grammar of a number in RFC 8259, section 6. */
const JSON_NUMBER: RegExp = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

// More characters than the longest exact double needs.
const MAX_NUMBER_CHARS = 400

/** The number in a text that is exactly a JSON number; undefined if a double would round it. */
export function exactNumber(text: string): number | undefined {
  if (text.length > MAX_NUMBER_CHARS || !JSON_NUMBER.test(text)) return undefined
  const value = Number(text)
  return isRounded(text, value) ? undefined : value
}

/** Whether two JSON values are equal. The order of properties does not matter. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((element, index) => isEqual(element, b[index]))
  }
  if (!isRecord(a) || !isRecord(b)) return false
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]))
  )
}

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
