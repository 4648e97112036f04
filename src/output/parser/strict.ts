import { LIMITS } from './bounds.ts'
import { beginning, type Configuration, type Frame, type Mode, mix } from './configuration.ts'
import type { EditName } from './edit-name.ts'
import { costOf } from './edits.ts'
import type { Source } from './source.ts'

/** What came of one token: it was JSON; it was not; or the text ended before or inside it. */
export type StrictProgress = 'read' | 'stuck' | 'end'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * Reads JSON token by token, in place: nothing is allocated but a frame for each container. It keeps the
 * states before the last tokens, so that a search can go back to them.
 */
export class Strict {
  readonly #source: Source
  readonly #now: Mutable<Configuration>
  readonly #ring: Mutable<Configuration>[]
  #count = 0
  /** Up to where an unfinished string was scanned, so that growing text is scanned once. */
  #scanned = { from: -1, to: -1 }

  constructor(source: Source, start: number) {
    this.#source = source
    this.#now = beginning(start)
    this.#ring = Array.from({ length: LIMITS.lookBack }, () => beginning(start))
  }

  get pos(): number {
    return this.#now.pos
  }

  get mode(): Mode {
    return this.#now.mode
  }

  /** The present state. */
  state(): Configuration {
    return { ...this.#now }
  }

  /** The state some tokens ago, but not before the last commit. */
  before(): Configuration {
    const oldest = this.#count > LIMITS.lookBack ? this.#count % LIMITS.lookBack : 0
    return this.#count === 0 ? this.state() : { ...(this.#ring[oldest] ?? this.#now) }
  }

  /** Goes on from another state, which the way back includes. */
  take(next: Configuration): void {
    this.#remember()
    copy(next, this.#now)
  }

  /** Goes on from a state behind which nothing is doubted any more. */
  commit(next: Configuration): void {
    this.#count = 0
    copy(next, this.#now)
  }

  #remember(): void {
    const slot = this.#ring[this.#count % LIMITS.lookBack]
    if (slot !== undefined) copy(this.#now, slot)
    this.#count += 1
  }

  /** Reads one token, and the white space before it. */
  step(): StrictProgress {
    const { text } = this.#source
    const now = this.#now
    let at = now.pos
    let code = text.charCodeAt(at)
    while (code === 32 || code === 10 || code === 13 || code === 9) {
      at += 1
      code = text.charCodeAt(at)
    }
    if (at >= text.length) return 'end'
    switch (now.mode) {
      case 'value':
        return this.#value(at, code)
      case 'key':
        return this.#key(at, code)
      case 'colon':
        if (code !== COLON) return 'stuck'
        this.#remember()
        now.pos = at + 1
        now.mode = 'value'
        return 'read'
      case 'separator':
        return this.#separator(at, code)
      case 'end':
        return 'stuck'
    }
  }

  #value(at: number, code: number): StrictProgress {
    const now = this.#now
    if (code === QUOTE) {
      const end = this.#stringEnd(at)
      if (end < 0) return end === END ? 'end' : 'stuck'
      if (now.frame === undefined) return 'stuck'
      this.#remember()
      this.#afterScalar(at, end, 'double')
      return 'read'
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if ((now.frame?.depth ?? 0) >= LIMITS.depth) return 'stuck'
      this.#remember()
      this.#open(at, code === OPEN_BRACE ? '{' : '[')
      return 'read'
    }
    if (code === CLOSE_BRACKET && now.fresh && now.frame?.kind === '[') return this.#close(at)
    if (now.frame === undefined) return 'stuck'
    if (code === APOSTROPHE) {
      const quoted = this.#singleEnd(at)
      if (quoted < 0) return 'stuck'
      this.#remember()
      this.#edit('other-quotes', at, quoted, at + 1, quoted - 1)
      this.#afterScalar(at, quoted, 'other')
      return 'read'
    }
    const end = this.#wordEnd(at, code)
    if (end < 0) return end === END ? 'end' : 'stuck'
    this.#remember()
    this.#afterScalar(at, end, 'word')
    return 'read'
  }

  #key(at: number, code: number): StrictProgress {
    const now = this.#now
    if (code === CLOSE_BRACE && now.fresh) return this.#close(at)
    if (code !== QUOTE) return this.#dialectKey(at, code)
    const end = this.#stringEnd(at)
    if (end < 0) return end === END ? 'end' : 'stuck'
    this.#remember()
    this.#afterKey(at + 1, end - 1, end)
    return 'read'
  }

  /** A key in single quotes, or without quotes. */
  #dialectKey(at: number, code: number): StrictProgress {
    const isQuoted = code === APOSTROPHE
    const end = isQuoted ? this.#singleEnd(at) : this.#nameEnd(at, code)
    if (end < 0) return 'stuck'
    this.#remember()
    const from = isQuoted ? at + 1 : at
    const to = isQuoted ? end - 1 : end
    this.#afterKey(from, to, end)
    this.#edit(isQuoted ? 'other-quotes' : 'bare-key', at, end, from, to)
    return 'read'
  }

  #afterKey(from: number, to: number, end: number): void {
    const now = this.#now
    now.pos = end
    now.mode = 'colon'
    now.fresh = false
    now.comma = -1
    now.keyFrom = from
    now.keyTo = to
    now.keys += 1
  }

  /** Notes that the text between two positions is the string of a range in it. */
  #edit(name: EditName, at: number, end: number, from: number, to: number): void {
    const now = this.#now
    const inList = now.frame?.kind !== '{'
    now.cost += costOf(name)
    now.edits = {
      name,
      from: at,
      to: end,
      text: this.#source.text.slice(from, to),
      isString: true,
      before: now.edits,
      frame: now.frame,
      index: inList ? now.index : -1,
      keyFrom: inList ? -1 : now.keyFrom,
      keyTo: now.keyTo,
    }
  }

  /** The index behind a string in single quotes that leaves no doubt; otherwise `NOT_JSON`. */
  #singleEnd(at: number): number {
    const { text } = this.#source
    let end = at + 1
    for (let code = text.charCodeAt(end); code !== APOSTROPHE; code = text.charCodeAt(end)) {
      if (!(code >= 32) || code === BACKSLASH) return NOT_JSON
      end += 1
    }
    if (end === at + 1 && text.charCodeAt(end + 1) === APOSTROPHE) return NOT_JSON
    return isClear(this.#now, text, end + 1) ? end + 1 : NOT_JSON
  }

  /** The index behind a name of ASCII letters and digits before a colon; otherwise `NOT_JSON`. */
  #nameEnd(at: number, code: number): number {
    const { text } = this.#source
    if (!isLetterOrLine(code)) return NOT_JSON
    let end = at + 1
    while (isNamePart(text.charCodeAt(end))) end += 1
    return text.charCodeAt(end) === COLON ? end : NOT_JSON
  }

  #separator(at: number, code: number): StrictProgress {
    const now = this.#now
    const kind = now.frame?.kind
    if (code === COMMA && kind !== '(') {
      this.#remember()
      now.pos = at + 1
      now.mode = kind === '{' ? 'key' : 'value'
      now.comma = at
      return 'read'
    }
    const isMatch = code === CLOSE_BRACE ? kind === '{' : code === CLOSE_BRACKET && kind === '['
    return isMatch ? this.#close(at) : 'stuck'
  }

  #open(at: number, kind: '{' | '['): void {
    const now = this.#now
    const { frame, index, keyFrom, keyTo } = now
    const inner: Frame = {
      kind,
      up: frame,
      depth: (frame?.depth ?? 0) + 1,
      at,
      index,
      keyFrom,
      keyTo,
      shape: mix(frame?.shape ?? 1, kind === '{' ? 3 : 5),
    }
    now.pos = at + 1
    now.mode = kind === '{' ? 'key' : 'value'
    now.fresh = true
    now.comma = -1
    now.last = 'none'
    now.torn = false
    now.frame = inner
    now.index = 0
    now.keyFrom = -1
    now.keyTo = -1
  }

  #close(at: number): StrictProgress {
    const now = this.#now
    const { frame } = now
    if (frame === undefined) return 'stuck'
    this.#remember()
    now.pos = at + 1
    now.mode = frame.up === undefined ? 'end' : 'separator'
    now.fresh = false
    now.comma = -1
    now.last = 'container'
    now.lastFrom = frame.at
    now.torn = false
    now.frame = frame.up
    now.index = frame.index + 1
    now.keyFrom = frame.keyFrom
    now.keyTo = frame.keyTo
    return 'read'
  }

  #afterScalar(at: number, end: number, last: 'double' | 'other' | 'word'): void {
    const now = this.#now
    now.pos = end
    now.mode = 'separator'
    now.fresh = false
    now.comma = -1
    now.last = last
    now.lastFrom = at
    now.torn = false
    now.index += 1
  }

  /** The index behind a string; `NOT_JSON`, or `END` if the text ends in it. */
  #stringEnd(at: number): number {
    const { text } = this.#source
    // """: an empty string and a quote, or Python's triple quotes.
    if (text.charCodeAt(at + 1) === QUOTE) {
      const third = text.charCodeAt(at + 2)
      if (third === QUOTE) return NOT_JSON
      return Number.isNaN(third) && !this.#source.ended ? END : at + 2
    }
    const isKnown = this.#scanned.from === at
    for (let index = isKnown ? this.#scanned.to : at + 1; index < text.length; index += 1) {
      const code = text.charCodeAt(index)
      if (code === QUOTE) return index + 1
      if (code < 32) return NOT_JSON
      if (code !== BACKSLASH) continue
      const escaped = text.charCodeAt(index + 1)
      if (Number.isNaN(escaped)) break
      if (!SIMPLE.has(escaped) && !(escaped === LETTER_U && isHex(text, index + 2))) return NOT_JSON
      index += 1
    }
    // An escape may be incomplete at the end, so the last characters are looked at again.
    if (!isKnown || text.length > this.#scanned.to + MANY) this.#scanned = { from: at, to: at + 1 }
    return END
  }

  /** The index behind a number, or behind true, false and null. */
  #wordEnd(at: number, code: number): number {
    const { text } = this.#source
    let end = at
    while (isWordPart(text.charCodeAt(end))) end += 1
    if (end >= text.length) return END
    if (end === at || !isDelimiter(text.charCodeAt(end))) return NOT_JSON
    if (code >= 97) {
      const word = text.slice(at, end)
      return word === 'true' || word === 'false' || word === 'null' ? end : NOT_JSON
    }
    return isNumber(text, at, end) ? end : NOT_JSON
  }
}

const NOT_JSON = -1
const END = -2
const MANY = 4_096
const QUOTE = 34
const APOSTROPHE = 39
const COMMA = 44
const COLON = 58
const OPEN_BRACKET = 91
const BACKSLASH = 92
const CLOSE_BRACKET = 93
const LETTER_U = 117
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

// Behind a backslash: a quote, a backslash, a slash, n, r, t. LaTeX has commands such as \beta and \frac.
const SIMPLE: ReadonlySet<number> = new Set([34, 92, 47, 110, 114, 116])

function isHex(text: string, at: number): boolean {
  for (let index = at; index < at + 4; index += 1) {
    const code = text.charCodeAt(index) | 32
    const isDigit = code >= 48 && code <= 57
    if (!isDigit && !(code >= 97 && code <= 102)) return false
  }
  return true
}

/** Whether what ends a value, or a key, stands right behind it. */
function isClear(now: Configuration, text: string, at: number): boolean {
  let end = at
  while (text.charCodeAt(end) === 32 || text.charCodeAt(end) === 10) end += 1
  const code = text.charCodeAt(end)
  if (now.mode === 'key') return code === COLON
  return code === COMMA || code === (now.frame?.kind === '{' ? CLOSE_BRACE : CLOSE_BRACKET)
}

/** An ASCII letter, `_` or `$`. */
function isLetterOrLine(code: number): boolean {
  const isLetter = (code >= 97 && code <= 122) || (code >= 65 && code <= 90)
  return isLetter || code === 95 || code === 36
}

function isNamePart(code: number): boolean {
  return isLetterOrLine(code) || (code >= 48 && code <= 57)
}

/** A letter or a digit, or one of `+`, `-` and `.`. */
function isWordPart(code: number): boolean {
  if (code >= 97) return code <= 122
  if (code >= 65) return code <= 90
  return (code >= 48 && code <= 57) || code === 46 || code === 45 || code === 43
}

function isDelimiter(code: number): boolean {
  return (
    code === COMMA ||
    code === CLOSE_BRACE ||
    code === CLOSE_BRACKET ||
    code === 32 ||
    (code >= 9 && code <= 13)
  )
}

/** Whether a range is a number of JSON (RFC 8259, section 6). */
function isNumber(text: string, from: number, to: number): boolean {
  let at = text.charCodeAt(from) === 45 ? from + 1 : from
  const first = at
  at = digitsEnd(text, at)
  if (at === first || (text.charCodeAt(first) === 48 && at > first + 1)) return false
  if (text.charCodeAt(at) === 46) {
    const fraction = at + 1
    at = digitsEnd(text, fraction)
    if (at === fraction) return false
  }
  if ((text.charCodeAt(at) | 32) === 101) {
    const sign = text.charCodeAt(at + 1)
    const exponent = sign === 43 || sign === 45 ? at + 2 : at + 1
    at = digitsEnd(text, exponent)
    if (at === exponent) return false
  }
  return at === to
}

function digitsEnd(text: string, from: number): number {
  let at = from
  while (text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at += 1
  return at
}

function copy(from: Configuration, to: Mutable<Configuration>): void {
  to.pos = from.pos
  to.mode = from.mode
  to.fresh = from.fresh
  to.comma = from.comma
  to.last = from.last
  to.lastFrom = from.lastFrom
  to.torn = from.torn
  to.cost = from.cost
  to.mis = from.mis
  to.vague = from.vague
  to.brackets = from.brackets
  to.edits = from.edits
  to.frame = from.frame
  to.index = from.index
  to.keyFrom = from.keyFrom
  to.keyTo = from.keyTo
  to.keys = from.keys
  to.hash = from.hash
}
