import { afterKey, afterScalar, type Configuration, edited, mix } from './configuration.ts'
import { costOf, type EditName } from './edits.ts'
import { closesMore, contentCost, endCost, phaseCost, type QuotePlace } from './quote-costs.ts'
import type { Reach } from './reach.ts'
import { MAX_LOOK, type Source } from './source.ts'

/** The closing quote for each opening one. */
export const CLOSERS: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '`': '`',
  '\u2018': '\u2019',
  '\u201c': '\u201d',
  '\u201d': '\u201d',
}

/** A string between two positions, and what it cost to find its ends. */
interface Found {
  /** Where the token and its content begin and end. */
  readonly at: number
  readonly from: number
  readonly contentTo: number
  readonly to: number
  readonly name: EditName
  readonly cost: number
  /** Whether it has to be rewritten although its quotes are JSON's. */
  readonly isChanged: boolean
  readonly torn?: boolean
}

/** All readings of the string, or the key, that begins with the quote at the position. */
export function stringsAt(c: Configuration, reach: Reach): Configuration[] {
  const { source } = reach
  const open = source.at(c.pos)
  const triple = tripleAt(c, open, reach)
  if (triple !== undefined && !reach.isSearching) return [triple]
  const found = reach.isSearching ? searched(c, open, reach) : plain(c, open, reach)
  return triple === undefined ? found : [triple, ...found]
}

/** The one reading of a string whose end leaves no doubt. */
function plain(c: Configuration, open: string, reach: Reach): Configuration[] {
  const { source } = reach
  const closer = CLOSERS[open] ?? open
  let end = source.quote(closer, c.pos + 1)
  while (end >= 0 && isApostrophe(source, end)) end = source.quote(closer, end + 1)
  if (end < 0) {
    // Other quotes may be closed by a quote of another kind.
    if (open === '"') reach.cut(c, 0, true)
    return []
  }
  if (open !== '"' && !endsCleanly(c, end + 1, source)) return []
  const name = open === '"' ? 'escape' : 'other-quotes'
  const range = { at: c.pos, from: c.pos + 1, contentTo: end, to: end + 1 }
  return [finished(c, { ...range, name, cost: costOf(name), isChanged: true }, source)]
}

function isApostrophe(source: Source, at: number): boolean {
  if (source.at(at) !== "'" && source.at(at) !== '\u2019') return false
  return /\p{L}/u.test(source.at(at - 1)) && /\p{L}/u.test(source.at(at + 1))
}

/** Whether what may follow this string does follow. */
export function endsCleanly(c: Configuration, at: number, source: Source): boolean {
  const next = source.at(source.space(at))
  if (c.mode === 'key') return next === ':' || next === '='
  if (c.frame === undefined) return next === ''
  return (
    next === ',' ||
    next === ';' ||
    next === (c.frame.kind === '{' ? '}' : c.frame.kind === '[' ? ']' : ')')
  )
}

/** Behind the string: as a key or as a value. */
function finished(c: Configuration, found: Found, source: Source): Configuration {
  const { at, from, contentTo, to, name, cost, isChanged, torn = false } = found
  const isKey = c.mode === 'key'
  const content: readonly [number, number] = [from, contentTo]
  const isJson = source.at(at) === '"' && to === contentTo + 1 && source.at(contentTo) === '"'
  const last = isJson ? 'double' : 'other'
  const next = isKey ? afterKey(c, content, to) : afterScalar(c, content, to, { last, torn })
  if (isJson && !isChanged) return { ...next, cost: next.cost + cost }
  const placed = isKey ? next : c
  const options = { cost, isString: true }
  const withEdit = edited(placed, name, [at, to], source.text.slice(from, contentTo), options)
  const { edits, vague } = withEdit
  return { ...next, edits, vague, cost: withEdit.cost }
}

/** Python's triple quotes: the first three behind which the value ends. */
function tripleAt(c: Configuration, open: string, reach: Reach): Configuration | undefined {
  const { source } = reach
  if (open !== '"' && open !== "'") return undefined
  if (c.mode === 'key' || source.slice(c.pos, c.pos + 3) !== open.repeat(3)) return undefined
  const from = c.pos + 3
  let end = source.text.indexOf(open.repeat(3), from)
  // Quotes at the end of the content: the last three are the closing ones.
  while (end >= 0 && source.at(end + 3) === open) end += 1
  if (end < 0) {
    source.touchedEnd = true
    return undefined
  }
  if (!endsCleanly(c, end + 3, source)) return undefined
  const content = source.text.slice(from, end)
  if (/^\s*[,:}\]]/.test(content.slice(0, 40))) return undefined
  // Unescaped quotes can also come in threes; then JSON's structure lies between them.
  if (hasMember(content) || content.includes(open.repeat(3))) return undefined
  const range = { at: c.pos, from, contentTo: end, to: end + 3 }
  const cost = costOf('triple-quotes')
  return finished(c, { ...range, name: 'triple-quotes', cost, isChanged: true }, source)
}

function hasMember(content: string): boolean {
  return /["']\s{0,9},\s{0,9}["'][^"'\n]{0,80}["']\s{0,9}:/.test(content.slice(0, 4_000))
}

/** All readings whose price is within reach. */
function searched(c: Configuration, open: string, reach: Reach): Configuration[] {
  const { source } = reach
  const closer = CLOSERS[open] ?? open
  const at = c.pos
  const isKey = c.mode === 'key'
  const found: Configuration[] = []
  let cost = open === '"' ? 0 : costOf('other-quotes')
  let depth: 0 | 1 = 0
  let inner = 0
  let from = at + 1
  for (let count = 0; count < MAX_QUOTES; count += 1) {
    const end = source.quote(closer, from)
    const content = { at, from: at + 1, segmentFrom: from }
    if (end >= 0) found.push(...closedBefore(c, { ...content, end, cost, depth, inner }, reach))
    const others = mixed(c, { at, open, end, cost, inner }, reach)
    found.push(...others)
    if (end < 0 && others.length === 0) reach.cut(c, cost, true)
    if (end < 0) break
    if (isKey && source.slice(from, Math.min(end, from + MAX_LOOK)).includes('\n')) break
    if (isKey && end - at > MAX_LOOK) break
    if (escapedQuotes(source, from, end) % 2 === 1) depth = depth === 0 ? 1 : 0
    const place = placeOf(c, { at, from, end, depth, inner, closer }, source)
    if (count === 0 || mayEnd(place)) {
      const isDoubtful = inner > 0 || c.torn
      const isOdd = isDoubtful && inner === 0 && escapedQuotes(source, from, end) % 2 === 1
      const phase = isDoubtful ? phaseCost(source.slice(at + 1, end)) : 0
      const price = cost + endCost(place) + phase + (isOdd ? 1.5 : 0)
      const name = inner > 0 ? 'inner-quote' : open === '"' ? 'escape' : 'other-quotes'
      const isChanged = open !== '"' || inner > 0 || needsEscapes(source, at + 1, end)
      const range = { at, from: at + 1, contentTo: end, to: end + 1 }
      found.push(finished(c, { ...range, name, cost: price, isChanged, torn: inner > 0 }, source))
    }
    const content2 = contentCost(place)
    cost += content2.cost
    depth = content2.depth
    if (c.cost + cost > reach.limit) break
    if (content2.cost > 0.05) inner += 1
    from = end + 1
  }
  return found.filter((one) => one.cost <= reach.limit)
}

const MAX_QUOTES = 60

export function needsEscapes(source: Source, from: number, to: number): boolean {
  return SPECIAL.test(source.text.slice(from, to))
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to be escaped.
const SPECIAL = /[\\\u0000-\u001f]/

function placeOf(
  c: Configuration,
  s: { at: number; from: number; end: number; depth: 0 | 1; inner: number; closer: string },
  source: Source,
): QuotePlace {
  const { at, from, end, depth, inner, closer } = s
  return {
    mark: closer,
    before: end === at + 1 ? '' : source.at(end - 1),
    behind: source.at(end + 1),
    rest: source.slice(end + 1, end + 61),
    segment: source.slice(Math.max(from, end - MAX_LOOK), end),
    opener:
      inner === 0
        ? ''
        : source
            .slice(Math.max(at + 1, from - 20), from - 1)
            .trimEnd()
            .slice(-1),
    start: inner === 1 && from === at + 2,
    depth,
    inner,
    inBraces: inner > 0 && opensMore(source.slice(Math.max(at + 1, end - MAX_LOOK), end)),
    isKey: c.mode === 'key',
    inList: c.mode === 'value' && c.frame !== undefined && c.frame.kind !== '{',
  }
}

function opensMore(content: string): boolean {
  return content.split('{').length > content.split('}').length
}

function mayEnd({ rest, isKey }: QuotePlace): boolean {
  if (isKey) return /^\s*(?:[:="'{[\d-]|$)/.test(rest)
  return /^(?:\s*[,:}\])+;"'`/#]|\s*\n|\s*$)/.test(rest)
}

interface Segment {
  readonly at: number
  readonly from: number
  readonly segmentFrom: number
  readonly end: number
  readonly cost: number
  readonly depth: 0 | 1
  readonly inner: number
}

/** Readings in which the closing quote is missing before the next quote. */
function closedBefore(c: Configuration, s: Segment, reach: Reach): Configuration[] {
  const { source } = reach
  const base = costOf('close-quote') + s.cost + (s.depth > 0 ? 1 : 0) + (s.inner > 0 ? 0.5 : 0)
  if (c.cost + base > reach.limit) return []
  const points = new Set<number>()
  if (c.mode === 'key') keyPoint(s, source, points)
  else valuePoints(c, s, source, points)
  const found: Configuration[] = []
  for (const point of points) {
    let contentTo = point
    while (contentTo > s.from && /\s/.test(source.at(contentTo - 1))) contentTo -= 1
    const ends = contentTo === point ? [point] : [contentTo, point]
    for (const end of ends) {
      const content = source.slice(s.from, end)
      const name =
        content.trim() === '' ? 'empty-string' : hasOddEnd(content) ? 'odd-closing' : 'close-quote'
      const cost = base + phaseCost(content) + endingExtra(content)
      const range = { at: s.at, from: s.from, contentTo: end, to: point }
      if (c.cost + cost > reach.limit) continue
      found.push(finished(c, { ...range, name, cost, isChanged: true, torn: true }, source))
    }
  }
  return found
}

/** A string that ends in a quote was closed by it, and one that ends in a line break was closed before. */
function endingExtra(content: string): number {
  return (/["'´`’”]\s*$/.test(content) ? 1 : 0) + (/\n\s*$/.test(content) ? 1.5 : 0)
}

function hasOddEnd(content: string): boolean {
  return /[,:]\s*$/.test(content.slice(-MAX_LOOK)) || closesMore(content)
}

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
  for (const { 0: text, index } of head.matchAll(inList ? LIST_POINT : OBJECT_POINT)) {
    addMarks(text, segmentFrom + index, points)
    if (points.size >= MAX_POINTS) break
  }
  if (inList) {
    for (const { 0: text, index } of head.matchAll(AFTER_LIST)) {
      addMarks(text, segmentFrom + index, points)
      if (points.size >= MAX_POINTS) break
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

/** `“x"`: the nearest other quote ends the string, and the value ends behind it. */
function mixed(
  c: Configuration,
  s: { at: number; open: string; end: number; cost: number; inner: number },
  reach: Reach,
): Configuration[] {
  const { source } = reach
  const others = MIXED[s.open]
  if (others === undefined || s.inner > 0) return []
  const text = source.slice(s.at + 1, s.at + 1 + MAX_LOOK)
  const index = text.search(others)
  if (index < 0 || (s.end >= 0 && s.at + 1 + index > s.end)) return []
  const end = s.at + 1 + index
  if (s.open === '"' && text.slice(0, index).includes('“')) return []
  if (!endsCleanly(c, end + 1, source)) return []
  const range = { at: s.at, from: s.at + 1, contentTo: end, to: end + 1 }
  const cost = costOf('mixed-quotes')
  return [finished(c, { ...range, name: 'mixed-quotes', cost, isChanged: true }, source)]
}

const MIXED: Readonly<Record<string, RegExp>> = {
  '`': /["'´]/,
  '\u2018': /["'`´]/,
  '\u201c': /["“]/,
  '\u201d': /["“]/,
  '"': /[”]/,
  "'": /[’´]/,
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
  if (c.mode === 'value' && (c.torn || endsInQuotation(c, source))) return 'odd-opening'
  if (c.mode !== 'key' || !/\s/.test(content) || c.frame === undefined) return 'open-quote'
  return guide.knows(c.frame, content) === 'declared' ? 'open-quote' : 'unknown-key'
}

/** The number of escaped quotes, which belong to inner quotations too. */
function escapedQuotes(source: Source, from: number, to: number): number {
  const text = source.slice(Math.max(from, to - 4 * MAX_LOOK), to)
  return text.includes('\\') ? (text.match(/\\["']/g)?.length ?? 0) : 0
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

/** `'a' 'b'`, which Python reads as one string, and `"a" + "b"`: the string before and the next one. */
export function joined(
  c: Configuration,
  at: number,
  name: 'adjacent-strings' | 'sum',
  reach: Reach,
): Configuration[] {
  const { source } = reach
  if (CLOSERS[source.at(at)] === undefined) return []
  const edits = edited(c, name, [c.pos, at], '')
  // A sum of strings leaves no doubt; strings side by side do.
  const torn = name === 'sum' ? c.torn : true
  const asValue = { ...edits, pos: at, mode: 'value' as const, index: c.index - 1, torn }
  return stringsAt(asValue, reach).map((next) => ({
    ...next,
    lastFrom: c.lastFrom,
    hash: mix(next.hash, 19),
  }))
}
