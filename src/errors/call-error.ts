import {
  type Again,
  againAfter,
  type Executed,
  FAILURE_KINDS,
  type FailureKind,
} from './failure-kinds.ts'

/** One part of the time a call waited: the reason, and how long. */
export interface Wait {
  readonly for: 'hint' | 'limit' | 'down' | 'budget' | 'backoff'
  readonly ms: number
}

/** One finished attempt of a call. All durations are in milliseconds. */
export interface AttemptReport {
  /** Counts from 1. */
  readonly number: number
  /** Why this attempt was made. */
  readonly cause: 'initial' | 'retry' | 'reask' | 'fallback' | 'hedge'
  /** `host model` for a model request, `run name` for a function. */
  readonly target: string
  readonly outcome: 'success' | FailureKind
  /** Whether the same request could have been sent again; false for a success. */
  readonly retryable: boolean
  readonly executed: Executed
  /** HTTP status; absent if no response arrived. */
  readonly status?: number
  /** The provider's or runtime's own error code, or the `reason` returned by the `classify` option of `retry`. */
  readonly code?: string
  /** The provider's `x-request-id`. */
  readonly requestId?: string
  /** Wall-clock start, milliseconds since the epoch. */
  readonly startedAtMs: number
  readonly durationMs: number
  /** How long the call waited before this attempt, in milliseconds. */
  readonly delayMs: number
  /** Which of the two set the retry delay: our backoff or the provider's hint. Absent if there was none. */
  readonly delaySource?: 'backoff' | 'hint'
  /** `delayMs` split by reason. Absent if the call did not wait. */
  readonly waits?: readonly Wait[]
  /** How long the provider asked to wait after this attempt, in milliseconds. */
  readonly retryAfterMs?: number
  /** HTTP requests actually sent during this attempt; more than one means that another layer retries too. */
  readonly wireRequests?: number
  /** Upstream requests the gateway reports for this attempt; more than one means that the gateway retries. */
  readonly gatewayAttempts?: number
  readonly usage?: TokenCounts
}

/** Tokens used by a call. `complete` is false if an attempt may have been billed without reporting its usage. */
export interface Usage extends TokenCounts {
  readonly complete: boolean
}

/** Why no further attempt was made. */
export type StopReason =
  /** The caller's signal was aborted. */
  | 'aborted'
  /** Content had already reached the caller, so the request cannot be repeated. */
  | 'delivered'
  /** The work may have been done, and `onUncertain` is `'fail'`. */
  | 'outcome_unknown'
  /** `maxAttempts` is reached. */
  | 'max_attempts'
  /** The call's requests are used up, counting refused ones. */
  | 'max_requests'
  /** The deadline passed, or leaves no time for another attempt. */
  | 'deadline'
  /** A failure of this kind is not retried. */
  | 'not_retryable'
  /** The same wrong answer came twice. */
  | 'repeated_answer'
  /** `maxReasks` is reached. */
  | 'max_reasks'
  /** The provider refused the request that asked for a corrected answer. */
  | 'reask_refused'
  /** The provider asks to wait longer than `maxWaitMs`. */
  | 'hint_exceeds_wait'
  /** The provider asks to wait longer than the deadline leaves. */
  | 'hint_exceeds_deadline'
  /** The call waited for `maxWaitMs`, or would have to wait longer. */
  | 'max_wait'
  /** The target is down, or its queue too long, for the wait to be worthwhile. */
  | 'hopeless_wait'
  /** Too many calls are already waiting for the target. */
  | 'line_full'

/**
 * One problem in a model's answer: `path` is a JSON Pointer to the value, `message` says what was
 * expected there. Property names that do not occur in the schema are replaced by `*`.
 */
export interface OutputIssue {
  readonly path: string
  readonly message: string
}

/** The classified end of a failed attempt, as the retry policy sees it. */
export interface Failure {
  readonly kind: FailureKind
  /** Whether the same request to the same target may succeed after a wait. */
  readonly retryable: boolean
  readonly executed: Executed
  /** Short; never contains prompt, answer or secrets. */
  readonly message: string
  readonly status?: number
  readonly code?: string
  readonly requestId?: string
  readonly retryAfterMs?: number
  /**
   * Problems of the answer, for `malformed_output` and `schema_mismatch`. Contains nothing that is known
   * from the answer alone.
   */
  readonly issues?: readonly OutputIssue[]
  /** What was wrong, if the kind does not already say it. Shown in the message, so it contains no content. */
  readonly detail?: string
  /** What the user can do about it, if the request allows better advice than the kind. One or two sentences. */
  readonly advice?: string
  /** The value that was caught, unchanged. */
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
  /** The call's option of this name; decides `again`. @default 'rerun' */
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
 * The error thrown by `json`, `run` and `runIdempotent`. `kind` says what happened; `cause` is the
 * provider's own error, unchanged. The message never contains prompt, answer or secrets.
 */
export class CallError extends Error {
  override readonly name = 'CallError'
  readonly kind: FailureKind
  /** Whether the same request could have been sent again within this call. For a job queue, see `again`. */
  readonly retryable: boolean
  /**
   * Whether a new call with the same request is worth making: `'later'` (not before `retryAfterMs`, if
   * known), `'never'`, or `'unknown'` (the work may be done twice).
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
  /** How long the provider asked to wait, in milliseconds. */
  readonly retryAfterMs?: number
  /** True if the same wrong answer came twice, so that another call will not help. */
  readonly deterministic: boolean
  /** What was wrong with the last answer. */
  readonly issues?: readonly OutputIssue[]
  readonly attempts: readonly AttemptReport[]
  /** Waits that led to no attempt, after the last one or before any. Absent if there were none. */
  readonly waits?: readonly Wait[]
  readonly idempotencyKey?: string
  /** The last answer, if there was one: a `ChatCompletion`. Not enumerable. */
  declare readonly completion?: unknown
  readonly usage?: Usage
  /** Where the failure came from: this call's own work, the store, or the call it joined. */
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

/** Not enumerable, because loggers print enumerable properties, and the answer must not be logged. */
function keepCompletion(error: CallError, { completion: value }: CallErrorInit): void {
  if (value !== undefined) Object.defineProperty(error, 'completion', { value, enumerable: false })
}

/** True for a `CallError`, including one from another copy of this package. */
export function isCallError(value: unknown): value is CallError {
  return typeof value === 'object' && value !== null && Reflect.get(value, MARK) === true
}

/** What a user can do about a failure of this kind, in one sentence. */
export function adviceFor(kind: FailureKind): string {
  return FAILURE_KINDS[kind].advice
}

/** Numbers of tokens, as counted by the provider. */
export interface TokenCounts {
  readonly inputTokens: number
  readonly outputTokens: number
  /** The part of `inputTokens` read from the provider's prompt cache. Absent if not reported. */
  readonly cachedInputTokens?: number
  /** The part of `outputTokens` spent on reasoning. Absent if not reported. */
  readonly reasoningOutputTokens?: number
}

/** The sum of the counts. An optional count stays absent if no provider reported it. */
export function sumOfTokens(counts: readonly TokenCounts[]): TokenCounts {
  const sum: { -readonly [Name in keyof TokenCounts]: TokenCounts[Name] } = {
    inputTokens: 0,
    outputTokens: 0,
  }
  for (const { inputTokens, outputTokens, cachedInputTokens, reasoningOutputTokens } of counts) {
    sum.inputTokens += inputTokens
    sum.outputTokens += outputTokens
    if (cachedInputTokens !== undefined) {
      sum.cachedInputTokens = (sum.cachedInputTokens ?? 0) + cachedInputTokens
    }
    if (reasoningOutputTokens !== undefined) {
      sum.reasoningOutputTokens = (sum.reasoningOutputTokens ?? 0) + reasoningOutputTokens
    }
  }
  return sum
}
