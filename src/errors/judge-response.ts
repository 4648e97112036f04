import { type Clock, systemClock } from '../time.ts'
import {
  type Envelope,
  type ErrorFields,
  flatErrorIn,
  hasErrorField,
  isNonEmpty,
  readEnvelope,
  statusIn,
  wrappedErrorIn,
} from './envelope.ts'
import { type Executed, FAILURE_KINDS, type FailureKind } from './failure-kinds.ts'
import { readRetryAfter } from './hints.ts'
import {
  finishReasonOf,
  type HeaderSource,
  isFailureWord,
  parseObject,
  readHeader,
  readItems,
  readProperty,
  readText,
  saysWork,
} from './hostile.ts'
import { matchWording, STATUS_KINDS } from './match-wording.ts'

/** What a failure means for the caller. */
export interface Classification {
  readonly kind: FailureKind
  /** Whether the same request may succeed if sent again unchanged after a wait. */
  readonly retryable: boolean
  /** Whether the provider may have done the work. */
  readonly executed: Executed
  /** How long the provider asks to wait, in milliseconds. */
  readonly retryAfterMs?: number
  /** HTTP status; absent if no response arrived. */
  readonly status?: number
  /** The provider's own code, such as `insufficient_quota`, or the runtime's, such as `ECONNRESET`. */
  readonly code?: string
  readonly requestId?: string
}

/** What was observed on the wire. Needed because openai's error drops a body without an `error` member. */
export interface Evidence {
  /** Wall clock, milliseconds since the epoch. @default the clock's time */
  readonly now?: number | undefined
  /** A clock rather than a time, so that a good answer costs no clock read. */
  readonly clock?: Pick<Clock, 'wallMs'> | undefined
  readonly status?: number | undefined
  readonly headers?: HeaderSource | undefined
  /** The response body, unparsed. */
  readonly body?: string | undefined
  /** The code of the runtime's limit that ended the request, which openai 6 drops. */
  readonly limitCode?: string | undefined
}

/** The known parts of an HTTP response. */
export interface HttpAnswer {
  readonly status: number | undefined
  readonly headers?: HeaderSource | undefined
  readonly body?: unknown
  readonly requestId?: string | undefined
}

export const MAX_ID_LENGTH = 200

/** Classifies a response by its wording, then by its status. */
export function judgeResponse(
  answer: HttpAnswer,
  { now, clock = systemClock }: Evidence,
): Classification {
  const { headers } = answer
  const body = readEnvelope(answer.body)
  const status = isErrorStatus(answer.status) ? answer.status : body.status
  const rule = matchWording(body, status)
  const kind = rule?.kind ?? kindOfStatus(statusBehind(status, body))
  const retryAfterMs = readRetryAfter({
    status,
    headers,
    parts: body.parts,
    message: body.message,
    now: now ?? clock.wallMs(),
  })
  const requestId = answer.requestId ?? readRequestId(headers)
  return {
    kind,
    retryable: mayRetry(kind, rule === undefined, headers, body.retryable),
    executed: executedBy(answer.status, body, kind),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(answer.status !== undefined && { status: answer.status }),
    ...(body.code !== undefined && { code: body.code }),
    ...(requestId !== undefined && { requestId }),
  }
}

export function isErrorStatus(status: unknown): status is number {
  return typeof status === 'number' && Number.isInteger(status) && status >= 300 && status < 600
}

/** Some relays answer 400 whatever the upstream provider's status was. */
function statusBehind(status: number | undefined, { innerStatus }: Envelope): number | undefined {
  const isPassing = innerStatus !== undefined && (innerStatus === 429 || innerStatus >= 500)
  return status === 400 && isPassing ? innerStatus : status
}

function kindOfStatus(status: number | undefined): FailureKind {
  if (status === undefined) return 'unknown'
  const byClass = status < 400 ? 'unknown' : status < 500 ? 'invalid_request' : 'server_error'
  return STATUS_KINDS[status] ?? byClass
}

// Waiting restores neither money nor a spent quota, whatever a header says.
const NEVER_RETRYABLE: readonly FailureKind[] = ['billing', 'quota_exhausted']

/**
 * Whether the kind is retryable, unless the provider says otherwise in `x-should-retry`, or a gateway in
 * the body.
 */
export function mayRetry(
  kind: FailureKind,
  byStatus: boolean,
  headers: HeaderSource | undefined,
  inBody?: boolean,
): boolean {
  const told = readHeader(headers, 'x-should-retry') ?? String(inBody)
  if (told === 'false') return false
  if (told === 'true' && byStatus && !NEVER_RETRYABLE.includes(kind)) return true
  const { retry } = FAILURE_KINDS[kind]
  return retry === 'yes' || retry === 'once'
}

// The server had already started on 408 and 499; 409 may refer to a first attempt that succeeded.
const BEGUN = [408, 409, 499]

// Redirects of the same request. 303 is not one of them: it says where the result is.
const ELSEWHERE = [301, 302, 307, 308]

// Kinds that imply the work had begun, whatever status a relay reports.
const FAILED: readonly FailureKind[] = ['server_error', 'timeout']

/** A provider that refuses a request did no work; a proxy's error says nothing about the server behind it. */
function executedBy(status: number | undefined, body: Envelope, kind: FailureKind): Executed {
  if (status === undefined || FAILED.includes(kind)) return 'maybe'
  if (status === 503 || status === 529) return body.fromProvider ? 'no' : 'maybe'
  if (ELSEWHERE.includes(status)) return 'no'
  return status >= 400 && status < 500 && !BEGUN.includes(status) ? 'no' : 'maybe'
}

// OpenAI, Azure, Anthropic.
const REQUEST_ID_HEADERS = ['x-request-id', 'apim-request-id', 'request-id']

function readRequestId(headers: HeaderSource | undefined): string | undefined {
  for (const name of REQUEST_ID_HEADERS) {
    const id = readHeader(headers, name)
    if (id !== undefined) return id.slice(0, MAX_ID_LENGTH)
  }
  return undefined
}

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
    if (!isNonEmpty(error)) continue
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
