import type { Waiting } from '../../call/limits.ts'
import type { OutputIssue } from '../../errors/call-error.ts'
import type { FailureKind } from '../../errors/failure-kinds.ts'
import { readProperty } from '../../errors/hostile.ts'
import { type FoundIssue, SchemaNames } from '../../output/named-path.ts'
import { parseAnswer, type Repair } from '../../output/parse-json.ts'
import type { RepairLevel } from '../../output/repair-rules.ts'
import { type FormatRequest, withoutAskedNulls } from '../../output/response-format.ts'
import type { CompiledSchema } from '../../output/schema.ts'
import type { RegExpEngine } from '../../output/schema-engine.ts'
import { fillsContext, saysTruncated } from '../../output/truncation.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { ReadingEnded, readInTurns, whileAwaited } from './reading.ts'
import { firstChoice } from './shape.ts'

/** What came of an answer. */
export type Checked =
  | { readonly ok: true; readonly value: unknown; readonly repairs: readonly Repair[] }
  | {
      readonly ok: false
      readonly kind: FailureKind
      readonly issues: readonly FoundIssue[]
      readonly text: string
      /** What is wrong, and what to do about it, where the kind says too little. Free of content. */
      readonly detail?: string
      readonly advice?: string
      /** The message that it is the text of. */
      readonly message?: unknown
      /** What the schema's own transform threw. */
      readonly cause?: unknown
    }

export interface Reading {
  readonly level: RepairLevel
  readonly regExp: RegExpEngine | undefined
  /** How it was asked for. */
  readonly format: FormatRequest
}

/** One completion against the schema: its outcome first, then its text. */
export async function checkCompletion(
  completion: unknown,
  schema: CompiledSchema,
  { level, regExp, format }: Reading,
  waiting: Waiting,
): Promise<Checked> {
  const { text, finishReason, refusal, message } = answerIn(completion)
  const reject = (
    kind: FailureKind,
    more: { readonly detail?: string; readonly advice?: string } = {},
  ): Checked & { ok: false } => ({ ok: false, kind, issues: [], text, ...more })
  if (refusal) return reject('refusal')
  if (finishReason === 'content_filter') return reject('content_filter')
  if (saysTruncated(finishReason)) {
    return reject('truncated', whyCut(finishReason, text))
  }
  if (text.trim() === '') return reject('empty_response', whyEmpty(message, text))
  try {
    const reading = parseAnswer(
      text,
      schema,
      withoutUndefined({ level, undo: format.undo, finishReason }),
    )
    const parsed = await readInTurns(reading, waiting)
    if (!parsed.ok) {
      const { kind } = parsed
      return {
        ok: false,
        kind,
        issues: withoutAskedNulls(parsed.issues, text, format, regExp),
        text,
        message,
      }
    }
    const { value, repairs } = parsed
    const finishing = schema.finish(value)
    const finished =
      finishing instanceof Promise ? await whileAwaited(finishing, waiting) : finishing
    if (finished.ok) return { ok: true, value: finished.value, repairs }
    const issues = finished.issues.map(ownCheck(schema, value))
    return { ok: false, kind: 'schema_mismatch', issues, text, message }
  } catch (error) {
    if (error instanceof ReadingEnded) return { ...reject(error.kind), cause: error.cause }
    // A transform of the user's that throws is a bug there, and the answer has been paid for.
    return { ...reject('unknown'), cause: error }
  }
}

/** A library's own messages may quote the answer. */
function ownCheck({ jsonSchema }: CompiledSchema, value: unknown) {
  const names = new SchemaNames(jsonSchema)
  return ({ path, message }: OutputIssue): FoundIssue => ({
    path,
    message,
    told: { path: names.path(path, value), message: "refused by the schema's own checks" },
  })
}

function whyCut(
  finishReason: string | undefined,
  text: string,
): { detail?: string; advice?: string } {
  if (fillsContext(finishReason)) return CONTEXT_FULL
  return text.trim() === '' ? { detail: 'its limit, which counts reasoning too, left no text' } : {}
}

const CONTEXT_FULL = {
  detail: "the model's context was full",
  advice: 'Shorten the messages, ask for less, or use a model with a larger context.',
}

/** What an answer without text is instead. */
function whyEmpty(message: unknown, text: string): { detail: string; advice?: string } {
  const has = (name: string) => {
    const value = readProperty(message, name)
    return typeof value === 'object'
      ? value !== null && Object.keys(value).length > 0
      : Boolean(value)
  }
  if (message === undefined) return { detail: 'its choice has no message' }
  if (has('tool_calls') || has('function_call')) return { detail: 'it calls a function instead' }
  if (has('audio')) return { detail: 'it is audio, without text' }
  if (text !== '') return { detail: 'its content is nothing but white space' }
  if (REASONING.some(has) || thinksIn(readProperty(message, 'content'))) {
    return REASONING_ONLY
  }
  return { detail: 'its content is empty' }
}

const REASONING_ONLY = {
  detail: 'it is reasoning without an answer after it',
  advice: 'Raise the output limit or lower the reasoning effort, or use another model.',
}

/** Where providers put the model's reasoning: DeepSeek, vLLM; OpenRouter, Groq; Ollama. */
const REASONING = ['reasoning_content', 'reasoning', 'reasoning_details', 'thinking']

/** Mistral's parts of content. */
function thinksIn(content: unknown): boolean {
  const parts = Array.isArray(content) ? content : []
  return parts.some((part) => readProperty(part, 'type') === 'thinking')
}

function answerIn(completion: unknown): {
  text: string
  message: unknown
  finishReason: string | undefined
  refusal: boolean
} {
  const { message, finishReason } = firstChoice(completion)
  const content = readProperty(message, 'content')
  const refusal = readProperty(message, 'refusal')
  return {
    text: textOf(content),
    message,
    finishReason,
    refusal: typeof refusal === 'string' && refusal !== '',
  }
}

/** The text of an answer; of its parts, as Mistral sends them beside those of its reasoning. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .filter((part) => readProperty(part, 'type') === 'text')
    .map((part) => readProperty(part, 'text'))
    .filter((text) => typeof text === 'string')
    .join('')
}
