import type { Work } from './work.ts'

/** A compiled JSON Schema: by AJV, or by the interpreter where AJV cannot run. */
export interface SchemaEngine {
  /** @throws {OutOfSteps} if a recursive schema takes too many steps. */
  accepts(value: unknown, work?: Work): boolean
  /**
   * The errors of a value according to one part of the schema, named by a JSON Pointer; empty if it is
   * valid. Returns all errors, or only the first for schemas for which `explodes` is true.
   * @throws {OutOfSteps}
   */
  errorsAt(pointer: string, value: unknown, work?: Work): readonly ErrorObject[]
  /** The first error, without values and schema parts, at the cost of `accepts`. */
  firstErrors(value: unknown, work?: Work): readonly ErrorObject[]
  /** The JSON Pointer of the `schema` of such an error; undefined if it is not a part of the schema. */
  pointerOf(part: object): string | undefined
}

/** One validation error, in AJV's format. */
export interface ErrorObject {
  readonly keyword: string
  /** JSON Pointer to the value. */
  readonly instancePath: string
  readonly params: unknown
  readonly message?: string | undefined
  /** The value of the keyword, and (below) the schema that contains the keyword. */
  readonly schema?: unknown
  readonly parentSchema?: unknown
  readonly data?: unknown
}

/**
 * Creates the regular expressions for a schema's patterns instead of `new RegExp`. Pass an engine with
 * linear running time, such as RE2, if schemas or patterns come from an untrusted source. `flags` is `'u'`
 * or `''`.
 */
export type RegExpEngine = (pattern: string, flags: string) => { test(text: string): boolean }

/** The supported drafts, the oldest first. */
export const DRAFTS = ['draft-07', '2019-09', '2020-12'] as const
export type Draft = (typeof DRAFTS)[number]

/** Parses a schema and removes `$schema`, since the draft has already been chosen. */
export function parseSchema(text: string): object {
  const schema: unknown = JSON.parse(text)
  if (typeof schema !== 'object' || schema === null) throw new TypeError('not an object')
  // AJV would look up draft-06 and unknown dialects, and fail.
  Reflect.deleteProperty(schema, '$schema')
  return schema
}
