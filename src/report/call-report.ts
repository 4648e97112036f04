import type { Again } from '../errors/again.ts'
import type { AttemptReport, StopReason, Usage, Wait } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import { readProperty } from '../errors/hostile.ts'
import type { Repair } from '../output/repair-rules.ts'
import { processWide } from '../process-wide.ts'

/** How one logical call went, for values and errors alike. */
export interface CallReport {
  /** `chat`, or the name given to `run`. */
  readonly operation: string
  readonly outcome: 'success' | FailureKind
  /** Why no further attempt was made, for a failure. */
  readonly reason?: StopReason
  /** Whether a new call is worth making, for a failure: as a `CallError` has it. */
  readonly again?: Again
  /** What is left of the wait that the provider asked for, milliseconds, for a failure. */
  readonly retryAfterMs?: number
  readonly attempts: readonly AttemptReport[]
  /** The waits after the last attempt, or without any, that ended in vain. Absent where there were none. */
  readonly waits?: readonly Wait[]
  /** Given, derived or generated. */
  readonly idempotencyKey: string
  readonly source: 'provider' | 'store' | 'shared'
  /** False when the store could not keep a result it was meant to. */
  readonly persisted: boolean
  /** What this call caused: zero when `source` is not `'provider'`. */
  readonly usage: Usage
  /** What the work cost when it was done, for a replayed or shared result. */
  readonly replayedUsage?: Usage
  /** Each local repair of the answer; absent without any. Paths as in `json`'s, or into `tool_calls`. */
  readonly repairs?: readonly Repair[]
  /** Monotonic, from the call to its outcome; for a stream to its end. */
  readonly durationMs: number
}

/** A decision of a call, as `onEvent` gets it: frozen, and free of prompt and answer. */
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
    /** The next attempt waits in the line of its target. */
    | {
        readonly type: 'wait-started'
        readonly target: string
        readonly for: Wait['for']
        /** The expected wait, milliseconds; absent where it cannot be known. */
        readonly expectedMs?: number
        /** Calls that wait already. */
        readonly ahead: number
      }
    | {
        readonly type: 'call-stopped'
        /** Attempts made. */
        readonly number: number
        readonly reason: StopReason
        readonly kind: FailureKind
        /** What the call has waited for since its last attempt, in vain; absent where it has not. */
        readonly waits?: readonly Wait[]
      }
    | {
        readonly type: 'retries-multiplied'
        readonly wireRequests: number
        /** Made by the gateway for this request, where it said so. */
        readonly gatewayAttempts?: number
      }
    /** Another owner is at work under the key, in another process or one that is gone. */
    | {
        readonly type: 'claim-awaited'
        /** Until its lease ends, if it does not renew it. */
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

// As deep as any honest chain of causes; a cyclic one ends here.
const MAX_LINKS = 10

/**
 * How the call behind this value or error went: attempts, key, usage, source. For drop-in calls,
 * whose results and errors are openai's own; also for a `CallError`, a `json` result and a stream
 * (whose report is complete when the stream has ended), and for what openai's helpers make of these:
 * the result of `parse`, the runner of `stream` and `runTools`, its completions and errors. An error
 * without one has that of its cause.
 */
export function callReport(valueOrError: unknown): CallReport | undefined {
  let current = valueOrError
  for (let link = 0; isObject(current) && link < MAX_LINKS; link++) {
    const report = reports().get(current)
    if (report !== undefined) return report
    current = sources().get(current) ?? readProperty(current, 'cause')
  }
  return undefined
}

/** Keeps the report beside the object, so that the object itself stays untouched. */
export function attachReport(valueOrError: unknown, report: CallReport): void {
  if (isObject(valueOrError)) reports().set(valueOrError, report)
}

/** What was made of another object has its report, as it is when it is asked for. */
export function shareReport(valueOrError: unknown, source: unknown): void {
  if (!isObject(valueOrError) || !isObject(source) || valueOrError === source) return
  sources().set(valueOrError, source)
}

/** One map for all copies of the package; weak, so it holds nothing alive. */
function reports(): WeakMap<object, CallReport> {
  return processWide(REPORTS, () => new WeakMap<object, CallReport>())
}

function sources(): WeakMap<object, object> {
  return processWide(SOURCES, () => new WeakMap<object, object>())
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
