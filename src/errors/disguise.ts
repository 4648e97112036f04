import { parseObject } from './embedded-json.ts'
import { isTelling, statusIn } from './envelope.ts'
import type { FailureKind } from './failure-kinds.ts'
import { isFailureWord, saysWork } from './failure-names.ts'
import { finishReasonOf } from './finish-reason.ts'
import { type ErrorFields, flatErrorIn, hasErrorField, wrappedErrorIn } from './flat-error.ts'
import { readItems, readProperty, readText } from './hostile.ts'
import { type Classification, type Evidence, judgeResponse, mayRetry } from './judge-response.ts'

/**
 * Judges the parsed body of a 200. Undefined for a completion: an object with at least one choice
 * and no error. Providers report a failure there once the status has been sent; a body with neither
 * error nor choice is `empty_response`.
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
 * Judges one chunk of a stream, or a completion, that may be an error in disguise: an `error` at its
 * top or in a choice, MiniMax's `base_resp`, fields that only an error has, known words of one where
 * no choice is, a `finish_reason` that says the provider failed, with the error as JSON in the
 * content or with nothing. Undefined for any other, also one without choices.
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
  // What says that the work goes on may speak of limits and loads in its words.
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

/** The members of a chunk that an error may be in. */
interface Glance extends ErrorFields {
  readonly choices?: unknown
  readonly error?: unknown
  readonly base_resp?: unknown
  readonly x_groq?: unknown
}

/** False where a chunk is surely no error: a glance at each, so that only the rare one costs more. */
export function mayBeError(chunk: Glance): boolean {
  const { choices } = chunk
  if (!Array.isArray(choices) || choices.length === 0) return true
  // Some send `error: null` with every chunk.
  const said = chunk.error ?? chunk.base_resp ?? chunk.x_groq ?? undefined
  return said !== undefined || hasErrorField(chunk) || choices.some(endsOddly)
}

// openai's own; others deserve a second look.
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

/** The error that an answer of status 200 holds, as a body of its own. */
export function errorInAnswer(answer: unknown): object | undefined {
  const value = typeof answer === 'string' ? parseObject(answer) : answer
  const tops = [value, ...readItems(value, 1)]
  // Groq, https://console.groq.com/docs/api-reference: why a stream was stopped early
  for (const part of [...tops, readProperty(value, 'x_groq'), ...choicesOf(value)]) {
    const error = readProperty(part, 'error')
    if (!isTelling(error)) continue
    const status = statusIn(part)
    return status === undefined ? { error } : { error, status }
  }
  const wrapped = wrappedErrorIn(value)
  if (wrapped !== undefined) return wrapped
  // MiniMax sends it with every answer; 0 is success.
  const base = readProperty(value, 'base_resp')
  const code = readProperty(base, 'status_code')
  if (code !== undefined && code !== null && code !== 0) return { base_resp: base }
  return tops.map(flatErrorIn).find((flat) => flat !== undefined)
}

const MAX_CHOICES = 128
const MAX_CONTENT_LENGTH = 64 * 1024

/** Finish reasons by which a provider says that it failed; what came before is no whole answer. */
const FAILED_FINISHES: Readonly<Record<string, FailedFinish>> = {
  // A relay that puts the upstream's error into the content.
  error_finish: { kind: 'server_error', saysInContent: true },
  // DeepSeek, https://api-docs.deepseek.com/api/create-chat-completion
  insufficient_system_resource: { kind: 'overloaded' },
}

interface FailedFinish {
  readonly kind: FailureKind
  readonly saysInContent?: true
}

/**
 * By the name of a failure: `error` (OpenRouter, https://openrouter.ai/docs/api-reference/errors; vLLM),
 * `network_error` (Zhipu, https://docs.bigmodel.cn), whatever else somebody calls one. Or by a word for
 * work that was given up in its middle: `abort` (vLLM and SGLang, as when the engine is shut down),
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

/** A choice whose finish_reason says that it failed: the kind where nothing else tells. */
function failureInChoice(choice: unknown): { kind: FailureKind; said: unknown } | undefined {
  const reason = finishReasonOf(choice)
  if (reason === undefined) return undefined
  const known = reason.toLowerCase()
  const finish = Object.hasOwn(FAILED_FINISHES, known)
    ? FAILED_FINISHES[known]
    : failedFinish(reason)
  if (finish === undefined) return undefined
  // Else it is what the model had written before.
  const content =
    finish.saysInContent &&
    [
      readText(readProperty(choice, 'message'), 'content', MAX_CONTENT_LENGTH),
      readText(readProperty(choice, 'delta'), 'content', MAX_CONTENT_LENGTH),
    ].find((text) => text !== undefined)
  return { kind: finish.kind, said: content }
}

/** What nothing in the body tells more of, as this kind. */
function as(kind: FailureKind, judged: Classification, { headers }: Evidence): Classification {
  if (judged.kind !== 'unknown') return judged
  return { ...judged, kind, retryable: mayRetry(kind, false, headers) }
}

/** An answer of status 200 unless more is known. */
function answerOf({ status = 200, headers }: Evidence) {
  return { status, headers }
}
