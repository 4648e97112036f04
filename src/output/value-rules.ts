import { exactNumber, isRecord, LargeNumber } from './json-value.ts'
import { onlyMember, trimmedLowercase } from './listed-members.ts'
import type { DecimalMark } from './number-text.ts'
import { type SchemaPart, wants } from './schema-part.ts'

/** The input of a rule: the one value it may replace. */
export interface RuleSite {
  readonly value: unknown
  /** The part of the schema that applies to it. */
  readonly schema: SchemaPart
  /** The original notation of a number. */
  readonly source: string | undefined
  /** Whether it is the whole answer or a property, and not in a union: neither an element nor a branch. */
  readonly isAlone: () => boolean
  /** The name of the property, or of the one whose list has the value; `''` at the top. */
  readonly name: () => string
  /** The decimal mark that other numbers of the answer show. */
  readonly decimalMark: () => DecimalMark | undefined
}

export interface ValueRule {
  readonly name: CoercionRule
  /** Returns the new value, or undefined if the rule does not apply. */
  readonly apply: (site: RuleSite) => unknown
  /** The result of `apply` is JSON text, which still has to be parsed. */
  readonly isJson?: true
}

/** Rules without loss that replace one value by another. The first that applies is used. */
export const SAFE_VALUE_RULES: readonly ValueRule[] = [
  {
    name: 'number-from-string',
    apply: ({ value, schema }) =>
      typeof value === 'string' && wantsNumber(schema) ? exactNumber(value) : undefined,
  },
  {
    name: 'boolean-from-string',
    apply: ({ value, schema }) =>
      typeof value === 'string' && wants(schema, 'boolean') && !wants(schema, 'string')
        ? BOOLEANS.get(value)
        : undefined,
  },
  {
    name: 'enum-case',
    apply: ({ value, schema }) => onlyMember(schema, value, trimmedLowercase),
  },
  {
    name: 'parse-stringified',
    isJson: true,
    apply({ value, schema }) {
      if (typeof value !== 'string' || wants(schema, 'string')) return undefined
      const kind = /^\s*\{/.test(value) ? 'object' : /^\s*\[/.test(value) ? 'array' : undefined
      return kind !== undefined && wants(schema, kind) ? value : undefined
    },
  },
  {
    name: 'string-from-number',
    apply({ value, schema, source }) {
      if (!wants(schema, 'string') || wantsAnyNumber(schema)) return undefined
      if (value instanceof LargeNumber) return value.source
      return typeof value === 'number' ? source : undefined
    },
  },
  {
    name: 'unwrap-list',
    apply({ value, schema }) {
      if (!Array.isArray(value) || value.length !== 1) return undefined
      const isMeant = wants(schema, 'object') && !wants(schema, 'array')
      return isMeant && isRecord(value[0]) ? value[0] : undefined
    },
  },
]

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['True', true],
  ['TRUE', true],
  ['false', false],
  ['False', false],
  ['FALSE', false],
])

export function wantsAnyNumber(schema: SchemaPart): boolean {
  return wants(schema, 'number') || wants(schema, 'integer')
}

/** Whether the schema takes numbers and no strings. */
export function wantsNumber(schema: SchemaPart): boolean {
  return wantsAnyNumber(schema) && !wants(schema, 'string')
}

/** The name of a change that coercion makes to a value. `COERCION_RULES` describes each. */
export type CoercionRule =
  | 'number-from-string'
  | 'boolean-from-string'
  | 'enum-case'
  | 'parse-stringified'
  | 'string-from-number'
  | 'drop-null'
  | 'drop-marker'
  | 'unwrap'
  | 'unwrap-list'
  | 'number-from-text'
  | 'number-separators'
  | 'percent'
  | 'strip-unit'
  | 'boolean-words'
  | 'string-from-boolean'
  | 'enum-separators'
  | 'enum-word'
  | 'date-format'
  | 'null-from-text'
  | 'drop-empty'
  | 'drop-unknown'
  | 'first-element'
  | 'list-from-value'

export interface CoercionTraits {
  /** The lowest level that applies the rule. */
  readonly level: 'safe' | 'lenient'
  /** What was changed. */
  readonly meaning: string
  /** What the new value no longer says; `nothing` at `safe`. */
  readonly loses: string
  /** Where the rule is not applied. */
  readonly never: string
  readonly example: CoercionExample
}

/** A member of an answer before and after, as JSON texts, and the schema of its place. */
export interface CoercionExample {
  /** JSON Schema of the whole answer. */
  readonly schema: object
  readonly from: string
  readonly to: string
}

/** All rules of coercion, in the order in which the documentation lists them. */
export const COERCION_RULES: Readonly<Record<CoercionRule, CoercionTraits>> = {
  'number-from-string': {
    level: 'safe',
    meaning: 'A string that is exactly a JSON number became that number.',
    loses: 'nothing',
    never: 'a number that a double would round; `007`, `1_000`, `0x1F`, `+1`, ` 1`, `NaN`, `1e400`',
    example: { schema: { type: 'integer' }, from: '"36"', to: '36' },
  },
  'boolean-from-string': {
    level: 'safe',
    meaning: '"true", "True", "TRUE" and their opposites became a boolean.',
    loses: 'nothing',
    never: 'any other word, `1` and `0`',
    example: { schema: { type: 'boolean' }, from: '"True"', to: 'true' },
  },
  'enum-case': {
    level: 'safe',
    meaning: 'The one allowed value that differs only in case or in white space around it.',
    loses: 'nothing',
    never: 'where several allowed values differ from each other only so',
    example: { schema: { enum: ['low', 'high'] }, from: '" High"', to: '"high"' },
  },
  'parse-stringified': {
    level: 'safe',
    meaning: 'An object or array that was written as a string of JSON was parsed.',
    loses: 'nothing',
    never: 'where the schema also takes a string',
    example: { schema: { type: 'array' }, from: '"[1,2]"', to: '[1,2]' },
  },
  'string-from-number': {
    level: 'safe',
    meaning: 'A number where a string was expected was kept as text, digit for digit.',
    loses: 'nothing',
    never: 'where the schema also takes a number',
    example: { schema: { type: 'string' }, from: '1.50', to: '"1.50"' },
  },
  'drop-null': {
    level: 'safe',
    meaning: 'null for an optional property that must not be null: the property was dropped.',
    loses: 'nothing',
    never: 'a required property, an undeclared one, an element of a list',
    example: {
      schema: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } } },
      from: '{"a":"x","b":null}',
      to: '{"a":"x"}',
    },
  },
  'drop-marker': {
    level: 'safe',
    meaning:
      'A property that only names the schema (`$schema`, `__typename`, `@type`, `_type`, `$type`) or repeats one of its keywords was dropped from an object that does not allow it.',
    loses: 'nothing',
    never: 'a tag that contradicts the title of the schema',
    example: {
      schema: {
        type: 'object',
        title: 'Point',
        properties: { x: { type: 'number' } },
        additionalProperties: false,
      },
      from: '{"__typename":"Point","x":1}',
      to: '{"x":1}',
    },
  },
  unwrap: {
    level: 'safe',
    meaning:
      'The answer was the only value of a wrapper: under a key such as `result`, the title of the schema or a plain noun such as `person`, or in a tool call or message.',
    loses: 'nothing',
    never:
      'under a key that says something about the value (`rejected`, `previous`), with other content beside it, or where the schema does not say what it takes',
    example: {
      schema: { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] },
      from: '{"result":{"age":36}}',
      to: '{"age":36}',
    },
  },
  'unwrap-list': {
    level: 'safe',
    meaning: 'The only element of a list, an object, where the schema takes an object and no list.',
    loses: 'nothing',
    never: 'a list of several elements, or of a text, number or boolean',
    example: {
      schema: { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] },
      from: '[{"age":36}]',
      to: '{"age":36}',
    },
  },
  'number-from-text': {
    level: 'lenient',
    meaning:
      'A number with white space around it, a leading plus, `−` for the minus, `.5` or `5.`.',
    loses: 'the white space and the sign as they were written',
    never: '`007`, `0x1F` and words',
    example: { schema: { type: 'integer' }, from: '" +36 "', to: '36' },
  },
  'number-separators': {
    level: 'lenient',
    meaning:
      'A number with thousands separators (comma, point, space, apostrophe, underscore) or a decimal comma, of which the schema and the other numbers of the answer leave one reading.',
    loses: 'the separators',
    never: '`1,234` for a number, unless other numbers of the answer show which mark it is',
    example: { schema: { type: 'number' }, from: '"12,111.123"', to: '12111.123' },
  },
  percent: {
    level: 'lenient',
    meaning:
      'A percentage became a fraction (85 % is 0.85); it became 85 for an integer, for a `maximum` of 100 or more, and for a property whose name says percent.',
    loses: 'the percent sign',
    never: 'where the value is then outside `minimum` and `maximum`',
    example: { schema: { type: 'number' }, from: '"85%"', to: '0.85' },
  },
  'strip-unit': {
    level: 'lenient',
    meaning: 'A currency or a common unit beside a number was dropped.',
    loses: 'the unit',
    never:
      'a unit other than the one that the name, title or description of the property has; multiples such as `5k`, `5M`, `3 dozen`; two numbers; `1.234 kg`, unless other numbers of the answer show which mark it is',
    example: { schema: { type: 'number' }, from: '"12 kg"', to: '12' },
  },
  'boolean-words': {
    level: 'lenient',
    meaning: '"yes", "no", "on", "off", "true", "false" in any case became a boolean.',
    loses: 'the word',
    never: 'any other word, `1` and `0`',
    example: { schema: { type: 'boolean' }, from: '"Yes"', to: 'true' },
  },
  'string-from-boolean': {
    level: 'lenient',
    meaning: 'A boolean where a string was expected became `true` or `false`.',
    loses: 'that it was no text, and its spelling',
    never: 'where the schema lists its values or also takes a boolean',
    example: { schema: { type: 'string' }, from: 'true', to: '"true"' },
  },
  'enum-separators': {
    level: 'lenient',
    meaning: 'The one allowed value that differs only in case, spaces, hyphens and underscores.',
    loses: 'the separators as they were written',
    never: 'where several allowed values differ from each other only so',
    example: { schema: { enum: ['big dog', 'cat'] }, from: '"big_dog"', to: '"big dog"' },
  },
  'enum-word': {
    level: 'lenient',
    meaning:
      'The one allowed value in a text that has nothing else but punctuation, the words of the property name and words such as "the", "level" and "category".',
    loses: 'the words around it',
    never: 'beside any other word, so that "not high" is no "high"',
    example: { schema: { enum: ['low', 'high'] }, from: '"high priority."', to: '"high"' },
  },
  'date-format': {
    level: 'lenient',
    meaning:
      'A day of `format: date` that can only be read in one way (year first, named month, a day above 12, or with a time behind it) was written as `YYYY-MM-DD`.',
    loses: 'the notation, and the time of day',
    never: '`05/03/2024`, which has two readings; a year of two digits; other formats',
    example: {
      schema: { type: 'string', format: 'date' },
      from: '"3 May 2024"',
      to: '"2024-05-03"',
    },
  },
  'null-from-text': {
    level: 'lenient',
    meaning: '"", "null", "none", "nil", "n/a" or "na" became null, where null is allowed.',
    loses: 'the word',
    never: 'where the schema also takes any string',
    example: { schema: { type: ['integer', 'null'] }, from: '"N/A"', to: 'null' },
  },
  'drop-empty': {
    level: 'lenient',
    meaning: 'An optional property with one of these words that takes neither null nor a string.',
    loses: 'the word',
    never: 'a required property',
    example: {
      schema: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'integer' } } },
      from: '{"a":"x","b":"N/A"}',
      to: '{"a":"x"}',
    },
  },
  'drop-unknown': {
    level: 'lenient',
    meaning: 'A property that the schema does not allow was dropped from an object.',
    loses: 'the property and its value',
    never:
      'if its name resembles a declared property that is absent or speaks of an error or a doubt, if it holds a declared property, or if no declared property is left',
    example: {
      schema: {
        type: 'object',
        properties: { a: { type: 'string' } },
        additionalProperties: false,
      },
      from: '{"a":"x","mood":1}',
      to: '{"a":"x"}',
    },
  },
  'first-element': {
    level: 'lenient',
    meaning: 'The element of a list of one, or the first of two texts, where no list is allowed.',
    loses: 'the second text',
    never: 'two numbers, which are a range; three elements or more; where elements differ in type',
    example: { schema: { type: 'string' }, from: '["Ada","Bob"]', to: '"Ada"' },
  },
  'list-from-value': {
    level: 'lenient',
    meaning: 'A single value where a list was expected became a list of one.',
    loses: 'nothing, if the list is not left unsplit',
    never:
      'a text with a comma, semicolon, slash, bar, line break or "and"; null; an element of a list; within a union',
    example: {
      schema: { type: 'array', items: { type: 'string' } },
      from: '"urgent"',
      to: '["urgent"]',
    },
  },
}
