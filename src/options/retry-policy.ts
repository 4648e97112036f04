import type { Runtime } from '../call/runtime.ts'
import type { CallEvent } from '../report/call-report.ts'
import { aFunction, type DefaultedRow, type Row, text, type ValuesOf } from './option-check.ts'
import { CALL_ROWS, STEADY_ROWS } from './options.ts'

/** What a `classify` says of an error. */
export interface RetryVerdict {
  /** The same call may succeed after a wait. */
  readonly retryable: boolean
  /** The `code` of the failed attempt in reports and events, if it is a short identifier. */
  readonly reason?: string
  /** Never retried sooner than this, milliseconds. @default what the error's own headers ask */
  readonly retryAfterMs?: number
}

class RetryRows {
  /** Calls of the function, the first included. 1–10. @default 3 */
  readonly maxAttempts: DefaultedRow<number> = CALL_ROWS.maxAttempts
  /** Decides for every error of the function but those that an inner steadycall layer gave up. @default classifyError */
  readonly classify: Row<(error: unknown) => RetryVerdict> = aFunction
  /** Milliseconds to wait after attempt number `attempt` failed without a hint. @default fullJitter() */
  readonly delayForAttempt: Row<(attempt: number) => number> = aFunction
  /** How long it may wait between calls of the function, in all. @default 90,000; with `delayForAttempt` the deadline */
  readonly maxWaitMs: Row<number> = CALL_ROWS.maxWaitMs
  /** Time for the whole call, waits included. No attempt starts in its last 250 ms. @default 600,000 */
  readonly deadlineMs: DefaultedRow<number> = CALL_ROWS.deadlineMs
  /** Time for one attempt. @default no limit but the deadline */
  readonly attemptTimeoutMs: Row<number> = CALL_ROWS.attemptTimeoutMs
  /** Ends an attempt or a wait at once. */
  readonly signal: Row<AbortSignal> = CALL_ROWS.signal
  /** Told of every decision, with a frozen object. What it throws is ignored. */
  readonly onEvent: Row<(event: CallEvent) => void> = aFunction
  /** Clock and randomness. @default the process's own */
  readonly runtime: Row<Runtime> = STEADY_ROWS.runtime
  /** Its name in spans and events, 1–255 characters. @default 'retry' */
  readonly name: DefaultedRow<string> = { ...text(255), default: 'retry' }
}

export const RETRY_ROWS: RetryRows = new RetryRows()

/** The policy of one `retry`. Nothing of it is shared with other calls: no line, no limit. */
export interface RetryPolicy extends ValuesOf<RetryRows> {}
