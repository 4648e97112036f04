import { exactNumber, isRecord } from './json-value.ts'
import { lettersOf, memberAmong, onlyMember } from './listed-members.ts'
import { type NumberReading, numberReadings, plainNumber } from './number-text.ts'
import { membersOf, type SchemaPart, typeOfValue, wants } from './schema-part.ts'
import { isCurrency, unitsIn, withoutUnit, wordsOf } from './units.ts'
import { type RuleSite, type ValueRule, wantsAnyNumber, wantsNumber } from './value-rules.ts'

/** Rules of the level `lenient` that replace one value by another. The first that applies is used. */
export const LENIENT_VALUE_RULES: readonly ValueRule[] = [
  {
    name: 'number-from-text',
    apply: ({ value, schema }) =>
      typeof value === 'string' && wantsNumber(schema)
        ? exactNumber(plainNumber(value))
        : undefined,
  },
  {
    name: 'number-separators',
    apply: ({ value, schema, decimalMark }) =>
      typeof value === 'string' && wantsNumber(schema)
        ? separatedNumber(value, { schema, decimalMark })
        : undefined,
  },
  {
    name: 'percent',
    apply: (site) =>
      typeof site.value === 'string' && wantsNumber(site.schema)
        ? percentage(site.value, site)
        : undefined,
  },
  {
    name: 'strip-unit',
    apply: (site) =>
      typeof site.value === 'string' && wantsNumber(site.schema)
        ? measured(site.value, site)
        : undefined,
  },
  {
    name: 'boolean-words',
    apply: ({ value, schema }) =>
      typeof value === 'string' && wants(schema, 'boolean') && !wants(schema, 'string')
        ? BOOLEAN_WORDS.get(value.trim().toLowerCase())
        : undefined,
  },
  {
    name: 'string-from-boolean',
    apply({ value, schema }) {
      if (typeof value !== 'boolean' || !wants(schema, 'string')) return undefined
      return membersOf(schema).length > 0 ? undefined : String(value)
    },
  },
  {
    name: 'enum-separators',
    apply: ({ value, schema }) => onlyMember(schema, value, lettersOf),
  },
  {
    name: 'enum-word',
    apply: ({ value, schema, name }) =>
      typeof value === 'string' ? memberAmong(schema, value, wordsOf(name())) : undefined,
  },
  {
    name: 'date-format',
    apply: ({ value, schema }) =>
      typeof value === 'string' && schema.format === 'date'
        ? changed(dayIn(value), value)
        : undefined,
  },
  {
    name: 'null-from-text',
    apply: ({ value, schema }) => (saysNothing(value) && takesNullOnly(schema) ? null : undefined),
  },
  { name: 'first-element', apply: firstElement },
  { name: 'list-from-value', apply: listOfOne },
]

const BOOLEAN_WORDS: ReadonlyMap<string, boolean> = new Map([
  ['yes', true],
  ['on', true],
  ['true', true],
  ['no', false],
  ['off', false],
  ['false', false],
])

/** The number in a text, without separators, if one reading is left. */
function separatedNumber(text: string, site: NumberSite): number | undefined {
  return chosen(numberReadings(text.trim()), site)
}

type NumberSite = Pick<RuleSite, 'schema' | 'decimalMark'>

/**
 * Reads the number beside a sign or unit. There `1.234` may also be 1234; of an amount of money it is,
 * since prices have two decimal places.
 */
function numberBeside(text: string, site: NumberSite, isAmount = false): number | undefined {
  const plain = plainNumber(text)
  const exact = exactNumber(plain)
  if (exact !== undefined && !GROUPED.test(plain)) return exact
  const readings: readonly NumberReading[] =
    exact === undefined
      ? numberReadings(text.trim())
      : [
          { json: plain, mark: '.' },
          { json: plain.replace('.', ''), mark: ',' },
        ]
  return chosen(readings, site, isAmount)
}

const GROUPED = /^-?[1-9]\d{0,2}\.\d{3}$/

/** The number of the only reading that the schema and the other numbers of the answer leave. */
function chosen(
  readings: readonly NumberReading[],
  { schema, decimalMark }: NumberSite,
  isWhole = false,
): number | undefined {
  const isOne = new Set(readings.map(({ json }) => json)).size === 1
  const mark = readings.length === 0 || isOne ? undefined : decimalMark()
  const needsWhole = !wants(schema, 'number') || (isWhole && !isOne && mark === undefined)
  const possible = readings.filter(
    (reading) =>
      (mark === undefined || reading.mark === mark) && !(needsWhole && hasFraction(reading)),
  )
  const [only, ...others] = new Set(possible.map(({ json }) => exactNumber(json)))
  return others.length === 0 ? only : undefined
}

/** 1.000 is a whole number, but nobody writes one so. */
function hasFraction({ json }: NumberReading): boolean {
  return json.includes('.')
}

const MAX_PERCENTAGE_CHARS = 60
const PERCENTAGE = /^(.*\d)\s?(?:%|percent|per cent|pct)$/i

function percentage(text: string, site: RuleSite): number | undefined {
  if (text.length > MAX_PERCENTAGE_CHARS) return undefined
  const [, digits] = PERCENTAGE.exec(text.trim()) ?? []
  const points = digits === undefined ? undefined : numberBeside(digits, site)
  if (points === undefined) return undefined
  // Moves the decimal point, since dividing by 100 would round.
  const fraction = String(points).includes('e') ? undefined : exactNumber(`${points}e-2`)
  return meansPoints(site) ? points : fraction
}

/** Whether 85 % is 85 there. Without a sign of it, it is 0.85, as in spreadsheets and `Intl.NumberFormat`. */
function meansPoints({ schema, name }: RuleSite): boolean {
  if (!wants(schema, 'number')) return true
  const maximum = schema.maximum ?? schema.exclusiveMaximum
  if (typeof maximum === 'number' && (maximum <= 1 || maximum >= 100)) return maximum >= 100
  return /percent|pct/i.test(name())
}

function measured(text: string, site: RuleSite): number | undefined {
  const parts = withoutUnit(text)
  if (parts === undefined) return undefined
  const named = unitsIn(site.name())
  const meant = named.size > 0 ? named : describedUnits(site.schema)
  if (meant.size > 0 && !meant.has(parts.unit)) return undefined
  return numberBeside(parts.number, site, isCurrency(parts.unit))
}

const described = new WeakMap<object, ReadonlySet<string>>()

/** The units that a title or description mentions. */
function describedUnits(schema: SchemaPart): ReadonlySet<string> {
  const known = described.get(schema)
  if (known !== undefined) return known
  const texts = [schema.title, schema.description].filter((text) => typeof text === 'string')
  const units = unitsIn(texts.join(' '))
  described.set(schema, units)
  return units
}

/** Words for a value that is not there. */
const NOTHING: ReadonlySet<string> = new Set(['', 'null', 'none', 'nil', 'n/a', 'na'])

export function saysNothing(value: unknown): boolean {
  return typeof value === 'string' && value.length < 10 && NOTHING.has(value.trim().toLowerCase())
}

function takesNullOnly(schema: SchemaPart): boolean {
  const members = membersOf(schema)
  if (members.length > 0) return members.includes(null)
  return wants(schema, 'null') && !wants(schema, 'string')
}

function changed(text: string | undefined, from: string): string | undefined {
  return text === from ? undefined : text
}

function firstElement({ value, schema }: RuleSite): unknown {
  if (!Array.isArray(value) || value.length === 0 || value.length > 2) return undefined
  if (schema.type === undefined || wants(schema, 'array')) return undefined
  const [first, second] = value
  if (typeof first === 'number' && !wantsAnyNumber(schema)) return undefined
  if (!SCALARS.has(typeof first)) return undefined
  return value.length === 1 || (typeof first === 'string' && typeof second === 'string')
    ? first
    : undefined
}

const SCALARS: ReadonlySet<string> = new Set(['string', 'number', 'boolean'])

// Signs that a text may be a list itself.
const SEVERAL = /[,;|/\n]|\band\b|&|^\s*[[{(]/i

function listOfOne({ value, schema, source, isAlone }: RuleSite): unknown {
  if (!wants(schema, 'array') || wants(schema, typeOfValue(value)) || !isAlone()) return undefined
  if (Array.isArray(value) || value === null) return undefined
  if (typeof value === 'string')
    return SEVERAL.test(value) || saysNothing(value) ? undefined : [value]
  if (typeof value === 'number') return source === String(value) ? [value] : undefined
  if (typeof value === 'boolean') return [value]
  const declared = isRecord(schema.items) ? schema.items['properties'] : undefined
  const isElement =
    isRecord(value) && Object.keys(value).some((key) => Object.hasOwn(Object(declared), key))
  return isElement ? [value] : undefined
}

/**
 * The day that a text names, as `YYYY-MM-DD`, if it can be read in one way only. Whether the day exists is
 * for the validator to say.
 */
function dayIn(text: string): string | undefined {
  if (text.length > MAX_CHARS) return undefined
  const trimmed = text.trim()
  const [, year, , month, day] = YEAR_FIRST.exec(trimmed) ?? []
  if (year !== undefined) return written(year, month, day)
  const [, first = '', , second = '', last] = YEAR_LAST.exec(trimmed) ?? []
  if (last !== undefined) return byOrder(Number(first), Number(second), last)
  const [, whole, named = '', inYear] = DAY_MONTH.exec(trimmed) ?? []
  if (inYear !== undefined) return byName(named, whole, inYear)
  const [, monthName = '', ofMonth, ofYear] = MONTH_DAY.exec(trimmed) ?? []
  return ofYear === undefined ? undefined : byName(monthName, ofMonth, ofYear)
}

const MAX_CHARS = 60

// 2024/5/3, 2024.05.03, and 2024-05-03 with a time behind it.
const YEAR_FIRST =
  /^(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?$/
const YEAR_LAST = /^(\d{1,2})([-/.])(\d{1,2})\2(\d{4})$/
// 3 May 2024, 3rd of May, 2024
const DAY_MONTH = /^(\d{1,2})(?:st|nd|rd|th)? (?:of )?([A-Za-z]{3,9})\.?,? (\d{4})$/
// May 3, 2024
const MONTH_DAY = /^([A-Za-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})$/

/** Day and month, unless both orders give a month. */
function byOrder(first: number, second: number, year: string): string | undefined {
  if (first === second || (first > 12 && second <= 12)) return written(year, second, first)
  return second > 12 && first <= 12 ? written(year, first, second) : undefined
}

function byName(name: string, day: string | undefined, year: string): string | undefined {
  const folded = name.toLowerCase()
  const index = MONTHS.findIndex((month) => month === folded || isShort(folded, month))
  return index === -1 ? undefined : written(year, index + 1, day)
}

function isShort(name: string, month: string): boolean {
  return name === month.slice(0, 3) || (name === 'sept' && month === 'september')
}

const MONTHS: readonly string[] = [
  ...['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september'],
  ...['october', 'november', 'december'],
]

function written(
  year: string,
  month: string | number | undefined,
  day: string | number | undefined,
): string {
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
}
