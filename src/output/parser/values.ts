import { LIMITS } from './bounds.ts'
import { afterScalar, type Configuration, closed, edited, opened } from './configuration.ts'
import type { EditName } from './edit-name.ts'
import { costOf } from './edits.ts'
import { asksForText, listedWord, takes } from './guide.ts'
import { openedBefore } from './missing-quotes.ts'
import { partsAt, type Reach } from './reach.ts'
import { MAX_LOOK } from './source.ts'
import { CLOSERS } from './string-token.ts'
import { stringsAt } from './strings.ts'

/** All readings of the value that begins at the position. */
export function valuesAt(c: Configuration, reach: Reach): Configuration[] {
  const { source } = reach
  const first = source.at(c.pos)
  if (CLOSERS[first] !== undefined)
    return stringsAt(c, reach).map((one) => typed(c, one, 'string', reach))
  if (first === '{' || first === '[') return containerAt(c, first, reach)
  if (first === '(') return reach.isSearching ? inParentheses(c, reach) : []
  if (first === ']' || first === ')') {
    return [...endOfList(c, first), ...(reach.isSearching ? openedBefore(c, reach) : [])]
  }
  const literal = literalAt(c, reach)
  if (!reach.isSearching) return literal
  return [...literal, ...bareText(c, literal.length > 0, reach), ...openedBefore(c, reach)]
}

function containerAt(c: Configuration, bracket: '{' | '[', reach: Reach): Configuration[] {
  if ((c.frame?.depth ?? 0) >= LIMITS.depth) return []
  const container = opened(c, bracket, c.pos + 1)
  if (!reach.isSearching) return [container]
  return [
    typed(c, container, bracket === '{' ? 'object' : 'array', reach),
    ...openedBefore(c, reach),
  ]
}

/** Adds the price of a type that the schema does not accept. */
function typed(
  c: Configuration,
  next: Configuration,
  type: 'string' | 'number' | 'boolean' | 'null' | 'array' | 'object',
  { guide, isSearching, source }: Reach,
): Configuration {
  if (!isSearching) return next
  const parts = partsAt(c, { guide, source })
  if (takes(parts, type)) return next
  // What is coerced without loss, or found to be wrong by the validator.
  const isClose = (type === 'string' || type === 'number') && !takes(parts, 'object')
  return { ...next, mis: next.mis + (isClose ? 0.05 : 1.5) }
}

function endOfList(c: Configuration, bracket: ']' | ')'): Configuration[] {
  const kind = bracket === ']' ? '[' : '('
  if (c.frame?.kind !== kind) return []
  // Empty parentheses are code, or nothing at all.
  if (c.fresh) return bracket === ']' ? [closed(c, c.pos + 1)] : []
  if (c.comma < 0) return []
  const trimmed = edited({ ...c, mode: 'separator' }, 'trailing-comma', [c.comma, c.comma + 1], '')
  const ended = bracket === ']' ? trimmed : edited(trimmed, 'tuple', [c.pos, c.pos + 1], ']', FREE)
  return [closed(ended, c.pos + 1)]
}

const FREE = { cost: 0 }

/** A tuple, or a string in parentheses. */
function inParentheses(c: Configuration, reach: Reach): Configuration[] {
  const { source } = reach
  const list = opened(edited(c, 'tuple', [c.pos, c.pos + 1], '['), '(', c.pos + 1)
  const start = source.space(c.pos + 1)
  if (CLOSERS[source.at(start)] === undefined) return [list]
  const inner = edited(c, 'tuple', [c.pos, start], '')
  const strings = stringsAt({ ...inner, pos: start }, reach).flatMap((one) => {
    const end = source.space(one.pos)
    if (source.at(end) !== ')') return []
    return [
      {
        ...edited(one, 'tuple', [one.pos, end + 1], '', FREE),
        pos: end + 1,
        last: 'other' as const,
      },
    ]
  })
  return [list, ...strings]
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.$+-])/
const LOOSE_NUMBER = /^([+-]?)(\d*)\.?(\d*)([eE][+-]?\d+)?(?![\w.$+-])/
const WORD = /^[\p{L}_$][\p{L}\p{N}_$]*/u

/** A number, or true, false and null in one of their spellings. */
function literalAt(c: Configuration, reach: Reach): Configuration[] {
  const { source } = reach
  const text = source.slice(c.pos, c.pos + MAX_LOOK)
  const number = NUMBER.exec(text)?.[0]
  if (number !== undefined) return [typed(c, wordOf(c, number.length), 'number', reach)]
  const loose = looseNumber(text)
  if (loose !== undefined) {
    const changed = edited(c, 'number-form', [c.pos, c.pos + loose.length], loose.json)
    return [typed(c, wordOf(changed, loose.length), 'number', reach)]
  }
  const found = WORD.exec(text)?.[0]
  if (found === undefined) return []
  if (found.length === text.length && c.frame !== undefined) {
    reach.cut(c, 0, false)
    return []
  }
  return keyword(c, found, reach)
}

function wordOf(c: Configuration, length: number): Configuration {
  const to = c.pos + length
  return afterScalar(c, [c.pos, to], to, { last: 'word' })
}

/** `.5`, `5.` and `+5`. */
function looseNumber(text: string): { readonly json: string; readonly length: number } | undefined {
  const match = LOOSE_NUMBER.exec(text)
  if (match === null) return undefined
  const [whole, sign = '', integer = '', fraction = '', power = ''] = match
  if (integer === '' && fraction === '') return undefined
  if (/^0\d/.test(integer)) return undefined
  const json = `${sign === '-' ? '-' : ''}${integer || '0'}${fraction === '' ? '' : `.${fraction}`}${power}`
  return { json, length: whole.length }
}

function keyword(c: Configuration, found: string, reach: Reach): Configuration[] {
  const json =
    found.toLowerCase() === 'none' ? (found === 'None' ? 'null' : '') : found.toLowerCase()
  const type = json === 'null' ? 'null' : 'boolean'
  if (json !== 'true' && json !== 'false' && json !== 'null') return []
  if (found === json) return [typed(c, wordOf(c, found.length), type, reach)]
  const isPython = found === 'True' || found === 'False' || found === 'None'
  if (!isPython && !takes(partsAt(c, reach), type)) return []
  const name = isPython ? 'python-literal' : 'literal-case'
  const changed = edited(c, name, [c.pos, c.pos + found.length], json)
  return [typed(c, wordOf(changed, found.length), type, reach)]
}

/** Words without quotes, where the schema or their form says that they are a string. */
function bareText(c: Configuration, isLiteral: boolean, reach: Reach): Configuration[] {
  const { source } = reach
  const text = source.slice(c.pos, c.pos + MAX_LOOK)
  const address = ADDRESS.exec(text)?.[0]
  if (address !== undefined) return bareAs(c, 'bare-address', address, address, reach)
  const parts = partsAt(c, reach)
  const grouped = c.frame?.kind === '{' ? GROUPED.exec(text)?.[0] : undefined
  if (grouped !== undefined && takes(parts, 'number') && !takes(parts, 'string')) {
    return bareAs(c, 'grouped-number', grouped, grouped, reach)
  }
  const content = bareContent(c, text)
  if (content === undefined) return []
  const listed = listedWord(parts, content)
  if (listed !== undefined && !isLiteral) return bareAs(c, 'enum-word', content, listed, reach)
  if (isLiteral || c.frame === undefined || !asksForText(parts) || !readsAsText(content)) return []
  const isLone = c.fresh && /^\s*\]/.test(text.slice(content.length))
  return bareAs(c, isLone ? 'lone-word' : 'bare-string', content, content, reach)
}

// 1,234,567.89 as the value of a property: no list can stand there.
const GROUPED = /^-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?=\s*(?:\}|,\s*["'\p{L}_$]))/u

const ADDRESS = /^https?:\/\/[^\s"'`<>,{}[\]]+/i

function bareAs(
  c: Configuration,
  name: EditName,
  content: string,
  json: string,
  reach: Reach,
): Configuration[] {
  const to = c.pos + content.length
  const cost = name === 'bare-address' && asksForText(partsAt(c, reach)) ? 1 : costOf(name)
  const changed = edited(c, name, [c.pos, to], json, { cost, isString: true })
  // Behind words without quotes in a list, the next may have lost theirs too.
  const torn = name === 'bare-string' && c.frame?.kind === '['
  return [afterScalar(changed, [c.pos, to], to, { last: 'word', torn })]
}

/** Up to what ends the value: a comma or a bracket in a list; a bracket, or a comma and a key, in an object. */
function bareContent(c: Configuration, text: string): string | undefined {
  if (c.frame === undefined && text.length >= MAX_LOOK) return undefined
  const end = c.frame === undefined ? ROOT_END : c.frame.kind === '{' ? MEMBER_END : ITEM_END
  const found = end.exec(text)
  const content = text.slice(0, found?.index ?? 0)
  return content === '' ? undefined : content.trimEnd()
}

const ROOT_END = /\s*$/
const MEMBER_END =
  /\s*(?:\}|,\s*(?:\}|["'][^"'\n]{1,60}["']\s*:|[\p{L}_$][\p{L}\p{N}_$-]{0,60}\s*:))/u
const ITEM_END = /\s*[,\])]/

const TEXT = /^[\p{L}\p{N}_](?:[\p{L}\p{N}\s_!?-]|(?<=\p{L})'(?=\p{L}))*$/u
const DOTTED = /^\d+(?:[.-]\d+){2,}$/
const NO_TEXT =
  /(?:^|\s)(?:true|false|null|none|nan|nil|inf|infinity|undefined|etc|todo|sic|tbd|n\/a|or|and|if|else|not|more)(?:$|\s)/i

/** Whether words are no code, no remark and nothing that could be a literal with a typing error. */
function readsAsText(content: string): boolean {
  if (DOTTED.test(content)) return true
  if (!TEXT.test(content) || /^[\d\s_-]+$/.test(content) || NO_TEXT.test(content)) return false
  if (/^(?:true|false|null|none)+$/i.test(content)) return false
  return !LITERALS.some((literal) => isNear(content.toLowerCase(), literal))
}

const LITERALS = ['true', 'false', 'null', 'none']

/** Whether at most one letter was left out, added or changed. */
function isNear(word: string, literal: string): boolean {
  if (Math.abs(word.length - literal.length) > 1) return false
  let start = 0
  while (start < word.length && word[start] === literal[start]) start += 1
  let end = 0
  const least = Math.min(word.length, literal.length) - start
  while (end < least && word.at(-1 - end) === literal.at(-1 - end)) end += 1
  return Math.max(word.length, literal.length) - start - end <= 1
}
