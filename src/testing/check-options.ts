import { nearestOf } from '../options/option-check.ts'

/** The allowed range of a number. Both bounds are inclusive. */
export interface NumberRange {
  readonly min: number
  readonly max?: number
  readonly integer?: boolean
}

/**
 * Rejects a number that would make a fault or a clock behave differently from what it says.
 *
 * @throws TypeError if the value is not a number, RangeError if it is out of range. Both name the option, the
 * value and what is allowed.
 */
export function checkNumber(label: string, value: unknown, range: NumberRange): void {
  const kind = range.integer === true ? 'an integer' : 'a finite number'
  const bounds =
    range.max === undefined ? `from ${range.min} up` : `from ${range.min} to ${range.max}`
  const message = `${label} is ${describe(value)}; allowed is ${kind} ${bounds}`
  if (typeof value !== 'number') throw new TypeError(message)
  const fits = value >= range.min && value <= (range.max ?? Number.MAX_VALUE)
  if (!fits || (range.integer === true && !Number.isInteger(value))) throw new RangeError(message)
}

/**
 * Rejects an unknown option name, so that a misspelt option is not silently ignored.
 *
 * @throws TypeError naming the unknown option and the allowed names.
 */
export function checkNames(owner: string, given: unknown, names: readonly string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`${owner}: the options are ${describe(given)}; allowed is an object`)
  }
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue
    throw new TypeError(
      `${owner}: unknown option ${describe(name)}; allowed are ${names.join(', ')}${near(name, names)}`,
    )
  }
}

function near(name: string, names: readonly string[]): string {
  const nearest = nearestOf(name, names)
  return nearest === undefined ? '' : `; did you mean ${describe(nearest)}?`
}

/** A value for an error message: short, and never a whole object. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60))
  if (Array.isArray(value)) return 'an array'
  if (value === null) return 'null'
  return typeof value === 'object' || typeof value === 'function' ? typeof value : String(value)
}
