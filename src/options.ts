import type { FailureKind } from './errors/failure-kinds.ts'
import { FAILURE_KINDS, isFailureKind } from './errors/failure-kinds.ts'
import type { CallEvent } from './call/report.ts'
import type { Runtime } from './call/runtime.ts'
import type { ChatClient } from './call/targets.ts'
import type { Store } from './idempotency/store.ts'
import { type Backoff, fullJitter } from './retry/backoff.ts'
import type { RetryBudgetOptions } from './retry/budget.ts'

/** Another model, another client, or both, tried in order when the kind of failure is in `on`. */
export interface Fallback {
  readonly model?: string
  readonly client?: ChatClient
  /** @default context_length, quota_exhausted, billing, overloaded, server_error, timeout, network, rate_limit, circuit_open */
  readonly on?: readonly FailureKind[]
}

/** Settings of one call; each may also be set for all calls in {@link SteadyOptions}. */
export interface CallSettings {
  /** HTTP requests one call may send at most, the first included. 1–10. @default 3 */
  readonly maxAttempts?: number
  /** How many of these may be re-asks with the errors of a bad answer. 0–9. @default 2 */
  readonly maxReasks?: number
  /** For the whole call, waits included. @default 600,000; for `create` at least twice `attemptTimeoutMs` */
  readonly deadlineMs?: number
  /** For one attempt. @default the request's or client's `timeout`; for `json` and `run` at most half of `deadlineMs` */
  readonly attemptTimeoutMs?: number
  /** Streams: until the first content. @default `attemptTimeoutMs` */
  readonly firstChunkTimeoutMs?: number
  /** Streams: between two chunks, counted only while the caller waits for one. @default 60,000 */
  readonly chunkIdleTimeoutMs?: number
  /** A provider that asks to wait longer fails the call at once. @default 60,000 */
  readonly maxRetryAfterMs?: number
  /** @default fullJitter() */
  readonly backoff?: Backoff
  /** @default none */
  readonly fallbacks?: readonly Fallback[]
  /** How far a damaged answer may be repaired without asking again. @default 'safe' */
  readonly repair?: 'off' | 'syntax' | 'safe' | 'lenient'
  /** `'extend'` asks once more with twice the output limit. @default 'fail' */
  readonly onTruncated?: 'fail' | 'extend'
  /** Checking of tool arguments; only `'off'` in this version. @default 'off' */
  readonly toolCalls?: 'off' | 'check'
  /** `'derive'` makes a key from the request where none is given. @default 'given' */
  readonly idempotency?: 'given' | 'derive'
  /** Life of a stored result. @default 86,400,000 (24 hours) */
  readonly ttlMs?: number
  /** When nobody knows whether the work was done. @default 'rerun'; 'fail' for a keyed `run` and `runIdempotent` */
  readonly onUncertain?: 'rerun' | 'fail'
  /** When the store is down. @default 'fail' with a key you gave, else 'bypass' */
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
    'maxAttempts' | 'deadlineMs' | 'attemptTimeoutMs' | 'ttlMs' | 'onUncertain' | 'onStoreError'
  > {
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

export interface SteadyOptions extends CallSettings {
  /** A gateway whose own retries are to be switched off. Not in this version. */
  readonly gateway?: 'litellm' | 'portkey' | 'helicone' | 'cloudflare' | 'openrouter'
  /** Where keyed results live. @default one memory store per runtime */
  readonly store?: Store
  /** Separates the keys of different customers. */
  readonly tenant?: string
  /** Stored keys become HMACs with this secret instead of plain hashes. */
  readonly keySecret?: string
  /** @default one per process */
  readonly runtime?: Runtime
  /** Per target; `false` switches it off. */
  readonly retryBudget?: false | RetryBudgetOptions
  /** Per target; `false` switches it off. @default true */
  readonly breaker?: boolean
  /** A limit of calls in flight per target. Not in this version. */
  readonly concurrency?: undefined
  /** Not in this version. @default false */
  readonly hedge?: false
  /** When more requests are seen on the wire than we sent. @default 'warn' */
  readonly onMultipliedRetries?: 'warn' | 'throw'
  readonly telemetry?: {
    /** Put prompts and answers on spans. @default false */
    readonly captureContent?: boolean
    /** Runs over the messages first. */
    readonly redact?: (messages: unknown) => unknown
  }
  /** Told of every decision, with a frozen object. What it throws is ignored. */
  readonly onEvent?: (event: CallEvent) => void
}

/** The defaults that do not depend on the kind of call. Sources in docs/reference/options.md. */
export const DEFAULTS = Object.freeze({
  maxAttempts: 3,
  maxReasks: 2,
  deadlineMs: 600_000,
  chunkIdleTimeoutMs: 60_000,
  maxRetryAfterMs: 60_000,
  repair: 'safe',
  onTruncated: 'fail',
  toolCalls: 'off',
  idempotency: 'given',
  ttlMs: 86_400_000,
  fallbacks: [],
} as const)

/** Kinds that make a call move on to its next fallback, unless the fallback says otherwise. */
export const DEFAULT_FALLBACK_ON: ReadonlySet<FailureKind> = new Set(
  Object.keys(FAILURE_KINDS)
    .filter(isFailureKind)
    .filter((kind) => FAILURE_KINDS[kind].fallsBack),
)

/** What the face that starts a call knows of it: its own defaults and the client's settings. */
export interface CallFace {
  readonly face: 'create' | 'json' | 'run' | 'guard'
  /** The request's or client's own `timeout`. */
  readonly clientTimeoutMs: number
  /** `maxRetries + 1` where the request sets `maxRetries`. */
  readonly requestAttempts?: number | undefined
  /** `maxRetries + 1` where the client was built with another than the SDK's default. */
  readonly clientAttempts?: number | undefined
}

/** Everything resolved and required: what the inside works with. */
export interface ResolvedCall {
  readonly maxAttempts: number
  readonly maxReasks: number
  readonly deadlineMs: number
  readonly attemptTimeoutMs: number
  readonly firstChunkTimeoutMs: number
  readonly chunkIdleTimeoutMs: number
  readonly maxRetryAfterMs: number
  readonly backoff: Backoff
  readonly fallbacks: readonly Fallback[]
  readonly repair: 'off' | 'syntax' | 'safe' | 'lenient'
  readonly onTruncated: 'fail' | 'extend'
  readonly idempotency: 'given' | 'derive'
  readonly ttlMs: number
  readonly onUncertain: 'rerun' | 'fail'
  readonly onStoreError: 'fail' | 'bypass'
  readonly idempotencyKey: string | undefined
  readonly payload: unknown
  readonly occurrence: number | undefined
  readonly signal: AbortSignal | undefined
}

/**
 * Merges a call's options over the client's over the defaults. The one place that does.
 * Expects both checked, by {@link checkSteadyOptions} and {@link checkCallOptions}.
 */
export function resolveCall(
  client: CallSettings,
  call: CallOptions,
  { face, clientTimeoutMs, requestAttempts, clientAttempts }: CallFace,
): ResolvedCall {
  const given = { ...withoutUndefined(client), ...withoutUndefined(call) }
  const merged = { ...DEFAULTS, ...given }
  // The nearer setting wins; at each place ours before openai's own.
  const maxAttempts =
    call.maxAttempts ?? requestAttempts ?? client.maxAttempts ?? clientAttempts
  const times = resolveTimes(given, face, clientTimeoutMs)
  const keyed = given.idempotencyKey !== undefined || merged.idempotency === 'derive'
  const sideEffects = face === 'guard' || (face === 'run' && keyed)
  return {
    ...times,
    maxAttempts: maxAttempts ?? (face === 'guard' ? 1 : DEFAULTS.maxAttempts),
    maxReasks: merged.maxReasks,
    chunkIdleTimeoutMs: merged.chunkIdleTimeoutMs,
    maxRetryAfterMs: merged.maxRetryAfterMs,
    backoff: given.backoff ?? DEFAULT_BACKOFF,
    fallbacks: merged.fallbacks,
    repair: merged.repair,
    onTruncated: merged.onTruncated,
    idempotency: merged.idempotency,
    ttlMs: merged.ttlMs,
    onUncertain: given.onUncertain ?? (sideEffects ? 'fail' : 'rerun'),
    onStoreError:
      given.onStoreError ?? (given.idempotencyKey === undefined ? 'bypass' : 'fail'),
    idempotencyKey: call.idempotencyKey,
    payload: call.payload,
    occurrence: call.occurrence,
    signal: call.signal,
  }
}

const DEFAULT_BACKOFF = fullJitter()

/** How the three time limits follow from one another where they are not given. */
function resolveTimes(
  given: CallSettings,
  face: CallFace['face'],
  clientTimeoutMs: number,
): Pick<ResolvedCall, 'deadlineMs' | 'attemptTimeoutMs' | 'firstChunkTimeoutMs'> {
  if (face === 'create') {
    // A drop-in must not fail a slow call that the bare client would have finished.
    const attemptTimeoutMs = given.attemptTimeoutMs ?? clientTimeoutMs
    return {
      attemptTimeoutMs,
      deadlineMs: given.deadlineMs ?? Math.max(DEFAULTS.deadlineMs, 2 * attemptTimeoutMs),
      firstChunkTimeoutMs: given.firstChunkTimeoutMs ?? attemptTimeoutMs,
    }
  }
  const deadlineMs = given.deadlineMs ?? DEFAULTS.deadlineMs
  // A guard makes one attempt: half of its time would be lost.
  const share = face === 'guard' ? deadlineMs : deadlineMs / 2
  const attemptTimeoutMs = given.attemptTimeoutMs ?? Math.min(clientTimeoutMs, share)
  return {
    deadlineMs,
    attemptTimeoutMs,
    firstChunkTimeoutMs: given.firstChunkTimeoutMs ?? attemptTimeoutMs,
  }
}

/** `undefined` means "use the default", also where it is spelt out. */
function withoutUndefined<T extends object>(options: T): T {
  const kept = { ...options }
  for (const key of Object.keys(kept)) {
    if (Reflect.get(kept, key) === undefined) Reflect.deleteProperty(kept, key)
  }
  return kept
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkSteadyOptions(options: unknown): asserts options is SteadyOptions {
  checkOptions('steady()', options, STEADY_CHECKS)
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkCallOptions(where: string, options: unknown): asserts options is CallOptions {
  checkOptions(where, options, CALL_CHECKS)
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkGuardOptions(options: unknown): asserts options is GuardOptions {
  checkOptions('runIdempotent()', options, GUARD_CHECKS)
  for (const name of ['store', 'operation', 'payload'] as const) {
    // Each of them is checked above; here only that it is there.
    if (Reflect.get(Object(options), name) === undefined) {
      throw new TypeError(`runIdempotent(): ${name} is missing; it must be ${GUARD_CHECKS[name].allowed}`)
    }
  }
}

interface Check {
  readonly allowed: string
  accepts(value: unknown): boolean
}

/** One of `options`' own names per row of `checks`, and nothing else. */
function checkOptions(
  where: string,
  options: unknown,
  checks: Readonly<Record<string, Check>>,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`${where}: options must be an object, got ${show(options)}`)
  }
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      throw new TypeError(`${where}: unknown option ${show(name)}${nearest(name, checks)}`)
    }
    if (value !== undefined && !check.accepts(value)) {
      throw new TypeError(`${where}: ${name} must be ${check.allowed}, got ${show(value)}`)
    }
  }
}

// Longer than any timer of a process: about 31 years.
const MAX_DURATION_MS = 1e12

const duration: Check = {
  allowed: 'a positive number of milliseconds',
  accepts: (value) => typeof value === 'number' && value > 0 && value <= MAX_DURATION_MS,
}

function integer(from: number, to: number): Check {
  return {
    allowed: `an integer from ${from} to ${to}`,
    accepts: (value) => Number.isInteger(value) && Number(value) >= from && Number(value) <= to,
  }
}

function oneOf(...values: readonly unknown[]): Check {
  return {
    allowed: values.map((value) => show(value)).join(' or '),
    accepts: (value) => values.includes(value),
  }
}

function text(maxLength: number): Check {
  return {
    allowed: `a string of 1 to ${maxLength} characters`,
    accepts: (value) =>
      typeof value === 'string' && value.length > 0 && value.length <= maxLength,
  }
}

function objectWith(described: string, ...methods: readonly string[]): Check {
  return {
    allowed: described,
    accepts: (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof Reflect.get(value, method) === 'function'),
  }
}

const anything: Check = { allowed: 'anything', accepts: () => true }

const SETTING_CHECKS: Readonly<Record<keyof CallSettings, Check>> = {
  maxAttempts: integer(1, 10),
  maxReasks: integer(0, 9),
  deadlineMs: duration,
  attemptTimeoutMs: duration,
  firstChunkTimeoutMs: duration,
  chunkIdleTimeoutMs: duration,
  maxRetryAfterMs: {
    allowed: 'a number of milliseconds from 0',
    accepts: (value) => typeof value === 'number' && value >= 0 && value <= MAX_DURATION_MS,
  },
  backoff: objectWith('a backoff such as fullJitter()', 'delayMs'),
  fallbacks: {
    allowed: 'an array of { model?, client?, on? } with a model or a client in each',
    accepts: (value) => Array.isArray(value) && value.every(isFallback),
  },
  repair: oneOf('off', 'syntax', 'safe', 'lenient'),
  onTruncated: oneOf('fail', 'extend'),
  toolCalls: {
    allowed: "'off': checking of tool arguments is not in this version",
    accepts: (value) => value === 'off',
  },
  idempotency: oneOf('given', 'derive'),
  ttlMs: duration,
  onUncertain: oneOf('rerun', 'fail'),
  onStoreError: oneOf('fail', 'bypass'),
}

const CALL_CHECKS: Readonly<Record<keyof CallOptions, Check>> = {
  ...SETTING_CHECKS,
  idempotencyKey: text(255),
  payload: anything,
  occurrence: integer(0, Number.MAX_SAFE_INTEGER),
  signal: objectWith('an AbortSignal', 'addEventListener', 'throwIfAborted'),
}

function absent(what: string): Check {
  return { allowed: `left out: ${what} is not in this version`, accepts: () => false }
}

const STORE_VERBS = ['claim', 'heartbeat', 'dispatch', 'complete', 'release', 'markUncertain']

const STEADY_CHECKS: Readonly<Record<keyof SteadyOptions, Check>> = {
  ...SETTING_CHECKS,
  gateway: absent("switching off a gateway's retries"),
  store: objectWith('a Store such as memoryStore()', ...STORE_VERBS),
  tenant: text(255),
  keySecret: text(4_096),
  runtime: objectWith('a Runtime made by createRuntime()', 'random'),
  retryBudget: {
    allowed: 'false or { capacity?, initial?, depositPerSuccess? } with numbers from 0',
    accepts: (value) => value === false || isBudgetOptions(value),
  },
  breaker: oneOf(true, false),
  concurrency: absent('a concurrency limit'),
  hedge: { ...absent('hedging'), accepts: (value) => value === false },
  onMultipliedRetries: oneOf('warn', 'throw'),
  telemetry: {
    allowed: '{ captureContent?: boolean, redact?: function }',
    accepts: isTelemetryOptions,
  },
  onEvent: { allowed: 'a function', accepts: (value) => typeof value === 'function' },
}

const GUARD_CHECKS: Readonly<Record<keyof GuardOptions, Check>> = {
  maxAttempts: SETTING_CHECKS.maxAttempts,
  deadlineMs: duration,
  attemptTimeoutMs: duration,
  ttlMs: duration,
  onUncertain: SETTING_CHECKS.onUncertain,
  onStoreError: SETTING_CHECKS.onStoreError,
  store: STEADY_CHECKS.store,
  operation: text(255),
  payload: { ...anything, allowed: 'any JSON value' },
  idempotencyKey: CALL_CHECKS.idempotencyKey,
  signal: CALL_CHECKS.signal,
  tenant: STEADY_CHECKS.tenant,
  keySecret: STEADY_CHECKS.keySecret,
  runtime: STEADY_CHECKS.runtime,
  onEvent: STEADY_CHECKS.onEvent,
}

const FALLBACK_NAMES = ['model', 'client', 'on']

function isFallback(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { model, client, on }: { model?: unknown; client?: unknown; on?: unknown } = value
  if (Object.keys(value).some((name) => !FALLBACK_NAMES.includes(name))) return false
  if (model === undefined && client === undefined) return false
  if (model !== undefined && (typeof model !== 'string' || model === '')) return false
  if (client !== undefined && (typeof client !== 'object' || client === null)) return false
  return on === undefined || (Array.isArray(on) && on.every(isFailureKind))
}

const BUDGET_NAMES = ['capacity', 'initial', 'depositPerSuccess']

function isBudgetOptions(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).every(
    ([name, amount]) =>
      BUDGET_NAMES.includes(name) &&
      (amount === undefined || (typeof amount === 'number' && amount >= 0 && amount <= 1e6)),
  )
}

function isTelemetryOptions(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { captureContent, redact }: { captureContent?: unknown; redact?: unknown } = value
  return (
    Object.keys(value).every((name) => name === 'captureContent' || name === 'redact') &&
    (captureContent === undefined || typeof captureContent === 'boolean') &&
    (redact === undefined || typeof redact === 'function')
  )
}

// Values of these options are secrets or content; their type is enough to correct them.
function show(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `a string of ${value.length}` : `'${value}'`
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}

/** `; did you mean 'x'?` where one of the names is near. */
function nearest(name: string, checks: Readonly<Record<string, Check>>): string {
  const short = name.slice(0, 40)
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(short.length / 3)) + 1
  for (const known of Object.keys(checks)) {
    const distance = editDistance(short.toLowerCase(), known.toLowerCase())
    if (distance < bestDistance) {
      best = known
      bestDistance = distance
    }
  }
  return best === undefined
    ? `; known are ${Object.keys(checks).join(', ')}`
    : `; did you mean '${best}'?`
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substituted))
    }
    row = next
  }
  return row[b.length] ?? 0
}
