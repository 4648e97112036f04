import { parseObject } from './embedded-json.ts'
import { isTelling } from './envelope.ts'
import type { FailureKind } from './failure-kinds.ts'
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
  if (found !== undefined) return found
  const isParsed = typeof body === 'object' && body !== null
  if (isParsed && readItems(readProperty(body, 'choices'), 1).length > 0) return undefined
  const judged = judgeResponse({ ...answerOf(evidence), body }, evidence)
  if (judged.kind !== 'unknown') return judged
  const retryable = mayRetry('empty_response', false, evidence.headers)
  return { ...judged, kind: 'empty_response', retryable }
}

/**
 * Judges one chunk of a stream, or a completion, that may be an error in disguise: an `error` at its
 * top or in a choice, MiniMax's `base_resp`, a `finish_reason` that says the provider failed, with
 * the error as JSON in the content or with nothing. Undefined for any other, also one without
 * choices.
 */
export function classifyErrorChunk(
  chunk: unknown,
  evidence: Evidence = {},
): Classification | undefined {
  const body = errorInAnswer(chunk)
  const failed = choicesOf(chunk)
    .map(failureInChoice)
    .find((choice) => choice !== undefined)
  if (body === undefined && failed === undefined) return undefined
  const judged = judgeResponse({ ...answerOf(evidence), body: body ?? failed?.said }, evidence)
  if (judged.kind !== 'unknown' || failed === undefined) return judged
  const { kind } = failed
  return { ...judged, kind, retryable: mayRetry(kind, false, evidence.headers) }
}

/** The error that an answer of status 200 holds, as a body of its own. */
export function errorInAnswer(answer: unknown): object | undefined {
  const value = typeof answer === 'string' ? parseObject(answer) : answer
  for (const part of [value, ...readItems(value, 1), ...choicesOf(value)]) {
    const error = readProperty(part, 'error')
    if (isTelling(error)) return { error }
  }
  // MiniMax sends it with every answer; 0 is success.
  const base = readProperty(value, 'base_resp')
  const code = readProperty(base, 'status_code')
  return code === undefined || code === null || code === 0 ? undefined : { base_resp: base }
}

const MAX_CHOICES = 128
const MAX_CODE_LENGTH = 100
const MAX_CONTENT_LENGTH = 64 * 1024

/** Finish reasons by which a provider says that it failed. */
const FAILED_FINISHES: Readonly<
  Record<string, { readonly kind: FailureKind; readonly saysInContent?: true }>
> = {
  // OpenRouter, https://openrouter.ai/docs/api-reference/errors
  error: { kind: 'server_error' },
  // A relay that puts the upstream's error into the content.
  error_finish: { kind: 'server_error', saysInContent: true },
  // DeepSeek, https://api-docs.deepseek.com/api/create-chat-completion
  insufficient_system_resource: { kind: 'overloaded' },
}

function choicesOf(answer: unknown): readonly unknown[] {
  return readItems(readProperty(answer, 'choices'), MAX_CHOICES)
}

/** A choice whose finish_reason says that it failed: the kind where nothing else tells. */
function failureInChoice(choice: unknown): { kind: FailureKind; said: unknown } | undefined {
  const reason = readText(choice, 'finish_reason', MAX_CODE_LENGTH)
  if (reason === undefined || !Object.hasOwn(FAILED_FINISHES, reason)) return undefined
  const finish = FAILED_FINISHES[reason]
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

/** An answer of status 200 unless more is known. */
function answerOf({ status = 200, headers }: Evidence) {
  return { status, headers }
}
