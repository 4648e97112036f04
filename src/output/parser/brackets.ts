import type { Configuration, Frame } from './configuration.ts'
import { type Guide, takes } from './guide.ts'
import { contentOf } from './reach.ts'
import type { Source } from './source.ts'

/** Whether a member follows an object: a brace that seems to be too many may have closed it too early. */
export function hasMemberBehindObject(text: string): boolean {
  return MEMBER_BEHIND.test(text)
}

// A member with its comma, or a key in quotes without one.
const MEMBER_BEHIND = /\}\s{0,100}(?:,\s{0,100}["'“`\p{L}_$]|["'“`][^"'“”`\n]{1,60}["'”`]\s{0,9}:)/u

/** Whether the container before the position holds an object behind which it goes on. */
export function mayHaveEndedEarly({ lastFrom, pos }: Configuration, source: Source): boolean {
  return pos - lastFrom > MAX_BEFORE || hasMemberBehindObject(source.slice(lastFrom, pos))
}

const MAX_BEFORE = 4_000

/**
 * `{"a":["x","b":1}`: whether the bracket of a list with one element may be one too many, since without it the
 * element is the member's value. A schema that takes lists only says that it is not.
 */
export function mayBeStray(c: Configuration, frame: Frame, source: Source, guide: Guide): boolean {
  if (frame.kind !== '[' || frame.up?.kind !== '{' || c.index !== 1) return false
  const parts = guide.at(frame.up, frame.index, contentOf(source, frame.keyFrom, frame.keyTo))
  return !takes(parts, 'array') || TYPES[c.last].some((type) => takes(parts, type))
}

const TYPES = {
  none: [],
  double: ['string'],
  other: ['string'],
  word: ['number', 'boolean', 'null'],
  container: ['array', 'object'],
} as const satisfies Readonly<Record<Configuration['last'], readonly unknown[]>>

/**
 * `[{"a":1, {"b":2}]`: whether the second brace may be one too many. Elements of a list are alike, so it opens
 * one if the key behind it, or any behind the first, stands before it too.
 */
export function mayGoOn(c: Configuration, frame: Frame, source: Source): boolean {
  const key = NEXT_KEY.exec(source.slice(c.pos + 1, c.pos + 1 + MAX_KEY))?.[1]
  if (key === undefined) return false
  const text = source.slice(Math.max(frame.at, c.pos - MAX_BEFORE), c.pos)
  const at = text.indexOf(key)
  return at < 0 || !/^["'”’`]?\s*[:=]/.test(text.slice(at + key.length, at + key.length + 20))
}

const MAX_KEY = 100
const NEXT_KEY = /^\s*["'“‘`]?([\p{L}\p{N}_$-][^"'”’`:={}[\],\n]{0,60}?)["'”’`]?\s*[:=]/u
