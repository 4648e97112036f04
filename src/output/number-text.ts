import { isObject } from '../errors/hostile.ts'
import { exactNumber } from './json-value.ts'
import type { Work } from './work.ts'

/** The character before the fraction. */
export type DecimalMark = '.' | ','

/** A text read as a number in one way. */
export interface NumberReading {
  /** The number as JSON writes it. */
  readonly json: string
  /** The mark that this reading takes for the decimal one; undefined if it has no say. */
  readonly mark: DecimalMark | undefined
}

// Longer than any number with separators that a double holds exactly.
const MAX_CHARS = 60

/**
 * The ways to read a text as a number with thousands separators or a decimal comma. Two for `1,234`, none
 * for a text that is something else, has leading zeros, or is a JSON number already.
 */
export function numberReadings(text: string): readonly NumberReading[] {
  if (text.length > MAX_CHARS || exactNumber(text) !== undefined) return []
  const { sign, rest } = signed(text)
  return NOTATIONS.flatMap(({ form, separators, decimal, mark }) => {
    if (!form.test(rest)) return []
    const json = sign + rest.replace(separators, '').replace(decimal, '.')
    return exactNumber(json) === undefined ? [] : [{ json, mark }]
  })
}

interface Notation {
  readonly form: RegExp
  readonly separators: RegExp
  readonly decimal: DecimalMark
  readonly mark: DecimalMark | undefined
}

const NOTATIONS: readonly Notation[] = [
  // 1,234,567.8
  {
    form: /^[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?$/,
    separators: /,/g,
    decimal: '.',
    mark: '.',
  },
  // 12,34,567 as in India
  {
    form: /^[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?$/,
    separators: /,/g,
    decimal: '.',
    mark: '.',
  },
  // 1.234.567,8
  {
    form: /^[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?$/,
    separators: /\./g,
    decimal: ',',
    mark: ',',
  },
  // 19,99
  { form: /^(?:0|[1-9]\d*),\d+$/, separators: /\./g, decimal: ',', mark: ',' },
  // 1 234 567.8 with one kind of space, 1'234'567.8, 1_234_567.8
  {
    form: /^[1-9]\d{0,2}([ \u00a0\u2009\u202f'’_])\d{3}(?:\1\d{3})*(?:\.\d+)?$/,
    separators: /[ \u00a0\u2009\u202f'’_]/g,
    decimal: '.',
    mark: undefined,
  },
  // 1 234 567,8
  {
    form: /^[1-9]\d{0,2}([ \u00a0\u2009\u202f'’])\d{3}(?:\1\d{3})*,\d+$/,
    separators: /[ \u00a0\u2009\u202f'’]/g,
    decimal: ',',
    mark: ',',
  },
]

/**
 * A number without white space around it, a leading plus, a typographic minus, and with the zero that `.5`
 * and `5.` leave out; as JSON writes it.
 */
export function plainNumber(text: string): string {
  const { sign, rest } = signed(text.trim())
  const point = rest.indexOf('.')
  if (point === 0) return `${sign}0${rest}`
  return sign + (point > 0 && point === rest.length - 1 ? rest.slice(0, -1) : rest)
}

// U+2212 is the minus sign of typography.
const SIGNS: ReadonlySet<string> = new Set(['+', '-', '\u2212'])

function signed(text: string): { readonly sign: string; readonly rest: string } {
  const first = text[0] ?? ''
  const rest = text.slice(1)
  if (!SIGNS.has(first) || SIGNS.has(rest[0] ?? '')) return { sign: '', rest: text }
  return { sign: first === '+' ? '' : '-', rest }
}

/**
 * The decimal mark that the numbers in an answer use, as far as they have a single reading; undefined if
 * none has, or if they disagree.
 */
export function decimalMarkIn(root: unknown, work: Work): DecimalMark | undefined {
  const marks = new Set<DecimalMark>()
  const left: unknown[] = [root]
  for (let value = left.pop(); left.length > 0 || value !== undefined; value = left.pop()) {
    work.spend(1)
    if (isObject(value)) {
      for (const member of Object.values(value)) left.push(member ?? false)
    } else if (typeof value === 'string') {
      const mark = decisiveMark(value)
      if (mark !== undefined) marks.add(mark)
    }
  }
  const [only, ...others] = marks
  return others.length === 0 ? only : undefined
}

// A decimal point of JSON's own notation decides too, unless it could be before a group of three.
const POINT = /^-?(?:0|[1-9]\d*)\.(?:\d{1,2}|\d{4,20})$/

function decisiveMark(text: string): DecimalMark | undefined {
  if (text.length > MAX_CHARS) return undefined
  const trimmed = text.trim()
  if (POINT.test(trimmed)) return '.'
  const [only, ...others] = numberReadings(trimmed)
  return others.length === 0 ? only?.mark : undefined
}
