import type { FailureKind } from '../failure-kinds.ts'

/** `'none'`: no status is known, or a 200 whose body is an error. */
export type StatusTest = number | '4xx' | '5xx' | 'none'

/** What a body must say; all that is given must hold. Everything is lower case. */
export interface Wording {
  /** One of these. */
  readonly status?: readonly StatusTest[]
  /** None of these. */
  readonly notStatus?: readonly StatusTest[]
  /** Equals one of the body's codes, types or reasons. */
  readonly code?: string
  /** Occurs in the name of a quota that was exceeded. */
  readonly quota?: string
  /** Occur in its text, each of them. */
  readonly text?: string | readonly string[]
  /** One sentence, or one code read as words, has a word of each group: words are told by their beginning. */
  readonly clause?: readonly (readonly string[])[]
  /** That sentence has none of these. */
  readonly except?: readonly string[]
  /** Its text is nothing else than these, and names, numbers and 'error'. */
  readonly only?: readonly string[]
  /** Its text asks for a wait of at least this many milliseconds. */
  readonly waitsAtLeastMs?: number
  /** Is its whole text. */
  readonly whole?: string
  /** Does not occur in its text. */
  readonly without?: string
  /** The number behind the second word is greater than the one behind the first. */
  readonly exceeds?: readonly [limit: string, requested: string]
}

/** One wording of a provider. */
export interface WordingRule {
  readonly kind: FailureKind
  readonly when: Wording
  /** Status and body as really sent (shortened): what this line must match before any other. */
  readonly example: readonly [status: number, body: string]
}

/** Throttled, overloaded and failed requests; also an error under 200. */
export const busy: readonly StatusTest[] = [429, '5xx', 'none']

/** Refused requests; also an error under 200. */
export const refused: readonly StatusTest[] = ['4xx', 'none']
