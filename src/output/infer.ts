import type { FromSchema, JSONSchema } from 'json-schema-to-ts'

/**
 * What may be given as a schema: a Standard Schema (zod, Valibot, ArkType, TypeBox …), or a JSON
 * Schema. One written as a literal in the call is typed; one from a variable is not.
 */
export type SchemaInput = StandardSchema | JSONSchema | object

/**
 * The type of a valid answer: a Standard Schema's output, what a literal JSON Schema describes,
 * `unknown` for any other schema.
 *
 * @example
 * declare function json<const S extends SchemaInput>(p: { schema: S }): InferSchema<S>
 */
export type InferSchema<S> = S extends StandardSchema
  ? NonNullable<S['~standard']['types']>['output']
  : IsLiteralSchema<S> extends true
    ? S extends JSONSchema
      ? FromSchema<S>
      : unknown
    : unknown

// `object` and index signatures extend every type whose members are all optional, so they would
// pass for a JSON Schema that says something.
type IsLiteralSchema<S> = S extends boolean
  ? false
  : [keyof S] extends [never]
    ? false
    : string extends keyof S
      ? false
      : JSONSchema extends S
        ? false
        : true

/** The part of Standard Schema and Standard JSON Schema, version 1, that is used here. */
interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': StandardProps<Input, Output>
}

export interface StandardProps<Input = unknown, Output = Input> {
  readonly version: 1
  readonly vendor: string
  readonly types?: { readonly input: Input; readonly output: Output } | undefined
  /** Absent where only the JSON Schema can be had. */
  readonly validate?: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
  /** Absent in libraries older than Standard JSON Schema. May throw. */
  readonly jsonSchema?: {
    readonly input: (options: {
      readonly target: 'draft-2020-12' | 'draft-07'
      readonly libraryOptions?: Record<string, unknown> | undefined
    }) => object
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}
