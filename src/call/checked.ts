import type { OutputIssue } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import { finishReasonOf } from '../errors/finish-reason.ts'
import { readProperty } from '../errors/hostile.ts'
import type { RegExpEngine } from '../output/ajv-engine.ts'
import { parseAnswer, type Repair } from '../output/parse-json.ts'
import type { RepairLevel } from '../output/repair-rules.ts'
import { ASKED_WRAPPER, type FormatRequest, withoutAskedNulls } from '../output/response-format.ts'
import type { CompiledSchema } from '../output/schema.ts'
import { saysTruncated } from '../output/truncation.ts'

/** What came of an answer. */
export type Checked =
  | { readonly ok: true; readonly value: unknown; readonly repairs: readonly Repair[] }
  | {
      readonly ok: false
      readonly kind: FailureKind
      readonly issues: readonly OutputIssue[]
      readonly text: string
      /** The issues as a message may show them. */
      readonly shownIssues?: readonly string[]
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
): Promise<Checked> {
  const { text, finishReason, refusal } = firstChoice(completion)
  const reject = (kind: FailureKind): Checked => ({ ok: false, kind, issues: [], text })
  if (refusal) return reject('refusal')
  if (finishReason === 'content_filter') return reject('content_filter')
  if (saysTruncated(finishReason)) return reject('truncated')
  if (text.trim() === '') return reject('empty_response')
  const parsed = parseAnswer(text, schema, {
    level,
    undo: format.undo,
    ...(finishReason !== undefined && { finishReason }),
  })
  if (!parsed.ok) {
    const { kind } = parsed
    const issues = withoutAskedNulls(parsed.issues, text, format, regExp)
    return { ok: false, kind, issues, shownIssues: withoutContent(issues, schema), text }
  }
  try {
    const finished = await schema.finish(parsed.value)
    return finished.ok
      ? { ok: true, value: finished.value, repairs: parsed.repairs }
      : {
          ok: false,
          kind: 'schema_mismatch',
          issues: finished.issues,
          // A library's own messages may quote the answer.
          shownIssues: [`${finished.issues.length} found by the schema's own checks`],
          text,
        }
  } catch (cause) {
    // A transform of the user's that throws is his bug, and the answer has been paid for.
    return { ok: false, kind: 'unknown', issues: [], text, cause }
  }
}

/** Where an answer that is no object stands, and where the arguments of a tool call do. */
const OUR_OWN: ReadonlySet<string> = new Set([ASKED_WRAPPER, 'tool_calls', 'function', 'arguments'])

/** Paths with every name left out that the schema does not know: it is the model's own text. */
export function withoutContent(
  issues: readonly OutputIssue[],
  { jsonSchema }: CompiledSchema,
): readonly string[] {
  const known = JSON.stringify(jsonSchema)
  const isKnown = (segment: string) =>
    /^\d*$/.test(segment) || OUR_OWN.has(segment) || known.includes(`${JSON.stringify(segment)}:`)
  return issues.map(({ path, message }) => {
    const shown = path.split('/').map((segment) => (isKnown(segment) ? segment : '*'))
    return `${shown.join('/') || '/'} ${message}`
  })
}

function firstChoice(completion: unknown): {
  text: string
  finishReason: string | undefined
  refusal: boolean
} {
  const choice = readProperty(readProperty(completion, 'choices'), '0')
  const message = readProperty(choice, 'message')
  const content = readProperty(message, 'content')
  const refusal = readProperty(message, 'refusal')
  return {
    text: textOf(content),
    finishReason: finishReasonOf(choice),
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
