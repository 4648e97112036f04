import { isSignal } from '../native-signal.ts'
import type { RetryPolicy } from '../retry-function.ts'
import {
  backoff,
  encryption,
  fallbacks,
  gateway,
  hedge,
  limits,
  telemetry,
} from './nested-options.ts'
import {
  aFunction,
  anything,
  type Check,
  type Checks,
  checkOptions,
  checkPresent,
  duration,
  integer,
  MAX_DURATION_MS,
  objectWith,
  oneOf,
  text,
} from './option-check.ts'
import type { CallOptions, CallSettings, GuardOptions, SteadyOptions } from './options.ts'

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkSteadyOptions(options: unknown): asserts options is SteadyOptions {
  checkNamed('steady()', options, STEADY_CHECKS)
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkCallOptions(where: string, options: unknown): asserts options is CallOptions {
  checkNamed(where, options, CALL_CHECKS)
}

/**
 * Options of ours among the parameters: they would be sent to the provider, and change nothing.
 * @throws {TypeError} naming the first, and where it belongs.
 */
export function checkNoOptionsIn(face: 'create' | 'json', params: unknown): void {
  if (Reflect.get(Object(params), 'steady') !== undefined) {
    throw new TypeError(
      face === 'create'
        ? 'create(): steady is no parameter of a request; it belongs into the second argument: create(params, { steady: { … } }), likewise for parse, stream and runTools'
        : 'json(): steady is no parameter of a request; its options belong into the second argument: json(params, { … })',
    )
  }
  const ours = face === 'create' ? UNMISTAKABLY_OURS : OURS_IN_PARAMS
  for (const name in Object(params)) {
    if (!ours.has(name)) continue
    if (isNoneOfOurs(name, Reflect.get(Object(params), name))) continue
    if (Object.hasOwn(REPLACED, name)) throw goneError(`${face}()`, name)
    const rest = face === 'create' ? `{ steady: { ${name} } }` : `{ ${name} }`
    throw new TypeError(
      `${face}(): ${name} is no parameter of a request; it belongs into the second argument: ${face}(params, ${rest})`,
    )
  }
}

/** vLLM has a parameter `priority`, a number. */
function isNoneOfOurs(name: string, value: unknown): boolean {
  return value === undefined || (name === 'priority' && !SETTING_CHECKS.priority.accepts(value))
}

/**
 * Options of ours that stand beside `steady` instead of in it, where openai would ignore them.
 * @throws {TypeError} naming the first, and where it belongs.
 */
export function checkOursUnderSteady(requestOptions: object): void {
  for (const name in requestOptions) {
    if (!OURS_BESIDE_STEADY.has(name) || Reflect.get(requestOptions, name) === undefined) continue
    if (Object.hasOwn(REPLACED, name)) throw goneError('create()', name)
    throw new TypeError(
      `create(): ${name} is no request option of openai; it belongs under steady: create(params, { steady: { ${name} } })`,
    )
  }
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkGuardOptions(options: unknown): asserts options is GuardOptions {
  checkOptions('runIdempotent()', options, GUARD_CHECKS)
  checkPresent('runIdempotent()', options, GUARD_CHECKS, ['store', 'operation', 'payload'])
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkKeyedOperation(options: unknown): void {
  checkOptions('resolveIdempotent()', options, KEYED_CHECKS)
  checkPresent('resolveIdempotent()', options, KEYED_CHECKS, [
    'store',
    'operation',
    'idempotencyKey',
  ])
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkRetryPolicy(policy: unknown): asserts policy is RetryPolicy {
  checkNamed('retry()', policy, RETRY_CHECKS)
}

/** @throws {TypeError} naming what replaced an option that is gone, or what is wrong. */
function checkNamed(where: string, options: unknown, checks: Checks): void {
  for (const name of Object.keys(Object(options))) {
    if (Object.hasOwn(REPLACED, name)) throw goneError(where, name)
  }
  checkOptions(where, options, checks)
}

function goneError(where: string, name: string): TypeError {
  return new TypeError(`${where}: unknown option '${name}'; ${REPLACED[name]}`)
}

/** Options that are gone, and what replaced them. */
const REPLACED: Readonly<Record<string, string>> = {
  concurrency: 'use limits: { concurrency } of steady()',
  maxRetryAfterMs: 'use maxWaitMs: it bounds all that a call waits for its target',
  breaker: 'a call waits for a target that is down, for at most maxWaitMs (0: it fails at once)',
  retryBudget:
    "a retry waits for the retry budget, for at most maxWaitMs; limits: 'off' has no budget",
  hintSpread: 'the spread is fixed: after a hint calls wait up to a tenth of it longer',
}

const SETTING_CHECKS: Readonly<Record<keyof CallSettings, Check>> = {
  maxAttempts: integer(1, 10),
  maxRequests: integer(1, 100),
  maxReasks: integer(0, 9),
  deadlineMs: duration,
  attemptTimeoutMs: duration,
  firstChunkTimeoutMs: duration,
  chunkIdleTimeoutMs: duration,
  maxWaitMs: {
    allowed: `a number of milliseconds from 0 to ${MAX_DURATION_MS} (as long as the deadline: the value of deadlineMs)`,
    accepts: (value) => typeof value === 'number' && value >= 0 && value <= MAX_DURATION_MS,
  },
  minAttemptMs: duration,
  priority: oneOf('normal', 'bulk'),
  backoff,
  fallbacks,
  repair: oneOf('off', 'syntax', 'safe', 'lenient'),
  responseFormat: oneOf('auto', 'strict', 'json_schema', 'json_object', 'none'),
  onTruncated: oneOf('fail', 'extend'),
  reaskMessages: aFunction,
  regExp: aFunction,
  toolCalls: oneOf('off', 'check'),
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
  signal: { allowed: 'an AbortSignal', accepts: isSignal },
}

// openai has request options of these names too.
const OURS_BESIDE_STEADY: ReadonlySet<string> = new Set(
  [...Object.keys(CALL_CHECKS), ...Object.keys(REPLACED)].filter(
    (name) => name !== 'signal' && name !== 'idempotencyKey',
  ),
)

// A parameter `concurrency` may be somebody's.
const GONE_IN_PARAMS = Object.keys(REPLACED).filter((name) => name !== 'concurrency')

// LiteLLM's proxy takes `fallbacks` as a parameter.
const OURS_IN_PARAMS: ReadonlySet<string> = new Set([
  ...Object.keys(CALL_CHECKS).filter((name) => name !== 'fallbacks'),
  'requestOptions',
  ...GONE_IN_PARAMS,
])

// No provider names a parameter so, or gives it such a value; `signal`, `payload` or `repair` may be
// somebody's.
const UNMISTAKABLY_OURS: ReadonlySet<string> = new Set([
  ...Object.keys(CALL_CHECKS).filter((name) => /[A-Z]/.test(name)),
  'priority',
  ...GONE_IN_PARAMS,
])

const STORE_VERBS = ['claim', 'heartbeat', 'dispatch', 'complete', 'release', 'markUncertain']

const STEADY_CHECKS: Readonly<Record<keyof SteadyOptions, Check>> = {
  ...SETTING_CHECKS,
  gateway,
  store: objectWith('a Store such as memoryStore()', ...STORE_VERBS),
  tenant: text(255),
  keySecret: text(4_096),
  maxResultBytes: integer(1, 2 ** 28),
  encryption,
  runtime: {
    allowed: 'a Runtime made by createRuntime()',
    accepts: (value) =>
      typeof value === 'object' && value !== null && 'shared' in value && 'clock' in value,
  },
  limits,
  hedge,
  onMultipliedRetries: oneOf('warn', 'throw'),
  telemetry,
  onEvent: aFunction,
}

const GUARD_CHECKS: Readonly<Record<keyof GuardOptions, Check>> = {
  maxAttempts: SETTING_CHECKS.maxAttempts,
  maxRequests: SETTING_CHECKS.maxRequests,
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
  maxResultBytes: STEADY_CHECKS.maxResultBytes,
  encryption: STEADY_CHECKS.encryption,
  runtime: STEADY_CHECKS.runtime,
  onEvent: aFunction,
}

const RETRY_CHECKS: Readonly<Record<keyof RetryPolicy, Check>> = {
  maxAttempts: SETTING_CHECKS.maxAttempts,
  classify: aFunction,
  delayForAttempt: aFunction,
  maxWaitMs: SETTING_CHECKS.maxWaitMs,
  deadlineMs: duration,
  attemptTimeoutMs: duration,
  signal: CALL_CHECKS.signal,
  onEvent: aFunction,
  runtime: STEADY_CHECKS.runtime,
  name: text(255),
}

const KEYED_CHECKS = {
  store: GUARD_CHECKS.store,
  operation: GUARD_CHECKS.operation,
  idempotencyKey: GUARD_CHECKS.idempotencyKey,
  tenant: GUARD_CHECKS.tenant,
  keySecret: GUARD_CHECKS.keySecret,
  maxResultBytes: GUARD_CHECKS.maxResultBytes,
  encryption: GUARD_CHECKS.encryption,
  ttlMs: GUARD_CHECKS.ttlMs,
} as const
