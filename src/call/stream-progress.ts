import { CallError } from '../errors/call-error.ts'
import { classifyErrorChunk } from '../errors/disguise.ts'
import type { StreamedAnswer } from '../telemetry/telemetry.ts'

/** The parts of a chat completion chunk that are read here. */
interface Chunk {
  readonly choices?: readonly Choice[]
  readonly error?: unknown
  readonly base_resp?: unknown
  readonly id?: unknown
  readonly model?: unknown
  readonly usage?: unknown
  readonly system_fingerprint?: unknown
  readonly service_tier?: unknown
}

interface Choice {
  readonly index?: number
  readonly delta?: object | null
  readonly finish_reason?: string | null
  readonly error?: unknown
}

/** What a stream has said of itself. */
export interface StreamSummary {
  readonly usage: unknown
  readonly id: string | undefined
  readonly model: string | undefined
  readonly systemFingerprint: string | undefined
  readonly serviceTier: string | undefined
  readonly finishReasons: readonly string[]
  /** How many came. */
  readonly chunks: number
  /** Some gateways put what they did into it. */
  readonly lastChunk: unknown
  /** The answer, put together. Undefined where content is not captured. */
  readonly answer: unknown
}

/** What has been seen of a stream: which choices were opened, and which of them have ended. */
export class Progress {
  readonly #open = new Set<number>()
  readonly #finishReasons = new Map<number, string>()
  #usage: unknown
  #id: string | undefined
  #model: string | undefined
  #systemFingerprint: string | undefined
  #serviceTier: string | undefined
  #lastChunk: unknown
  #chunks = 0
  readonly #answer: StreamedAnswer | undefined

  /** @param answer to be put together on the way */
  constructor(answer?: StreamedAnswer) {
    this.#answer = answer
  }

  /**
   * True for a chunk with content: something a caller would show.
   * @throws {CallError} for a chunk that is an error in disguise.
   */
  see(value: unknown): boolean {
    // A provider may send anything: every field is optional here, and read defensively.
    const chunk = (typeof value === 'object' && value !== null ? value : {}) as Chunk
    if (typeof chunk.id === 'string') this.#id ??= chunk.id
    if (typeof chunk.model === 'string') this.#model ??= chunk.model
    const { system_fingerprint: systemFingerprint, service_tier: serviceTier } = chunk
    if (typeof systemFingerprint === 'string') this.#systemFingerprint ??= systemFingerprint
    if (typeof serviceTier === 'string') this.#serviceTier ??= serviceTier
    if (chunk.usage !== undefined && chunk.usage !== null) this.#usage = chunk.usage
    this.#lastChunk = value
    this.#chunks++
    this.#answer?.see(value)
    if (isSuspect(chunk)) throwIfError(chunk)
    let content = false
    for (const choice of Array.isArray(chunk.choices) ? chunk.choices : []) {
      if (this.#seeChoice(choice)) content = true
    }
    return content
  }

  #seeChoice(choice: Choice | null | undefined): boolean {
    const index = typeof choice?.index === 'number' ? choice.index : 0
    this.#open.add(index)
    const finished = typeof choice?.finish_reason === 'string'
    if (finished) this.#finishReasons.set(index, choice.finish_reason ?? '')
    return finished || hasContent(choice?.delta)
  }

  /** Every opened choice has its finish_reason, and there was at least one. */
  get finished(): boolean {
    return this.#open.size > 0 && this.#finishReasons.size === this.#open.size
  }

  summary(): StreamSummary {
    return {
      usage: this.#usage,
      id: this.#id,
      model: this.#model,
      systemFingerprint: this.#systemFingerprint,
      serviceTier: this.#serviceTier,
      finishReasons: [...this.#finishReasons.values()],
      chunks: this.#chunks,
      lastChunk: this.#lastChunk,
      answer: this.#answer?.completion,
    }
  }
}

// openai's own; others, and whatever stands beside the choices, deserve a second look.
const GOOD_FINISHES = ['stop', 'length', 'tool_calls', 'content_filter', 'function_call']

/** Might this be an error? A glance at each chunk, so that only the rare one costs more. */
function isSuspect({ choices, error, base_resp: base }: Chunk): boolean {
  if (error !== undefined || base !== undefined || !Array.isArray(choices)) return true
  return choices.some(
    (choice) =>
      choice?.error !== undefined ||
      (typeof choice?.finish_reason === 'string' && !GOOD_FINISHES.includes(choice.finish_reason)),
  )
}

function throwIfError(chunk: Chunk): void {
  const found = classifyErrorChunk(chunk)
  if (found === undefined) return
  throw new CallError({ ...found, message: `The stream carried an error (${found.kind})` })
}

/** Anything in a delta but the role: text, a refusal, a tool call, audio, reasoning. */
function hasContent(delta: unknown): boolean {
  if (typeof delta !== 'object' || delta === null) return false
  return Object.entries(delta).some(
    ([key, value]) =>
      key !== 'role' &&
      value !== null &&
      value !== '' &&
      !(Array.isArray(value) && value.length === 0),
  )
}
