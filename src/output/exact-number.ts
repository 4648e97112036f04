/**
 * False when no number in the text can be one that `isRounded`, but for one that is too large for any
 * double. What a double rounds has 16 digits or more. So many in a row, with a point among them, cover one of every 16
 * characters, which are all that is looked at. The digits of a fraction, which every division has, say
 * nothing without an exponent.
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

/** False when no number in the text is written with such an exponent that it can be too large for any double. */
export function mayOverflow(text: string): boolean {
  return OVERFLOWING.test(text)
}

// The largest double is some 1.8e308.
const OVERFLOWING = /\d[eE]\+?\d{3}/

function isDigitOrPoint(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return (code >= 48 && code <= 57) || code === 46
}

function isExponent(text: string, at: number): boolean {
  return text[at] === 'e' || text[at] === 'E'
}

/** How many digits stand there before a point, or anything else. */
function digitsFrom(text: string, start: number): number {
  let end = start
  while (isDigitOrPoint(text, end) && text[end] !== '.') end += 1
  return end - start
}

/**
 * True when a number beyond 2^52, where doubles hold no fractions, and beyond 2^53 not every integer, is not
 * what was written. Kept are one that the double equals, and one that it prints again, as 1.5e300. Linear in
 * the length of what was written, whatever its exponent.
 */
export function isRounded(written: string, value: number): boolean {
  if (Math.abs(value) < 2 ** 52) return false
  if (!Number.isFinite(value)) return true
  const { digits, exponent } = decimalOf(written)
  const printed = decimalOf(String(value))
  if (digits === printed.digits && exponent === printed.exponent) return false
  // Below one, or with more digits than any double.
  if (exponent < 0 || digits.length + exponent > MAX_DIGITS) return true
  return BigInt(digits + '0'.repeat(exponent)) !== BigInt(Math.abs(value))
}

const MAX_DIGITS = 309

/** A number of JSON without its sign, as the digits between its outer zeros, times a power of ten. */
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
