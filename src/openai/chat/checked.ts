import { hash } from 'node:crypto'
import type { OutputIssue } from '../../errors/call-error.ts'
import { readEnvelope } from '../../errors/envelope.ts'
import type { FailureKind } from '../../errors/failure-kinds.ts'
import { readItems, readProperty, readText } from '../../errors/hostile.ts'
import { asksLess, formatAfterRefusal } from '../../output/format-refusals.ts'
import { type FoundIssue, SchemaNames } from '../../output/named-path.ts'
import { fillsContext, parseAnswer, type Repair, saysTruncated } from '../../output/parse-json.ts'
import type { RepairLevel } from '../../output/repair-rules.ts'
import {
  type FormatRequest,
  type ResponseFormat,
  withoutAskedNulls,
} from '../../output/response-format.ts'
import type { CompiledSchema } from '../../output/schema.ts'
import type { RegExpEngine } from '../../output/schema-engine.ts'
import { inTurns, type Resting } from '../../output/work.ts'
import type { TargetState } from '../../retry/health/target-state.ts'
import { type Clock, soon, type Waiting } from '../../time.ts'
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

export interface AnswerReading {
  readonly level: RepairLevel
  readonly regExp: RegExpEngine | undefined
  /** How it was asked for. */
  readonly format: FormatRequest
}

/** One completion against the schema: its outcome first, then its text. */
export async function checkCompletion(
  completion: unknown,
  schema: CompiledSchema,
  { level, regExp, format }: AnswerReading,
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
    const reading = parseAnswer(text, schema, {
      level,
      undo: format.undo,
      ...(finishReason !== undefined && { finishReason }),
    })
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

/** Without a limit: for an answer that came when all callers had left, and is kept for later ones. */
export function waitingForOthers(clock: Clock): Waiting {
  return { clock, signal: undefined, deadline: { remainingMs: () => Number.POSITIVE_INFINITY } }
}

/** No caller waits for the answer any longer. */
export class ReadingEnded extends Error {
  override readonly name = 'ReadingEnded'
  readonly kind: 'aborted' | 'deadline'

  constructor({ signal }: Waiting) {
    super('the answer was not read to its end', { cause: signal?.reason })
    this.kind = signal?.aborted === true ? 'aborted' : 'deadline'
  }
}

function isOver({ signal, deadline }: Waiting): boolean {
  return signal?.aborted === true || deadline.remainingMs() <= 0
}

/**
 * Reads while a caller waits for it. Other code gets its turn of the event loop every few milliseconds, so
 * that signals and deadlines are heard of.
 * @throws {ReadingEnded}
 */
export function readInTurns<T>(work: Resting<T>, waiting: Waiting): Promise<T> {
  return inTurns(work, async () => {
    await new Promise<void>(soon)
    if (isOver(waiting)) throw new ReadingEnded(waiting)
  })
}

/** Settles as the user's own check does, while a caller waits for it. @throws {ReadingEnded} */
function whileAwaited<T>(work: Promise<T>, waiting: Waiting): Promise<T> {
  const { clock, signal, deadline } = waiting
  return new Promise((resolve, reject) => {
    let cancel = () => {}
    const dispose = () => {
      cancel()
      signal?.removeEventListener('abort', look)
    }
    const look = (): void => {
      if (!isOver(waiting)) {
        // A caller with a later deadline may join meanwhile.
        cancel = clock.schedule(deadline.remainingMs(), look)
        return
      }
      dispose()
      reject(new ReadingEnded(waiting))
    }
    signal?.addEventListener('abort', look, { once: true })
    look()
    work.then(resolve, reject).finally(dispose)
  })
}

/** What a target has refused is not asked of it again, for as long as it is remembered. */
interface LearnedFormat {
  format: ResponseFormat
  /** It takes the format without a word, and does not follow it. */
  ignoresFormat: boolean
  /** By a schema's signature: what was said of that schema alone. The oldest first. */
  readonly ofSchemas: Map<string, ResponseFormat>
}

const learned = new WeakMap<TargetState, LearnedFormat>()
const MAX_SCHEMAS = 100

/** The format to ask a target in: as given, or under `'auto'` the most that it has not refused. */
export function formatFor(
  target: TargetState | undefined,
  given: ResponseFormat | 'auto',
  schema: CompiledSchema,
): ResponseFormat {
  if (given !== 'auto') return given
  const known = target === undefined ? undefined : learned.get(target)
  if (known === undefined) return 'strict'
  const own = known.ofSchemas.size === 0 ? undefined : known.ofSchemas.get(signatureOf(schema))
  return own !== undefined && asksLess(own, known.format) ? own : known.format
}

export interface RefusedRequest {
  readonly error: unknown
  readonly kind: FailureKind
  readonly status: number | undefined
  readonly body: string | undefined
  readonly asked: ResponseFormat
  readonly schema: CompiledSchema
}

// OpenRouter's 404 says that no endpoint takes the parameters; some gateways answer 500.
const STATUSES: ReadonlySet<unknown> = new Set([400, 404, 422, 500])
// An error that is known to be about something else may still mention the format.
const KINDS: ReadonlySet<FailureKind> = new Set([
  'invalid_request',
  'not_found',
  'server_error',
  'unknown',
])

/** True when the error says that the format was refused, and there is another to ask in. */
export function learnFormat(target: TargetState, refused: RefusedRequest): boolean {
  const { error, kind, status, body, asked, schema } = refused
  if (!STATUSES.has(status) || !KINDS.has(kind)) return false
  const refusal = formatAfterRefusal(saidIn(body ?? readProperty(error, 'message')), asked)
  if (refusal === undefined) return false
  const known = learnedOf(target)
  // Another call may have learned more meanwhile.
  if (refusal.ofSchema === true) remember(known.ofSchemas, signatureOf(schema), refusal.leaves)
  else if (asksLess(refusal.leaves, known.format)) known.format = refusal.leaves
  return true
}

/** The target's answers show that it does not read the format: the messages have to say it all. */
export function learnIgnored(target: TargetState): void {
  learnedOf(target).ignoresFormat = true
}

export function ignoresFormat(target: TargetState | undefined): boolean {
  return target !== undefined && learned.get(target)?.ignoresFormat === true
}

function learnedOf(target: TargetState): LearnedFormat {
  const known = learned.get(target) ?? {
    format: 'strict',
    ignoresFormat: false,
    ofSchemas: new Map(),
  }
  learned.set(target, known)
  return known
}

/** The provider's words, and the names of the parameters that it says they are about. */
function saidIn(body: unknown): string {
  const { message, parts } = readEnvelope(body)
  const about = parts.flatMap((part) => [
    readText(part, 'param', MAX_NAME_CHARS),
    readItems(readProperty(part, 'loc'), MAX_LOC).join('.').slice(0, MAX_NAME_CHARS),
  ])
  return [message, ...about].filter((text) => text !== undefined && text !== '').join('\n')
}

const MAX_NAME_CHARS = 200
const MAX_LOC = 10

function remember(
  formats: Map<string, ResponseFormat>,
  schema: string,
  format: ResponseFormat,
): void {
  const known = formats.get(schema)
  if (known !== undefined && !asksLess(format, known)) return
  formats.set(schema, format)
  for (const oldest of formats.keys()) {
    if (formats.size <= MAX_SCHEMAS) break
    formats.delete(oldest)
  }
}

/** Short, whatever the schema's size. */
function signatureOf({ jsonSchema }: CompiledSchema): string {
  return hash('sha256', JSON.stringify(jsonSchema))
}
