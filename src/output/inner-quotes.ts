import { matchAt } from './scan.ts'
import type { Resting, Work } from './work.ts'

/**
 * The text with every quote escaped that cannot end its string, or undefined where that does not
 * make JSON of it. A quote ends a key before a colon; it ends a value of an object before the next
 * key, or before a bracket that closes it. In a list nothing tells where an element ends, so there no
 * quote may stand inside one. Linear in the length of the text.
 */
export function* withInnerQuotesEscaped(text: string, work: Work): Resting<string | undefined> {
  const quoted = new Requoted(text, work)
  if (!(yield* quoted.read()) || quoted.escaped === 0) return undefined
  try {
    JSON.parse(quoted.text)
    return quoted.text
  } catch {
    return undefined
  }
}

const KEY_ENDS = /"\s*:/y
const VALUE_ENDS = /"\s*(?:,\s*"[^"\\\n]{1,100}"\s*:|[}\]]\s*(?:[,}\]]|$))/y
const ELEMENT_ENDS = /"\s*[,\]]/y

class Requoted {
  escaped = 0
  readonly #source: string
  readonly #out: string[] = []
  readonly #open: string[] = []
  readonly #work: Work
  #isKey = false

  constructor(source: string, work: Work) {
    this.#source = source
    this.#work = work
  }

  get text(): string {
    return this.#out.join('')
  }

  /** False where a string has no end, or a quote stands inside an element of a list. */
  *read(): Resting<boolean> {
    for (let at = 0; at < this.#source.length; ) {
      const character = this.#source.charAt(at)
      if (character === '"') {
        const end = yield* this.#string(at)
        if (end === undefined) return false
        at = end
      } else {
        this.#mark(character)
        this.#out.push(character)
        at += 1
      }
      if (this.#work.did(1)) yield
    }
    return true
  }

  #mark(character: string): void {
    if (character === '{' || character === '[') this.#open.push(character)
    else if (character === '}' || character === ']') this.#open.pop()
    const isMember = character === ',' && this.#open.at(-1) === '{'
    if (character === '{' || isMember) this.#isKey = true
    else if (character === ':' || character === ',') this.#isKey = false
  }

  /** Where the string that opens here ends. */
  *#string(start: number): Resting<number | undefined> {
    const inList = this.#open.at(-1) === '['
    const ends = this.#isKey ? KEY_ENDS : inList ? ELEMENT_ENDS : VALUE_ENDS
    let from = start
    for (let at = this.#quoteFrom(start + 1); at !== undefined; at = this.#quoteFrom(at + 1)) {
      const isEnd = matchAt(ends, this.#source, at) > at
      if (!isEnd && inList) return undefined
      this.#out.push(this.#source.slice(from, at), isEnd ? '"' : '\\"')
      from = at + 1
      if (isEnd) return from
      this.escaped += 1
      if (this.#work.did(1)) yield
    }
    return undefined
  }

  /** The next quote that no backslash escapes. */
  #quoteFrom(start: number): number | undefined {
    for (let at = start; at < this.#source.length; at += 1) {
      if (this.#source[at] === '\\') at += 1
      else if (this.#source[at] === '"') return at
    }
    return undefined
  }
}
