import type { Failure } from '../errors/call-error.ts'
import { classifyErrorBody } from '../errors/classify.ts'
import type { Clock } from '../time.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { AnswerFacts } from './job.ts'
import type { StreamSummary } from './stream-progress.ts'

/** What is wrong with an answer that came under 200 but is none; undefined for a completion. */
export function failureInAnswer(
  data: unknown,
  { status, headers }: Response,
  clock: Clock,
): Failure | undefined {
  const evidence = {
    status,
    headers,
    // Read only where there is something to judge: a good answer needs no time.
    get now() {
      return clock.wallMs()
    },
  }
  const found = classifyErrorBody(data, evidence)
  if (found === undefined) return undefined
  return {
    ...found,
    message: found.kind,
    cause: isObject(data) ? Reflect.get(data, 'error') : data,
  }
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
  const facts = response === undefined ? {} : { status: response.status, ...requestIdOf(response) }
  if (!isObject(data)) return facts
  const { id, model, usage, choices, service_tier: serviceTier }: CompletionShape = data
  const { system_fingerprint: systemFingerprint }: CompletionShape = data
  const counted = usageOf(usage)
  const finishReasons = (Array.isArray(choices) ? choices : [])
    .map((choice: unknown) => (isObject(choice) ? Reflect.get(choice, 'finish_reason') : undefined))
    .filter((reason): reason is string => typeof reason === 'string')
  return {
    ...facts,
    ...(typeof id === 'string' && { id }),
    ...(typeof model === 'string' && { model }),
    ...(typeof systemFingerprint === 'string' && { systemFingerprint }),
    ...(typeof serviceTier === 'string' && { serviceTier }),
    ...(counted !== undefined && { usage: counted }),
    ...(finishReasons.length > 0 && { finishReasons }),
  }
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
  return withoutUndefined({
    inputTokens,
    outputTokens,
    cachedInputTokens: partOf(inputTokens, usage, 'prompt_tokens_details', 'cached_tokens'),
    reasoningOutputTokens: partOf(
      outputTokens,
      usage,
      'completion_tokens_details',
      'reasoning_tokens',
    ),
  })
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
