import type { AnswerFacts } from '../../call/job.ts'
import type { Failure } from '../../errors/call-error.ts'
import {
  type Classification,
  classifyErrorBody,
  classifyErrorChunk,
} from '../../errors/classify.ts'
import { mayBeError } from '../../errors/disguise.ts'
import { finishReasonOf } from '../../errors/finish-reason.ts'
import { readProperty } from '../../errors/hostile.ts'
import type { StreamSummary } from '../../stream/progress.ts'
import type { Clock } from '../../time.ts'
import { withoutUndefined } from '../../without-undefined.ts'

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

interface CompletionShape {
  readonly id?: unknown
  readonly model?: unknown
  readonly usage?: unknown
  readonly choices?: unknown
  readonly system_fingerprint?: unknown
  readonly service_tier?: unknown
}

/** What a completion and its response say about themselves; anything may be missing. */
export function factsOf(data: unknown, response: Response | undefined): AnswerFacts {
  const said: CompletionShape = isObject(data) ? data : {}
  return {
    status: response?.status,
    requestId: response?.headers.get('x-request-id') ?? undefined,
    id: textIn(said.id),
    model: textIn(said.model),
    systemFingerprint: textIn(said.system_fingerprint),
    serviceTier: textIn(said.service_tier),
    usage: usageOf(said.usage),
    finishReasons: finishReasonsOf(said.choices),
  }
}

function finishReasonsOf(choices: unknown): readonly string[] | undefined {
  if (!Array.isArray(choices)) return undefined
  const reasons = choices.map(finishReasonOf).filter((reason) => reason !== undefined)
  return reasons.length > 0 ? reasons : undefined
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** The same of a stream, from what it has said of itself. */
export function summaryFacts(summary: StreamSummary): AnswerFacts {
  const { usage, lastChunk, ...facts } = summary
  return withoutUndefined({ ...facts, usage: usageOf(usage) })
}

function usageOf(usage: unknown): AnswerFacts['usage'] {
  if (!isObject(usage)) return undefined
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
  const told: unknown = Reflect.get(usage, details)
  const part: unknown = isObject(told) ? Reflect.get(told, name) : undefined
  return isCount(part) && part <= whole ? part : undefined
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

export function requestIdOf(response: Response): { requestId?: string } {
  const requestId = response.headers.get('x-request-id')
  return requestId === null ? {} : { requestId }
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
