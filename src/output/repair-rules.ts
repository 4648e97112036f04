import { COERCION_RULES, type CoercionRule } from './value-rules.ts'

/** One change made to a model's answer: `path` is a JSON Pointer (`''` for the whole text). */
export interface Repair {
  readonly path: string
  readonly rule: RepairRule
  /** Where a change of the syntax begins: an index into the text. Other changes have none. */
  readonly offset?: number
}

/**
 * How much of an answer may be repaired. Each level includes the ones before it: `off` only parses and
 * validates; `syntax` finds the JSON and repairs its syntax; `safe` also coerces values without loss;
 * `lenient` also applies rules with a documented loss.
 */
export type RepairLevel = 'off' | 'syntax' | 'safe' | 'lenient'

/** The name of a repair. `REPAIR_RULES` describes each. */
export type RepairRule = SyntaxRule | CoercionRule

/** A repair of the text: what is around the JSON, and its syntax. */
export type SyntaxRule =
  | 'strip-invisible'
  | 'strip-reasoning'
  | 'strip-fence'
  | 'strip-tags'
  | 'strip-prose'
  | 'collapse-duplicates'
  | 'join-lines'
  | 'fix-syntax'
  | 'keep-backslash'
  | 'guess-quotes'
  | 'fix-brackets'

/** For each repair, the lowest level that applies it, and what it does. */
const REPAIR_RULES: Readonly<Record<RepairRule, RepairTraits>> = {
  'strip-invisible': {
    level: 'syntax',
    meaning: 'A byte order mark or zero-width characters around the JSON were dropped.',
  },
  'strip-reasoning': { level: 'syntax', meaning: 'A reasoning block was dropped, never read.' },
  'strip-fence': { level: 'syntax', meaning: 'A Markdown fence around the JSON was dropped.' },
  'strip-tags': { level: 'syntax', meaning: 'XML tags around the JSON were dropped.' },
  'strip-prose': { level: 'syntax', meaning: 'Text around the JSON was dropped.' },
  'collapse-duplicates': {
    level: 'syntax',
    meaning: 'The same answer was written more than once; one was kept.',
  },
  'join-lines': {
    level: 'syntax',
    meaning: 'Consecutive objects were joined into the requested array.',
  },
  'fix-syntax': {
    level: 'syntax',
    meaning:
      'Commas, colons, quotes, comments, unquoted keys, raw line breaks or Python literals were corrected.',
  },
  'keep-backslash': {
    level: 'syntax',
    meaning: 'The backslash of an escape that is invalid in JSON was kept as a character.',
  },
  'guess-quotes': {
    level: 'syntax',
    meaning: 'Missing or unescaped quotes were corrected; no character of the content was changed.',
  },
  'fix-brackets': {
    level: 'syntax',
    meaning:
      'A closing bracket was missing, doubled or of the wrong kind, where only one place is possible.',
  },
  ...COERCION_RULES,
}

interface RepairTraits {
  /** The lowest level that applies the rule. */
  readonly level: Exclude<RepairLevel, 'off'>
  readonly meaning: string
}

/** True when `level` applies the rule. */
export function allows(level: RepairLevel, rule: RepairRule): boolean {
  return RANK[level] >= RANK[REPAIR_RULES[rule].level]
}

const RANK: Readonly<Record<RepairLevel, number>> = { off: 0, syntax: 1, safe: 2, lenient: 3 }
