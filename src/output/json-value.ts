/**
 * An integer that a JavaScript number would round, kept as the digits it was written with. It
 * stands in a parsed value until a rule turns it into a string, and never leaves this folder.
 */
export class LargeInteger {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

/** A parsed text, with the characters each number was written with. */
export interface ParsedJson {
  readonly value: unknown
  /** The value as written, where it is a number itself. */
  readonly source: string | undefined
  /** The number at `holder[key]` as written, while `holder` is the object that was parsed. */
  sourceOf(holder: object, key: string): string | undefined
}

/**
 * False when no integer in the text can be one that a number rounds: 2^53 has 16 digits, and so
 * many in a row cover one of every 16 characters, which are all that is looked at. The digits of a
 * fraction, which every division has, make no integer without an exponent.
 */
export function mayRoundIntegers(text: string): boolean {
  for (let at = RUN - 1; at < text.length; at += RUN) {
    if (!isDigit(text, at)) continue
    let start = at
    while (isDigit(text, start - 1)) start -= 1
    let end = at + 1
    while (isDigit(text, end)) end += 1
    const isFraction = text[start - 1] === '.' && text[end] !== 'e' && text[end] !== 'E'
    if (end - start >= RUN && !isFraction) return true
    at = end
  }
  return false
}

const RUN = 16

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return code >= 48 && code <= 57
}

/**
 * Parses JSON with every integer that a number cannot hold as a `LargeInteger`, and remembers the
 * source text of every number.
 */
export function parseWithSources(text: string): ParsedJson {
  const sources = new WeakMap<object, Map<string, string>>()
  let last: string | undefined
  const reviver: Reviver = function (key, member, context) {
    if (typeof member !== 'number') return member
    last = context?.source ?? String(member)
    if (typeof this === 'object' && this !== null) remember(sources, this, key, last)
    return isRounded(last, member) ? new LargeInteger(last) : member
  }
  // JSON.parse calls it so (ECMAScript 2026, 25.5.1); the es2023 types lack the third argument.
  const value: unknown = JSON.parse(text, reviver as (key: string, member: unknown) => unknown)
  // The reviver sees the root last.
  const source = typeof value === 'number' || value instanceof LargeInteger ? last : undefined
  return { value, source, sourceOf: (holder, key) => sources.get(holder)?.get(key) }
}

type Reviver = (
  this: unknown,
  key: string,
  value: unknown,
  context?: { source?: string },
) => unknown

function remember(
  sources: WeakMap<object, Map<string, string>>,
  holder: object,
  key: string,
  source: string,
): void {
  const known = sources.get(holder)
  if (known === undefined) sources.set(holder, new Map([[key, source]]))
  else known.set(key, source)
}

// Kept are an integer that the double equals, and one that prints again as it was written.
function isRounded(written: string, value: number): boolean {
  if (Number.isSafeInteger(value) || !INTEGER.test(written)) return false
  // Past 309 digits; and BigInt is not linear in the length of what it reads.
  if (!Number.isFinite(value)) return true
  return String(value) !== written && BigInt(written) !== BigInt(value)
}

const INTEGER = /^-?\d+$/

/** Where the integers stand that would have been rounded: JSON Pointers. */
export function largeIntegerPaths(value: unknown, path = ''): readonly string[] {
  if (value instanceof LargeInteger) return [path]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, child]) =>
    largeIntegerPaths(child, childPath(path, key)),
  )
}

/** The JSON Pointer (RFC 6901) of a member of what `path` points at. */
export function childPath(path: string, key: string): string {
  return `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** What a JSON Pointer leads to in a value; undefined where there is nothing. */
export function valueAt(value: unknown, pointer: string): unknown {
  const keys = pointer === '' ? [] : pointer.slice(1).split('/')
  return keys.map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~')).reduce(own, value)
}

/** An object of a parsed JSON text: no array, no null. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof LargeInteger)
  )
}

/** An own property, so that a key of the answer such as `constructor` never finds an inherited one. */
export function own(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return Reflect.get(value, key)
}

/** One text for all spellings of a JSON value: keys sorted, no white space. */
export function sortedJson(value: unknown): string {
  if (value instanceof LargeInteger) return value.source
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null'
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${sortedJson(value[key])}`)
  return `{${members.join(',')}}`
}
