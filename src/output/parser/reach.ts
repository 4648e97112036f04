import type { Configuration } from './configuration.ts'
import type { Guide, Parts } from './guide.ts'
import type { Source } from './source.ts'

/** What the readers of tokens see, and how far they may go. */
export interface Reach {
  readonly source: Source
  readonly guide: Guide
  /** Whether all edits are tried; otherwise only those that have one reading. */
  readonly isSearching: boolean
  /** The highest price of a reading. */
  readonly limit: number
  /** Notes that a reading came to the end of the text inside the value. */
  cut(c: Configuration, cost: number, insideString: boolean): void
}

/** The key, or the string, that a range of the text holds. */
export function contentOf(source: Source, from: number, to: number): string {
  const raw = source.text.slice(from, to)
  if (!raw.includes('\\')) return raw
  try {
    return String(JSON.parse(`"${raw}"`))
  } catch {
    return raw
  }
}

/** What the schema says about the value at the position. */
export function partsAt(
  c: Configuration,
  { guide, source }: Pick<Reach, 'guide' | 'source'>,
): Parts {
  const key = c.frame?.kind === '{' ? contentOf(source, c.keyFrom, c.keyTo) : undefined
  return guide.at(c.frame, c.index, key)
}
