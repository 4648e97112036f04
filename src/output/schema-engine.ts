import type { Work } from './work.ts'

/** A JSON Schema that a validator has compiled: AJV's, or the interpreter's where AJV cannot work. */
export interface SchemaEngine {
  /** @throws {OutOfSteps} where a schema that contains itself takes too many. */
  accepts(value: unknown, work?: Work): boolean
  /**
   * What one part of the schema, named by a JSON Pointer into it, has against the value; empty
   * when it is valid. All errors, or the first only: see `explodes`.
   * @throws {OutOfSteps}
   */
  errorsAt(pointer: string, value: unknown, work?: Work): readonly ErrorObject[]
  /** The first error, without values and parts of the schema, at the price of `accepts`. */
  firstErrors(value: unknown, work?: Work): readonly ErrorObject[]
  /** Where in the schema the `schema` of such an error stands; undefined for what is no part of it. */
  pointerOf(part: object): string | undefined
}

/** One thing that a schema has against a value, in the shape in which AJV says it. */
export interface ErrorObject {
  readonly keyword: string
  /** Where in the value, as a JSON Pointer. */
  readonly instancePath: string
  readonly params: unknown
  readonly message?: string | undefined
  /** What the keyword holds, and the schema that it stands in. */
  readonly schema?: unknown
  readonly parentSchema?: unknown
  readonly data?: unknown
}

/**
 * Makes the regular expressions of a schema's patterns, in the place of `new RegExp`: one whose time
 * is linear, such as RE2's, where schemas or patterns come from others. `flags` is `'u'` or `''`.
 */
export type RegExpEngine = (pattern: string, flags: string) => { test(text: string): boolean }

/** Those that a validator knows, the oldest first. */
export const DRAFTS = ['draft-07', '2019-09', '2020-12'] as const
export type Draft = (typeof DRAFTS)[number]

/** The schema as it is checked: without the name of its draft, which is chosen before. */
export function parseSchema(text: string): object {
  const schema: unknown = JSON.parse(text)
  if (typeof schema !== 'object' || schema === null) throw new TypeError('not an object')
  // AJV would look up draft-06 and unknown dialects, and find none.
  Reflect.deleteProperty(schema, '$schema')
  return schema
}
