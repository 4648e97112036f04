import { type Configuration, edited } from './configuration.ts'
import type { EditName } from './edit-name.ts'
import { costOf } from './edits.ts'
import { colonsAt, keysAt, separatorsAt } from './members.ts'
import type { Reach } from './reach.ts'
import { isJsonSpace, MAX_LOOK, type Source } from './source.ts'
import { valuesAt } from './values.ts'

/** All readings of the next token, the white space before it included. */
export function successors(c: Configuration, reach: Reach): readonly Configuration[] {
  const { source } = reach
  const at = source.space(c.pos)
  const start = { ...spaced(c, at, source), pos: at }
  const first = source.at(at)
  if (first === '') {
    reach.cut(c, 0, false)
    return []
  }
  if (first === '/' || first === '#') {
    const commented = commentAt(start, reach)
    if (commented !== undefined) return commented
  }
  // A line break that was escaped although it stands between tokens.
  if (first === '\\' && !c.fresh && /[nrt]/.test(source.at(at + 1))) {
    return [{ ...edited(start, 'odd-space', [at, at + 2], ' '), pos: at + 2 }]
  }
  switch (c.mode) {
    case 'value':
      return valuesAt(start, reach)
    case 'key':
      return keysAt(start, reach)
    case 'colon':
      return colonsAt(start, reach)
    case 'separator':
      return separatorsAt(start, reach, c.pos)
    case 'end':
      return sumAt(start, first, c.pos, reach)
  }
}

/** A sum of strings that is a whole text. */
function sumAt(c: Configuration, first: string, from: number, reach: Reach): Configuration[] {
  if (first !== '+' || (c.last !== 'double' && c.last !== 'other')) return []
  return separatorsAt({ ...c, mode: 'separator' }, reach, from)
}

/** White space that JSON does not know becomes a blank. */
function spaced(c: Configuration, to: number, source: Source): Configuration {
  for (let at = c.pos; at < to; at += 1) {
    if (!isJsonSpace(source.text.charCodeAt(at))) return edited(c, 'odd-space', [c.pos, to], ' ')
  }
  return c
}

/** Behind a comment; undefined if none begins here, and nothing if it ends the reading. */
function commentAt(c: Configuration, reach: Reach): readonly Configuration[] | undefined {
  const { source } = reach
  const isBlock = source.slice(c.pos, c.pos + 2) === '/*'
  const isLine = source.at(c.pos) === '#' || source.slice(c.pos, c.pos + 2) === '//'
  if (!isBlock && !isLine) {
    if (source.at(c.pos + 1) === '') reach.cut(c, 0, false)
    return undefined
  }
  const end = source.next(isBlock ? '*/' : '\n', c.pos + 2)
  if (end < 0) {
    // A line comment at the end of the text: what follows is missing in any case.
    reach.cut(c, 0, false)
    return []
  }
  const to = isBlock ? end + 2 : end
  const text = source.text.slice(c.pos, Math.min(to, c.pos + MAX_COMMENT_LOOK))
  if (OMISSION.test(text)) return []
  const { name, cost } = commentEdit(c, text, isBlock, source)
  if (!reach.isSearching && (cost === DOUBTFUL || name !== 'comment')) return []
  return [{ ...edited(c, name, [c.pos, to], isBlock ? ' ' : '', { cost }), pos: to }]
}

/** Signs of comments also stand in strings that lost their quotes. */
function commentEdit(c: Configuration, text: string, isBlock: boolean, source: Source) {
  const isTouched = source.at(c.pos - 1) === '"'
  const isTorn = (text.match(/"/g)?.length ?? 0) % 2 === 1
  const isElement =
    !isBlock &&
    ((c.mode === 'value' && (ELEMENT.test(text) || TORN_ELEMENT.test(text))) ||
      (isTouched && isTorn))
  const name: EditName = isElement ? 'comma-comment' : 'comment'
  return { name, cost: isTouched || isTorn ? DOUBTFUL : costOf(name) }
}

const DOUBTFUL = 1
// What was taken out of a list by a comment has quotes, brackets or digits.
const TORN_ELEMENT = /^[^"]*"\s*,?\s*$/
const ELEMENT = /^[^"'`[\]{}()\d]*,\s*$/
const MAX_COMMENT_LOOK = 4 * MAX_LOOK
const OMISSION = /\.\.\.|…|\b(?:omitted|remaining|rest|more|etc|continues?|truncated|similar)\b/i
