import { parseObject } from './embedded-json.ts'
import { isTelling, statusIn } from './envelope.ts'
import type { FailureKind } from './failure-kinds.ts'
import { isFailureWord, saysWork } from './failure-names.ts'
import { finishReasonOf } from './finish-reason.ts'
import { type ErrorFields, flatErrorIn, hasErrorField, wrappedErrorIn } from './flat-error.ts'
import { readItems, readProperty, readText } from './hostile.ts'
import { type Classification, type Evidence, judgeResponse, mayRetry } from './judge-response.ts'

/**
 * Classifies the parsed body of a 200 response. Providers report failures this way once the status has
 * been sent. Returns undefined for a completion, that is, an object with at least one choice and no
 * error. A body with neither is `empty_response`.
 */
export function classifyErrorBody(
  body: unknown,
  evidence: Evidence = {},
): Classification | undefined {
  const found = classifyErrorChunk(body, evidence)
  if (found !== undefined || hasChoice(body)) return found
  return as('empty_response', judgeResponse({ ...answerOf(evidence), body }, evidence), evidence)
}

/**
 * Classifies one chunk of a stream, or a completion, that may contain an error: an `error` at the top
 * level or in a choice, MiniMax's `base_resp`, fields that only errors have, a known error message where
 * there are no choices, or a `finish_reason` that reports a failure (the content may then hold the error
 * as JSON). Returns undefined for every other chunk, including one without choices.
 */
export function classifyErrorChunk(
  chunk: unknown,
  evidence: Evidence = {},
): Classification | undefined {
  const body = errorInAnswer(chunk)
  const failed = choicesOf(chunk)
    .map(failureInChoice)
    .find((choice) => choice !== undefined)
  const isAnswer = hasChoice(chunk)
  if (body === undefined && failed === undefined && isAnswer) return undefined
  // A progress message may mention limits and load without reporting a failure.
  if (body === undefined && failed === undefined && saysWork(chunk)) return undefined
  const said = body ?? (failed === undefined ? chunk : failed.said)
  const judged = judgeResponse({ ...answerOf(evidence), body: said }, evidence)
  if (judged.kind !== 'unknown') return judged
  if (failed !== undefined) return as(failed.kind, judged, evidence)
  if (body === undefined) return undefined
  const isNamed = readProperty(body, 'error') !== undefined
  const isFlat = !isAnswer && !isNamed && flatErrorIn(body) !== undefined
  return isFlat ? as('empty_response', judged, evidence) : judged
}

/** The members of a chunk in which an error may appear. */
interface Glance extends ErrorFields {
  readonly choices?: unknown
  readonly error?: unknown
  readonly base_resp?: unknown
  readonly x_groq?: unknown
}

/** False if a chunk is certainly not an error. A cheap check for every chunk, so that few need the full one. */
export function mayBeError(chunk: Glance): boolean {
  const { choices } = chunk
  if (!Array.isArray(choices) || choices.length === 0) return true
  // Some providers send `error: null` with every chunk.
  const said = chunk.error ?? chunk.base_resp ?? chunk.x_groq ?? undefined
  return said !== undefined || hasErrorField(chunk) || choices.some(endsOddly)
}

// The finish reasons of openai's API; any other gets the full check.
const GOOD_FINISHES = ['stop', 'length', 'tool_calls', 'content_filter', 'function_call']

interface GlancedChoice {
  readonly error?: unknown
  readonly finish_reason?: unknown
}

function endsOddly(choice: GlancedChoice | null | undefined): boolean {
  const reason = choice?.finish_reason
  const isOdd = typeof reason === 'string' && !GOOD_FINISHES.includes(reason)
  return isOdd || (choice?.error ?? undefined) !== undefined
}

/** The error inside a response of status 200, as a body of its own. */
export function errorInAnswer(answer: unknown): object | undefined {
  const value = typeof answer === 'string' ? parseObject(answer) : answer
  const tops = [value, ...readItems(value, 1)]
  // x_groq: Groq's reason for stopping a stream early, https://console.groq.com/docs/api-reference
  for (const part of [...tops, readProperty(value, 'x_groq'), ...choicesOf(value)]) {
    const error = readProperty(part, 'error')
    if (!isTelling(error)) continue
    const status = statusIn(part)
    return status === undefined ? { error } : { error, status }
  }
  const wrapped = wrappedErrorIn(value)
  if (wrapped !== undefined) return wrapped
  // MiniMax sends `base_resp` with every response; 0 means success.
  const base = readProperty(value, 'base_resp')
  const code = readProperty(base, 'status_code')
  if (code !== undefined && code !== null && code !== 0) return { base_resp: base }
  return tops.map(flatErrorIn).find((flat) => flat !== undefined)
}

const MAX_CHOICES = 128
const MAX_CONTENT_LENGTH = 64 * 1024

/** Finish reasons that report a failure of the provider; the content before them is incomplete. */
const FAILED_FINISHES: Readonly<Record<string, FailedFinish>> = {
  // Sent by a relay that puts the upstream error into the content.
  error_finish: { kind: 'server_error', saysInContent: true },
  // DeepSeek, https://api-docs.deepseek.com/api/create-chat-completion
  insufficient_system_resource: { kind: 'overloaded' },
}

interface FailedFinish {
  readonly kind: FailureKind
  readonly saysInContent?: true
}

/**
 * Recognises any other finish reason that names a failure: `error` (vLLM; OpenRouter,
 * https://openrouter.ai/docs/api-reference/errors), `network_error` (Zhipu, https://docs.bigmodel.cn),
 * or one that says the work was cut short: `abort` (vLLM and SGLang, for example on shutdown),
 * `timed_out` and `cancelled` (TensorRT-LLM).
 */
function failedFinish(reason: string): FailedFinish | undefined {
  if (TIMED_OUT.test(reason)) return { kind: 'timeout' }
  return isFailureWord(reason) || GIVEN_UP.test(reason) ? { kind: 'server_error' } : undefined
}

const TIMED_OUT = /(?:^|[^a-z])(?:timeout|timed?[ _-]out|deadline[ _-]exceeded)$/i
const GIVEN_UP = /(?:^|[^a-z])(?:abort(?:ed)?|cancell?ed|interrupted|disconnected)$/i

function choicesOf(answer: unknown): readonly unknown[] {
  return readItems(readProperty(answer, 'choices'), MAX_CHOICES)
}

function hasChoice(answer: unknown): boolean {
  return readItems(readProperty(answer, 'choices'), 1).length > 0
}

/** For a choice whose finish_reason reports a failure: the kind to use if the content says nothing more. */
function failureInChoice(choice: unknown): { kind: FailureKind; said: unknown } | undefined {
  const reason = finishReasonOf(choice)
  if (reason === undefined) return undefined
  const known = reason.toLowerCase()
  const finish = Object.hasOwn(FAILED_FINISHES, known)
    ? FAILED_FINISHES[known]
    : failedFinish(reason)
  if (finish === undefined) return undefined
  // Without `saysInContent`, the content is only what the model wrote before the failure.
  const content =
    finish.saysInContent &&
    [
      readText(readProperty(choice, 'message'), 'content', MAX_CONTENT_LENGTH),
      readText(readProperty(choice, 'delta'), 'content', MAX_CONTENT_LENGTH),
    ].find((text) => text !== undefined)
  return { kind: finish.kind, said: content }
}

/** Uses this kind if the body did not determine one. */
function as(kind: FailureKind, judged: Classification, { headers }: Evidence): Classification {
  if (judged.kind !== 'unknown') return judged
  return { ...judged, kind, retryable: mayRetry(kind, false, headers) }
}

/** Assumes status 200 unless another one is known. */
function answerOf({ status = 200, headers }: Evidence) {
  return { status, headers }
}
