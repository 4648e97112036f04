import type { Configuration } from './configuration.ts'
import { costOf } from './edits.ts'
import { closedAtEnd, closedBefore } from './missing-quotes.ts'
import { contentCost, endCost, hasDoubledQuote, phaseCost, type QuotePlace } from './quote-costs.ts'
import type { Reach } from './reach.ts'
import { MAX_LOOK, type Source } from './source.ts'
import { CLOSERS, endsCleanly, escapedQuotes, finished } from './string-token.ts'

/** How far a string was read, quote by quote, and what that cost. */
interface Walk {
  readonly at: number
  readonly open: string
  readonly closer: string
  from: number
  cost: number
  depth: 0 | 1
  inner: number
}

/** All readings whose price is within reach. */
export function searched(c: Configuration, open: string, reach: Reach): Configuration[] {
  const cost = open === '"' ? 0 : costOf('other-quotes')
  const at = c.pos
  const closer = CLOSERS[open] ?? open
  const walk: Walk = { at, open, closer, from: at + 1, cost, depth: 0, inner: 0 }
  const found: Configuration[] = []
  for (let count = 0; count < MAX_QUOTES; count += 1) {
    const end = reach.source.quote(closer, walk.from)
    found.push(...endedElsewhere(c, walk, end, reach))
    if (end < 0 || (c.mode === 'key' && isTooLong(walk, end, reach.source))) break
    found.push(...pastQuote(c, walk, end, count === 0, reach))
    if (c.cost + walk.cost > reach.limit) break
  }
  return found.filter((one) => one.cost <= reach.limit)
}

/** Readings in which a quote is missing before the next one, or is of another kind. */
function endedElsewhere(c: Configuration, walk: Walk, end: number, reach: Reach): Configuration[] {
  const { at, from, cost, depth, inner } = walk
  const others = mixed(c, { ...walk, end }, reach)
  if (end < 0) {
    const last = closedAtEnd(
      c,
      { at, from: at + 1, segmentFrom: from, end, cost, depth, inner },
      reach,
    )
    // What stands behind a last string that lost its quote is hardly a part of it.
    if (others.length === 0) reach.cut(c, cost + last.length, true)
    return [...others, ...last]
  }
  const segment = { at, from: at + 1, segmentFrom: from, end, cost, depth, inner }
  return [...closedBefore(c, segment, reach), ...others]
}

/** A key has one line, and is short. */
function isTooLong({ at, from }: Walk, end: number, source: Source): boolean {
  return end - at > MAX_LOOK || source.slice(from, end).includes('\n')
}

/** The reading that ends at a quote, if it may; and on, behind the quote as content. */
function pastQuote(
  c: Configuration,
  walk: Walk,
  end: number,
  isFirst: boolean,
  { source }: Reach,
): Configuration[] {
  const isOdd = escapedQuotes(source, walk.from, end) % 2 === 1
  // An escaped quote may be the other half of one that is not.
  if (isOdd) walk.depth = walk.depth === 0 ? 1 : 0
  const place = placeOf(c, walk, end, source)
  const ended = isFirst || mayEnd(place) ? [endedAt(c, walk, place, end, isOdd, source)] : []
  const { cost, depth } = contentCost(place)
  walk.cost += cost
  walk.depth = depth
  if (cost > APOSTROPHE_COST) walk.inner += 1
  walk.from = end + 1
  return ended
}

const MAX_QUOTES = 60
const APOSTROPHE_COST = 0.05

function endedAt(
  c: Configuration,
  { at, open, cost, inner }: Walk,
  place: QuotePlace,
  end: number,
  isOdd: boolean,
  source: Source,
): Configuration {
  const isDoubtful = inner > 0 || c.torn
  const phase = isDoubtful ? phaseCost(source.slice(at + 1, end)) : 0
  const half = c.torn && inner === 0 && isOdd ? 1.5 : 0
  const price = cost + endCost(place) + phase + half
  const usual = open === '"' ? 'escape' : 'other-quotes'
  const isChanged = open !== '"' || inner > 0 || needsEscapes(source, at + 1, end)
  const range = { at, from: at + 1, contentTo: end, to: end + 1 }
  const isDoubled = open === '"' && inner > 0 && hasDoubledQuote(source.slice(at + 1, end), inner)
  const name = isDoubled ? 'doubled-quote' : inner > 0 ? 'inner-quote' : usual
  return finished(c, { ...range, name, cost: price, isChanged, torn: inner > 0 }, source)
}

function needsEscapes(source: Source, from: number, to: number): boolean {
  return SPECIAL.test(source.text.slice(from, to))
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to be escaped.
const SPECIAL = /[\\\u0000-\u001f]/

function placeOf(
  c: Configuration,
  { at, from, depth, inner, closer }: Walk,
  end: number,
  source: Source,
): QuotePlace {
  const before = inner === 0 ? '' : source.slice(Math.max(at + 1, from - 20), from - 1)
  return {
    mark: closer,
    before: end === at + 1 ? '' : source.at(end - 1),
    behind: source.at(end + 1),
    rest: source.slice(end + 1, end + 61),
    segment: source.slice(Math.max(from, end - MAX_LOOK), end),
    opener: before.trimEnd().slice(-1),
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
