import { systemClock } from '../time.ts'
import { isCallError } from './call-error.ts'
import { type Envelope, isTelling, parseObject, readEnvelope } from './envelope.ts'
import { type Executed, FAILURE_KINDS, type FailureKind, isFailureKind } from './failure-kinds.ts'
import { readRetryAfter } from './hints.ts'
import { type HeaderSource, readHeader, readItems, readProperty, readText } from './hostile.ts'
import { matchCause } from './match-cause.ts'
import { matchWording } from './match-wording.ts'
import { isNotExecuted } from './not-executed.ts'
import { STATUS_KINDS } from './rules.ts'

/** What a failure means. */
export interface Classification {
  readonly kind: FailureKind
  /** The same request, sent again unchanged after a wait, may succeed. */
  readonly retryable: boolean
  /** Whether the provider may have done the work. */
  readonly executed: Executed
  /** How long the provider asks to wait, milliseconds. */
  readonly retryAfterMs?: number
  /** HTTP status, where a response came. */
  readonly status?: number
  /** The provider's own code, such as `insufficient_quota`, or the runtime's, such as `ECONNRESET`. */
  readonly code?: string
  readonly requestId?: string
}

/** What was seen on the wire: openai's error drops a body that has no `error` member. */
export interface Evidence {
  /** Wall clock, milliseconds since the epoch; the system's when absent. */
  readonly now?: number | undefined
  readonly status?: number | undefined
  readonly headers?: HeaderSource | undefined
  /** The response's body, as it came. */
  readonly body?: string | undefined
}

/**
 * Says what kind of failure an error is, whether the same request may be sent again, and how long
 * the provider asks to wait. Reads any error by its structure: openai's of any version, fetch's and
 * Node's, other SDKs' with a `status`, a `CallError`, and whatever they were caused by. Never throws.
 *
 * @param now Wall clock in milliseconds, for a hint given as a date; the current time when absent.
 */
export function classifyError(error: unknown, now?: number): Classification {
  return classify(error, { now })
}

/** `classifyError` with what the wire observer saw. */
export function classify(error: unknown, evidence: Evidence = {}): Classification {
  const found = judge(error, evidence, { left: MAX_ERRORS }, 0) ?? judgeEvidence(error, evidence)
  return isNotExecuted(error) ? { ...found, executed: 'no' } : found
}

/**
 * Judges the parsed body of a 200. Undefined for a completion: an object with at least one choice
 * and no error. Providers report a failure there once the status has been sent; a body with neither
 * error nor choice is `empty_response`.
 */
export function classifyErrorBody(
  body: unknown,
  evidence: Evidence = {},
): Classification | undefined {
  const value = typeof body === 'string' ? parseObject(body) : body
  const choices = readItems(readProperty(value, 'choices'), MAX_CHOICES)
  const error = [value, ...choices].map((part) => readProperty(part, 'error')).find(isTelling)
  if (error === undefined && choices.length > 0 && value === body) return undefined
  const said = error === undefined ? body : { error }
  const response = { status: evidence.status ?? 200, headers: evidence.headers, body: said }
  const found = judgeResponse(response, evidence)
  if (error !== undefined || found.kind !== 'unknown') return found
  const retryable = mayRetry('empty_response', false, evidence.headers)
  return { ...found, kind: 'empty_response', retryable }
}

// A chain of causes in the wild has up to five links; a cyclic one ends here.
const MAX_DEPTH = 10
const MAX_ERRORS = 32
const MAX_CHOICES = 128

/** An error, then what caused it; undefined when none of them says anything. */
function judge(
  error: unknown,
  evidence: Evidence,
  budget: { left: number },
  depth: number,
): Classification | undefined {
  if (depth >= MAX_DEPTH || budget.left-- <= 0) return undefined
  const own = fromCallError(error)
  if (own !== undefined) return own
  const response = readResponse(error, evidence)
  const answered = response && judgeResponse(response, evidence)
  if (answered !== undefined && answered.kind !== 'unknown') return answered
  const cause = matchCause(error)
  if (cause === undefined || cause.rule.vague) {
    const deeper = judgeCauses(error, evidence, budget, depth + 1)
    if (deeper !== undefined) return deeper
  }
  return cause === undefined ? answered : describe(cause.rule, cause.code)
}

function judgeCauses(
  error: unknown,
  evidence: Evidence,
  budget: { left: number },
  depth: number,
): Classification | undefined {
  const cause = readProperty(error, 'cause')
  const found = cause === undefined ? undefined : judge(cause, evidence, budget, depth)
  if (found !== undefined) return found
  // AggregateError, and the retry errors of other SDKs
  const errors = readItems(readProperty(error, 'errors'), MAX_ERRORS).map((part) =>
    judge(part, evidence, budget, depth),
  )
  const first = errors.find((part) => part !== undefined)
  const surelyNot = errors.every((part) => part?.executed === 'no')
  return first === undefined || surelyNot ? first : { ...first, executed: 'maybe' }
}

/** The error itself says nothing: what the wire saw decides. */
function judgeEvidence(error: unknown, evidence: Evidence): Classification {
  const { status } = evidence
  if (isErrorStatus(status)) return judgeResponse({ ...evidence, status }, evidence)
  // JSON.parse of a good answer that was cut or garbled on its way
  const isCut = status !== undefined && readProperty(error, 'name') === 'SyntaxError'
  return describe({ kind: isCut ? 'network' : 'unknown', executed: 'maybe' }, undefined)
}

function describe(
  { kind, executed }: { readonly kind: FailureKind; readonly executed: Executed },
  code: string | undefined,
): Classification {
  const retryable = mayRetry(kind, false, undefined)
  return { kind, retryable, executed, ...(code !== undefined && { code }) }
}

function fromCallError(error: unknown): Classification | undefined {
  try {
    if (!isCallError(error) || !isFailureKind(error.kind)) return undefined
    const { kind, retryable, executed, retryAfterMs, status, code, requestId } = error
    return {
      kind,
      retryable,
      executed,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(status !== undefined && { status }),
      ...(code !== undefined && { code }),
      ...(requestId !== undefined && { requestId }),
    }
  } catch {
    // a proxy that refuses to be read
    return undefined
  }
}

/** An HTTP answer as far as it is known. */
interface Answer {
  readonly status: number | undefined
  readonly headers?: HeaderSource | undefined
  readonly body?: unknown
  readonly requestId?: string | undefined
}

const MAX_ID_LENGTH = 200

/**
 * The answer an error carries: openai's, Anthropic's and fetch's own names, and those of clients
 * that call them `statusCode`, `responseBody` or `response.data`.
 */
function readResponse(error: unknown, evidence: Evidence): Answer | undefined {
  const inner = readProperty(error, 'response')
  const status = [
    readProperty(error, 'status'),
    readProperty(error, 'statusCode'),
    readProperty(inner, 'status'),
  ].find(isErrorStatus)
  const member = readProperty(error, 'error')
  // An ErrorEvent carries an Error there, no body.
  const said = isTelling(member) && readProperty(member, 'stack') === undefined
  if (status === undefined && !said) return undefined
  const isOurs = evidence.status === undefined || status === undefined || evidence.status === status
  const bodies = [
    isOurs ? evidence.body : undefined,
    said ? { error: member } : undefined,
    readProperty(error, 'responseBody'),
    readProperty(inner, 'data'),
    readText(error, 'message', MAX_MESSAGE_LENGTH),
  ]
  const headers = [
    readProperty(error, 'headers'),
    readProperty(error, 'responseHeaders'),
    readProperty(inner, 'headers'),
  ].find((candidate) => typeof candidate === 'object' && candidate !== null)
  return {
    status: status ?? evidence.status,
    // readHeader accepts any object.
    headers: (headers as HeaderSource | undefined) ?? evidence.headers,
    body: bodies.find((candidate) => candidate !== undefined && candidate !== ''),
    requestId: readText(error, 'requestID', MAX_ID_LENGTH),
  }
}

const MAX_MESSAGE_LENGTH = 4_096

function judgeResponse(answer: Answer, { now }: Evidence): Classification {
  const { headers } = answer
  const body = readEnvelope(answer.body)
  const status = isErrorStatus(answer.status) ? answer.status : body.status
  const rule = matchWording(body, status)
  const kind = rule?.kind ?? kindOfStatus(status)
  const retryAfterMs = readRetryAfter({
    status,
    headers,
    body: body.json,
    message: body.message,
    now: now ?? systemClock.wallMs(),
  })
  const requestId = answer.requestId ?? readRequestId(headers)
  return {
    kind,
    retryable: mayRetry(kind, rule === undefined, headers),
    executed: executedBy(answer.status, body),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(answer.status !== undefined && { status: answer.status }),
    ...(body.code !== undefined && { code: body.code }),
    ...(requestId !== undefined && { requestId }),
  }
}

function isErrorStatus(status: unknown): status is number {
  return typeof status === 'number' && Number.isInteger(status) && status >= 300 && status < 600
}

function kindOfStatus(status: number | undefined): FailureKind {
  if (status === undefined || status < 400) return 'unknown'
  return STATUS_KINDS[status] ?? (status < 500 ? 'invalid_request' : 'server_error')
}

// Money does not come back by waiting, whatever a header says.
const NEVER_RETRYABLE: readonly FailureKind[] = ['billing', 'quota_exhausted']

/** The kind's own answer, unless the provider's `x-should-retry` knows better. */
function mayRetry(
  kind: FailureKind,
  byStatus: boolean,
  headers: HeaderSource | undefined,
): boolean {
  const told = readHeader(headers, 'x-should-retry')
  if (told === 'false') return false
  if (told === 'true' && byStatus && !NEVER_RETRYABLE.includes(kind)) return true
  const { retry } = FAILURE_KINDS[kind]
  return retry === 'yes' || retry === 'once'
}

// 408 and 499 come from a server that had begun, 409 may speak of a first attempt that succeeded.
const BEGUN = [408, 409, 499]

/** A provider that refused did no work; a proxy's error says nothing about what is behind it. */
function executedBy(status: number | undefined, body: Envelope): Executed {
  if (status === undefined) return 'maybe'
  if (status === 503 || status === 529) return body.fromProvider ? 'no' : 'maybe'
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
