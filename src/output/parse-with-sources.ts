import { matchAt } from './escapes.ts'
import { isRounded, LargeNumber, mayOverflow, mayRound, own } from './json-value.ts'
import { atOnce, type Resting, Work } from './work.ts'

/** A parsed text, and the original notation of its numbers. */
export interface ParsedJson {
  readonly value: unknown
  /** The original text, if the whole value is a number. */
  readonly source: string | undefined
  readonly sources: NumberSources
}

/** For a number that was made of something else. No number is written so. */
const NOT_WRITTEN = ''

/** The original notation of the numbers in parsed objects. */
export class NumberSources {
  /** Whether one of them would have been rounded. */
  hasLarge = false
  readonly #written = new WeakMap<object, Map<string, string>>()

  /** The number at `holder[key]` as written; undefined if that is not a number. */
  of(holder: object, key: string): string | undefined {
    const value = own(holder, key)
    if (value instanceof LargeNumber) return value.source
    if (typeof value !== 'number') return undefined
    const written = this.#written.get(holder)?.get(key)
    return written === NOT_WRITTEN ? undefined : (written ?? String(value))
  }

  /** Copies the notations to a copy of an object. Numbers of the copy alone were not written so. */
  carry(from: object, to: object): void {
    const known = new Map(this.#written.get(from))
    for (const [key, value] of Object.entries(to)) {
      if (typeof value === 'number' && value !== own(from, key)) known.set(key, NOT_WRITTEN)
    }
    if (known.size > 0) this.#written.set(to, known)
  }

  /** Called only for notations that differ from JavaScript's. The last of several members of one name counts. */
  remember(holder: object, key: string, written: string | undefined): void {
    const known = this.#written.get(holder)
    if (written === undefined) known?.delete(key)
    else if (known === undefined) this.#written.set(holder, new Map([[key, written]]))
    else known.set(key, written)
  }
}

/** Parses JSON, with a `LargeNumber` for every number that a double would round. @throws SyntaxError */
export function parseExactly(text: string): unknown {
  return mayRound(text) || mayOverflow(text)
    ? atOnce(parseWithSources(text, new Work(text))).value
    : JSON.parse(text)
}

/**
 * Parses JSON, with a `LargeNumber` for every number that a double would round, and remembers how numbers
 * were written.
 * @throws {SyntaxError} if the text is not JSON.
 */
export function* parseWithSources(
  text: string,
  work: Work,
  sources: NumberSources = new NumberSources(),
): Resting<ParsedJson> {
  // Throws for invalid JSON, so the reader below need not validate.
  const plain: unknown = JSON.parse(text)
  if (work.did(text.length / CHARS_A_STEP)) yield
  if (typeof plain === 'string') return { value: plain, source: undefined, sources }
  const reader = new Reader(text, sources)
  while (reader.step()) if (work.did(1)) yield
  return reader.result()
}

// Characters that JSON.parse reads in the time of one step.
const CHARS_A_STEP = 16

type Holder = unknown[] | Record<string, unknown>

interface Open {
  readonly holder: Holder
  /** The key of the next member, if the holder is an object. */
  key: string
}

/** Reads JSON token by token, without recursion, so that deep nesting cannot overflow the stack. */
class Reader {
  readonly #text: string
  readonly #open: Open[] = []
  readonly #sources: NumberSources
  #at = 0
  #root: unknown
  #rootSource: string | undefined

  constructor(text: string, sources: NumberSources) {
    this.#text = text
    this.#sources = sources
  }

  /** False at the end of the text. */
  step(): boolean {
    this.#at = matchAt(SEPARATORS, this.#text, this.#at)
    if (this.#at >= this.#text.length) return false
    const character = this.#text[this.#at]
    if (character === '{') this.#begin({})
    else if (character === '[') this.#begin([])
    else if (character === '}' || character === ']') {
      this.#open.pop()
      this.#at += 1
    } else if (character === '"') this.#string()
    else this.#word()
    return true
  }

  result(): ParsedJson {
    return { value: this.#root, source: this.#rootSource, sources: this.#sources }
  }

  #begin(holder: Holder): void {
    this.#place(holder)
    this.#open.push({ holder, key: '' })
    this.#at += 1
  }

  #string(): void {
    let end = this.#text.indexOf('"', this.#at + 1)
    while (isEscaped(this.#text, end)) end = this.#text.indexOf('"', end + 1)
    const literal = this.#text.slice(this.#at, end + 1)
    const content = literal.includes('\\') ? String(JSON.parse(literal)) : literal.slice(1, -1)
    const colon = matchAt(COLON, this.#text, end + 1)
    const isKey = colon > end + 1
    this.#at = isKey ? colon : end + 1
    const open = this.#open.at(-1)
    if (isKey && open !== undefined) open.key = content
    else this.#place(content)
  }

  #word(): void {
    const end = matchAt(WORD, this.#text, this.#at)
    const written = this.#text.slice(this.#at, end)
    this.#at = end
    const value: unknown = JSON.parse(written)
    if (typeof value !== 'number') this.#place(value)
    else if (!isRounded(written, value)) this.#place(value, written)
    else {
      this.#sources.hasLarge = true
      this.#place(new LargeNumber(written), written)
    }
  }

  #place(value: unknown, written?: string): void {
    const open = this.#open.at(-1)
    if (open === undefined) {
      this.#root = value
      this.#rootSource = written
      return
    }
    const { holder } = open
    const key = Array.isArray(holder) ? String(holder.length) : open.key
    // defineProperty creates an own property even for the key __proto__.
    if (Array.isArray(holder)) holder.push(value)
    else if (key === '__proto__') Object.defineProperty(holder, key, { ...MEMBER, value })
    else holder[key] = value
    this.#sources.remember(holder, key, written === String(value) ? undefined : written)
  }
}

const MEMBER = { enumerable: true, writable: true, configurable: true }
const SEPARATORS = /[\s,]+/y
const COLON = /\s*:/y
const WORD = /[\w.+-]+/y

/** Whether the quote is escaped, that is, preceded by an odd number of backslashes. */
function isEscaped(text: string, quote: number): boolean {
  let start = quote
  while (text[start - 1] === '\\') start -= 1
  return (quote - start) % 2 === 1
}
