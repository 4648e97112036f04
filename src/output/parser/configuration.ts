import type { EditName } from './edit-name.ts'
import { costOf, isVague } from './edits.ts'

/** What may stand at the position: a value, a key, a colon, what separates two members; or nothing more. */
export type Mode = 'value' | 'key' | 'colon' | 'separator' | 'end'

/** An open bracket. Frames are never changed, so that readings share them. */
export interface Frame {
  readonly kind: '{' | '[' | '('
  readonly up: Frame | undefined
  readonly depth: number
  /** Where the bracket stands. */
  readonly at: number
  /** Its place in the frame above: the index in a list, and the range of its key in an object. */
  readonly index: number
  readonly keyFrom: number
  readonly keyTo: number
  /** A hash of the kinds of all open brackets. */
  readonly shape: number
}

/** A change to the text between two positions. */
export interface Edit {
  readonly name: EditName
  readonly from: number
  readonly to: number
  /** What stands there instead; for a string, its content, not yet escaped. */
  readonly text: string
  readonly isString: boolean
  readonly before: Edit | undefined
  /** The member that it is about. */
  readonly frame: Frame | undefined
  readonly index: number
  readonly keyFrom: number
  readonly keyTo: number
}

/** One reading of the text up to a position. */
export interface Configuration {
  readonly pos: number
  readonly mode: Mode
  /** Whether a bracket was just opened. */
  readonly fresh: boolean
  /** Where the comma is that came just before; -1 if there was none. */
  readonly comma: number
  /** What the value before is, and where it begins. */
  readonly last: 'none' | 'double' | 'other' | 'word' | 'container'
  readonly lastFrom: number
  /** Whether the quotes of a string before, in the same container and stretch, are doubtful. */
  readonly torn: boolean
  readonly cost: number
  /** The price of what the schema does not accept. */
  readonly mis: number
  readonly vague: boolean
  /** The kind of bracket edit that was made. */
  readonly brackets: EditName | ''
  readonly edits: Edit | undefined
  readonly frame: Frame | undefined
  /** The number of members so far, and the range of the last key. */
  readonly index: number
  readonly keyFrom: number
  readonly keyTo: number
  /** How many keys were read. */
  readonly keys: number
  /** A hash of all tokens that were read in this stretch. */
  readonly hash: number
}

/** A reading that has read nothing yet. */
export function beginning(pos: number): Configuration {
  return {
    pos,
    mode: 'value',
    fresh: false,
    comma: -1,
    last: 'none',
    lastFrom: -1,
    torn: false,
    cost: 0,
    mis: 0,
    vague: false,
    brackets: '',
    edits: undefined,
    frame: undefined,
    index: 0,
    keyFrom: -1,
    keyTo: -1,
    keys: 0,
    hash: 0,
  }
}

export function mix(hash: number, value: number): number {
  return Math.imul(hash ^ value, 0x01000193) ^ (hash >>> 15)
}

const KIND = { '{': 3, '[': 5, '(': 7 } as const

/** Replaces a range of the text. */
export function edited(
  c: Configuration,
  name: EditName,
  range: readonly [from: number, to: number],
  text: string,
  { cost = costOf(name), isString = false }: { cost?: number; isString?: boolean } = {},
): Configuration {
  const { frame, index, keyFrom, keyTo } = placeOf(c)
  const [from, to] = range
  const edits = { name, from, to, text, isString, before: c.edits, frame, index, keyFrom, keyTo }
  return { ...c, edits, cost: c.cost + cost, vague: c.vague || isVague(name) }
}

/** The member that is being read; between two members, only the container. */
function placeOf({ frame, mode, index, keyFrom, keyTo }: Configuration) {
  if (frame === undefined || frame.kind !== '{') {
    return { frame, index: mode === 'value' ? index : -1, keyFrom: -1, keyTo: -1 }
  }
  const inMember = mode === 'colon' || mode === 'value'
  return { frame, index: -1, keyFrom: inMember ? keyFrom : -1, keyTo }
}

/** Opens a bracket. */
export function opened(c: Configuration, kind: Frame['kind'], to: number): Configuration {
  const { frame, index, keyFrom, keyTo } = c
  const inner: Frame = {
    kind,
    up: frame,
    depth: (frame?.depth ?? 0) + 1,
    at: c.pos,
    index,
    keyFrom,
    keyTo,
    shape: mix(frame?.shape ?? 1, KIND[kind]),
  }
  return {
    ...c,
    pos: to,
    mode: kind === '{' ? 'key' : 'value',
    fresh: true,
    comma: -1,
    last: 'none',
    torn: false,
    frame: inner,
    index: 0,
    keyFrom: -1,
    keyTo: -1,
    hash: mix(c.hash, KIND[kind]),
  }
}

/** Closes the innermost bracket. */
export function closed(c: Configuration, to: number): Configuration {
  const { frame } = c
  if (frame === undefined) return c
  return {
    ...c,
    pos: to,
    mode: frame.up === undefined ? 'end' : 'separator',
    fresh: false,
    comma: -1,
    last: 'container',
    lastFrom: frame.at,
    torn: false,
    frame: frame.up,
    index: frame.index + 1,
    keyFrom: frame.keyFrom,
    keyTo: frame.keyTo,
    hash: mix(c.hash, 11),
  }
}

/** Behind a value that is no container, whose content is a range of the text. */
export function afterScalar(
  c: Configuration,
  [from, contentTo]: readonly [from: number, to: number],
  to: number,
  { last, torn = false }: { last: 'double' | 'other' | 'word'; torn?: boolean },
): Configuration {
  return {
    ...c,
    pos: to,
    mode: c.frame === undefined ? 'end' : 'separator',
    fresh: false,
    comma: -1,
    last,
    lastFrom: c.pos,
    torn: torn || c.torn,
    index: c.index + 1,
    hash: mix(mix(mix(c.hash, from), contentTo), 13),
  }
}

/** Behind a key whose content is a range of the text. */
export function afterKey(
  c: Configuration,
  content: readonly [from: number, to: number],
  to: number,
): Configuration {
  return {
    ...c,
    pos: to,
    mode: 'colon',
    fresh: false,
    comma: -1,
    keyFrom: content[0],
    keyTo: content[1],
    keys: c.keys + 1,
    hash: mix(mix(mix(c.hash, content[0]), content[1]), 17),
  }
}

/** Behind a comma, whether it is in the text or not. */
export function afterComma(c: Configuration, at: number, to: number): Configuration {
  const mode = c.frame?.kind === '{' ? 'key' : 'value'
  return { ...c, pos: to, mode, comma: at, fresh: false }
}

/** Behind a colon, whether it is in the text or not. */
export function afterColon(c: Configuration, to: number): Configuration {
  return { ...c, pos: to, mode: 'value', fresh: false, comma: -1 }
}
