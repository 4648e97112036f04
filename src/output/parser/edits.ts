import type { RepairRule } from '../repair-rules.ts'
import type { EditName } from './edit-name.ts'

/** One way in which a text can differ from JSON, and what becomes of it. */
export interface EditTraits {
  /** What the edit costs; the cheapest reading of a damaged stretch wins. Prices that depend on the place are its least. */
  readonly cost: number
  /** `everywhere`: it has one reading. `at an anomaly`: it is only compared with other readings. */
  readonly when: 'everywhere' | 'at an anomaly'
  /**
   * `taken`: the reading is used. `vague`: it competes, and the text is refused if it wins. `dead`: no reading
   * contains it.
   */
  readonly fate: 'taken' | 'vague' | 'dead'
  /** Whether the edit needs a schema that says what belongs in the place. */
  readonly schema: 'needed' | 'not needed'
  /** The rule it is listed under. */
  readonly rule: RepairRule
  /** A damaged text and the JSON that it is read as; `null` if it is refused. */
  readonly example: readonly [text: string, json: string | null]
  /** For the documentation. */
  readonly says: string
}

const everywhere = { when: 'everywhere', fate: 'taken', schema: 'not needed' } as const
const anomaly = { when: 'at an anomaly', fate: 'taken', schema: 'not needed' } as const
const guided = { when: 'at an anomaly', fate: 'taken', schema: 'needed' } as const
const vague = { when: 'at an anomaly', fate: 'vague', schema: 'not needed' } as const
const dead = { when: 'at an anomaly', fate: 'dead', schema: 'not needed' } as const

/**
 * All edits of the parser. The prices are found by experiment (`npm run score:output`, and random damage of
 * test/property); only their order and distances matter.
 */
export const EDITS: Readonly<Record<EditName, EditTraits>> = {
  'odd-space': {
    ...everywhere,
    cost: 0,
    rule: 'fix-syntax',
    example: ['[1,\u00a02]', '[1,2]'],
    says: 'white space that JSON does not know, and invisible characters between tokens',
  },
  comment: {
    ...everywhere,
    cost: 0.05,
    rule: 'fix-syntax',
    example: ['{"a":1 // one\n}', '{"a":1}'],
    says: 'a comment that does not say that something was left out',
  },
  'trailing-comma': {
    ...everywhere,
    cost: 0.05,
    rule: 'fix-syntax',
    example: ['[1,2,]', '[1,2]'],
    says: 'a comma before a closing bracket',
  },
  'leading-comma': {
    ...everywhere,
    cost: 0.3,
    rule: 'fix-syntax',
    example: ['{,"a":1}', '{"a":1}'],
    says: 'a comma before the first member of an object',
  },
  'python-literal': {
    ...everywhere,
    cost: 0.05,
    rule: 'fix-syntax',
    example: ['[True,None]', '[true,null]'],
    says: 'True, False and None',
  },
  'literal-case': {
    ...everywhere,
    cost: 0.3,
    rule: 'fix-syntax',
    example: ['[TRUE,Null]', '[true,null]'],
    says: 'true, false and null in capitals, where the schema accepts that type',
  },
  'bare-key': {
    ...everywhere,
    cost: 0.05,
    rule: 'fix-syntax',
    example: ['{a:1}', '{"a":1}'],
    says: 'a name without quotes before a colon',
  },
  escape: {
    ...everywhere,
    cost: 0.05,
    rule: 'fix-syntax',
    example: ['["a\tb"]', '["a\\tb"]'],
    says: 'line breaks and control characters in a string, and backslashes that escape nothing',
  },
  'other-quotes': {
    ...everywhere,
    cost: 0.05,
    rule: 'fix-syntax',
    example: ["{'a':“x”}", '{"a":"x"}'],
    says: 'single, curly and backward quotes around a string',
  },
  'triple-quotes': {
    ...everywhere,
    cost: 0.2,
    rule: 'fix-syntax',
    example: ['["""say "x" now"""]', '["say \\"x\\" now"]'],
    says: "Python's triple quotes",
  },
  'number-form': {
    ...everywhere,
    cost: 0.3,
    rule: 'fix-syntax',
    example: ['[.5,5.,+5]', '[0.5,5,5]'],
    says: 'a number without a digit before or behind its point, or with a plus',
  },
  'other-colon': {
    ...everywhere,
    cost: 0.3,
    rule: 'fix-syntax',
    example: ['{"a"=1,"b"=>2}', '{"a":1,"b":2}'],
    says: '= and => for a colon',
  },
  'other-comma': {
    ...everywhere,
    cost: 0.3,
    rule: 'fix-syntax',
    example: ['{"a":1;"b":2}', '{"a":1,"b":2}'],
    says: 'a semicolon for a comma',
  },
  sum: {
    ...everywhere,
    cost: 0.3,
    rule: 'fix-syntax',
    example: ['["a" + "b"]', '["ab"]'],
    says: 'strings that are added',
  },
  tuple: {
    ...anomaly,
    cost: 0.4,
    rule: 'fix-syntax',
    example: ['[(1,2)]', '[[1,2]]'],
    says: 'a Python tuple; a string alone in parentheses is that string',
  },
  'insert-comma': {
    ...anomaly,
    cost: 0.5,
    rule: 'fix-syntax',
    example: ['{"a":1 "b":2}', '{"a":1,"b":2}'],
    says: 'a comma that is missing',
  },
  'insert-colon': {
    ...anomaly,
    cost: 1,
    rule: 'fix-syntax',
    example: ['{"a" 1}', '{"a":1}'],
    says: 'a colon that is missing',
  },
  'doubled-colon': {
    ...anomaly,
    cost: 1,
    rule: 'fix-syntax',
    example: ['{"a"::1}', '{"a":1}'],
    says: 'a colon twice',
  },
  'close-quote': {
    ...anomaly,
    cost: 1,
    rule: 'guess-quotes',
    example: ['{"a":"x,"b":1}', '{"a":"x","b":1}'],
    says: 'a closing quote that is missing where the structure goes on',
  },
  'open-quote': {
    ...anomaly,
    cost: 1,
    rule: 'guess-quotes',
    example: ['{"a":x","b":1}', '{"a":"x","b":1}'],
    says: 'an opening quote that is missing',
  },
  'inner-quote': {
    ...anomaly,
    cost: 0.1,
    rule: 'guess-quotes',
    example: ['{"a":"the "b" one"}', '{"a":"the \\"b\\" one"}'],
    says: 'a quote in a string that is not escaped',
  },
  'mixed-quotes': {
    ...anomaly,
    cost: 0.8,
    rule: 'guess-quotes',
    example: ['{`a´:“x"}', '{"a":"x"}'],
    says: 'a string whose quotes are of two kinds',
  },
  'adjacent-strings': {
    ...vague,
    cost: 1,
    rule: 'fix-syntax',
    example: ["{'a':'x' 'y'}", null],
    says: 'strings one after the other, which Python reads as one',
  },
  'enum-word': {
    ...guided,
    cost: 0.3,
    rule: 'guess-quotes',
    example: ['{"kind":cat}', '{"kind":"cat"}'],
    says: 'a word without quotes that the schema lists',
  },
  'bare-string': {
    ...guided,
    cost: 1,
    rule: 'guess-quotes',
    example: ['{"name":Ada Lovelace}', '{"name":"Ada Lovelace"}'],
    says: 'words without quotes where the schema asks for a string',
  },
  'grouped-number': {
    ...guided,
    cost: 1,
    rule: 'guess-quotes',
    example: ['{"total":1,299.5}', '{"total":1299.5}'],
    says: 'a number with separators of thousands, which becomes a number at lenient only',
  },
  'bare-address': {
    ...anomaly,
    cost: 1.2,
    rule: 'guess-quotes',
    example: ['{"a":https://a.example/b}', '{"a":"https://a.example/b"}'],
    says: 'an address without quotes',
  },
  'insert-bracket': {
    ...anomaly,
    cost: 1.5,
    rule: 'fix-brackets',
    example: ['{"a":["x","y","b":["z"]}', '{"a":["x","y"],"b":["z"]}'],
    says: 'a closing bracket that is missing where the bracket around it is of the other kind',
  },
  'wrong-bracket': {
    ...anomaly,
    cost: 1.6,
    rule: 'fix-brackets',
    example: ['{"a":["x"},"b":["y"]}', '{"a":["x"],"b":["y"]}'],
    says: 'a closing bracket of the wrong kind',
  },
  'drop-brace': {
    ...anomaly,
    cost: 1.6,
    rule: 'fix-brackets',
    example: ['[{"a":1}},{"a":2}]', '[{"a":1},{"a":2}]'],
    says: 'a closing brace twice, in a list',
  },
  'stray-closers': {
    ...anomaly,
    cost: 1,
    rule: 'fix-brackets',
    example: ['{"a":1}}', '{"a":1}'],
    says: 'one or two closing brackets too many at the end',
  },
  'fence-for-bracket': {
    ...anomaly,
    cost: 1.5,
    rule: 'fix-brackets',
    example: ['```\n{"a":[1]\n```', '{"a":[1]}'],
    says: 'the last bracket, where the code fence closes instead',
  },
  'empty-string': {
    ...vague,
    cost: 1,
    rule: 'guess-quotes',
    example: ['{"a":","b":1}', null],
    says: 'a quote that would be a whole empty string',
  },
  'comma-in-quotes': {
    ...vague,
    cost: 1,
    rule: 'fix-syntax',
    example: ['["""x"]', null],
    says: 'a comma between two quotes that touch, behind a string that is empty or torn itself, and between a quote and a name',
  },
  'stray-word': {
    ...vague,
    cost: 1.2,
    rule: 'fix-syntax',
    example: ['{"a":"x" or "y"}', null],
    says: 'a word that belongs to nothing',
  },
  'doubled-token': {
    ...vague,
    cost: 0.9,
    rule: 'fix-syntax',
    example: ['["x" "x"]', null],
    says: 'the same value twice without a comma, which may be one value or two',
  },
  'stray-literal': {
    ...vague,
    cost: 1,
    rule: 'fix-syntax',
    example: ['[7 "x"]', null],
    says: 'a number or a literal beside something else in a list, with no comma between them',
  },
  'stray-opener': {
    ...vague,
    cost: 1.5,
    rule: 'fix-brackets',
    example: ['{"a":["x","b":1}', null],
    says: 'a closing bracket that is missing where the opening one may be too many',
  },
  'early-brace': {
    ...vague,
    cost: 1.6,
    rule: 'fix-brackets',
    example: ['[{"a":{"b":1},"c":2}}]', null],
    says: 'a closing brace twice, in a list, where an earlier one may be too many',
  },
  'comma-comment': {
    ...vague,
    cost: 0.05,
    rule: 'fix-syntax',
    example: ['[\n# tag,\n[]]', null],
    says: 'a comment in place of a value that ends in a comma, and may be a string without quotes',
  },
  'doubled-quote': {
    ...vague,
    cost: 0.1,
    rule: 'guess-quotes',
    example: ['{"a":"x y""}', null],
    says: 'a string that begins or ends with two quotes, one of which may be too many',
  },
  'lone-word': {
    ...vague,
    cost: 1,
    schema: 'needed',
    rule: 'guess-quotes',
    example: ['{"tags":[foo]}', null],
    says: 'one word alone in a list, which may be a remark in an empty one',
  },
  'unknown-key': {
    ...vague,
    cost: 1,
    rule: 'guess-quotes',
    example: ['{"a":1,b c":2}', null],
    says: 'a name with blanks that lost a quote, which the schema does not have',
  },
  'odd-opening': {
    ...vague,
    cost: 1,
    rule: 'guess-quotes',
    example: ['[1,}"]', null],
    says: 'a string that lost its opening quote and would begin with a bracket, or be a number or a literal',
  },
  'odd-closing': {
    ...vague,
    cost: 1,
    rule: 'guess-quotes',
    example: ['{"a":"x,,"b":1}', null],
    says: 'a string that lost its closing quote and would end in a comma or a colon, or be a value of another type',
  },
  'blank-end': {
    ...vague,
    cost: 1,
    rule: 'guess-quotes',
    example: ['{"a":x ","b":1}', null],
    says: 'words that lost their opening quote and end in a blank',
  },
  'left-out': {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    example: ['[1,,2]', null],
    says: 'a value, a key or an element that is left out',
  },
  ellipsis: {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    example: ['[1, 2, ...]', null],
    says: 'an ellipsis, or a comment that says that something was left out',
  },
  'key-alone': {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    example: ['{"a":1,"b"}', null],
    says: 'a key without a value',
  },
  'colon-in-list': {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    example: ['["a":1]', null],
    says: 'a colon in a list',
  },
  'torn-escape': {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    example: ['["\\u00e"]', null],
    says: 'an escape that lost a digit or its quote, and a backslash before a line break',
  },
  placeholder: {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the answer's own.
    example: ['{"a":`x ${y}`}', null],
    says: 'a template with a placeholder, and a sum with anything but strings',
  },
  'not-a-number': {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    example: ['[007, 0x1F, 1_000, NaN]', null],
    says: 'leading zeros, other bases, underscores, NaN and Infinity, undefined',
  },
  'side-by-side': {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    example: ['[12 500]', null],
    says: 'numbers or words side by side, which could be one or two',
  },
  'drop-bracket': {
    ...dead,
    cost: 3,
    rule: 'fix-brackets',
    example: ['{"a":[1]],"b":2}', null],
    says: 'a closing square bracket too many inside the text',
  },
  'alike-brackets': {
    ...dead,
    cost: 3,
    rule: 'fix-brackets',
    example: ['{"a":{"b":{"c":1},"d":2}}, "e":3}', null],
    says: 'a bracket missing between brackets of its own kind: members may belong to either',
  },
  'empty-tuple': {
    ...dead,
    cost: 3,
    rule: 'fix-syntax',
    example: ['{"a":()}', null],
    says: 'empty parentheses, and a number alone in parentheses',
  },
  'the-end': {
    ...dead,
    cost: 0,
    rule: 'fix-brackets',
    example: ['{"a":[1,2', null],
    says: 'the end of a text that was cut',
  },
}

/** What an edit costs at least. */
export function costOf(name: EditName): number {
  return EDITS[name].cost
}

/** Whether a reading with this edit competes, but is never used. */
export function isVague(name: EditName): boolean {
  return EDITS[name].fate !== 'taken'
}
