import { isRounded, JSON_NUMBER } from './exact-number.ts'
import { LargeNumber } from './json-value.ts'
import type { RepairRule } from './repair-rules.ts'
import { membersOf, type SchemaPart, wants } from './schema-part.ts'

/** The input of a rule: the one value it may replace. */
interface RuleSite {
  readonly value: unknown
  /** The part of the schema that applies to it. */
  readonly schema: SchemaPart
  /** The original notation of a number. */
  readonly source: string | undefined
}

export interface ValueRule {
  readonly name: RepairRule
  /** Returns the new value, or undefined if the rule does not apply. */
  readonly apply: (site: RuleSite) => unknown
  /** The result of `apply` is JSON text, which still has to be parsed. */
  readonly isJson?: true
}

/** Rules that replace one value by another. The first that applies is used. */
export const VALUE_RULES: readonly ValueRule[] = [
  {
    name: 'number-from-string',
    apply: ({ value, schema }) =>
      typeof value === 'string' && wantsNumber(schema) ? exactNumber(value) : undefined,
  },
  {
    name: 'boolean-from-string',
    apply: ({ value, schema }) =>
      typeof value === 'string' && wants(schema, 'boolean') && !wants(schema, 'string')
        ? BOOLEANS.get(value)
        : undefined,
  },
  {
    name: 'enum-case',
    apply: ({ value, schema }) => onlyMember(schema, value, trimmedLowercase),
  },
  {
    name: 'parse-stringified',
    isJson: true,
    apply({ value, schema }) {
      if (typeof value !== 'string' || wants(schema, 'string')) return undefined
      const kind = /^\s*\{/.test(value) ? 'object' : /^\s*\[/.test(value) ? 'array' : undefined
      return kind !== undefined && wants(schema, kind) ? value : undefined
    },
  },
  {
    name: 'string-from-number',
    apply({ value, schema, source }) {
      if (!wants(schema, 'string') || wantsAnyNumber(schema)) return undefined
      if (value instanceof LargeNumber) return value.source
      return typeof value === 'number' ? source : undefined
    },
  },
  {
    name: 'number-from-text',
    apply({ value, schema }) {
      if (typeof value !== 'string' || !wantsNumber(schema)) return undefined
      const text = value.trim().replace(/^\+(?=\d)/, '')
      return exactNumber(THOUSANDS.test(text) ? text.replaceAll(',', '') : text)
    },
  },
  {
    name: 'enum-separators',
    apply: ({ value, schema }) => onlyMember(schema, value, lettersOf),
  },
]

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['True', true],
  ['TRUE', true],
  ['false', false],
  ['False', false],
  ['FALSE', false],
])

// At least two groups, or one and a decimal point: "1,234" alone means 1.234 in half of the world.
const THOUSANDS = /^-?[1-9]\d{0,2}(?:(?:,\d{3}){2,}(?:\.\d+)?|,\d{3}\.\d+)$/

// More characters than the longest exact double needs.
const MAX_NUMBER_CHARS = 400

/** The number in a string, digit for digit; undefined if a double would round it. */
function exactNumber(text: string): number | undefined {
  if (text.length > MAX_NUMBER_CHARS || !JSON_NUMBER.test(text)) return undefined
  const value = Number(text)
  return isRounded(text, value) ? undefined : value
}

/** The only allowed string that equals the value after `fold`. */
function onlyMember(schema: SchemaPart, value: unknown, fold: Fold): string | undefined {
  if (typeof value !== 'string') return undefined
  const only = foldedMembers(schema, fold).get(fold(value))
  return only === value ? undefined : only
}

type Fold = (text: string) => string

/** Members by their folded form; undefined where several have the same one. Cached per schema part. */
function foldedMembers(schema: SchemaPart, fold: Fold): ReadonlyMap<string, string | undefined> {
  const byFold = foldedBy.get(schema) ?? new Map<Fold, Map<string, string | undefined>>()
  foldedBy.set(schema, byFold)
  const known = byFold.get(fold)
  if (known !== undefined) return known
  const folded = new Map<string, string | undefined>()
  for (const member of new Set(membersOf(schema))) {
    if (typeof member !== 'string') continue
    const name = fold(member)
    folded.set(name, folded.has(name) ? undefined : member)
  }
  byFold.set(fold, folded)
  return folded
}

const foldedBy = new WeakMap<object, Map<Fold, Map<string, string | undefined>>>()

function wantsAnyNumber(schema: SchemaPart): boolean {
  return wants(schema, 'number') || wants(schema, 'integer')
}

function wantsNumber(schema: SchemaPart): boolean {
  return wantsAnyNumber(schema) && !wants(schema, 'string')
}

function trimmedLowercase(text: string): string {
  return text.trim().toLowerCase()
}

/** A name without the differences between naming conventions. */
export function lettersOf(name: string): string {
  return name.toLowerCase().replace(/[\s_-]/g, '')
}
