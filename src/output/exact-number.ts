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
