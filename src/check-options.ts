import { GATEWAYS } from './call/gateways.ts'
import { isFailureKind } from './errors/failure-kinds.ts'
import { readEncryption } from './idempotency/encryption.ts'
import { isSignal } from './native-signal.ts'
import {
  aFunction,
  anything,
  type Check,
  checkOptions,
  checkPresent,
  duration,
  integer,
  MAX_DURATION_MS,
  objectWith,
  oneOf,
  readable,
  show,
  text,
} from './option-check.ts'
import type { CallOptions, CallSettings, GuardOptions, SteadyOptions } from './options.ts'
import { readBreaker } from './retry/breaker.ts'
import { readBudget } from './retry/budget.ts'
import { readHintSpread } from './retry/decide.ts'
import { readHedge } from './retry/hedge.ts'
import { readConcurrency } from './retry/slots.ts'
import type { RetryPolicy } from './retry-function.ts'

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
  checkOptions('retry()', policy, RETRY_CHECKS)
}

const gatewayName = oneOf(...Object.keys(GATEWAYS))

const gateway: Check = {
  allowed: `${gatewayName.allowed}, or { name, fallbacks? } with one of these and 'keep' or 'off'`,
  accepts(value) {
    if (typeof value !== 'object' || value === null) return gatewayName.accepts(value)
    const { name, fallbacks, ...rest }: { name?: unknown; fallbacks?: unknown } = value
    if (Object.keys(rest).length > 0 || !gatewayName.accepts(name)) return false
    return fallbacks === undefined || fallbacks === 'keep' || fallbacks === 'off'
  },
  // The names and words of this option are no secrets: which of them is wrong is shown.
  got(value) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return show(value)
    const shown = Object.entries(value).map(([name, given]) => `${name}: ${show(given)}`)
    return `{ ${shown.slice(0, 5).join(', ')} }`
  },
}

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
  minAttemptMs: duration,
  hintSpread: {
    allowed:
      '{ ratio?, minMs?, maxMs?, stretch? } with numbers from 0, ratio and stretch at most 10',
    accepts: readable(readHintSpread),
  },
  backoff: objectWith('a backoff such as fullJitter()', 'delayMs'),
  fallbacks: {
    allowed: 'an array of { model?, client?, on? } with a model or a client in each',
    accepts: (value) => Array.isArray(value) && value.every(isFallback),
  },
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

const STORE_VERBS = ['claim', 'heartbeat', 'dispatch', 'complete', 'release', 'markUncertain']

const STEADY_CHECKS: Readonly<Record<keyof SteadyOptions, Check>> = {
  ...SETTING_CHECKS,
  gateway,
  store: objectWith('a Store such as memoryStore()', ...STORE_VERBS),
  tenant: text(255),
  keySecret: text(4_096),
  maxResultBytes: integer(1, 2 ** 28),
  encryption: {
    allowed:
      '{ keys: { [id]: 32 bytes or their base64 }, use: one of these ids, acceptPlain?: boolean }',
    accepts: readable(readEncryption),
  },
  runtime: {
    allowed: 'a Runtime made by createRuntime()',
    accepts: (value) =>
      typeof value === 'object' && value !== null && 'shared' in value && 'clock' in value,
  },
  retryBudget: {
    allowed:
      'false or { capacity?, initial?, depositPerSuccess?, timeoutCost? } with numbers from 0, initial within capacity',
    accepts: (value) => value === false || readable(readBudget)(value),
  },
  breaker: {
    allowed:
      'true, false or { failureRatio?, minimumCalls?, windowMs?, failuresInARow?, openMs?, maxOpenMs?, successesToClose?, probeLeaseMs? } with numbers in their ranges',
    accepts: (value) => typeof value === 'boolean' || readable(readBreaker)(value),
  },
  concurrency: {
    allowed:
      'a whole number from 1, or { maxInFlight, maxQueued?, maxWaitMs? } with maxQueued and maxWaitMs from 0',
    accepts: readable(readConcurrency),
  },
  hedge: {
    allowed:
      'true, false or { delayMs?, maxExtraLoad? } with delayMs from 0, maxExtraLoad from 0 to 1',
    accepts: (value) => typeof value === 'boolean' || readable(readHedge)(value),
  },
  onMultipliedRetries: oneOf('warn', 'throw'),
  telemetry: {
    allowed: '{ captureContent?: boolean, redact?: function, propagateTraceparent?: boolean }',
    accepts: isTelemetryOptions,
  },
  onEvent: aFunction,
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
  maxResultBytes: STEADY_CHECKS.maxResultBytes,
  encryption: STEADY_CHECKS.encryption,
  runtime: STEADY_CHECKS.runtime,
  onEvent: aFunction,
}

const RETRY_CHECKS: Readonly<Record<keyof RetryPolicy, Check>> = {
  maxAttempts: SETTING_CHECKS.maxAttempts,
  classify: aFunction,
  delayForAttempt: aFunction,
  maxRetryAfterMs: SETTING_CHECKS.maxRetryAfterMs,
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

const TELEMETRY_TYPES: Readonly<
  Record<keyof NonNullable<SteadyOptions['telemetry']>, 'boolean' | 'function'>
> = { captureContent: 'boolean', redact: 'function', propagateTraceparent: 'boolean' }

function isTelemetryOptions(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).every(
    ([name, given]) =>
      Object.hasOwn(TELEMETRY_TYPES, name) &&
      (given === undefined || typeof given === Reflect.get(TELEMETRY_TYPES, name)),
  )
}
