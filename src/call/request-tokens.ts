import type { TokenCounts } from '../errors/token-counts.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import { choicesAsked } from './choices-asked.ts'

/** A chat request, as far as it is read here. */
interface Asked {
  readonly given: { readonly facts: Readonly<Record<string, unknown>> }
  readonly params: unknown
  readonly targets: readonly { readonly state: TargetState }[]
}

/** What is learned of the tokens that a target's requests use. */
interface Learned {
  /** Tokens of the prompt as counted there, for each that is thought of here. */
  ratio: number
  /** Tokens of one answer. */
  answer: number
}

const learned = new WeakMap<TargetState, Learned>()

/** Of English text; what a target's own tokenizer makes of it is learned. */
const CHARS_PER_TOKEN = 4
const FIRST_ANSWER = 1_000
/** Weight of one answer in what is learned. */
const NEW = 0.05
/** An image in a request may be a million characters and a thousand tokens. */
const RATIO = { min: 0.001, max: 4 }

/** The tokens of one request: how many it is thought to use, and what its answers say of that. */
export class RequestTokens {
  readonly #request: Asked
  /** Thought of without what was learned; undefined until somebody asks. */
  #prompt: number | undefined

  constructor(request: Asked) {
    this.#request = request
  }

  /** Of prompt and answer, as the target at this index counts them; 0 for what has no JSON. */
  estimate(target: number): number {
    const { given, targets } = this.#request
    this.#prompt ??= promptTokens(this.#request)
    const known = learnedOf(targets[target]?.state)
    const { max_completion_tokens: limit, max_tokens: olderLimit } = given.facts
    const answer = countIn(limit) ?? countIn(olderLimit) ?? known.answer
    return Math.ceil(this.#prompt * known.ratio + answer * choicesAsked(given.facts))
  }

  /** Tells what an answer has used. Returns it in all. */
  used(target: number, { inputTokens, outputTokens }: TokenCounts): number {
    const state = this.#request.targets[target]?.state
    if (state === undefined) return inputTokens + outputTokens
    const known = learnedOf(state)
    known.answer += NEW * (outputTokens / choicesAsked(this.#request.given.facts) - known.answer)
    if (this.#prompt !== undefined && this.#prompt > 0 && inputTokens > 0) {
      const ratio = Math.min(Math.max(inputTokens / this.#prompt, RATIO.min), RATIO.max)
      known.ratio += NEW * (ratio - known.ratio)
    }
    learned.set(state, known)
    return inputTokens + outputTokens
  }
}

function learnedOf(state: TargetState | undefined): Learned {
  const known = state === undefined ? undefined : learned.get(state)
  return known ?? { ratio: 1, answer: FIRST_ANSWER }
}

function promptTokens(request: Asked): number {
  try {
    return JSON.stringify(request.params).length / CHARS_PER_TOKEN
  } catch {
    // What cannot be serialised is refused where it is sent.
    return 0
  }
}

function countIn(limit: unknown): number | undefined {
  return typeof limit === 'number' && limit > 0 && Number.isFinite(limit) ? limit : undefined
}
