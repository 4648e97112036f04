import { afterKey, afterScalar, type Configuration, edited } from './configuration.ts'
import type { EditName } from './edit-name.ts'
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
export interface Found {
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

/** Behind the string: as a key or as a value. */
export function finished(c: Configuration, found: Found, source: Source): Configuration {
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

/** A quote between two letters. */
export function isApostrophe(source: Source, at: number): boolean {
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

/** The number of escaped quotes, which belong to inner quotations too. */
export function escapedQuotes(source: Source, from: number, to: number): number {
  const text = source.slice(Math.max(from, to - 4 * MAX_LOOK), to)
  return text.includes('\\') ? (text.match(/\\["']/g)?.length ?? 0) : 0
}
