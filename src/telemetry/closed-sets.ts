/** Stands for a name that is not told apart, as in the semantic conventions. */
const OTHER = '_OTHER'

/**
 * How many models, hosts and names of `run` a process tells apart in its metrics. An SDK keeps one
 * series for each combination, in memory, for as long as the process lives.
 */
const MAX_VALUES = 100

/**
 * Which values may become attributes of metrics. Models, hosts and the names given to `run` come
 * from the application, so they are few; where they are not (a model named by an end user, an id in
 * the name of a `run`), the first hundred of each attribute are kept and the rest is `_OTHER`.
 */
export class ClosedSets {
  readonly #known = new Map<string, Set<string>>()

  /** The value, or `_OTHER` where there are too many. */
  admit(attribute: string, value: string): string {
    const known = this.#known.get(attribute) ?? new Set()
    if (known.has(value)) return value
    if (known.size >= MAX_VALUES) return OTHER
    this.#known.set(attribute, known.add(value))
    return value
  }

  /** The same for a name that has no spaces; `_OTHER` too for what looks like a text. */
  admitName(attribute: string, value: string): string {
    return isName(value) ? this.admit(attribute, value) : OTHER
  }
}

/** An id, a model, a host; a sentence (of a prompt, say) is none. */
export function isName(value: string): boolean {
  return /^[!-~]{1,200}$/.test(value)
}
