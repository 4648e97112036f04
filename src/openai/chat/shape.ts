import type { AnswerFacts } from '../../call/task.ts'
import type { Failure, TokenCounts } from '../../errors/call-error.ts'
import {
  type Classification,
  classifyErrorBody,
  classifyErrorChunk,
} from '../../errors/classify.ts'
import { FailedAnswer } from '../../errors/failed-answer.ts'
import { finishReasonOf, isObject, readProperty } from '../../errors/hostile.ts'
import { mayBeError } from '../../errors/judge-response.ts'
import type { TargetState } from '../../retry/health/target-state.ts'
import type { Progress, StreamJudge } from '../../stream/watch.ts'
import type { Clock } from '../../time.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import type { Params } from '../request.ts'

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

/** What was put together from chunks, in the form of a completion. */
export function withChoices(choices: readonly unknown[]): {
  readonly choices: readonly unknown[]
} {
  return { choices }
}

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
  readonly asked?: number
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
    const { asked = 1 } = this.#request
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

/** What is wrong with an answer that came under 200 but is none; undefined for a completion. */
export function failureInAnswer(
  data: unknown,
  { status, headers }: Response,
  clock: Clock,
): Failure | undefined {
  return asFailure(classifyErrorBody(data, { status, headers, clock }), data)
}

/** The same of a chunk of a stream, which may also be without a choice. */
export function failureInChunk(
  chunk: unknown,
  { status, headers }: Partial<Response> = {},
  clock?: Clock,
): Failure | undefined {
  if (isObject(chunk) && !mayBeError(chunk)) return undefined
  return asFailure(classifyErrorChunk(chunk, { status, headers, clock }), chunk)
}

function asFailure(found: Classification | undefined, data: unknown): Failure | undefined {
  if (found === undefined) return undefined
  const failure = { ...found, message: found.kind, cause: readProperty(data, 'error') ?? data }
  return found.kind === 'empty_response' ? { ...failure, detail: 'it has no choice' } : failure
}

export function requestIdOf(response: Response): { requestId?: string } {
  const requestId = response.headers.get('x-request-id')
  return requestId === null ? {} : { requestId }
}

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

const OUTPUT_LIMITS = ['max_completion_tokens', 'max_tokens'] as const

/** The caller's output limits, twice as high; empty where there are none. */
export function doubledLimits(params: Params): Params {
  const doubled: Record<string, number> = {}
  for (const name of OUTPUT_LIMITS) {
    const limit = params[name]
    if (typeof limit === 'number') doubled[name] = limit * 2
  }
  return doubled
}

/**
 * What to do about an answer that was cut, by what the request says itself.
 * @param doubled what it was sent with instead, once it had been asked for again
 */
export function adviceOnCut(
  params: Params,
  doubled: Params,
  onTruncated: 'fail' | 'extend',
): string {
  const given = OUTPUT_LIMITS.filter((name) => typeof params[name] === 'number')
  if (given.length === 0) {
    return (
      "The request sets no output limit, so the provider's default or the model's context most likely ended it. " +
      'Set max_completion_tokens (max_tokens for servers that know no other), or ask for less.'
    )
  }
  const names = given.join(' and ')
  const limit = given.map((name) => params[name]).join(' and ')
  const are = given.length === 1 ? 'is' : 'are'
  const isDoubled = Object.keys(doubled).length > 0
  if (isDoubled) return `Raise ${names}: twice the request's own ${limit} was not enough either.`
  const other = onTruncated === 'extend' ? 'ask for less' : "set onTruncated: 'extend'"
  return `Raise ${names}, which ${are} ${limit}, or ${other}.`
}
