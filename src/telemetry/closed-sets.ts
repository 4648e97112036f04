/** Stands for any further name, as in the semantic conventions. */
const OTHER = '_OTHER'

/**
 * The maximum number of models, hosts and `run` names in the metrics of a process. An SDK keeps a time series
 * in memory for each combination, for as long as the process lives.
 */
const MAX_VALUES = 100

/**
 * Limits the values of metric attributes. Models, hosts and `run` names come from the application, so there
 * should be few. If there are not (a model chosen by end users, an id in the name of a `run`), the first
 * hundred values of each attribute are kept, and the rest become `_OTHER`.
 */
export class ClosedSets {
  readonly #known = new Map<string, Set<string>>()

  /** The value, or `_OTHER` if there are too many. */
  admit(attribute: string, value: string): string {
    const known = this.#known.get(attribute) ?? new Set()
    if (known.has(value)) return value
    if (known.size >= MAX_VALUES) return OTHER
    this.#known.set(attribute, known.add(value))
    return value
  }

  /** Like `admit`, for names without spaces; anything that looks like free text becomes `_OTHER`. */
  admitName(attribute: string, value: string): string {
    return isName(value) ? this.admit(attribute, value) : OTHER
  }
}

/** Accepts an id, a model or a host, but not a sentence, which could come from a prompt. */
export function isName(value: string): boolean {
  return /^[!-~]{1,200}$/.test(value)
}
