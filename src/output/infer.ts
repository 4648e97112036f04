import type { FromSchema, JSONSchema } from 'json-schema-to-ts'

/**
 * What may be given as a schema: a library's that can give its JSON Schema (Standard JSON Schema:
 * zod 4.2, ArkType 2.2, Valibot with `toStandardJsonSchema` …), or a JSON Schema (TypeBox's too). One
 * written as a literal in the call is typed; one from a variable is not.
 */
export type SchemaInput =
  | StandardJsonSchema
  | boolean
  // The first for what an editor completes, and for the words of a compiler's error.
  | (NoLibrary & Exclude<JSONSchema, boolean>)
  | (NoLibrary & object)

/** A library's schema has one of these members, and a JSON Schema has not. */
interface NoLibrary {
  readonly '~standard'?: GivesNoJsonSchema
  /** zod 3's, before it had `~standard`. */
  readonly _def?: GivesNoJsonSchema
  /** A function's. */
  readonly apply?: GivesNoJsonSchema
}

/** Nothing has this member: a compiler that misses it shows what to do. */
interface GivesNoJsonSchema {
  readonly 'This schema gives no JSON Schema. zod: use zod 4.2 or later (not zod/v3); of zod/mini, pass z.toJSONSchema(schema). Valibot: toStandardJsonSchema(schema) of @valibot/to-json-schema. Others: pass a JSON Schema.': never
}

/**
 * The type of a valid answer: a library schema's output, what a literal JSON Schema describes,
 * `unknown` for any other schema.
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

// What refers to a definition by name, as TypeBox's Cyclic does, is found to describe nothing.
type Described<V> = [V] extends [never] ? unknown : V

/** A schema of `@sinclair/typebox`, a JSON Schema that carries its type. */
interface TypeBoxSchema {
  readonly static: unknown
  readonly params: readonly unknown[]
}

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

interface StandardJsonSchema {
  readonly '~standard': StandardProps & Required<Pick<StandardProps, 'jsonSchema'>>
}

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
