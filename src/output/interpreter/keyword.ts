import type { Draft, RegExpEngine } from '../schema-engine.ts'
import type { Check, Schema } from './checks.ts'
import type { Formats } from './formats.ts'
import type { References } from './references.ts'

/** Creates the check of a keyword; undefined if the keyword has no effect. */
export type Keyword = (holds: unknown, schema: Schema, compiler: Compiler) => Check | undefined

export type KeywordArguments = Parameters<Keyword>

/** What a keyword needs of the schema it is part of. */
export interface Compiler {
  readonly draft: Draft
  readonly references: References
  readonly regExp: RegExpEngine
  readonly formats: Formats
  /** The check of a part nested in another one. */
  checkOf(part: unknown, around: Schema): Check
  /** The check of a part whose base URI is `around`. */
  checkIn(part: unknown, around: string): Check
  /** Whether the schema has no keyword that can reject a value. */
  isAlwaysValid(part: unknown): boolean
}
