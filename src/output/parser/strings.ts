import { type Configuration, edited, mix } from './configuration.ts'
import { costOf } from './edits.ts'
import type { Reach } from './reach.ts'
import { searched } from './string-search.ts'
import { CLOSERS, endsCleanly, finished, isApostrophe } from './string-token.ts'

/** All readings of the string, or the key, that begins with the quote at the position. */
export function stringsAt(c: Configuration, reach: Reach): Configuration[] {
  const { source } = reach
  const open = source.at(c.pos)
  // A code fence.
  if (open === '`' && source.slice(c.pos, c.pos + 3) === '```') return []
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
  for (let count = 0; end >= 0 && isApostrophe(source, end); count += 1) {
    if (count === MAX_APOSTROPHES) return []
    end = source.quote(closer, end + 1)
  }
  if (end < 0) {
    // Other quotes may be closed by a quote of another kind.
    if (open === '"') reach.cut(c, 0, true)
    return []
  }
  // A key has one line.
  const line = c.mode === 'key' ? source.next('\n', c.pos) : -1
  if (line >= 0 && line < end) return []
  if (open !== '"' && !endsCleanly(c, end + 1, source)) return []
  const name = open === '"' ? 'escape' : 'other-quotes'
  const range = { at: c.pos, from: c.pos + 1, contentTo: end, to: end + 1 }
  return [finished(c, { ...range, name, cost: costOf(name), isChanged: true }, source)]
}

const MAX_APOSTROPHES = 1_000

/** Python's triple quotes: the first three behind which the value ends. */
function tripleAt(c: Configuration, open: string, reach: Reach): Configuration | undefined {
  const { source } = reach
  if (open !== '"' && open !== "'") return undefined
  if (c.mode === 'key' || source.slice(c.pos, c.pos + 3) !== open.repeat(3)) return undefined
  const from = c.pos + 3
  // A row of quotes is no string, but for the six of an empty one.
  if (source.slice(from, from + 4) === open.repeat(4)) return undefined
  let end = source.next(open.repeat(3), from)
  // Quotes at the end of the content: the last three are the closing ones.
  for (let more = 0; more < 3 && end >= 0 && source.at(end + 3) === open; more += 1) end += 1
  if (end < 0) return undefined
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
