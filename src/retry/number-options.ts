import { nearestOf } from '../options/option-check.ts'

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
