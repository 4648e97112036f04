import type { AnswerFacts } from '../../call/task.ts'
import { FailedAnswer } from '../../errors/failed-answer.ts'
import { finishReasonOf } from '../../errors/finish-reason.ts'
import { readProperty } from '../../errors/hostile.ts'
import type { Progress, StreamJudge } from '../../stream/progress.ts'
import { withoutUndefined } from '../../without-undefined.ts'

/**
 * The shape of what the chat completions API answers. Only this file reads the members of a
 * completion and of a chunk. A provider may send anything, so each of them is optional.
 */
interface Answered {
  readonly id?: unknown
  readonly model?: unknown
  readonly usage?: unknown
  readonly choices?: unknown
  readonly system_fingerprint?: unknown
  readonly service_tier?: unknown
}

interface Choice {
  readonly index?: unknown
  readonly delta?: object | null
}

interface Delta {
  readonly content?: unknown
  readonly refusal?: unknown
  readonly tool_calls?: unknown
}

/** A completion without an answer in it. */
export const WITHOUT_CHOICE: { readonly choices: readonly never[] } = { choices: [] }

/** What a completion and its response say about themselves; anything may be missing. */
export function factsOf(data: unknown, response: Response | undefined): AnswerFacts {
  const { id, model, usage, choices, system_fingerprint, service_tier } = answered(data)
  return {
    status: response?.status,
    requestId: response?.headers.get('x-request-id') ?? undefined,
    id: textIn(id),
    model: textIn(model),
    systemFingerprint: textIn(system_fingerprint),
    serviceTier: textIn(service_tier),
    usage: usageOf(usage),
    finishReasons: finishReasonsOf(choices),
  }
}

/** The choices of a completion or a chunk. */
export function choicesOf(data: unknown): readonly unknown[] {
  const { choices } = answered(data)
  return Array.isArray(choices) ? choices : []
}

/** What a chunk adds to a choice. */
export function deltaOf(choice: unknown): unknown {
  return readProperty(choice, 'delta')
}

export function indexOf(entry: unknown): number {
  const index = readProperty(entry, 'index')
  return typeof index === 'number' ? index : 0
}

/** The one choice of a completion that is read here: no caller of `json` or tools asks for more. */
export function firstChoice(completion: unknown): {
  readonly message: unknown
  readonly finishReason: string | undefined
} {
  const choice = readProperty(readProperty(completion, 'choices'), '0')
  return { message: readProperty(choice, 'message'), finishReason: finishReasonOf(choice) }
}

/** Is this, cut or garbled, the text of a chunk? It has the words of a model in it. */
export function looksLikeChunk(text: string): boolean {
  return text.includes('"choices"')
}

export interface ChatProgressRequest {
  /** As many as were asked for: `n`. @default 1 */
  readonly choices?: number
  /** Puts the answer together on the way. */
  readonly answer?: { see(chunk: unknown): void; readonly completion: unknown } | undefined
  /** Absent where each chunk was judged before. */
  readonly judge?: Pick<StreamJudge, 'chunk'>
}

// OpenAI accepts n up to 128. Of more choices than were asked for, only the protocol's own end is believed.
const MAX_CHOICES = 128

/** What has been seen of a stream: which choices were opened, and which of them have ended. */
export class ChatProgress implements Progress {
  chunks = 0
  /** Some gateways put what they did into it. */
  lastChunk: unknown
  /** The finish_reason of each choice, by its index; undefined while it goes on. */
  readonly #choices = new Map<number, string | undefined>()
  /** Its finish reasons say nothing: there are too many choices, or they go on behind them. */
  #isDoubtful = false
  #usage: unknown
  #id: string | undefined
  #model: string | undefined
  #systemFingerprint: string | undefined
  #serviceTier: string | undefined
  readonly #request: ChatProgressRequest

  constructor(request: ChatProgressRequest = {}) {
    this.#request = request
  }

  see(chunk: unknown): boolean {
    const { id, model, usage, choices, system_fingerprint, service_tier } = answered(chunk)
    if (typeof id === 'string') this.#id ??= id
    if (typeof model === 'string') this.#model ??= model
    if (typeof system_fingerprint === 'string') this.#systemFingerprint ??= system_fingerprint
    if (typeof service_tier === 'string') this.#serviceTier ??= service_tier
    if (usage !== undefined && usage !== null) this.#usage = usage
    this.lastChunk = chunk
    this.chunks++
    const { answer, judge } = this.#request
    answer?.see(chunk)
    const failure = judge?.chunk(chunk)
    if (failure !== undefined) throw new FailedAnswer(failure)
    let isContent = false
    for (const choice of Array.isArray(choices) ? choices : []) {
      if (this.#seeChoice(choice)) isContent = true
    }
    return isContent
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
  get isWhole(): boolean {
    const { choices: asked = 1 } = this.#request
    if (this.#isDoubtful || this.#choices.size < asked) return false
    return [...this.#choices.values()].every((reason) => reason !== undefined)
  }

  get isEmpty(): boolean {
    return this.#choices.size === 0
  }

  get facts(): AnswerFacts {
    return withoutUndefined({
      usage: usageOf(this.#usage),
      id: this.#id,
      model: this.#model,
      systemFingerprint: this.#systemFingerprint,
      serviceTier: this.#serviceTier,
      finishReasons: [...this.#choices.values()].filter((reason) => reason !== undefined),
      chunks: this.chunks,
      answer: this.#request.answer?.completion,
    })
  }
}

/** What a choice says that has not ended; other things may still be told of one that has. */
function hasAnswer(delta: object | null | undefined): boolean {
  const { content, refusal, tool_calls: calls }: Delta = delta ?? {}
  return isSaid(content) || isSaid(refusal) || isSaid(calls)
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

function answered(data: unknown): Answered {
  return typeof data === 'object' && data !== null ? data : NOTHING
}

const NOTHING: Answered = {}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function finishReasonsOf(choices: unknown): readonly string[] | undefined {
  if (!Array.isArray(choices)) return undefined
  const reasons = choices.map(finishReasonOf).filter((reason) => reason !== undefined)
  return reasons.length > 0 ? reasons : undefined
}

function usageOf(usage: unknown): AnswerFacts['usage'] {
  if (typeof usage !== 'object' || usage === null) return undefined
  const inputTokens: unknown = Reflect.get(usage, 'prompt_tokens')
  const outputTokens: unknown = Reflect.get(usage, 'completion_tokens')
  if (!isCount(inputTokens) || !isCount(outputTokens)) return undefined
  const cached = partOf(inputTokens, usage, 'prompt_tokens_details', 'cached_tokens')
  const reasoning = partOf(outputTokens, usage, 'completion_tokens_details', 'reasoning_tokens')
  return {
    inputTokens,
    outputTokens,
    ...(cached !== undefined && { cachedInputTokens: cached }),
    ...(reasoning !== undefined && { reasoningOutputTokens: reasoning }),
  }
}

/** A count within another one. Undefined where it is not told, or cannot be true. */
function partOf(whole: number, usage: object, details: string, name: string): number | undefined {
  const part = readProperty(Reflect.get(usage, details), name)
  return isCount(part) && part <= whole ? part : undefined
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
