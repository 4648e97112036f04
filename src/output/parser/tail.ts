import { hasMemberBehindObject } from './brackets.ts'
import { type Configuration, edited, type Frame } from './configuration.ts'
import { costOf } from './edits.ts'
import { takes } from './guide.ts'
import { behindComments } from './members.ts'
import type { Reach } from './reach.ts'
import { MAX_LOOK, type Source } from './source.ts'

/** What stands behind a value that seems to be complete. */
export interface Tail {
  readonly configuration: Configuration
  readonly cost: number
  readonly end: number
}

/** Where the value ends; undefined if the text behind it, or before it, shows that it does not. */
export function tailOf(c: Configuration, start: number, reach: Reach): Tail | undefined {
  const { source } = reach
  if (isMemberOfSomething(source, start)) return undefined
  if (c.last === 'word' || c.last === 'double' || c.last === 'other') return rootScalar(c, source)
  // {"a":"x"}"}: the string contains a quote and a bracket, and did not end where it seemed to.
  const behind = source.at(c.pos)
  if (behind !== '' && QUOTES.includes(behind) && !QUOTES.includes(source.at(start - 1) || ' ')) {
    return undefined
  }
  if (c.brackets !== '' && opensBefore(source, start)) return undefined
  const rest = source.slice(c.pos, c.pos + MAX_LOOK)
  if (goesOn(rest) || (c.brackets !== '' && /^\s*[{["'“]/.test(rest))) return undefined
  const closers = CLOSERS.exec(rest)?.[0] ?? ''
  if (closers === '') return { configuration: c, cost: 0, end: c.pos }
  return strayClosers(c, closers, start, reach)
}

const QUOTES = '"\'\u2019\u201d'

/** A value without brackets is the whole text. */
function rootScalar(c: Configuration, source: Source): Tail | undefined {
  const end = behindComments(source, c.pos)
  return source.at(end) === '' ? { configuration: c, cost: 0, end } : undefined
}

const BEFORE = /(?:["'\]}\d]\s*,|["']\s*:)\s*["'`]?\s*$|(?:\d|(?:true|false|null))$/

/** `"a": {…}`: what stands before the value belongs to a container that lost its bracket. */
function isMemberOfSomething(source: Source, start: number): boolean {
  return BEFORE.test(source.text.slice(Math.max(0, start - 60), start))
}

/** Whether another member follows. */
function goesOn(text: string): boolean {
  const rest = text.replace(COMMENT, ' ')
  if (/^\s*,\s*(?:[}\]]|$)/.test(rest)) return true
  return /^\s*,\s*(?:["'“{[]|-?\d|(?:true|false|null|True|False|None)\b|[\w$]{1,60}["']?\s*[:[{])/.test(
    rest,
  )
}

const COMMENT = /\/\/[^\n]*|#[^\n]*|\/\*[^*]*\*\//g
const CLOSERS = /^(?!\s*\]\]>)(?:\s*[}\])]){1,8}/

const ROOT_LIST: Frame = {
  kind: '[',
  up: undefined,
  depth: 1,
  at: 0,
  index: 0,
  keyFrom: -1,
  keyTo: -1,
  shape: 0,
}

/** One or two closing brackets too many. */
function strayClosers(
  c: Configuration,
  closers: string,
  start: number,
  { source, guide }: Reach,
): Tail | undefined {
  const marks = closers.replace(/\s/g, '')
  const isList = source.text.charCodeAt(c.lastFrom) === 91
  if (marks.startsWith(')')) return { configuration: c, cost: 0, end: c.pos }
  if (marks.length > 2) return undefined
  // A list in a list may have lost its opening bracket, unless the schema has no place for one.
  const mayBeInner = takes(guide.at({ ...ROOT_LIST }, 0, undefined), 'array')
  if (isList && marks.includes(']') && mayBeInner) return undefined
  // What looks like too many may close what was opened before, or lost its opening bracket.
  if (opensBefore(source, start)) return undefined
  const other = isList ? ('object' as const) : ('array' as const)
  const mayHaveOpened = takes(guide.at(undefined, 0, undefined), other)
  if (marks.includes(isList ? '}' : ']') && mayHaveOpened) return undefined
  if (marks.includes('}') && hasMemberBehindObject(source.text.slice(start, c.pos)))
    return undefined
  const end = c.pos + closers.length
  const behind = source.slice(end, end + 60)
  if (/^\s*[,:"]/.test(behind)) return undefined
  const configuration = edited(c, 'stray-closers', [c.pos, end], '')
  return { configuration, cost: marks.length * costOf('stray-closers'), end }
}

function opensBefore(source: Source, start: number): boolean {
  return OPENING.test(source.text.slice(Math.max(0, start - MAX_BEFORE), start))
}

const OPENING = /[{[]/
const MAX_BEFORE = 4_000
