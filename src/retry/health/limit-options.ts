import { nearestOf } from '../../options/option-check.ts'

/** Known limits of a target. What is learned about the target can only lower them. */
export interface LimitsOptions {
  /** Maximum number of attempts in flight; a stream counts until it ends. @default none */
  readonly concurrency?: number | undefined
  /** Maximum number of requests in any minute, spread evenly. @default none */
  readonly requestsPerMinute?: number | undefined
  /**
   * Maximum number of tokens in any minute, of prompts and answers together. Estimated when a request is
   * sent, and corrected when it ends. @default none
   */
  readonly tokensPerMinute?: number | undefined
}

/**
 * `'auto'`: limits are learned from the target. `'off'`: only hints and outages hold calls back. An object
 * sets limits by hand, in addition to learned ones.
 */
export type Limits = 'auto' | 'off' | LimitsOptions

/** `'none'`: for a user's own function, which is not shared with other calls and never held back. */
export type AnyLimits = Limits | 'none'

/** Limits in the form used by a line. */
export interface LineLimits {
  readonly learns: boolean
  /** Whether hints and outages close the line. */
  readonly closes: boolean
  /** Infinity if not set; the same for those below. */
  readonly concurrency: number
  readonly requestsPerMinute: number
  readonly tokensPerMinute: number
}

/** @throws TypeError, RangeError naming the option, its value and what is allowed. */
export function readLimits(limits: AnyLimits = 'auto'): LineLimits {
  const given = typeof limits === 'string' ? {} : limits
  const closes = limits !== 'none'
  const learns = closes && limits !== 'off'
  return { learns, closes, ...readNumbers('limits', given, LIMIT_NUMBERS) }
}

export const LIMIT_NUMBERS: NumberOptions<keyof LimitsOptions> = {
  concurrency: { fallback: Infinity, min: 1, max: Infinity },
  requestsPerMinute: { fallback: Infinity, min: 1, max: Infinity },
  tokensPerMinute: { fallback: Infinity, min: 1, max: Infinity },
}

/** The range of a numeric option, and its default. */
export interface NumberOption {
  readonly fallback: number
  readonly min: number
  readonly max: number
}

/** The ranges of several options, by name. */
export type NumberOptions<Name extends string> = Readonly<Record<Name, NumberOption>>

/**
 * Reads an object of numeric options. `undefined` means the fallback.
 *
 * @throws TypeError if it is not an object, an option name is unknown or a value is not a number; RangeError
 * if a number is out of range. Both name the option and what is allowed.
 */
export function readNumbers<Name extends string>(
  owner: string,
  given: { readonly [name in Name]?: number | undefined },
  accepted: NumberOptions<Name>,
): Record<Name, number> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`${owner}: the options are ${describe(given)}; an object is accepted`)
  }
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(accepted, name)) continue
    const names = Object.keys(accepted).join(', ')
    const nearest = nearestOf(name, Object.keys(accepted))
    const near = nearest === undefined ? '' : `; did you mean ${describe(nearest)}?`
    throw new TypeError(`${owner}: unknown option ${describe(name)}; accepted are ${names}${near}`)
  }
  // Safe: every name in `accepted` is visited, and every value is checked before it is stored.
  const numbers = {} as Record<Name, number>
  // Safe: the keys of a Record<Name, …> are Names.
  for (const name of Object.keys(accepted) as Name[]) {
    numbers[name] = readNumber(`${owner}: ${name}`, given[name], accepted[name])
  }
  return numbers
}

/** Reads one number; `label` is the beginning of the error message. */
export function readNumber(label: string, given: unknown, accepted: NumberOption): number {
  const value = given === undefined ? accepted.fallback : given
  const { min, max } = accepted
  const range = `a number from ${min} to ${max}`
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw new TypeError(`${label} is ${describe(value)}; accepted is ${range}`)
  }
  if (value < min || value > max) {
    throw new RangeError(`${label} is ${value}; accepted is ${range}`)
  }
  return value
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' || typeof value === 'function' ? typeof value : String(value)
}
