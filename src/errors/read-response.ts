import { errorInAnswer } from './disguise.ts'
import { isTelling } from './envelope.ts'
import { type HeaderSource, readProperty, readText } from './hostile.ts'
import { type Evidence, type HttpAnswer, isErrorStatus, MAX_ID_LENGTH } from './judge-response.ts'

/**
 * The response that an error carries, under the names that clients use: `status`, `headers`, `error`
 * (openai, Anthropic); `statusCode`, `responseHeaders`, `responseBody` (AI SDK); `response` with `data`
 * (axios); a `Response` that was thrown or attached to an error. Undefined if there is none.
 */
export function readResponse(error: unknown, evidence: Evidence): HttpAnswer | undefined {
  const inner = readProperty(error, 'response')
  const status = statusesOf(error, inner).find(isErrorStatus)
  const member = readProperty(error, 'error')
  // The `error` of an ErrorEvent is an Error, not a response body.
  const said = isTelling(member) && readProperty(member, 'stack') === undefined
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

// For an error whose message quotes the body; bodies are read up to the same length.
const MAX_MESSAGE_LENGTH = 4_096
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
