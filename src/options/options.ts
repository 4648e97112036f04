import type { Runtime } from '../call/runtime.ts'
import { FAILURE_KINDS, type FailureKind, isFailureKind } from '../errors/failure-kinds.ts'
import type { Store } from '../idempotency/store.ts'
import type { ReaskWording } from '../output/reask.ts'
import type { RegExpEngine } from '../output/schema-engine.ts'
import type { CallEvent } from '../report/call-report.ts'
import type { Backoff } from '../retry/backoff.ts'
import { DEFAULT_LIMITS } from '../retry/decide.ts'
import type { Limits } from '../retry/health/limit-options.ts'
import type { HedgeOptions } from '../retry/hedge.ts'
import { isSignal } from '../time.ts'
import {
  type Fallback,
  fallbacks,
  type GatewayOption,
  gateway,
  hedge,
  type KeepingOptions,
  KeepingRows,
  limits,
  type TelemetryOptions,
  telemetry,
} from './nested-options.ts'
import {
  aFunction,
  type DefaultedRow,
  duration,
  integer,
  json,
  MAX_DURATION_MS,
  type OptionCheck,
  objectWith,
  oneOf,
  type ResolvedOf,
  type Row,
  text,
  type ValuesOf,
} from './option-check.ts'

/**
 * The options, one row each: its type, its default, what is allowed, and a docstring whose first
 * sentence is its line in docs/reference/options.md. A new option is written here and on that page;
 * a test compares the two. Options within an option have their rows in `nested-options.ts`.
 *
 * The rows are fields of classes, since a field can have a type, a docstring and a value in one
 * place; the public interfaces are mapped from them.
 */

class SettingRows {
  /** Attempts of one call that a model may have worked on, the first included. 1–10. @default 3 */
  readonly maxAttempts: DefaultedRow<number> = { ...integer(1, 10), default: 3 }
  /**
   * HTTP requests of one call, with those that were refused before any work. 1–100.
   * @default 12; where `maxAttempts` or the client's `maxRetries` is set, as many as those allow
   */
  readonly maxRequests: DefaultedRow<number> = { ...integer(1, 100), default: 12 }
  /** How many of the attempts may be re-asks, which quote the errors of a bad answer. 0–9. @default 2 */
  readonly maxReasks: DefaultedRow<number> = { ...integer(0, 9), default: 2 }
  /** Time for the whole call, waits included. @default 600,000; for `create` at least twice `attemptTimeoutMs` */
  readonly deadlineMs: DefaultedRow<number> = { ...duration, default: 600_000 }
  /** Time for one attempt. @default the request's or client's `timeout`; for `json` and `run` at most half of `deadlineMs` */
  readonly attemptTimeoutMs: Row<number> = duration
  /** Time until the first content of a stream. @default `attemptTimeoutMs` */
  readonly firstChunkTimeoutMs: Row<number> = duration
  /** Time between two chunks of a stream, counted only while the caller waits for one. @default 60,000 */
  readonly chunkIdleTimeoutMs: DefaultedRow<number> = { ...duration, default: 60_000 }
  /**
   * How long the call may wait for its target in all, milliseconds: hints, limits, an outage, the retry
   * budget and backoff together. 0: a hint, an outage or a limit set by hand fails the call at once, and
   * backoff counts only against the deadline.
   * @default 90,000; for `create` 20,000, or a hint of up to 60,000; there at most an explicit `timeout`, and 0 with an explicit `maxRetries: 0`
   */
  readonly maxWaitMs: Row<number> = {
    allowed: `a number of milliseconds from 0 to ${MAX_DURATION_MS} (as long as the deadline: the value of deadlineMs)`,
    accepts: (value) => typeof value === 'number' && value >= 0 && value <= MAX_DURATION_MS,
  }
  /** `'bulk'` goes after all normal calls, yet gets at least a twentieth of the places. @default 'normal' */
  readonly priority: DefaultedRow<'normal' | 'bulk'> = {
    ...oneOf('normal', 'bulk'),
    default: 'normal',
  }
  /** No attempt starts with less time left than this. @default 250 */
  readonly minAttemptMs: DefaultedRow<number> = {
    ...duration,
    default: DEFAULT_LIMITS.minAttemptMs,
  }
  /** The wait before a retry without a hint. @default fullJitter() up to 5 s; longer while the target is down, and after a timeout */
  readonly backoff: Row<Backoff> = objectWith('a backoff such as fullJitter()', 'delayMs')
  /** Other models or clients, tried in order when the target fails. @default [] */
  readonly fallbacks: DefaultedRow<readonly Fallback[]> = { ...fallbacks, default: [] }
  /** How far a damaged answer may be repaired without asking again. @default 'safe' */
  readonly repair: DefaultedRow<'off' | 'syntax' | 'safe' | 'lenient'> = {
    ...oneOf('off', 'syntax', 'safe', 'lenient'),
    default: 'safe',
  }
  /**
   * How `json` asks for the format. `'auto'` begins with the strictest, and remembers per target what
   * was refused. @default 'auto'
   */
  readonly responseFormat: DefaultedRow<
    'auto' | 'strict' | 'json_schema' | 'json_object' | 'none'
  > = {
    ...oneOf('auto', 'strict', 'json_schema', 'json_object', 'none'),
    default: 'auto',
  }
  /** Writes the messages of a re-ask: given the bad answer and the usual messages, returns those to append. */
  readonly reaskMessages: Row<ReaskWording> = aFunction
  /** Makes the regular expressions of schemas, from pattern and flags: pass RE2 where they come from others. @default `new RegExp` */
  readonly regExp: Row<RegExpEngine> = aFunction
  /** `'extend'` asks once more with twice the output limit. @default 'fail' */
  readonly onTruncated: DefaultedRow<'fail' | 'extend'> = {
    ...oneOf('fail', 'extend'),
    default: 'fail',
  }
  /**
   * `'check'`: the arguments of each function that an answer of `create` calls follow its `parameters`,
   * or are asked for again. Not with `stream`. @default 'off'
   */
  readonly toolCalls: DefaultedRow<'off' | 'check'> = { ...oneOf('off', 'check'), default: 'off' }
  /** `'derive'` makes a key from the request where none is given. @default 'given' */
  readonly idempotency: DefaultedRow<'given' | 'derive'> = {
    ...oneOf('given', 'derive'),
    default: 'given',
  }
  /** Life of a stored result. @default 86,400,000 (24 hours) */
  readonly ttlMs: DefaultedRow<number> = { ...duration, default: 86_400_000 }
  /** What to do when it is unknown whether the work was done. @default 'rerun'; 'fail' for a keyed `run` and `runIdempotent` */
  readonly onUncertain: Row<'rerun' | 'fail'> = oneOf('rerun', 'fail')
  /** What to do when the store is down. @default 'fail' for a side effect or with a key you gave, else 'bypass' */
  readonly onStoreError: Row<'fail' | 'bypass'> = oneOf('fail', 'bypass')
}

class CallRows extends SettingRows {
  /** The work runs once per key, 1–255 characters. Same key, other payload: an error. @default a random UUID, never stored */
  readonly idempotencyKey: Row<string> = text(255)
  /** What the key stands for, instead of the request. JSON. @default the request */
  readonly payload: Row<unknown> = json
  /** Tells equal requests apart when keys are derived. @default 0 */
  readonly occurrence: Row<number> = integer(0)
  /** Ends the call at once, as the request's own does. */
  readonly signal: Row<AbortSignal> = { allowed: 'an AbortSignal', accepts: isSignal }
}

class SteadyRows extends SettingRows {
  /** The gateway behind the client's `baseURL`: its own retries are switched off, request by request. */
  readonly gateway: Row<GatewayOption> = gateway
  /** Where keyed results live. @default one memory store per runtime */
  readonly store: Row<Store> = objectWith(
    'a Store such as memoryStore()',
    'claim',
    'heartbeat',
    'dispatch',
    'complete',
    'release',
    'markUncertain',
  )
  /** Separates the keys of different customers. */
  readonly tenant: Row<string> = text(255)
  /** Stored keys, fingerprints and derived keys become HMACs with this secret instead of plain hashes. */
  readonly keySecret: Row<string> = text(4_096)
  /** What clients share: lines of targets, calls in flight, the default store. @default one per process */
  readonly runtime: Row<Runtime> = {
    allowed: 'a Runtime made by createRuntime()',
    accepts: (value) =>
      typeof value === 'object' && value !== null && 'shared' in value && 'clock' in value,
  }
  /**
   * How much each target is sent: `'auto'` learns what it can take, `'off'` obeys only hints and
   * outages, an object sets limits by hand beside what is learned. @default 'auto'
   */
  readonly limits: DefaultedRow<Limits> = { ...limits, default: 'auto' }
  /** Sends a second request beside a slow first one, for chat completions. @default false */
  readonly hedge: DefaultedRow<boolean | HedgeOptions> = { ...hedge, default: false }
  /** What to do when the wire shows more requests than were asked for. @default 'warn' */
  readonly onMultipliedRetries: DefaultedRow<'warn' | 'throw'> = {
    ...oneOf('warn', 'throw'),
    default: 'warn',
  }
  /** What spans hold, and whether a gateway may continue the trace. @default {} */
  readonly telemetry: DefaultedRow<TelemetryOptions> = { ...telemetry, default: {} }
  /** Told of every decision, with a frozen object. What it throws is ignored. */
  readonly onEvent: Row<(event: CallEvent) => void> = aFunction
}

export const CALL_ROWS: CallRows = new CallRows()
export const STEADY_ROWS: KeepingRows & SteadyRows = { ...new SteadyRows(), ...new KeepingRows() }

/** Settings of one call; each may also be set for all calls in {@link SteadyOptions}. */
export interface CallSettings extends ValuesOf<SettingRows> {}

/** Settings of one call, with those that belong to one call only. */
export interface CallOptions extends ValuesOf<CallRows> {}

export interface SteadyOptions extends ValuesOf<SteadyRows>, KeepingOptions {}

/** A call's options with the defaults filled in. */
export interface ResolvedCall extends ResolvedOf<CallRows> {
  readonly attemptTimeoutMs: number
  readonly firstChunkTimeoutMs: number
  readonly maxWaitMs: number
  /** How long it may wait for hints, where that is longer. */
  readonly maxHintMs: number
  readonly onUncertain: 'rerun' | 'fail'
  readonly onStoreError: 'fail' | 'bypass'
}

/** Kinds that make a call move on to its next fallback, unless the fallback says otherwise. */
export const DEFAULT_FALLBACK_ON: ReadonlySet<FailureKind> = new Set(
  Object.keys(FAILURE_KINDS)
    .filter(isFailureKind)
    .filter((kind) => FAILURE_KINDS[kind].fallsBack),
)

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

class GuardRows {
  /** Namespace of the key, such as `create-ticket`. */
  readonly operation: Row<string> = text(255)
  /** What the key stands for. JSON. */
  readonly payload: Row<unknown> = json
}

const OF_CALL = [
  'maxAttempts',
  'maxRequests',
  'deadlineMs',
  'attemptTimeoutMs',
  'ttlMs',
  'onUncertain',
  'onStoreError',
  'signal',
] as const

const OF_CLIENT = ['tenant', 'keySecret', 'runtime', 'onEvent'] as const

/** For `runIdempotent`: the guard alone. */
export interface GuardOptions
  extends Required<ValuesOf<GuardRows>>,
    Required<Pick<SteadyOptions, 'store'>>,
    Pick<CallOptions, (typeof OF_CALL)[number]>,
    Pick<SteadyOptions, (typeof OF_CLIENT)[number]>,
    KeepingOptions {
  /** 1–255 characters. @default derived from `operation` and `payload` */
  readonly idempotencyKey?: string
}

/** Names the record of an idempotency key, as `runIdempotent` or a keyed `run` was given it. */
export interface KeyedOperation
  extends Pick<GuardOptions, 'store' | 'tenant' | 'keySecret'>,
    KeepingOptions {
  /** The `operation` of `runIdempotent`, or the name given to `run`. */
  readonly operation: string
  readonly idempotencyKey: string
  /** Life of a result that is settled by hand. @default 86,400,000 (24 hours) */
  readonly ttlMs?: number
}

export const GUARD_ROWS: Readonly<Record<keyof GuardOptions, OptionCheck>> = {
  ...new GuardRows(),
  ...pick(CALL_ROWS, [...OF_CALL, 'idempotencyKey']),
  ...pick(STEADY_ROWS, [...OF_CLIENT, 'store']),
  ...new KeepingRows(),
}

export const KEYED_ROWS: Readonly<Record<keyof KeyedOperation, OptionCheck>> = {
  ...pick(GUARD_ROWS, ['store', 'operation', 'idempotencyKey', 'tenant', 'keySecret', 'ttlMs']),
  ...new KeepingRows(),
}

function pick<Rows extends object, Name extends keyof Rows>(
  rows: Rows,
  names: readonly Name[],
): Pick<Rows, Name> {
  // Exactly these names, each with its own row.
  return Object.fromEntries(names.map((name) => [name, rows[name]])) as Pick<Rows, Name>
}
