import { isFailureKind } from './errors/failure-kinds.ts'
import type { CallOptions, CallSettings, GuardOptions, SteadyOptions } from './options.ts'

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

function checkPresent<Name extends string>(
  where: string,
  options: unknown,
  checks: Readonly<Record<Name, Check>>,
  names: readonly Name[],
): void {
  for (const name of names) {
    if (Reflect.get(Object(options), name) === undefined) {
      throw new TypeError(`${where}: ${name} is missing; it must be ${checks[name].allowed}`)
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
    accepts: (value) => typeof value === 'string' && value.length > 0 && value.length <= maxLength,
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
  runtime: {
    allowed: 'a Runtime made by createRuntime()',
    accepts: (value) =>
      typeof value === 'object' && value !== null && 'shared' in value && 'clock' in value,
  },
  retryBudget: {
    allowed:
      'false or { capacity?, initial?, depositPerSuccess? } with numbers from 0, initial within capacity',
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

const KEYED_CHECKS = {
  store: GUARD_CHECKS.store,
  operation: GUARD_CHECKS.operation,
  idempotencyKey: GUARD_CHECKS.idempotencyKey,
  tenant: GUARD_CHECKS.tenant,
  keySecret: GUARD_CHECKS.keySecret,
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

const BUDGET_NAMES = ['capacity', 'initial', 'depositPerSuccess']

function isBudgetOptions(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { capacity = 10, initial = 0 }: { capacity?: unknown; initial?: unknown } = value
  return (
    Object.entries(value).every(
      ([name, amount]) =>
        BUDGET_NAMES.includes(name) &&
        (amount === undefined || (typeof amount === 'number' && amount >= 0 && amount <= 1e6)),
    ) && Number(initial) <= Number(capacity)
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
  if (typeof value === 'string')
    return value.length > 40 ? `a string of ${value.length}` : `'${value}'`
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'an array' : 'an object'
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
