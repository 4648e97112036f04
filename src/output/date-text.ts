/**
 * The day that a text names, as `YYYY-MM-DD`, if it can be read in one way only. Whether the day exists is
 * for the validator to say.
 */
export function dayIn(text: string): string | undefined {
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
