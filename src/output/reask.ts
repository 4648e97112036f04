import { hash } from 'node:crypto'
import type { OutputIssue } from '../errors/call-error.ts'
import { MAX_ISSUES } from './issues.ts'
import { sortedJson } from './json-value.ts'
import { parseExactly } from './parse-with-sources.ts'
import { carriedFields, carriedParts } from './tool-calls.ts'

/** An answer that was rejected. */
export interface BadAnswer {
  /** The answer's text, as the model wrote it. */
  readonly answer: string
  /** At most twelve; each `path` is a JSON Pointer into the answer. */
  readonly issues: readonly OutputIssue[]
  readonly kind: 'malformed_output' | 'schema_mismatch'
}

/**
 * Custom wording of a re-ask: returns the messages to append to the request. `usual` are the messages that
 * would be appended by default.
 */
export type ReaskWording = (
  bad: BadAnswer,
  usual: readonly ReaskMessage[],
) => readonly ReaskMessage[]

/** A message appended to the request to have a bad answer corrected. */
export interface ReaskMessage {
  readonly role: 'assistant' | 'user'
  readonly content: string
}

/** A re-ask message with the extra fields that the provider requires when its answer is sent back. */
export type CarryingMessage = Omit<ReaskMessage, 'content'> & {
  readonly content: string | readonly unknown[]
}

/** Adds the fields and content parts that the `original` answer had in addition to its text. */
export function carrying(
  message: ReaskMessage,
  original: unknown,
  wanted: ReadonlySet<string>,
): CarryingMessage {
  if (message.role !== 'assistant') return message
  const parts = carriedParts(original)
  const content =
    parts.length === 0 ? message.content : [...parts, { type: 'text', text: message.content }]
  return { ...carriedFields(original, wanted), ...message, content }
}

/**
 * The messages appended to a request to have a bad answer corrected: the answer itself (beyond 32,768
 * characters without its middle), then at most twelve problems. They are appended rather than inserted, so
 * that the provider's prompt cache still matches the earlier messages. `reminder` repeats the instructions
 * that the request stated only in its response format.
 */
export function reaskMessages(
  { answer, issues, kind }: BadAnswer,
  reminder?: string,
): ReaskMessage[] {
  const request: ReaskMessage = { role: 'user', content: requestFor(kind, issues, reminder) }
  // Providers reject an assistant message without content.
  if (answer.trim() === '') return [request]
  return [{ role: 'assistant', content: shortened(answer) }, request]
}

const OPENINGS: Readonly<Record<BadAnswer['kind'], string>> = {
  malformed_output: 'Your answer could not be read as JSON.',
  schema_mismatch: 'Your answer is JSON, but it does not follow the schema.',
}

const ASK_AGAIN = 'Answer again with the corrected JSON only: no explanation and no Markdown.'

function requestFor(
  kind: BadAnswer['kind'],
  issues: readonly OutputIssue[],
  reminder: string | undefined,
): string {
  const points = issues
    .slice(0, MAX_ISSUES)
    .map(({ path, message }) => `- ${path === '' ? 'the whole answer' : path}: ${message}`)
  return [
    OPENINGS[kind],
    ...(points.length > 0 ? ['What is wrong, with JSON Pointers into it:', ...points] : []),
    ...(reminder === undefined ? [ASK_AGAIN] : ['Correct it.', '', reminder]),
  ].join('\n')
}

const MAX_ANSWER_CHARS = 32 * 1024
const CUT_MARK = '\n[… part of the answer left out …]\n'

/** Keeps both ends, because answers usually go wrong at the beginning or at the end. */
function shortened(answer: string): string {
  if (answer.length <= MAX_ANSWER_CHARS) return answer
  const half = Math.floor((MAX_ANSWER_CHARS - CUT_MARK.length) / 2)
  // Cutting a surrogate pair in half would produce invalid UTF-8.
  const head = answer.slice(0, half).replace(/[\ud800-\udbff]$/, '')
  const tail = answer.slice(-half).replace(/^[\udc00-\udfff]/, '')
  return `${head}${CUT_MARK}${tail}`
}

/**
 * Equal for two equal answers: compared by value for JSON of up to 131,072 characters, otherwise by trimmed
 * text. 64 hex digits (SHA-256).
 */
export function answerSignature(text: string): string {
  return hash('sha256', normalized(text))
}

// Sorting this much takes a few milliseconds. Longer repeated answers are usually identical as text.
const MAX_SORTED_CHARS = 128 * 1024

function normalized(text: string): string {
  if (text.length > MAX_SORTED_CHARS) return text.trim()
  try {
    // Parsed exactly, because answers that differ in a number a double rounds are different.
    return sortedJson(parseExactly(text))
  } catch {
    // Not JSON, or nested too deeply.
    return text.trim()
  }
}
