/** Headers as undici parses them: lower-case names, a list where a header came more than once. */
export type HeaderRecord = Readonly<Record<string, string | readonly string[]>>

const INSPECT = Symbol.for('nodejs.util.inspect.custom')

// RFC 9110 §5.1: what a header may be called.
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * The headers of an answer, read from undici's record as they are asked for: most of some twenty never are, and
 * to make a `Headers` of them costs as much as to parse the answer. A `Headers` to everybody but the private
 * fields of that class, and immutable, as those of fetch are.
 */
class AnswerHeaders {
  readonly #record: HeaderRecord

  constructor(record: HeaderRecord) {
    this.#record = record
  }

  get(name: string): string | null {
    const found = this.#find(name)
    if (found !== undefined) return joined(found)
    // A real one knows how to refuse a name.
    return TOKEN.test(name) ? null : new Headers().get(name)
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined || (!TOKEN.test(name) && new Headers().has(name))
  }

  getSetCookie(): string[] {
    return [...listOf(this.#find('set-cookie') ?? [])]
  }

  append(): never {
    throw new TypeError('immutable')
  }

  set(): never {
    throw new TypeError('immutable')
  }

  delete(): never {
    throw new TypeError('immutable')
  }

  forEach(
    callback: (value: string, name: string, headers: Headers) => void,
    thisArg?: unknown,
  ): void {
    // A `Headers` but for its private fields.
    const self = this as unknown as Headers
    for (const [name, value] of this.#pairs()) {
      Reflect.apply(callback, thisArg, [value, name, self])
    }
  }

  entries(): ArrayIterator<[string, string]> {
    return this.#pairs().values()
  }

  keys(): ArrayIterator<string> {
    return this.#pairs()
      .map(([name]) => name)
      .values()
  }

  values(): ArrayIterator<string> {
    return this.#pairs()
      .map(([, value]) => value)
      .values()
  }

  [Symbol.iterator](): ArrayIterator<[string, string]> {
    return this.entries()
  }

  [INSPECT](_depth: number, options: object, inspect: (value: unknown, how: object) => string) {
    return inspect(new Headers(this.#pairs()), options)
  }

  #find(name: string): string | readonly string[] | undefined {
    const key = `${name}`.toLowerCase()
    return Object.hasOwn(this.#record, key) ? this.#record[key] : undefined
  }

  /** In the order of their names; every cookie by itself, since a comma may be part of one. */
  #pairs(): [string, string][] {
    return Object.keys(this.#record)
      .sort()
      .flatMap((name): [string, string][] => {
        const value = this.#record[name] ?? ''
        if (name !== 'set-cookie') return [[name, joined(value)]]
        return listOf(value).map((cookie) => [name, cookie])
      })
  }
}

function joined(value: string | readonly string[]): string {
  return typeof value === 'string' ? value : value.join(', ')
}

function listOf(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value
}

/** Headers that are made when they are asked for. */
export function answerHeaders(record: HeaderRecord): Headers {
  if (!isLinked) link()
  // Its prototype's prototype is that of `Headers`, and it has all of its members.
  return new AnswerHeaders(record) as unknown as Headers
}

let isLinked = false

/** Not when this is loaded: Node would then load all of its undici, which takes longer than all of this package. */
function link(): void {
  Object.setPrototypeOf(AnswerHeaders.prototype, Headers.prototype)
  Object.defineProperty(AnswerHeaders.prototype, 'constructor', { value: Headers })
  isLinked = true
}

/** One header of a record; a list is joined. */
export function headerOf(record: HeaderRecord, name: string): string | undefined {
  if (!Object.hasOwn(record, name)) return undefined
  const value = record[name]
  return value === undefined ? undefined : joined(value)
}
