import { matchAt } from './scan.ts'
import type { Resting, Work } from './work.ts'

/**
 * Escapes every quote that cannot end its string. Returns undefined if the result is not JSON. A quote
 * ends a key if a colon follows; it ends a property value if the next key or a closing bracket follows.
 * In an array nothing marks the end of an element, so no quote is escaped there. Runs in linear time.
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

  /** False if a string does not end, or if an array element contains a quote. */
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

  /** The index after the string that starts here. */
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

  /** The next unescaped quote. */
  #quoteFrom(start: number): number | undefined {
    for (let at = start; at < this.#source.length; at += 1) {
      if (this.#source[at] === '\\') at += 1
      else if (this.#source[at] === '"') return at
    }
    return undefined
  }
}
