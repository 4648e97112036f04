import type { Runtime } from '../call/runtime.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import { FAILURE_KINDS, isFailureKind } from '../errors/failure-kinds.ts'
import type { KeepingOptions } from '../idempotency/kept-result.ts'
import type { Store } from '../idempotency/store.ts'
import type { ChatClient } from '../openai/client.ts'
import type { GatewayOption } from '../openai/gateways.ts'
import type { ReaskWording } from '../output/reask.ts'
import type { RegExpEngine } from '../output/schema-engine.ts'
import type { CallEvent } from '../report/call-report.ts'
import type { Backoff } from '../retry/backoff.ts'
import { DEFAULT_LIMITS } from '../retry/decide.ts'
import type { Limits } from '../retry/health/limits.ts'
import type { HedgeOptions } from '../retry/hedge.ts'

/** Another model, another client, or both, tried in order when the kind of failure is in `on`. */
export interface Fallback {
  readonly model?: string
  readonly client?: ChatClient
  /** @default context_length, quota_exhausted, billing, overloaded, server_error, timeout, network, rate_limit, circuit_open */
  readonly on?: readonly FailureKind[]
}

/** Settings of one call; each may also be set for all calls in {@link SteadyOptions}. */
export interface CallSettings {
  /** Attempts of one call that a model may have worked on, the first included. 1–10. @default 3 */
  readonly maxAttempts?: number
  /**
   * HTTP requests of one call, with those that were refused before any work. 1–100.
   * @default 12; where `maxAttempts` or the client's `maxRetries` is set, as many as those allow
   */
  readonly maxRequests?: number
  /** How many of the attempts may be re-asks with the errors of a bad answer. 0–9. @default 2 */
  readonly maxReasks?: number
  /** For the whole call, waits included. @default 600,000; for `create` at least twice `attemptTimeoutMs` */
  readonly deadlineMs?: number
  /** For one attempt. @default the request's or client's `timeout`; for `json` and `run` at most half of `deadlineMs` */
  readonly attemptTimeoutMs?: number
  /** Streams: until the first content. @default `attemptTimeoutMs` */
  readonly firstChunkTimeoutMs?: number
  /** Streams: between two chunks, counted only while the caller waits for one. @default 60,000 */
  readonly chunkIdleTimeoutMs?: number
  /**
   * How long the call may wait for its target in all, milliseconds: hints, limits, an outage, the retry
   * budget and backoff together. 0: a hint, an outage or a limit set by hand fails the call at once, and
   * backoff counts only against the deadline.
   * @default 90,000; for `create` 20,000, or a hint of up to 60,000; there at most an explicit `timeout`, and 0 with an explicit `maxRetries: 0`
   */
  readonly maxWaitMs?: number
  /** `'bulk'`: goes after all normal calls, yet gets at least a twentieth of the places. @default 'normal' */
  readonly priority?: 'normal' | 'bulk'
  /** No attempt starts with less time left than this. @default 250 */
  readonly minAttemptMs?: number
  /** The wait before a retry without a hint. @default fullJitter() up to 5 s; longer while the target is down, and after a timeout */
  readonly backoff?: Backoff
  /** @default none */
  readonly fallbacks?: readonly Fallback[]
  /** How far a damaged answer may be repaired without asking again. @default 'safe' */
  readonly repair?: 'off' | 'syntax' | 'safe' | 'lenient'
  /** Makes the regular expressions of schemas: pass RE2 where they come from others. @default `new RegExp` */
  readonly regExp?: RegExpEngine
  /**
   * How `json` asks for it. `'auto'` begins with the strictest, and remembers per target what was
   * refused. @default 'auto'
   */
  readonly responseFormat?: 'auto' | 'strict' | 'json_schema' | 'json_object' | 'none'
  /** `'extend'` asks once more with twice the output limit. @default 'fail' */
  readonly onTruncated?: 'fail' | 'extend'
  /** Words re-asks: given the bad answer and what would be appended, returns the messages to append. */
  readonly reaskMessages?: ReaskWording
  /**
   * `'check'`: in answers of `create` the arguments of each function follow its `parameters`, or
   * are asked for again. Not with `stream`. @default 'off'
   */
  readonly toolCalls?: 'off' | 'check'
  /** `'derive'` makes a key from the request where none is given. @default 'given' */
  readonly idempotency?: 'given' | 'derive'
  /** Life of a stored result. @default 86,400,000 (24 hours) */
  readonly ttlMs?: number
  /** When nobody knows whether the work was done. @default 'rerun'; 'fail' for a keyed `run` and `runIdempotent` */
  readonly onUncertain?: 'rerun' | 'fail'
  /** When the store is down. @default 'fail' for a side effect or with a key you gave, else 'bypass' */
  readonly onStoreError?: 'fail' | 'bypass'
}

/** Settings of one call, with those that belong to one call only. */
export interface CallOptions extends CallSettings {
  /** Runs once per key, 1–255 characters. Same key, other payload: an error. */
  readonly idempotencyKey?: string
  /** What the key stands for, instead of the request. JSON. */
  readonly payload?: unknown
  /** Tells equal requests apart when keys are derived. @default 0 */
  readonly occurrence?: number
  readonly signal?: AbortSignal
}

/** For `runIdempotent`: the guard alone. */
export interface GuardOptions
  extends Pick<
      CallSettings,
      | 'maxAttempts'
      | 'maxRequests'
      | 'deadlineMs'
      | 'attemptTimeoutMs'
      | 'ttlMs'
      | 'onUncertain'
      | 'onStoreError'
    >,
    KeepingOptions {
  readonly store: Store
  /** Namespace of the key, such as `create-ticket`. */
  readonly operation: string
  /** What the key stands for. JSON. */
  readonly payload: unknown
  /** 1–255 characters. @default derived from `operation` and `payload` */
  readonly idempotencyKey?: string
  readonly signal?: AbortSignal
  readonly tenant?: string
  readonly keySecret?: string
  readonly runtime?: Runtime
  readonly onEvent?: (event: CallEvent) => void
}

export interface SteadyOptions extends CallSettings, KeepingOptions {
  /** The gateway behind the client's `baseURL`: its own retries are switched off, request by request. */
  readonly gateway?: GatewayOption
  /** Where keyed results live. @default one memory store per runtime */
  readonly store?: Store
  /** Separates the keys of different customers. */
  readonly tenant?: string
  /** Stored keys, fingerprints and derived keys become HMACs with this secret instead of plain hashes. */
  readonly keySecret?: string
  /** @default one per process */
  readonly runtime?: Runtime
  /**
   * How much each target is sent: `'auto'` learns what it can take, `'off'` obeys only hints and
   * outages, an object sets limits by hand beside what is learned. @default 'auto'
   */
  readonly limits?: Limits
  /** A second request beside a slow first one, for chat completions. @default false */
  readonly hedge?: boolean | HedgeOptions
  /** When more requests are seen on the wire than we sent. @default 'warn' */
  readonly onMultipliedRetries?: 'warn' | 'throw'
  readonly telemetry?: {
    /** Put prompts and answers on spans. @default false */
    readonly captureContent?: boolean
    /** Runs over the messages first. */
    readonly redact?: (messages: unknown) => unknown
    /** Send the `traceparent` of each attempt along: for a gateway that continues the trace. @default false */
    readonly propagateTraceparent?: boolean
  }
  /** Told of every decision, with a frozen object. What it throws is ignored. */
  readonly onEvent?: (event: CallEvent) => void
}

/** The defaults that do not depend on the kind of call. Sources in docs/reference/options.md. */
export const DEFAULTS: Readonly<Defaults> = Object.freeze({
  maxAttempts: 3,
  maxRequests: 12,
  maxReasks: 2,
  deadlineMs: 600_000,
  chunkIdleTimeoutMs: 60_000,
  minAttemptMs: DEFAULT_LIMITS.minAttemptMs,
  repair: 'safe',
  responseFormat: 'auto',
  onTruncated: 'fail',
  toolCalls: 'off',
  priority: 'normal',
  idempotency: 'given',
  ttlMs: 86_400_000,
  fallbacks: [],
})

/** The settings whose default is one value for every kind of call. */
type Defaults = Required<
  Omit<
    CallSettings,
    | 'attemptTimeoutMs'
    | 'firstChunkTimeoutMs'
    | 'backoff'
    | 'maxWaitMs'
    | 'reaskMessages'
    | 'regExp'
    | 'onUncertain'
    | 'onStoreError'
  >
>

/** Kinds that make a call move on to its next fallback, unless the fallback says otherwise. */
export const DEFAULT_FALLBACK_ON: ReadonlySet<FailureKind> = new Set(
  Object.keys(FAILURE_KINDS)
    .filter(isFailureKind)
    .filter((kind) => FAILURE_KINDS[kind].fallsBack),
)

/** Everything resolved and required: what the inside works with. */
export interface ResolvedCall {
  readonly maxAttempts: number
  readonly maxRequests: number
  readonly maxReasks: number
  readonly deadlineMs: number
  readonly attemptTimeoutMs: number
  readonly firstChunkTimeoutMs: number
  readonly chunkIdleTimeoutMs: number
  readonly maxWaitMs: number
  /** How long it may wait for hints, where that is longer. */
  readonly maxHintMs: number
  readonly minAttemptMs: number
  readonly priority: 'normal' | 'bulk'
  readonly backoff: Backoff | undefined
  readonly fallbacks: readonly Fallback[]
  readonly repair: 'off' | 'syntax' | 'safe' | 'lenient'
  readonly responseFormat: 'auto' | 'strict' | 'json_schema' | 'json_object' | 'none'
  readonly onTruncated: 'fail' | 'extend'
  readonly reaskMessages: ReaskWording | undefined
  readonly regExp: RegExpEngine | undefined
  readonly toolCalls: 'off' | 'check'
  readonly idempotency: 'given' | 'derive'
  readonly ttlMs: number
  readonly onUncertain: 'rerun' | 'fail'
  readonly onStoreError: 'fail' | 'bypass'
  readonly idempotencyKey: string | undefined
  readonly payload: unknown
  readonly occurrence: number | undefined
  readonly signal: AbortSignal | undefined
}
