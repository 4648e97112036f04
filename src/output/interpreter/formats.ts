import { fullFormats } from '../load-ajv.ts'

export type Formats = ReadonlyMap<string, Format>

/** The checks of a format, either for strings or for numbers. */
interface Format {
  readonly string?: (value: string) => boolean
  readonly number?: (value: number) => boolean
  /** Compares two values; undefined if the format has no order. */
  readonly compare?: (a: string, b: string) => number | undefined
}

let all: Formats | undefined

/** The formats of ajv-formats, which are functions and regular expressions and work without code generation. */
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

/** The shape that ajv-formats uses, narrower than AJV's type. */
interface Ordered {
  readonly validate: RegExp | ((value: unknown) => boolean)
  readonly type?: 'string' | 'number'
  readonly compare?: (a: string, b: string) => number | undefined
}
