import { fullFormats } from '../load-ajv.ts'

export type Formats = ReadonlyMap<string, Format>

/** How a format is checked: for strings or for numbers, never for both. */
interface Format {
  readonly string?: (value: string) => boolean
  readonly number?: (value: number) => boolean
  /** Which of two values comes first; undefined for what has no order. */
  readonly compare?: (a: string, b: string) => number | undefined
}

let all: Formats | undefined

/** The formats of ajv-formats, which are functions and expressions and need no code. */
export function formatsOfAjv(): Formats {
  all ??= new Map(Object.entries(fullFormats()).map(([name, format]) => [name, asFormat(format)]))
  return all
}

type Full = ReturnType<typeof fullFormats>

function asFormat(format: Full[keyof Full]): Format {
  if (typeof format === 'boolean') return {}
  if (format instanceof RegExp) return { string: (value) => format.test(value) }
  if (typeof format === 'function') return { string: format as (value: string) => boolean }
  const { validate, type, compare } = format as Ordered
  const check =
    validate instanceof RegExp ? (value: unknown) => validate.test(String(value)) : validate
  return {
    ...(type === 'number' ? { number: check } : { string: check }),
    ...(compare === undefined ? {} : { compare }),
  }
}

/** What ajv-formats writes; AJV's type of it allows much more. */
interface Ordered {
  readonly validate: RegExp | ((value: unknown) => boolean)
  readonly type?: 'string' | 'number'
  readonly compare?: (a: string, b: string) => number | undefined
}
