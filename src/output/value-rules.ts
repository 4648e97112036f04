import type { CoercionRule } from './coercion-rules.ts'
import { exactNumber } from './exact-number.ts'
import { isRecord, LargeNumber } from './json-value.ts'
import { onlyMember, trimmedLowercase } from './listed-members.ts'
import type { DecimalMark } from './number-text.ts'
import { type SchemaPart, wants } from './schema-part.ts'

/** The input of a rule: the one value it may replace. */
export interface RuleSite {
  readonly value: unknown
  /** The part of the schema that applies to it. */
  readonly schema: SchemaPart
  /** The original notation of a number. */
  readonly source: string | undefined
  /** Whether it is the whole answer or a property, and not in a union: neither an element nor a branch. */
  readonly isAlone: () => boolean
  /** The name of the property, or of the one whose list has the value; `''` at the top. */
  readonly name: () => string
  /** The decimal mark that other numbers of the answer show. */
  readonly decimalMark: () => DecimalMark | undefined
}

export interface ValueRule {
  readonly name: CoercionRule
  /** Returns the new value, or undefined if the rule does not apply. */
  readonly apply: (site: RuleSite) => unknown
  /** The result of `apply` is JSON text, which still has to be parsed. */
  readonly isJson?: true
}

/** Rules without loss that replace one value by another. The first that applies is used. */
export const SAFE_VALUE_RULES: readonly ValueRule[] = [
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
    name: 'unwrap-list',
    apply({ value, schema }) {
      if (!Array.isArray(value) || value.length !== 1) return undefined
      const isMeant = wants(schema, 'object') && !wants(schema, 'array')
      return isMeant && isRecord(value[0]) ? value[0] : undefined
    },
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

export function wantsAnyNumber(schema: SchemaPart): boolean {
  return wants(schema, 'number') || wants(schema, 'integer')
}

/** Whether the schema takes numbers and no strings. */
export function wantsNumber(schema: SchemaPart): boolean {
  return wantsAnyNumber(schema) && !wants(schema, 'string')
}
