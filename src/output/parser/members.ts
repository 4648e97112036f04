import { mayBeStray, mayGoOn, mayHaveEndedEarly } from './brackets.ts'
import {
  afterColon,
  afterComma,
  afterKey,
  type Configuration,
  closed,
  edited,
  type Frame,
} from './configuration.ts'
import type { EditName } from './edit-name.ts'
import { costOf } from './edits.ts'
import { takes } from './guide.ts'
import { openedBefore } from './missing-quotes.ts'
import { phaseCost } from './quote-costs.ts'
import { contentOf, type Reach } from './reach.ts'
import { MAX_LOOK, type Source } from './source.ts'
import { CLOSERS } from './string-token.ts'
import { joined, stringsAt } from './strings.ts'

const BARE_KEY = /^(?:[\p{L}_$][\p{L}\p{N}_$-]*|\d{1,15}(?=\s*:))(?=\s*(?::|=))/u
const PART_OF_KEY = /^[\p{L}\p{N}_$-]*$/u

/** All readings of the key that begins at the position. */
export function keysAt(c: Configuration, reach: Reach): Configuration[] {
  const { source } = reach
  const first = source.at(c.pos)
  if (CLOSERS[first] !== undefined) return stringsAt(c, reach).map((one) => named(c, one, reach))
  if (first === '}') return endOfObject(c)
  if (first === ',') {
    if (!c.fresh) return []
    const next = edited(c, 'leading-comma', [c.pos, c.pos + 1], '')
    return [{ ...next, pos: c.pos + 1, fresh: false }]
  }
  if (first === '{' || first === '[') return reach.isSearching ? closedBeforeComma(c, source) : []
  const text = source.slice(c.pos, c.pos + MAX_LOOK)
  const name = BARE_KEY.exec(text)?.[0]
  const found: Configuration[] = []
  if (name !== undefined && !(c.last === 'word' && /^\d/.test(name))) {
    const to = c.pos + name.length
    const key = afterKey(c, [c.pos, to], to)
    const changed = edited(key, 'bare-key', [c.pos, to], name, { isString: true })
    found.push(named(c, changed, reach))
  } else if (PART_OF_KEY.test(text)) reach.cut(c, 0, false)
  if (!reach.isSearching) return found
  return [...found, ...openedBefore(c, reach).map((one) => named(c, one, reach))]
}

/** Adds the price of a key that the schema does not have. */
function named(
  c: Configuration,
  next: Configuration,
  { guide, source, isSearching }: Reach,
): Configuration {
  if (!isSearching || c.frame === undefined) return next
  const known = guide.knows(c.frame, contentOf(source, next.keyFrom, next.keyTo))
  if (known === 'declared') return next
  return { ...next, mis: next.mis + (known === 'closed' ? 1 : 0.3) }
}

function endOfObject(c: Configuration): Configuration[] {
  if (c.frame?.kind !== '{') return []
  if (c.fresh) return [closed(c, c.pos + 1)]
  if (c.comma < 0) return []
  return [closed(edited(c, 'trailing-comma', [c.comma, c.comma + 1], ''), c.pos + 1)]
}

/** `[{"a":1, {"b":2}]`: a container where a key is due, in a list. */
function closedBeforeComma(c: Configuration, source: Source): Configuration[] {
  const { frame, comma, edits } = c
  if (comma < 0 || frame?.kind !== '{' || (edits?.to ?? 0) > comma) return []
  if (!mayClose(c, frame, source)) return []
  const isVague = source.at(c.pos) === '{' && mayGoOn(c, frame, source)
  const next = insertedBracket(c, comma, '}', isVague)
  return [afterComma(closed(next, c.pos), comma, c.pos)]
}

/** Whether a missing closing bracket can only be here: members may not belong to two containers. */
function mayClose(c: Configuration, frame: Frame, source: Source): boolean {
  const { up } = frame
  // Its last member may have lost the bracket, or the bracket that opens one of them is doubled.
  if (c.last === 'container' && source.at(c.lastFrom) === frame.kind) return false
  if (c.brackets !== '' && c.brackets !== 'insert-bracket') return false
  return up !== undefined && up.kind !== frame.kind && c.index > 0
}

function bracketEdit(
  c: Configuration,
  name: EditName,
  range: readonly [number, number],
  text: string,
): Configuration {
  return { ...edited(c, name, range, text), brackets: name }
}

/** Closes a container; the reading is not used if the bracket that opens it may be one too many. */
function insertedBracket(
  c: Configuration,
  at: number,
  bracket: '}' | ']',
  isVague: boolean,
): Configuration {
  const name = isVague ? 'stray-opener' : 'insert-bracket'
  return { ...edited(c, name, [at, at], bracket), brackets: 'insert-bracket' }
}

/** What stands between a key and its value. */
export function colonsAt(c: Configuration, reach: Reach): Configuration[] {
  const { source } = reach
  const first = source.at(c.pos)
  if (first === ':') {
    const second = source.space(c.pos + 1)
    if (!reach.isSearching || source.at(second) !== ':') return [afterColon(c, c.pos + 1)]
    return [afterColon(edited(c, 'doubled-colon', [c.pos, second], ''), second + 1)]
  }
  if (first === '=') {
    const to = c.pos + (source.at(c.pos + 1) === '>' ? 2 : 1)
    return [afterColon(edited(c, 'other-colon', [c.pos, to], ':'), to)]
  }
  if (!reach.isSearching || !/["'`“‘[{(\d-]/.test(first)) {
    const literal = source.slice(c.pos, c.pos + 6)
    if (!reach.isSearching || !/^(?:true|false|null|True|False|None)\b/.test(literal)) return []
  }
  const token = source.slice(c.keyFrom - 1, c.keyTo + 1)
  const isDoubled =
    CLOSERS[first] !== undefined && source.slice(c.pos, c.pos + token.length) === token
  const name = isDoubled ? 'doubled-token' : 'insert-colon'
  return [afterColon(edited(c, name, [c.pos, c.pos], ':'), c.pos)]
}

/** What follows a value: a comma or the end of its container. */
export function separatorsAt(c: Configuration, reach: Reach, from: number): Configuration[] {
  const { source } = reach
  const { frame } = c
  const first = source.at(c.pos)
  if (first === '+' && (c.last === 'double' || c.last === 'other')) {
    return joined({ ...c, pos: from }, behindComments(source, c.pos + 1), 'sum', reach)
  }
  if (frame === undefined) return []
  if (first === ',') {
    const next = afterComma(c, c.pos, c.pos + 1)
    return reach.isSearching ? [next, ...closedAtComma(c, reach)] : [next]
  }
  if (first === ';' && frame.kind !== '(') {
    return [afterComma(edited(c, 'other-comma', [c.pos, c.pos + 1], ','), c.pos, c.pos + 1)]
  }
  if (first === '}' || first === ']' || first === ')') return closersAt(c, first, reach)
  if (!reach.isSearching) return []
  return [
    ...commaBefore(c, reach, from),
    ...adjacent(c, reach, from),
    ...fenceAt(c, source),
    ...strayWord(c, source),
    ...doubledToken(c, source, from),
  ]
}

/** The index behind white space and short comments. */
export function behindComments(source: Source, from: number): number {
  let at = source.space(from)
  for (let count = 0; count < MAX_COMMENTS; count += 1) {
    const comment = COMMENT.exec(source.slice(at, at + MAX_LOOK))?.[0]
    if (comment === undefined) return at
    at = source.space(at + comment.length)
  }
  return at
}

const MAX_COMMENTS = 4
const COMMENT = /^(?:\/\*[^*]*\*\/|\/\/[^\n]*|#[^\n]*)/

const OPENER = { '}': '{', ']': '[', ')': '(' } as const

function closersAt(c: Configuration, bracket: '}' | ']' | ')', reach: Reach): Configuration[] {
  const { frame } = c
  const { source } = reach
  if (frame === undefined) return []
  const to = c.pos + 1
  if (frame.kind === OPENER[bracket]) {
    if (frame.kind !== '(') return [closed(c, to)]
    // A number or a container alone in parentheses is an expression.
    return c.index > 1 ? [closed(edited(c, 'tuple', [c.pos, to], ']', { cost: 0 }), to)] : []
  }
  if (!reach.isSearching || bracket === ')' || frame.kind === '(') return []
  return [
    ...wrongBracket(c, frame, to),
    ...missingBracket(c, frame, bracket, reach),
    ...doubledBrace(c, frame, bracket, source),
  ]
}

/** A bracket of the wrong kind; behind a container at the very end of a list, one of that container may be missing. */
function wrongBracket(c: Configuration, frame: Frame, to: number): Configuration[] {
  if (
    c.brackets !== '' ||
    (frame.kind === '[' && frame.up === undefined && c.last === 'container')
  ) {
    return []
  }
  const next = bracketEdit(c, 'wrong-bracket', [c.pos, to], frame.kind === '{' ? '}' : ']')
  return [closed(next, to)]
}

/** The innermost bracket is missing: this one closes the container around it. */
function missingBracket(
  c: Configuration,
  frame: Frame,
  bracket: '}' | ']',
  { source, guide }: Reach,
): Configuration[] {
  const { up } = frame
  if (up?.kind !== OPENER[bracket] || !mayClose(c, frame, source)) return []
  // At the very end an element may be missing too.
  if (up.up === undefined && frame.kind === '[') return []
  const isVague = mayBeStray(c, frame, source, guide)
  const next = insertedBracket(c, c.pos, frame.kind === '{' ? '}' : ']', isVague)
  return [closed(closed(next, c.pos), c.pos + 1)]
}

function doubledBrace(
  c: Configuration,
  frame: Frame,
  bracket: '}' | ']',
  source: Source,
): Configuration[] {
  if (bracket !== '}' || frame.kind !== '[' || c.last !== 'container') return []
  if (c.brackets !== '' && c.brackets !== 'drop-brace') return []
  const to = c.pos + 1
  const name = mayHaveEndedEarly(c, source) ? 'early-brace' : 'drop-brace'
  return [{ ...edited(c, name, [c.pos, to], ''), brackets: 'drop-brace', pos: to }]
}

/** `{"a": ["x", "b": 1}`: the next token turns out to be a key. */
function closedAtComma(c: Configuration, { source, guide }: Reach): Configuration[] {
  const { frame } = c
  if (frame?.kind !== '[' || !mayClose(c, frame, source)) return []
  if (!NEXT_KEY.test(source.slice(c.pos, c.pos + MAX_LOOK))) return []
  const next = insertedBracket(c, c.pos, ']', mayBeStray(c, frame, source, guide))
  return [afterComma(closed(next, c.pos), c.pos, c.pos + 1)]
}

const NEXT_KEY = /^,\s*(?:"[^"\\\n]{0,80}"|'[^'\\\n]{0,80}'|[\p{L}_$][\p{L}\p{N}_$-]{0,80})\s*[:=]/u

/** A comma is missing before the next token. */
function commaBefore(c: Configuration, reach: Reach, from: number): Configuration[] {
  const { frame } = c
  const { source } = reach
  if (frame === undefined || from < 0) return []
  const first = source.at(c.pos)
  const text = source.slice(c.pos, c.pos + 80)
  const isLine = source.slice(from, c.pos).includes('\n')
  const isQuote = CLOSERS[first] !== undefined
  const isBracket = first === '{' || first === '['
  const isString = c.last === 'double' || c.last === 'other'
  const isWord = frame.kind === '{' ? BARE_KEY.test(text) : LITERAL.test(text)
  if (!isQuote && !isBracket && !(isWord && (isString || isLine || frame.kind === '{'))) return []
  if (isBracket && (frame.kind === '{' || (c.last === 'word' && c.pos === from))) return []
  const isCheap = isLine || (c.last === 'container' && isBracket)
  const touches = isQuote && isString && c.pos === from
  const isContent = c.pos === from && (isString || isQuote) && isInString(c, frame.kind, source)
  const isStray = frame.kind !== '{' && mayBeWord(c, isLine, reach)
  const name = isContent ? 'comma-in-quotes' : isStray ? 'stray-literal' : 'insert-comma'
  const phase = touches ? phaseCost(source.slice(c.lastFrom + 1, from - 1)) : 0
  const cost = (isCheap ? costOf('insert-comma') : 1) + phase
  const next = edited(c, name, [from, from], ',', { cost })
  return [{ ...afterComma(next, -1, c.pos), torn: c.torn || touches }]
}

/** Whether a quote before or behind the place may be content. */
function isInString(c: Configuration, kind: Frame['kind'], source: Source): boolean {
  const isQuote = CLOSERS[source.at(c.pos)] !== undefined
  // [48" x"]: the quote may be an inch mark.
  if (c.last === 'word') return isQuote && kind !== '{'
  // {"a":""b: c"}
  return isQuote ? isDoubtful(c, source) : kind === '{'
}

/**
 * `[7 "x"]`: elements of a list are alike, so a number or a literal before something else, or one that the schema
 * does not take, may be a stray word.
 */
function mayBeWord(c: Configuration, isLine: boolean, reach: Reach): boolean {
  const { source } = reach
  const text = source.slice(c.pos, c.pos + 8)
  const isLiteral = LITERAL.test(text)
  const isBehind = c.last === 'word'
  if (isBehind === isLiteral) return false
  if (isBehind && !isLine) return true
  const first = isBehind ? source.at(c.lastFrom) : text.charAt(0)
  const index = isBehind ? c.index - 1 : c.index
  const type = /[nN]/.test(first) ? 'null' : /[tTfF]/.test(first) ? 'boolean' : 'number'
  return !takes(reach.guide.at(c.frame, index, undefined), type)
}

const LITERAL = /^(?:-?\d|(?:true|false|null|True|False|None)\b)/

/** Whether the string before is empty, ends in structure or had another quote. */
function isDoubtful(c: Configuration, source: Source): boolean {
  if (c.last !== 'double' && c.last !== 'other') return false
  const content = source.slice(Math.max(c.lastFrom + 1, c.pos - 20), c.pos - 1)
  const isMixed = source.at(c.lastFrom) !== source.at(c.pos)
  return c.torn || isMixed || content.trim() === '' || /[,:]\s*$/.test(content)
}

function adjacent(c: Configuration, reach: Reach, from: number): Configuration[] {
  const { source } = reach
  if (c.last !== 'other' || source.at(c.pos) !== "'" || source.at(c.lastFrom) !== "'") return []
  if (c.pos === from) return []
  return joined({ ...c, pos: from }, c.pos, 'adjacent-strings', reach)
}

/** The code fence closes before the last bracket. */
function fenceAt(c: Configuration, source: Source): Configuration[] {
  const { frame } = c
  if (frame === undefined || frame.up !== undefined || c.brackets !== '') return []
  if (!/^(?:```|~~~)/.test(source.slice(c.pos, c.pos + 3)) || frame.kind === '(') return []
  // A member of its own kind may have lost the bracket.
  if (c.last === 'container' && source.at(c.lastFrom) === frame.kind) return []
  const next = bracketEdit(c, 'fence-for-bracket', [c.pos, c.pos], frame.kind === '{' ? '}' : ']')
  return [closed(next, c.pos)]
}

/** Words between a value and what follows it: the reading competes, and is never used. */
function strayWord(c: Configuration, source: Source): Configuration[] {
  const word = STRAY.exec(source.slice(c.pos, c.pos + 80))?.[0]
  if (word === undefined) return []
  const to = c.pos + word.length
  return [{ ...edited(c, 'stray-word', [c.pos, to], ''), pos: to }]
}

/** The token before once more: the reading competes, and is never used. */
function doubledToken(c: Configuration, source: Source, from: number): Configuration[] {
  const length = from - c.lastFrom
  if (c.last === 'container' || c.lastFrom < 0 || length > MAX_LOOK) return []
  const token = source.slice(c.lastFrom, from)
  if (source.slice(c.pos, c.pos + length) !== token) return []
  const to = c.pos + length
  return [{ ...edited(c, 'doubled-token', [from, to], ''), pos: to }]
}

const STRAY = /^[\p{L}_][\p{L}\p{N}_.-]*/u
