import type { FaultName } from '../../../bench/output/goals.ts'
import type { Random } from './random.ts'
import { randomLayout, type Style, type Token, write } from './writing.ts'

/** Another way to write the same value, as models do. Nothing, where it would be JSON, or mean more. */
export type WrittenStyle = (value: unknown, random: Random) => readonly Token[] | undefined

/** Styles of writing, over all of a text. */
export const STYLES = {
  'single quotes, apostrophes escaped': styled({ string: inSingleQuotes("\\'") }),
  'single quotes, apostrophes raw': styled({ string: inSingleQuotes("'") }, (value) =>
    someString(value, (content) => APOSTROPHE.test(content)),
  ),
  'Python repr': styled({ string: repr, word: inPython }),
  'Python literals': styled({ word: inPython }, (value) => some(value, isLiteral)),
  'smart quotes': styled(
    { string: (content) => `“${JSON.stringify(content).slice(1, -1)}”` },
    (value) => !someString(value, (content) => /[“”„]/.test(content)),
  ),
  'trailing commas': styled({ trailingComma: true }),
  comments: withComments,
  'bare keys': styled({ key: bareKey }, (value) => someKey(value, (key) => IDENTIFIER.test(key))),
  'raw line breaks': styled(
    { string: (content) => JSON.stringify(content).replace(ESCAPE, rawLineBreak) },
    (value) => someString(value, (content) => content.includes('\n')),
  ),
  'single backslashes': styled(
    { string: (content) => JSON.stringify(content).replaceAll('\\\\', '\\') },
    (value) =>
      someString(value, (content) => content.includes('\\')) &&
      !someString(value, (content) => ESCAPES_OTHERWISE.test(content)),
  ),
  fence: (value, random) =>
    around(value, random, random.pick(['```json\n', '```\n', 'Here it is:\n\n```json\n']), '\n```'),
  prose: (value, random) => around(value, random, random.pick(BEFORE), random.pick(AFTER)),
} satisfies Partial<Record<FaultName, WrittenStyle>>

const BEFORE = ['Here is the JSON you asked for:\n\n', 'Sure! ', 'The result: ', 'JSON:\n']
const AFTER = ['', '\n', '\n\nLet me know if you need anything else.', ' Hope this helps!']
const IDENTIFIER = /^[A-Za-z_]\w*$/
const ESCAPE = /\\./g
const APOSTROPHE = /\p{L}'\p{L}/u
/** A single backslash before one of these is an escape that JSON has, and so is one at the end. */
const ESCAPES_OTHERWISE = /\\(?:["\\/bfnrtu]|$)/

function styled(style: Style, fits: (value: unknown) => boolean = () => true): WrittenStyle {
  return (value, random) => (fits(value) ? write(value, randomLayout(random), style) : undefined)
}

/** An apostrophe that is not between letters is escaped in either way: raw, it could be the end. */
function inSingleQuotes(apostrophe: string): (content: string) => string {
  return (content) => {
    const body = JSON.stringify(content).slice(1, -1).replaceAll('\\"', '"')
    return `'${body.replace(/'/g, (_, at: number) => {
      const isWithinWord = APOSTROPHE.test(body.slice(Math.max(0, at - 1), at + 2))
      return isWithinWord ? apostrophe : "\\'"
    })}'`
  }
}

/** https://docs.python.org/3/library/functions.html#repr */
function repr(content: string): string {
  const quote = content.includes("'") && !content.includes('"') ? '"' : "'"
  const body = content
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t')
    .replaceAll(quote, `\\${quote}`)
  return quote + body + quote
}

function inPython(value: boolean | null): string {
  if (value === null) return 'None'
  return value ? 'True' : 'False'
}

function bareKey(key: string): string {
  return IDENTIFIER.test(key) ? key : JSON.stringify(key)
}

function rawLineBreak(escaped: string): string {
  return escaped === '\\n' ? '\n' : escaped
}

const REMARKS = [
  'the main one',
  'see the docs',
  'id of the user',
  "it's in metres",
  'as in the mail',
]

function withComments(value: unknown, random: Random): readonly Token[] {
  const tokens = write(value, 'indented')
  return tokens.map((token, index) => {
    if (index === 0 || !(index === 1 || random.chance(0.15))) return token
    const remark = random.pick(REMARKS)
    const comment = token.gap.startsWith('\n')
      ? random.pick([` // ${remark}`, ` # ${remark}`, ` /* ${remark} */`])
      : ` /* ${remark} */`
    return { ...token, gap: `${comment}${token.gap === '' ? ' ' : token.gap}` }
  })
}

function around(
  value: unknown,
  random: Random,
  before: string,
  after: string,
): readonly Token[] | undefined {
  const tokens = write(value, randomLayout(random))
  const first = tokens[0]
  if (first === undefined || before + after.trim() === '') return undefined
  const end: Token = { kind: 'word', gap: '', text: after, inside: 'root' }
  return [{ ...first, gap: before }, ...tokens.slice(1), end]
}

const isLiteral = (value: unknown) => typeof value === 'boolean' || value === null

function some(value: unknown, fits: (value: unknown) => boolean): boolean {
  if (typeof value !== 'object' || value === null) return fits(value)
  return Object.values(value).some((part) => some(part, fits))
}

function someString(value: unknown, fits: (content: string) => boolean): boolean {
  return some(value, (part) => typeof part === 'string' && fits(part)) || someKey(value, fits)
}

function someKey(value: unknown, fits: (key: string) => boolean): boolean {
  if (typeof value !== 'object' || value === null) return false
  const keys = Array.isArray(value) ? [] : Object.keys(value)
  return keys.some(fits) || Object.values(value).some((part) => someKey(part, fits))
}
