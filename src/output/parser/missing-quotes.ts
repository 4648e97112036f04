import type { Configuration, Frame } from './configuration.ts'
import type { EditName } from './edit-name.ts'
import { costOf } from './edits.ts'
import { type JsonType, takes } from './guide.ts'
import { closesMore, phaseCost } from './quote-costs.ts'
import { partsAt, type Reach } from './reach.ts'
import { MAX_LOOK, type Source } from './source.ts'
import { endsCleanly, escapedQuotes, finished, isApostrophe } from './string-token.ts'

/** The text between two quotes, in which a closing quote may be missing. */
export interface Segment {
  readonly at: number
  readonly from: number
  readonly segmentFrom: number
  readonly end: number
  readonly cost: number
  readonly depth: 0 | 1
  readonly inner: number
}

/** Readings in which the closing quote is missing before the next quote. */
export function closedBefore(c: Configuration, s: Segment, reach: Reach): Configuration[] {
  const { source } = reach
  const base = costOf('close-quote') + s.cost + (s.depth > 0 ? 1 : 0) + (s.inner > 0 ? 0.5 : 0)
  if (c.cost + base > reach.limit) return []
  const points = new Set<number>()
  if (c.mode === 'key') keyPoint(s, source, points)
  else valuePoints(c, s, source, points)
  return [...points].flatMap((point) =>
    endsBefore(s, point, source).flatMap((end) => {
      const content = source.slice(s.from, end)
      const cost = base + phaseCost(content) + endingExtra(content)
      if (c.cost + cost > reach.limit) return []
      const name = closingName(c, content, reach)
      const range = { at: s.at, from: s.from, contentTo: end, to: point }
      return [finished(c, { ...range, name, cost, isChanged: true, torn: true }, source)]
    }),
  )
}

/**
 * The last string of the text lost its closing quote: a key before its colon and the rest of the object, or a
 * value before the lines of all closing brackets. Otherwise the text may be cut.
 */
export function closedAtEnd(c: Configuration, s: Segment, reach: Reach): Configuration[] {
  const { source } = reach
  const rest = source.text.slice(s.segmentFrom)
  if (s.inner > 0 || rest.length > MAX_LOOK) return []
  const length = c.mode === 'key' ? lastKeyIn(rest) : lastValueIn(rest, c.frame)
  const cost = costOf('close-quote')
  if (length <= 0 || c.cost + s.cost + cost > reach.limit) return []
  const to = s.from + length
  const range = { at: s.at, from: s.from, contentTo: to, to }
  const name = closingName(c, source.slice(s.from, to), reach)
  const found = { ...range, name, cost: s.cost + cost }
  return [finished(c, { ...found, isChanged: true, torn: true }, source)]
}

/** `approve: false}`: the length of the key. */
function lastKeyIn(rest: string): number {
  return LAST_KEY.exec(rest)?.[1]?.length ?? 0
}

const LAST_KEY =
  /^([^\s:,{}[\]"']{1,60})\s*:\s*(?:-?\d[\d.]*|true|false|null|True|False|None)\s*\}[\s}\]]{0,40}$/

/** The length of a value before the brackets that close all that is open, on lines of their own. */
function lastValueIn(rest: string, frame: Frame | undefined): number {
  const closers = LAST_CLOSERS.exec(rest)?.[0] ?? ''
  let open = frame
  for (const mark of closers.replace(/\s/g, '')) {
    if (open === undefined || open.kind !== (mark === '}' ? '{' : '[')) return 0
    open = open.up
  }
  const isWhole = open === undefined && frame?.up !== undefined && closers.trim().includes('\n')
  const length = rest.length - closers.length
  return isWhole && PLAIN_LINE.test(rest.slice(0, length)) ? length : 0
}

// One line without what could be a comment or another member.
const PLAIN_LINE = /^[^\n,#{}[\]]*[\p{L}\p{N}.!?)]$/u
const LAST_CLOSERS = /(?:\s{0,40}[}\]]){1,20}\s{0,40}$/

/** The ends of the content before a point: with the blanks before it, and without them. */
function endsBefore({ from }: Segment, point: number, source: Source): readonly number[] {
  const blanks = /\s*$/.exec(source.slice(Math.max(from, point - MAX_LOOK), point))?.[0] ?? ''
  return blanks === '' ? [point] : [point - blanks.length, point]
}

function closingName(c: Configuration, content: string, reach: Reach): EditName {
  if (content.trim() === '') return 'empty-string'
  const isOdd = c.mode === 'key' ? ENDS_IN_QUOTE.test(content) : mayBeOther(c, content, reach)
  return isOdd || hasOddEnd(content) ? 'odd-closing' : 'close-quote'
}

const ENDS_IN_QUOTE = /["'´`’”]\s*$/

/** Whether the content may be a value that is no string, before which a quote is one too many. */
function mayBeOther(c: Configuration, content: string, reach: Reach): boolean {
  const type = typeOf(content.slice(0, MAX_LOOK).trim())
  if (type === undefined) return false
  const parts = partsAt(c, reach)
  return parts === undefined || takes(parts, type) || !takes(parts, 'string')
}

function typeOf(word: string): JsonType | undefined {
  if (/^\{.*\}$/s.test(word)) return 'object'
  if (/^\[.*\]$/s.test(word)) return 'array'
  if (!isLiteral(word)) return undefined
  if (/^(?:true|false)$/i.test(word)) return 'boolean'
  return /^[-+.]?\d/.test(word) ? 'number' : 'null'
}

/** A string that ends in a quote was closed by it, and one that ends in a line break was closed before. */
function endingExtra(content: string): number {
  return (ENDS_IN_QUOTE.test(content) ? 1 : 0) + (/\n\s*$/.test(content) ? 1.5 : 0)
}

function hasOddEnd(content: string): boolean {
  const end = content.slice(-MAX_LOOK)
  // {"a"": 1}: the key has a quote too many.
  return (
    /^\s*[:,]/.test(content) || /[,:]\s*$/.test(end) || COMMENT_END.test(end) || closesMore(content)
  )
}

// What looks like a comment behind the string.
const COMMENT_END = /(?:\*\/|\s(?:#|\/\/)[^\n]*)\s*$/

function keyPoint({ segmentFrom, end }: Segment, source: Source, points: Set<number>): void {
  const text = source.slice(segmentFrom, Math.min(end, segmentFrom + MAX_LOOK))
  const colon = text.indexOf(':')
  if (colon > 0 && !/[\n,{}[\]]/.test(text.slice(0, colon))) points.add(segmentFrom + colon)
}

function valuePoints(
  c: Configuration,
  { segmentFrom, end }: Segment,
  source: Source,
  points: Set<number>,
): void {
  const tailFrom = Math.max(segmentFrom, end - MAX_LOOK)
  const tail = source.slice(tailFrom, end)
  const group = TAIL_GROUP.exec(tail)?.[0] ?? ''
  addMarks(group, tailFrom + tail.length - group.length, points)
  const head = source.slice(segmentFrom, Math.min(end, segmentFrom + MAX_LOOK))
  const inList = c.frame !== undefined && c.frame.kind !== '{'
  for (const pattern of inList ? [LIST_POINT, AFTER_LIST] : [OBJECT_POINT]) {
    for (const { 0: text, index } of head.matchAll(pattern)) {
      if (points.size < MAX_POINTS) addMarks(text, segmentFrom + index, points)
    }
  }
  const line = /\n\s*[}\]]/.exec(head)
  if (line !== null) points.add(segmentFrom + line.index)
}

const MAX_POINTS = 8
// Closing brackets, a comma and opening brackets, at the end of at most 300 characters.
const TAIL_GROUP = /[}\])\s]{0,20},?[\s[{(]{0,40}$/
const OBJECT_POINT = /[}\]\s]{0,20},\s{0,40}[A-Za-z_$][\w$]{0,60}\s{0,9}:/g
const LIST_POINT = /[}\]]{0,20},(?=\s{0,40}(?:-?\d|[{[]|(?:true|false|null|True|False|None)\b))/g

const AFTER_LIST = /[}\]][}\]\s]{0,20},\s{0,40}[A-Za-z_$][\w$]{0,60}\s{0,9}:/g

/** Before each closing bracket and comma of a group. */
function addMarks(group: string, at: number, points: Set<number>): void {
  for (let index = 0; index < group.length; index += 1) {
    const mark = group[index]
    if (mark === ',' || mark === '}' || mark === ']') points.add(at + index)
    if (mark === ',') return
  }
}

/** A string whose opening quote is missing: words up to a quote that ends cleanly. */
export function openedBefore(c: Configuration, reach: Reach): Configuration[] {
  const { source } = reach
  const isKey = c.mode === 'key'
  const text = source.slice(c.pos, c.pos + MAX_LOOK)
  const found: Configuration[] = []
  for (const mark of ['"', "'"]) {
    let index = text.indexOf(mark)
    while (mark === "'" && index > 0 && isApostrophe(source, c.pos + index)) {
      index = text.indexOf(mark, index + 1)
    }
    const content = text.slice(0, Math.max(index, 0))
    if (index < 0 || !endsCleanly(c, c.pos + index + 1, source)) continue
    if (isKey && /[,:{}[\]\n]/.test(content)) continue
    const name = nameFor(c, content, reach)
    const cost = costOf(name) + openingExtra(content)
    const end = c.pos + index
    const range = { at: c.pos, from: c.pos, contentTo: end, to: end + 1 }
    if (c.cost + cost > reach.limit) continue
    found.push(finished(c, { ...range, name, cost, isChanged: true, torn: true }, source))
  }
  return found
}

/** Words with a comma may be two values. */
function openingExtra(content: string): number {
  return content.includes(',') ? 0.3 : 0
}

// A literal in front of words is surely a value of its own.
const LITERAL_FIRST = /^(?:[-+.]?\d[\d.]*[\s,]|(?:true|false|null|True|False|None)\s*,)/

function nameFor(c: Configuration, content: string, { guide, source }: Reach): EditName {
  if (content === '') return 'empty-string'
  if (c.mode === 'value' && LITERAL_FIRST.test(content)) return 'odd-opening'
  if (
    isLiteral(content) ||
    closesMore(content) ||
    /^[{[(,:}\])"'`+“”‘’´]/.test(content) ||
    content.includes('\\')
  ) {
    return 'odd-opening'
  }
  // Several elements may have lost their quotes.
  if (c.frame?.kind === '[' && content.split(',').length > 2) return 'odd-opening'
  if (/\s$/.test(content)) return 'blank-end'
  // Inside and outside may have been taken for each other.
  if (c.mode === 'value' && (c.torn || isSplit(c) || endsInQuotation(c, source)))
    return 'odd-opening'
  if (c.mode !== 'key' || !/\s/.test(content) || c.frame === undefined) return 'open-quote'
  return guide.knows(c.frame, content) === 'declared' ? 'open-quote' : 'unknown-key'
}

/** `"x: y"`: whether the key before lost its closing quote, so that both may be one string. */
function isSplit({ edits, keyFrom }: Configuration): boolean {
  return edits?.name === 'close-quote' && edits.from === keyFrom - 1
}

/** Whether the string before opens an inner quotation that it does not close, or ends in an inch mark. */
function endsInQuotation(c: Configuration, source: Source): boolean {
  if (c.lastFrom < 0 || c.last !== 'double') return false
  if (c.frame?.kind === '[' && INCH.test(source.slice(Math.max(c.lastFrom, c.pos - 60), c.pos)))
    return true
  return escapedQuotes(source, c.lastFrom, c.pos) % 2 === 1
}

const INCH = /\d"\s*,\s*$/

function isLiteral(content: string): boolean {
  const word = content.trim()
  return (
    /^[-+.]?\d[\d.eE+_-]*$/.test(word) || /^(?:true|false|null|none|nan|undefined)$/i.test(word)
  )
}
