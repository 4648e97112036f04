import type { TokenCounts } from '../../errors/token-counts.ts'
import type { TargetState } from '../../retry/health/target-state.ts'

/** A chat request, as far as it is read here. */
interface CountedRequest {
  readonly given: { readonly facts: Readonly<Record<string, unknown>> }
  readonly params: unknown
  readonly targets: readonly { readonly state: TargetState }[]
}

/** What is learned of the tokens that a target's requests use. */
interface LearnedTokens {
  /** Prompt tokens by the target's count, for each one estimated here. */
  ratio: number
  /** Tokens of one answer. */
  answer: number
}

const learned = new WeakMap<TargetState, LearnedTokens>()

/** For English text; how a target's own tokenizer differs is learned. */
const CHARS_PER_TOKEN = 4
const FIRST_ANSWER = 1_000
/** Weight of one answer in what is learned. */
const NEW = 0.05
/** An image in a request may be a million characters and a thousand tokens. */
const RATIO = { min: 0.001, max: 4 }

/** Estimates the tokens of one request, and learns from the usage that its answers report. */
export class RequestTokens {
  readonly #request: CountedRequest
  /** The estimate before what was learned; undefined until it is needed. */
  #prompt: number | undefined

  constructor(request: CountedRequest) {
    this.#request = request
  }

  /** Of prompt and answer, as the target at this index counts them; 0 for a prompt that is no JSON. */
  estimate(target: number): number {
    const { given, targets } = this.#request
    this.#prompt ??= promptTokens(this.#request)
    const known = learnedOf(targets[target]?.state)
    const { max_completion_tokens: limit, max_tokens: olderLimit } = given.facts
    const answer = countIn(limit) ?? countIn(olderLimit) ?? known.answer
    return Math.ceil(this.#prompt * known.ratio + answer * choicesAsked(given.facts))
  }

  /** Learns from what an answer used; returns the sum. */
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

function learnedOf(state: TargetState | undefined): LearnedTokens {
  const known = state === undefined ? undefined : learned.get(state)
  return known ?? { ratio: 1, answer: FIRST_ANSWER }
}

function promptTokens(request: CountedRequest): number {
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

/** As many choices as the request asks for. */
export function choicesAsked({ n }: Readonly<Record<string, unknown>>): number {
  return typeof n === 'number' && n > 1 ? n : 1
}
