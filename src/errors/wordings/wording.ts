import type { FailureKind } from '../failure-kinds.ts'

/** `'none'`: no status is known, or the body of a 200 is an error. */
export type StatusTest = number | '4xx' | '5xx' | 'none'

/** Conditions on a body. All given ones must hold; all text is lower case. */
export interface Wording {
  /** The status is one of these. */
  readonly status?: readonly StatusTest[]
  /** The status is none of these. */
  readonly notStatus?: readonly StatusTest[]
  /** One of the body's codes, types or reasons. */
  readonly code?: string
  /** A part of the name of an exceeded quota. */
  readonly quota?: string
  /** Parts of the text, all of which must occur. */
  readonly text?: string | readonly string[]
  /** One sentence, or one code split into words, has a word of every group. Words match by their beginning. */
  readonly clause?: readonly (readonly string[])[]
  /** That sentence has none of these words. */
  readonly except?: readonly string[]
  /** The text consists of these phrases and at most names, numbers and 'error'. */
  readonly only?: readonly string[]
  /** The text asks for a wait of at least this many milliseconds. */
  readonly waitsAtLeastMs?: number
  /** The whole text. */
  readonly whole?: string
  /** Must not occur in the text. */
  readonly without?: string
  /** The number after the second word is greater than the number after the first. */
  readonly exceeds?: readonly [limit: string, requested: string]
}

/** One wording of a provider. */
export interface WordingRule {
  readonly kind: FailureKind
  readonly when: Wording
  /** A real status and body (shortened) that this rule must match before any other. */
  readonly example: readonly [status: number, body: string]
}

/** Statuses of throttled, overloaded and failed requests; includes an error under 200. */
export const busy: readonly StatusTest[] = [429, '5xx', 'none']

/** Statuses of refused requests; includes an error under 200. */
export const refused: readonly StatusTest[] = ['4xx', 'none']
