import { hash } from 'node:crypto'
import type { OutputIssue } from '../errors/call-error.ts'
import { carriedFields, carriedParts } from './carried-fields.ts'
import { MAX_ISSUES } from './issues.ts'
import { sortedJson } from './json-value.ts'
import { parseExactly } from './parse-with-sources.ts'

/** An answer that could not be accepted. */
export interface BadAnswer {
  /** The answer's text, as the model wrote it. */
  readonly answer: string
  /** At most twelve; `path` is a JSON Pointer into the answer. */
  readonly issues: readonly OutputIssue[]
  readonly kind: 'malformed_output' | 'schema_mismatch'
}

/**
 * Words a re-ask in the caller's own way: what is appended to the request. `usual` is what would
 * be appended otherwise.
 */
export type ReaskWording = (
  bad: BadAnswer,
  usual: readonly ReaskMessage[],
) => readonly ReaskMessage[]

export interface ReaskMessage {
  readonly role: 'assistant' | 'user'
  readonly content: string
}

/** A message of a re-ask with what its provider wants to see again beside the text. */
export type CarryingMessage = Omit<ReaskMessage, 'content'> & {
  readonly content: string | readonly unknown[]
}

/** The message with the fields and parts that the answer `original` had beside its text. */
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
 * What is appended to a request to have a bad answer corrected: the answer itself, its middle
 * left out beyond 32,768 characters, then what is wrong with it, at most twelve points. Appended
 * and never inserted, so that the provider's prompt cache still matches all that came before.
 * `reminder` are instructions that the request has not said so far.
 */
export function reaskMessages(
  { answer, issues, kind }: BadAnswer,
  reminder?: string,
): ReaskMessage[] {
  const request: ReaskMessage = { role: 'user', content: requestFor(kind, issues, reminder) }
  // Providers refuse an assistant message without content.
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

/** Both ends are kept: how an answer begins and how it ends is where it goes wrong. */
function shortened(answer: string): string {
  if (answer.length <= MAX_ANSWER_CHARS) return answer
  const half = Math.floor((MAX_ANSWER_CHARS - CUT_MARK.length) / 2)
  // A cut through a surrogate pair would leave half a character, which is no valid UTF-8.
  const head = answer.slice(0, half).replace(/[\ud800-\udbff]$/, '')
  const tail = answer.slice(-half).replace(/^[\udc00-\udfff]/, '')
  return `${head}${CUT_MARK}${tail}`
}

/**
 * Equal for two answers that are the same answer: by value where they are JSON of up to 131,072
 * characters, by their trimmed text otherwise. 64 hex digits (SHA-256).
 */
export function answerSignature(text: string): string {
  return hash('sha256', normalized(text))
}

// To be sorted in some milliseconds; longer answers that are the same are so letter by letter.
const MAX_SORTED_CHARS = 128 * 1024

function normalized(text: string): string {
  if (text.length > MAX_SORTED_CHARS) return text.trim()
  try {
    // Two answers that differ in a number which a double rounds are two answers.
    return sortedJson(parseExactly(text))
  } catch {
    // No JSON, or nested too deeply to be walked.
    return text.trim()
  }
}
