/**
 * The text being read, which may still grow. Every look at a place behind its present end is remembered, so
 * that a reading which was decided by that look can be taken back until more has come.
 */
export class Source {
  text = ''
  /** Whether nothing more will come. */
  ended = false
  /** Whether the end was looked at since this was last set to false. */
  touchedEnd = false
  #spaceFrom = -1
  #spaceTo = -1
  readonly #marks = new Map<string, { from: number; at: number }>()
  readonly #quotes = new Map<string, { from: number; at: number }>()

  /** The character at an index; `''` behind the end. */
  at(index: number): string {
    if (index < this.text.length) return this.text.charAt(index)
    this.touchedEnd = true
    return ''
  }

  slice(from: number, to: number): string {
    if (to > this.text.length) this.touchedEnd = true
    return this.text.slice(from, to)
  }

  /** A sticky pattern's match, which sees `MAX_LOOK` characters. */
  match(pattern: RegExp, at: number, max: number = MAX_LOOK): string {
    return pattern.exec(this.slice(at, at + max))?.[0] ?? ''
  }

  /** The index behind white space and invisible characters. */
  space(at: number): number {
    // Many readings look at the same stretch: it is scanned once.
    if (at >= this.#spaceFrom && at < this.#spaceTo) return this.#spaceTo
    let end = at
    while (isSpace(this.text.charCodeAt(end))) end += 1
    if (end >= this.text.length) this.touchedEnd = true
    if (end - at > LONG_SPACE) {
      this.#spaceFrom = at
      this.#spaceTo = end
    }
    return end
  }

  /** The next such character that no backslash escapes; -1 if there is none. */
  quote(mark: string, from: number): number {
    const known = this.#quotes.get(mark)
    if (known !== undefined && from >= known.from && (known.at < 0 || from <= known.at)) {
      if (known.at < 0) this.touchedEnd = true
      return known.at
    }
    let at = this.text.indexOf(mark, from)
    while (at >= 0 && this.isEscaped(at, from)) at = this.text.indexOf(mark, at + 1)
    if (at < 0) this.touchedEnd = true
    this.#quotes.set(mark, { from, at })
    return at
  }

  /** The next such text; -1 if there is none. */
  next(mark: string, from: number): number {
    const known = this.#marks.get(mark)
    let at = known?.at ?? -1
    if (known === undefined || from < known.from || (at >= 0 && from > at)) {
      at = this.text.indexOf(mark, from)
      this.#marks.set(mark, { from, at })
    }
    if (at < 0) this.touchedEnd = true
    return at
  }

  /** Whether an odd number of backslashes stands before an index, from `start` on. */
  isEscaped(at: number, start: number): boolean {
    let from = at
    const least = Math.max(start, at - MAX_BACKSLASHES)
    while (from > least && this.text.charCodeAt(from - 1) === BACKSLASH) from -= 1
    return (at - from) % 2 === 1
  }

  append(piece: string): void {
    this.text += piece
    for (const known of [this.#quotes, this.#marks]) {
      for (const [mark, { at }] of known) if (at < 0) known.delete(mark)
    }
    this.#spaceFrom = -1
    this.#spaceTo = -1
  }
}

/** How far patterns look. */
export const MAX_LOOK = 300
const LONG_SPACE = 64
const MAX_BACKSLASHES = 4_000
const BACKSLASH = 92

/** White space of Unicode, and invisible characters that editors and models insert. */
function isSpace(code: number): boolean {
  if (code <= 32) return code === 32 || (code >= 9 && code <= 13)
  if (code < 160) return false
  return code === 0xa0 || code === 0xfeff || (code >= 0x1680 && ODD_SPACE.has(code))
}

/** Whether JSON itself has this white space. */
export function isJsonSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 13 || code === 9
}

const ODD_SPACE: ReadonlySet<number> = new Set([
  ...[0x1680, 0x180e, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008],
  ...[0x2009, 0x200a, 0x200b, 0x200c, 0x200d, 0x2028, 0x2029, 0x202f, 0x205f, 0x2060, 0x3000],
])
