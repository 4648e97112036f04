import type { AttemptReport, StopReason, Usage, Wait } from '../errors/call-error.ts'
import type { Again, FailureKind } from '../errors/failure-kinds.ts'
import { readProperty } from '../errors/hostile.ts'
import type { Repair } from '../output/repair-rules.ts'
import { processWide } from '../process-wide.ts'

/** How one call went, for successful calls and errors alike. All durations are in milliseconds. */
export interface CallReport {
  /** `chat`, or the name given to `run`. */
  readonly operation: string
  readonly outcome: 'success' | FailureKind
  /** For a failure: why no further attempt was made. */
  readonly reason?: StopReason
  /** For a failure: whether a new call is worth making, as in `CallError.again`. */
  readonly again?: Again
  /** For a failure: what is left of the wait that the provider asked for, in milliseconds. */
  readonly retryAfterMs?: number
  readonly attempts: readonly AttemptReport[]
  /** Waits that led to no attempt, after the last one or before any. Absent if there were none. */
  readonly waits?: readonly Wait[]
  /** The key as given by the caller, derived from the payload, or generated. */
  readonly idempotencyKey: string
  /** `provider`: this call did the work. `store`: replayed. `shared`: joined a call in flight. */
  readonly source: 'provider' | 'store' | 'shared'
  /** False if the result should have been stored and could not be. */
  readonly persisted: boolean
  /** The usage of this call; zero if `source` is not `'provider'`. */
  readonly usage: Usage
  /** For a replayed or shared result: the usage of the call that did the work. */
  readonly replayedUsage?: Usage
  /** Local repairs of the answer; absent if there were none. Paths point into the answer or into `tool_calls`. */
  readonly repairs?: readonly Repair[]
  /** Monotonic time from the start of the call to its outcome; for a stream, to its end. */
  readonly durationMs: number
}

/** A decision of a call, as passed to `onEvent`: frozen, and without prompt and answer. */
export type CallEvent = CallEventBase &
  (
    | {
        readonly type: 'attempt-started'
        readonly number: number
        readonly cause: AttemptReport['cause']
        readonly target: string
        readonly delayMs: number
      }
    | { readonly type: 'attempt-ended'; readonly attempt: AttemptReport }
    | {
        readonly type: 'retry-scheduled'
        readonly number: number
        readonly kind: FailureKind
        readonly delayMs: number
        readonly delaySource: 'backoff' | 'hint'
      }
    | { readonly type: 'reask-sent'; readonly number: number; readonly kind: FailureKind }
    | {
        readonly type: 'fallback-selected'
        readonly number: number
        readonly kind: FailureKind
        readonly target: string
      }
    | {
        readonly type: 'target-changed'
        readonly target: string
        readonly from: 'up' | 'down' | 'recovering'
        readonly to: 'up' | 'down' | 'recovering'
      }
    /** The next attempt waits in the queue of its target. */
    | {
        readonly type: 'wait-started'
        readonly target: string
        readonly for: Wait['for']
        /** The expected wait in milliseconds; absent if it cannot be known. */
        readonly expectedMs?: number
        /** Number of calls already waiting. */
        readonly ahead: number
      }
    | {
        readonly type: 'call-stopped'
        /** Number of attempts made. */
        readonly number: number
        readonly reason: StopReason
        readonly kind: FailureKind
        /** Waits since the last attempt that led to no further one; absent if there were none. */
        readonly waits?: readonly Wait[]
      }
    | {
        readonly type: 'retries-multiplied'
        readonly wireRequests: number
        /** Upstream requests that the gateway reports for this request, if it does. */
        readonly gatewayAttempts?: number
      }
    /** Another owner has the key: in another process, possibly one that has crashed. */
    | {
        readonly type: 'claim-awaited'
        /** Time until its lease expires, unless renewed, in milliseconds. */
        readonly leaseLeftMs: number
      }
    | { readonly type: 'call-repeated' }
    | { readonly type: 'call-settled'; readonly report: CallReport }
  )

interface CallEventBase {
  readonly operation: string
  readonly idempotencyKey: string
}

const REPORTS = Symbol.for('steadycall.reports.v1')
const SOURCES = Symbol.for('steadycall.report-sources.v1')

// More than any real chain of causes has; ends a cyclic chain.
const MAX_LINKS = 10

/**
 * The report of the call behind a value or error: attempts, key, usage, source. Works for the results and
 * errors of drop-in calls (which are openai's own), `CallError`s, `json` results, and streams (the report is
 * complete when the stream has ended). Also works for what openai's helpers derive from these: the result of
 * `parse`, the runners of `stream` and `runTools`, their completions and errors. An error without a report of
 * its own has that of its cause. Undefined if there is none.
 */
export function callReport(valueOrError: unknown): CallReport | undefined {
  let current = valueOrError
  for (let link = 0; isObject(current) && link < MAX_LINKS; link++) {
    const report = reports.get(current)
    if (report !== undefined) return report
    current = sources.get(current) ?? readProperty(current, 'cause')
  }
  return undefined
}

/** Stores the report outside the object, so that the object itself stays unchanged. */
export function attachReport(valueOrError: unknown, report: CallReport): void {
  if (isObject(valueOrError)) reports.set(valueOrError, report)
}

/** Gives a derived object the report of its source, in its current state whenever it is read. */
export function shareReport(valueOrError: unknown, source: unknown): void {
  if (!isObject(valueOrError) || !isObject(source) || valueOrError === source) return
  sources.set(valueOrError, source)
}

/** One map for all copies of this package; weak, so that it keeps nothing in memory. */
const reports = processWide(REPORTS, () => new WeakMap<object, CallReport>())

const sources = processWide(SOURCES, () => new WeakMap<object, object>())

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
