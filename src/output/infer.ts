import type { FromSchema, JSONSchema } from 'json-schema-to-ts'

/**
 * What can be passed as a schema: a schema of a library that can convert it to JSON Schema (Standard JSON
 * Schema: zod 4.2, ArkType 2.2, Valibot with `toStandardJsonSchema` …), or a JSON Schema, including
 * TypeBox's. A JSON Schema written as a literal in the call is typed; one in a variable is not.
 */
export type SchemaInput =
  | StandardJsonSchema
  | boolean
  // `JSONSchema` provides editor completion and readable compiler errors; `object` accepts the rest.
  | (NoLibrary & Exclude<JSONSchema, boolean>)
  | (NoLibrary & object)

/** Members that library schemas have and JSON Schemas do not. */
interface NoLibrary {
  readonly '~standard'?: GivesNoJsonSchema
  /** Present on zod 3 schemas, which have no `~standard`. */
  readonly _def?: GivesNoJsonSchema
  /** Present on functions. */
  readonly apply?: GivesNoJsonSchema
}

/** No value has this member; a compiler error about it tells the user what to do. */
interface GivesNoJsonSchema {
  readonly 'This schema gives no JSON Schema. zod: use zod 4.2 or later (not zod/v3); of zod/mini, pass z.toJSONSchema(schema). Valibot: toStandardJsonSchema(schema) of @valibot/to-json-schema. Others: pass a JSON Schema.': never
}

/**
 * The type of a valid answer: the output type of a library schema, the type described by a literal JSON
 * Schema, or `unknown` for any other schema.
 *
 * @example
 * declare function json<const S extends SchemaInput>(p: { schema: S }): InferSchema<S>
 */
export type InferSchema<S> = S extends StandardSchema
  ? NonNullable<S['~standard']['types']>['output']
  : S extends TypeBoxSchema
    ? S['static']
    : IsLiteralSchema<S> extends true
      ? S extends JSONSchema
        ? Described<FromSchema<S>>
        : unknown
      : unknown

// `FromSchema` yields `never` for schemas that refer to a definition by name, such as TypeBox's Cyclic.
type Described<V> = [V] extends [never] ? unknown : V

/** A schema of `@sinclair/typebox`: a JSON Schema that also carries its type. */
interface TypeBoxSchema {
  readonly static: unknown
  readonly params: readonly unknown[]
}

// `object` and types with an index signature are assignable to any type with only optional members, so
// they have to be excluded here.
type IsLiteralSchema<S> = S extends boolean
  ? false
  : [keyof S] extends [never]
    ? false
    : string extends keyof S
      ? false
      : JSONSchema extends S
        ? false
        : true

interface StandardJsonSchema {
  readonly '~standard': StandardProps & Required<Pick<StandardProps, 'jsonSchema'>>
}

/** The part of Standard Schema and Standard JSON Schema, version 1, used here. */
interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': StandardProps<Input, Output>
}

export interface StandardProps<Input = unknown, Output = Input> {
  readonly version: 1
  readonly vendor: string
  readonly types?: { readonly input: Input; readonly output: Output } | undefined
  /** Absent in schemas that only provide a JSON Schema. */
  readonly validate?: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
  /** Absent in libraries that predate Standard JSON Schema. May throw. */
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
