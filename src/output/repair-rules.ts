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
 * `lenient` also applies the rules marked `lenient` below.
 */
export type RepairLevel = 'off' | 'syntax' | 'safe' | 'lenient'

/** The name of a repair. `REPAIR_RULES` describes each. */
export type RepairRule =
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
  | 'number-from-string'
  | 'boolean-from-string'
  | 'enum-case'
  | 'parse-stringified'
  | 'string-from-number'
  | 'drop-null'
  | 'unwrap'
  | 'number-from-text'
  | 'enum-separators'

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
  'number-from-string': { level: 'safe', meaning: 'A string that is exactly a JSON number.' },
  'boolean-from-string': { level: 'safe', meaning: '"true", "True", "TRUE" and their opposites.' },
  'enum-case': {
    level: 'safe',
    meaning: 'The one allowed value that differs only in case or in spaces around it.',
  },
  'parse-stringified': {
    level: 'safe',
    meaning: 'An object or array that was written as a string of JSON.',
  },
  'string-from-number': {
    level: 'safe',
    meaning: 'A number where a string was expected, kept digit for digit.',
  },
  'drop-null': {
    level: 'safe',
    meaning: 'null for an optional property that must not be null: the property was dropped.',
  },
  unwrap: {
    level: 'safe',
    meaning: 'The answer was the only member of a wrapper such as "result", or inside a tool call.',
  },
  'number-from-text': {
    level: 'lenient',
    meaning: 'A number with spaces around it, a leading plus, or unmistakable thousands commas.',
  },
  'enum-separators': {
    level: 'lenient',
    meaning: 'The one allowed value that differs only in case, spaces, hyphens and underscores.',
  },
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
