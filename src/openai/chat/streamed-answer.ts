import { finishReasonOf } from '../../errors/finish-reason.ts'
import { readProperty } from '../../errors/hostile.ts'
import { choicesOf, deltaOf, indexOf } from './shape.ts'

/**
 * Assembles a streamed answer for users that opted in to content. It is kept as a whole because `redact` needs
 * to see it whole: it could not recognise a secret cut in two. Of an answer that is too long, nothing is shown.
 */
export class StreamedAnswer {
  readonly #choices = new Map<number, StreamedChoice>()
  /** How many more characters may be added, over all texts. */
  #left = MAX_CHARACTERS

  /** Adds a chunk. The chunk is not trusted. */
  see(chunk: unknown): void {
    for (const choice of choicesOf(chunk)) {
      const known = entryOf(this.#choices, indexOf(choice), () => new StreamedChoice())
      this.#left -= known?.see(choice) ?? 0
    }
    if (this.#left < 0) this.#choices.clear()
  }

  /** The answer so far, in the form of a ChatCompletion. `isCut` if it was too long. */
  get completion(): StreamedCompletion {
    if (this.#left < 0) return { choices: [], isCut: true }
    return { choices: inOrder(this.#choices).map((choice) => choice.whole), isCut: false }
  }
}

export interface StreamedCompletion {
  readonly choices: readonly unknown[]
  readonly isCut: boolean
}

/** The default limit for a stored result; only a model stuck in a loop writes more. */
const MAX_CHARACTERS = 2 ** 20

// OpenAI accepts n up to 128, and up to 128 tools.
const MAX_ENTRIES = 128

class StreamedChoice {
  readonly #texts = new Texts(['content', 'refusal'])
  readonly #toolCalls = new Map<number, StreamedToolCall>()
  #role: string | undefined
  #finishReason: string | undefined

  /** Returns how many characters of the choice were added. */
  see(choice: unknown): number {
    const delta = deltaOf(choice)
    this.#role ??= textOf(readProperty(delta, 'role'))
    this.#finishReason = finishReasonOf(choice) ?? this.#finishReason
    let held = this.#texts.add(delta)
    for (const call of listOf(readProperty(delta, 'tool_calls'))) {
      const known = entryOf(this.#toolCalls, indexOf(call), () => new StreamedToolCall())
      held += known?.see(call) ?? 0
    }
    return held
  }

  get whole(): unknown {
    const calls = inOrder(this.#toolCalls).filter(({ isNamed }) => isNamed)
    return {
      message: {
        role: this.#role ?? 'assistant',
        ...this.#texts.whole,
        ...(calls.length > 0 && { tool_calls: calls.map((call) => call.whole) }),
      },
      finish_reason: this.#finishReason,
    }
  }
}

class StreamedToolCall {
  readonly #called = new Texts(['name', 'arguments', 'input'])
  #id: string | undefined

  see(call: unknown): number {
    this.#id ??= textOf(readProperty(call, 'id'))
    return this.#called.add(readProperty(call, 'function') ?? readProperty(call, 'custom'))
  }

  get isNamed(): boolean {
    return this.#id !== undefined || 'name' in this.#called.whole
  }

  get whole(): unknown {
    return { id: this.#id, type: 'function', function: this.#called.whole }
  }
}

/** Texts by name, each arriving in pieces. */
class Texts {
  readonly #names: readonly string[]
  readonly #pieces = new Map<string, string>()

  constructor(names: readonly string[]) {
    this.#names = names
  }

  add(delta: unknown): number {
    let added = 0
    for (const name of this.#names) {
      const piece = textOf(readProperty(delta, name))
      if (piece === undefined) continue
      this.#pieces.set(name, (this.#pieces.get(name) ?? '') + piece)
      added += piece.length
    }
    return added
  }

  get whole(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#pieces].filter(([, text]) => text !== ''))
  }
}

function entryOf<T>(entries: Map<number, T>, index: number, create: () => T): T | undefined {
  const known = entries.get(index)
  if (known !== undefined || entries.size >= MAX_ENTRIES) return known
  const created = create()
  entries.set(index, created)
  return created
}

function inOrder<T>(entries: ReadonlyMap<number, T>): readonly T[] {
  return [...entries].sort(([a], [b]) => a - b).map(([, entry]) => entry)
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
