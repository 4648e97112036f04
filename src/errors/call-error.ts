import { type Again, againAfter } from './again.ts'
import { type Executed, FAILURE_KINDS, type FailureKind } from './failure-kinds.ts'
import type { TokenCounts } from './token-counts.ts'

/** A part of a call's wait for a target: what it was for, and how long. */
export interface Wait {
  readonly for: 'hint' | 'limit' | 'down' | 'budget' | 'backoff'
  readonly ms: number
}

/** One attempt of a logical call, as it ended. All times in milliseconds. */
export interface AttemptReport {
  /** 1 for the first attempt. */
  readonly number: number
  /** Why this attempt was made. */
  readonly cause: 'initial' | 'retry' | 'reask' | 'fallback' | 'hedge'
  /** `host model`, or `run name`. */
  readonly target: string
  readonly outcome: 'success' | FailureKind
  /** Could the same request have been sent again? False for a success. */
  readonly retryable: boolean
  readonly executed: Executed
  /** HTTP status, where a response came. */
  readonly status?: number
  /** The provider's or runtime's own code, or the `reason` that the `classify` of `retry` gave. */
  readonly code?: string
  /** The provider's `x-request-id`. */
  readonly requestId?: string
  /** Wall clock, milliseconds since the epoch. */
  readonly startedAtMs: number
  readonly durationMs: number
  /** Waited before this attempt. */
  readonly delayMs: number
  /** What the call's own part of the wait came from: our backoff, or a hint. Absent when there was none. */
  readonly delaySource?: 'backoff' | 'hint'
  /** The parts of that wait: what it was for, and how long. Absent where there was none. */
  readonly waits?: readonly Wait[]
  /** How long the provider asked to wait after this attempt. */
  readonly retryAfterMs?: number
  /** HTTP requests really sent during this attempt; more than one is somebody else's retry. */
  readonly wireRequests?: number
  /** Requests the gateway made upstream for this attempt, where it told; more than one is its retry. */
  readonly gatewayAttempts?: number
  readonly usage?: TokenCounts
}

/** Tokens a call caused. `complete` is false when an attempt may have been billed unseen. */
export interface Usage extends TokenCounts {
  readonly complete: boolean
}

/** Why no further attempt followed. */
export type StopReason =
  | 'aborted'
  | 'delivered'
  | 'outcome_unknown'
  | 'max_attempts'
  | 'max_requests'
  | 'deadline'
  | 'not_retryable'
  | 'repeated_answer'
  | 'max_reasks'
  | 'reask_refused'
  | 'hint_exceeds_wait'
  | 'hint_exceeds_deadline'
  | 'max_wait'
  | 'hopeless_wait'
  | 'line_full'

/**
 * One problem of a model's answer: a JSON Pointer into it, and what was expected there. Names that the
 * schema does not say are `*` in the pointer.
 */
export interface OutputIssue {
  readonly path: string
  readonly message: string
}

/** A failure as the retry layer sees it: one attempt's end, classified. */
export interface Failure {
  readonly kind: FailureKind
  /** The same request to the same target may succeed after a wait. */
  readonly retryable: boolean
  readonly executed: Executed
  /** Short and free of prompt, answer and secrets. */
  readonly message: string
  readonly status?: number
  readonly code?: string
  readonly requestId?: string
  readonly retryAfterMs?: number
  /**
   * Problems of the answer, for `malformed_output` and `schema_mismatch`. With nothing in it that only the
   * answer could have said.
   */
  readonly issues?: readonly OutputIssue[]
  /** What was wrong, where the kind does not say it: for a message, free of content as well. */
  readonly detail?: string
  /** What to do about it, where the request tells more than the kind does. One sentence or two. */
  readonly advice?: string
  /** What was caught, untouched. */
  readonly cause: unknown
}

export interface CallErrorInit {
  readonly kind: FailureKind
  readonly message: string
  readonly cause?: unknown
  readonly retryable?: boolean
  readonly executed?: Executed
  readonly reason?: StopReason
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly requestId?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly deterministic?: boolean | undefined
  /** Of the call: what a new one may do. @default 'rerun' */
  readonly onUncertain?: 'rerun' | 'fail' | undefined
  readonly issues?: readonly OutputIssue[] | undefined
  readonly attempts?: readonly AttemptReport[]
  readonly waits?: readonly Wait[] | undefined
  readonly idempotencyKey?: string | undefined
  readonly completion?: unknown
  readonly usage?: Usage | undefined
  readonly source?: 'provider' | 'store' | 'shared'
}

const MARK = Symbol.for('steadycall.call-error.v1')

/**
 * The one error class of `json`, `run` and `runIdempotent`. `kind` says what happened; `cause`
 * is the provider's own error, untouched. The message never holds prompt, answer or secret.
 */
export class CallError extends Error {
  override readonly name = 'CallError'
  readonly kind: FailureKind
  /** Could the same request have been sent again within this call? A queue asks `again`. */
  readonly retryable: boolean
  /**
   * Whether a new call with the same request is worth making: `'later'`, not before `retryAfterMs`
   * where that is known; `'never'`; or `'unknown'`, where the work may then be done twice.
   */
  readonly again: Again
  /** Whether the provider may have done the work. */
  readonly executed: Executed
  /** Why no further attempt was made. */
  readonly reason?: StopReason
  readonly status?: number
  /** The provider's own code, such as `insufficient_quota`. */
  readonly code?: string
  readonly requestId?: string
  /** How long the provider asked to wait, milliseconds. */
  readonly retryAfterMs?: number
  /** The same wrong answer came twice: another call will not help. */
  readonly deterministic: boolean
  /** What was wrong with the last answer. */
  readonly issues?: readonly OutputIssue[]
  readonly attempts: readonly AttemptReport[]
  /** The waits after the last attempt, or without any, that ended in vain. Absent where there were none. */
  readonly waits?: readonly Wait[]
  readonly idempotencyKey?: string
  /** The last answer, where there was one: a `ChatCompletion`. */
  declare readonly completion?: unknown
  readonly usage?: Usage
  /** Where the failure came from: this call's own work, the store, or a joined call. */
  readonly source: 'provider' | 'store' | 'shared'

  constructor(init: CallErrorInit) {
    super(init.message, 'cause' in init ? { cause: init.cause } : undefined)
    this.kind = init.kind
    this.retryable = init.retryable ?? false
    this.again = againAfter(init)
    this.executed = init.executed ?? 'no'
    this.deterministic = init.deterministic ?? false
    this.attempts = init.attempts ?? []
    this.source = init.source ?? 'provider'
    if (init.reason !== undefined) this.reason = init.reason
    if (init.status !== undefined) this.status = init.status
    if (init.code !== undefined) this.code = init.code
    if (init.requestId !== undefined) this.requestId = init.requestId
    if (init.retryAfterMs !== undefined) this.retryAfterMs = init.retryAfterMs
    if (init.issues !== undefined) this.issues = init.issues
    if (init.waits !== undefined) this.waits = init.waits
    if (init.idempotencyKey !== undefined) this.idempotencyKey = init.idempotencyKey
    if (init.usage !== undefined) this.usage = init.usage
    keepCompletion(this, init)
    Object.defineProperty(this, MARK, { value: true })
  }
}

/** Not enumerable: a logger that prints an error must not print the model's answer. */
function keepCompletion(error: CallError, { completion: value }: CallErrorInit): void {
  if (value !== undefined) Object.defineProperty(error, 'completion', { value, enumerable: false })
}

/** True for a `CallError`, also one of another copy of this package. */
export function isCallError(value: unknown): value is CallError {
  return typeof value === 'object' && value !== null && Reflect.get(value, MARK) === true
}

/** What a user can do about a failure of this kind; one sentence. */
export function adviceFor(kind: FailureKind): string {
  return FAILURE_KINDS[kind].advice
}
