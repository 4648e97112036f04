import type { Failure } from '../errors/call-error.ts'
import { FailedAnswer } from '../errors/failed-answer.ts'
import { finishReasonOf } from '../errors/finish-reason.ts'
import type { StreamedAnswer } from '../telemetry/telemetry.ts'

/** The parts of a chat completion chunk that are read here. */
interface Chunk {
  readonly choices?: readonly Choice[]
  readonly id?: unknown
  readonly model?: unknown
  readonly usage?: unknown
  readonly system_fingerprint?: unknown
  readonly service_tier?: unknown
}

interface Choice {
  readonly index?: number
  readonly delta?: object | null
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

export interface ProgressRequest {
  /** As many as were asked for: `n`. @default 1 */
  readonly choices?: number
  /** To be put together on the way. */
  readonly answer?: StreamedAnswer | undefined
  /** What a chunk means that is an error in disguise. Not for chunks that were judged once. */
  judge?(chunk: unknown): Failure | undefined
}

// OpenAI accepts n up to 128. Of more that nobody asked for, only the protocol's own end is believed.
const MAX_CHOICES = 128

/** What has been seen of a stream: which choices were opened, and which of them have ended. */
export class Progress {
  /** The finish_reason of each choice, by its index; undefined while it goes on. */
  readonly #choices = new Map<number, string | undefined>()
  /** Its finish reasons say nothing: there are too many choices, or they go on behind them. */
  #isDoubtful = false
  #usage: unknown
  #id: string | undefined
  #model: string | undefined
  #systemFingerprint: string | undefined
  #serviceTier: string | undefined
  #lastChunk: unknown
  #chunks = 0
  readonly #request: ProgressRequest

  constructor(request: ProgressRequest = {}) {
    this.#request = request
  }

  /**
   * True for a chunk with content: something a caller would show.
   * @throws {FailedAnswer} for a chunk that is an error in disguise.
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
    const { answer, judge } = this.#request
    answer?.see(value)
    const failure = judge?.(value)
    if (failure !== undefined) throw new FailedAnswer(failure)
    let content = false
    for (const choice of Array.isArray(chunk.choices) ? chunk.choices : []) {
      if (this.#seeChoice(choice)) content = true
    }
    return content
  }

  #seeChoice(choice: Choice | null | undefined): boolean {
    const index = typeof choice?.index === 'number' ? choice.index : 0
    const reason = finishReasonOf(choice)
    const before = this.#choices.get(index)
    if (before === undefined && !this.#choices.has(index)) this.#open(index)
    // What goes on had not ended, whatever stood there; some send 'stop' with every word.
    const goesOn = before !== undefined && hasAnswer(choice?.delta)
    if (goesOn && reason !== undefined) this.#isDoubtful = true
    if ((goesOn || reason !== undefined) && this.#choices.has(index)) {
      this.#choices.set(index, reason)
    }
    return reason !== undefined || hasContent(choice?.delta)
  }

  #open(index: number): void {
    if (this.#choices.size < MAX_CHOICES) this.#choices.set(index, undefined)
    else this.#isDoubtful = true
  }

  /** Every choice has its finish_reason: each that was opened, and as many as were asked for. */
  get finished(): boolean {
    const { choices: asked = 1 } = this.#request
    if (this.#isDoubtful || this.#choices.size < asked) return false
    return [...this.#choices.values()].every((reason) => reason !== undefined)
  }

  get chunks(): number {
    return this.#chunks
  }

  /** No choice at all has come. */
  get isEmpty(): boolean {
    return this.#choices.size === 0
  }

  summary(): StreamSummary {
    return {
      usage: this.#usage,
      id: this.#id,
      model: this.#model,
      systemFingerprint: this.#systemFingerprint,
      serviceTier: this.#serviceTier,
      finishReasons: [...this.#choices.values()].filter((reason) => reason !== undefined),
      chunks: this.#chunks,
      lastChunk: this.#lastChunk,
      answer: this.#request.answer?.completion,
    }
  }
}

/** What a choice says that has not ended; other things may still be told of one that has. */
function hasAnswer(delta: object | null | undefined): boolean {
  const { content, refusal, tool_calls: calls }: Delta = delta ?? {}
  return isSaid(content) || isSaid(refusal) || isSaid(calls)
}

interface Delta {
  readonly content?: unknown
  readonly refusal?: unknown
  readonly tool_calls?: unknown
}

/** Anything in a delta but the role: text, a refusal, a tool call, audio, reasoning. */
function hasContent(delta: unknown): boolean {
  if (typeof delta !== 'object' || delta === null) return false
  return Object.entries(delta).some(([key, value]) => key !== 'role' && isSaid(value))
}

function isSaid(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return false
  return !Array.isArray(value) || value.length > 0
}
