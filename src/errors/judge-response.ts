import { type Clock, systemClock } from '../time.ts'
import { type Envelope, readEnvelope } from './envelope.ts'
import { type Executed, FAILURE_KINDS, type FailureKind } from './failure-kinds.ts'
import { readRetryAfter } from './hints.ts'
import { type HeaderSource, readHeader } from './hostile.ts'
import { matchWording } from './match-wording.ts'
import { STATUS_KINDS } from './rules.ts'

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
