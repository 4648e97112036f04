import { isCallError } from './call-error.ts'
import { matchCause } from './cause-rules.ts'
import { isNonEmpty, readEnvelope } from './envelope.ts'
import { type Executed, type FailureKind, isFailureKind } from './failure-kinds.ts'
import { type HeaderSource, readItems, readProperty, readText, someCause } from './hostile.ts'
import {
  type Classification,
  type Evidence,
  errorInAnswer,
  type HttpAnswer,
  isErrorStatus,
  judgeResponse,
  MAX_ID_LENGTH,
  mayRetry,
} from './judge-response.ts'
import { limitIn } from './runtime-limits.ts'

export type { Classification, Evidence } from './judge-response.ts'
export { classifyErrorBody, classifyErrorChunk } from './judge-response.ts'

/**
 * Classifies an error: its kind, whether the same request may be sent again, and how long the provider
 * asks to wait. Reads errors by their structure: those of any openai version, of fetch and Node, of
 * other SDKs (with a `status`), `CallError`s, and all of their causes. Never throws.
 *
 * @param now Wall-clock time in milliseconds, used when a hint is a date. @default the current time
 */
export function classifyError(error: unknown, now?: number): Classification {
  return classify(error, { now })
}

/** `classifyError`, supplemented by what was observed on the wire. */
export function classify(error: unknown, evidence: Evidence = {}): Classification {
  const judged = judge(error, evidence, { left: MAX_ERRORS }, 0) ?? judgeEvidence(error, evidence)
  const found = underLimit(judged, error, evidence)
  return isNotExecuted(error) ? { ...found, executed: 'no' } : found
}

/** A request that the runtime's own limit ended would meet it again. openai calls it a time-out of its own. */
function underLimit(
  found: Classification,
  error: unknown,
  { limitCode }: Evidence,
): Classification {
  if (found.kind !== 'timeout' || found.status !== undefined) return found
  const code = limitIn(error) ?? limitCode
  return code === undefined ? found : { ...found, code, retryable: false }
}

// Real chains of causes have up to five links; the limit also ends a cyclic chain.
const MAX_DEPTH = 10
const MAX_ERRORS = 32
// At most this much is read of a message or a body.
const MAX_MESSAGE_LENGTH = 4_096

/** Judges an error, then its causes; undefined if none of them matches. */
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
  if (cause !== undefined) return describe(cause.rule, cause.code)
  return answered ?? judgeMessage(error, evidence)
}

/** Some clients put the provider's JSON into the message and keep no other part of the response. */
function judgeMessage(error: unknown, evidence: Evidence): Classification | undefined {
  const message = readText(error, 'message', MAX_MESSAGE_LENGTH)
  if (message === undefined || !readEnvelope(message).fromProvider) return undefined
  const judged = judgeResponse({ status: undefined, body: message }, evidence)
  return judged.kind === 'unknown' ? undefined : judged
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
  // AggregateError has `errors`; retry errors of other SDKs also have `lastError`, which takes precedence.
  const errors = readItems(readProperty(error, 'errors'), MAX_ERRORS).map((part) =>
    judge(part, evidence, budget, depth),
  )
  const last = readProperty(error, 'lastError')
  const first =
    (last === undefined ? undefined : judge(last, evidence, budget, depth)) ??
    errors.find((part) => part !== undefined)
  const surelyNot = errors.every((part) => part?.executed === 'no')
  return first === undefined || surelyNot ? first : { ...first, executed: 'maybe' }
}

/** The error itself says nothing, so the response observed on the wire decides. */
function judgeEvidence(error: unknown, evidence: Evidence): Classification {
  const { status } = evidence
  if (isErrorStatus(status)) return judgeResponse({ ...evidence, status }, evidence)
  // JSON.parse failed on a good answer that was cut or corrupted in transit.
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
    // A proxy whose traps throw.
    return undefined
  }
}

/**
 * The response that an error carries, under the names that clients use: `status`, `headers`, `error`
 * (openai, Anthropic); `statusCode`, `responseHeaders`, `responseBody` (AI SDK); `response` with `data`
 * (axios); a `Response` that was thrown or attached to an error. Undefined if there is none.
 */
function readResponse(error: unknown, evidence: Evidence): HttpAnswer | undefined {
  const inner = readProperty(error, 'response')
  const status = statusesOf(error, inner).find(isErrorStatus)
  const member = readProperty(error, 'error')
  // The `error` of an ErrorEvent is an Error, not a response body.
  const said = isNonEmpty(member) && readProperty(member, 'stack') === undefined
  if (status === undefined && !said) return answerInDisguise(error, inner, evidence)
  const isOurs = evidence.status === undefined || status === undefined || evidence.status === status
  const bodies = [
    isOurs ? evidence.body : undefined,
    said ? bodyOfMember(member) : undefined,
    ...bodiesOf(error, inner),
    readText(error, 'message', MAX_MESSAGE_LENGTH),
  ]
  return {
    status: status ?? evidence.status,
    headers: headersOf(error, inner) ?? evidence.headers,
    body: bodies.find(isBody),
    requestId: REQUEST_ID_FIELDS.map((field) => readText(error, field, MAX_ID_LENGTH)).find(
      (id) => id !== undefined,
    ),
  }
}

const REQUEST_ID_FIELDS = ['requestID', 'request_id', 'requestId']

/**
 * openai 7 stores a whole body in `error` if the body has no `error` of its own, such as a proxy's
 * `{message}`. Only a code or type proves that the object is a provider's error.
 */
function bodyOfMember(member: unknown): unknown {
  const isWhole =
    typeof member === 'object' &&
    readText(member, 'type', 1) === undefined &&
    (readProperty(member, 'code') ?? undefined) === undefined &&
    readProperty(member, 'error') === undefined
  return isWhole ? member : { error: member }
}

/** The client failed to process a 200 response; its body may contain an error. */
function answerInDisguise(
  error: unknown,
  inner: unknown,
  evidence: Evidence,
): HttpAnswer | undefined {
  const status = statusesOf(error, inner).find((candidate) => candidate === 200)
  if (status === undefined) return undefined
  const body = bodiesOf(error, inner).map(errorInAnswer).find(isBody)
  const headers = headersOf(error, inner) ?? evidence.headers
  return body === undefined ? undefined : { status: 200, headers, body }
}

function statusesOf(error: unknown, inner: unknown): readonly unknown[] {
  return [
    readProperty(error, 'status'),
    readProperty(error, 'statusCode'),
    readProperty(inner, 'status'),
    readProperty(inner, 'statusCode'),
    // AWS
    readProperty(readProperty(error, '$metadata'), 'httpStatusCode'),
  ]
}

function bodiesOf(error: unknown, inner: unknown): readonly unknown[] {
  return [
    readProperty(error, 'responseBody'),
    ...['data', '_data'].map((name) => readOutside(inner, name)),
    readOutside(error, 'data'),
    ...[error, inner].map((source) => readOutside(source, 'body')),
  ]
}

/** Skips a `Response`: its body is a stream, and node-fetch warns when `data` is read. */
function readOutside(source: unknown, name: string): unknown {
  const isResponse = typeof readProperty(source, 'arrayBuffer') === 'function'
  return isResponse ? undefined : readProperty(source, name)
}

/** Accepts text or parsed JSON, but not an unread stream. */
function isBody(candidate: unknown): boolean {
  if (typeof candidate !== 'object' || candidate === null) {
    return typeof candidate === 'string' && candidate !== ''
  }
  return ['getReader', 'pipe', 'byteLength'].every(
    (name) => readProperty(candidate, name) === undefined,
  )
}

function headersOf(error: unknown, inner: unknown): HeaderSource | undefined {
  const found = [
    readProperty(error, 'headers'),
    readProperty(error, 'responseHeaders'),
    readProperty(inner, 'headers'),
  ].find((candidate) => typeof candidate === 'object' && candidate !== null)
  // readHeader accepts any object.
  return found as HeaderSource | undefined
}

const MARK = Symbol.for('steadycall.not-executed.v1')

// For objects that cannot carry the mark: frozen objects, and proxies that reject it.
const marked = new WeakSet<object>()

/**
 * Marks an error thrown by your own function as proof that the work was not done, so that a retry, or a
 * later call with the same idempotency key, cannot do it twice. Without the mark, a thrown error counts
 * as `executed: 'maybe'`.
 *
 * Returns the same object, marked, even if it is frozen. A value that is not an object is wrapped in an
 * `Error` as its `cause`.
 *
 * @example
 * if (!(await inventory.reserve(item))) throw notExecuted(new Error('Sold out.'))
 */
export function notExecuted<E extends object>(error: E): E
export function notExecuted(error: unknown): unknown
export function notExecuted(error: unknown): unknown {
  if ((typeof error !== 'object' && typeof error !== 'function') || error === null) {
    return notExecuted(new Error('The work was not executed.', { cause: error }))
  }
  if (!mark(error)) marked.add(error)
  return error
}

/** True if the error or one of its causes was marked by `notExecuted`. */
export function isNotExecuted(error: unknown): boolean {
  return someCause(error, (cause) => marked.has(cause) || readProperty(cause, MARK) === true)
}

function mark(error: object): boolean {
  try {
    return Reflect.defineProperty(error, MARK, { value: true })
  } catch {
    return false
  }
}
