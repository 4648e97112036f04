import { Ajv, type Options } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { jsonrepair } from 'jsonrepair'
import type { ParseJson } from './builds.ts'
import type { Case } from './cases.ts'

/** Reads an answer: a value that the schema accepts, or nothing. */
export type Reader = (answer: Answer) => Read
export type Answer = Pick<Case, 'text' | 'schema' | 'finishReason' | 'level'>
export type Read = { readonly value: unknown } | undefined

/** What builds are compared with. */
export const peers: Readonly<Record<string, Reader>> = {
  'JSON.parse + AJV': reader(JSON.parse, {}),
  'jsonrepair + AJV': reader((text) => JSON.parse(jsonrepair(text)), {}),
  'jsonrepair + AJV, coerceTypes': reader((text) => JSON.parse(jsonrepair(text)), {
    coerceTypes: true,
  }),
}

/** The public function of a build. */
export function readerOf(parseJson: ParseJson): Reader {
  return ({ text, schema, finishReason, level }) => {
    const result = parseJson(text, schema, {
      ...(finishReason === undefined ? {} : { finishReason }),
      ...(level === undefined ? {} : { level }),
    })
    return result.ok ? { value: result.value } : undefined
  }
}

function reader(parse: (text: string) => unknown, options: Options): Reader {
  return ({ text, schema }) => {
    try {
      const value = parse(text)
      return schema === undefined || validatorFor(schema, options)(value) ? { value } : undefined
    } catch {
      return undefined
    }
  }
}

/** AJV with the settings that ours has. */
export function validatorFor(schema: object, options: Options): (value: unknown) => boolean {
  const settings: Options = { strict: false, logger: false, ...options }
  const is2020 =
    String(Reflect.get(schema, '$schema')).includes('2020-12') || 'prefixItems' in schema
  const ajv = is2020 ? new Ajv2020(settings) : new Ajv(settings)
  addFormats.default(ajv)
  const { $schema: _, ...plain } = schema as { $schema?: unknown }
  const validate = ajv.compile(plain)
  return (value) => validate(value) === true
}
