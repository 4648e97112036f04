import { GUARD_ROWS, type GuardOptions, KEYED_ROWS } from './guard-options.ts'
import { type Checks, checkOptions, checkPresent, json, nearestOf } from './option-check.ts'
import { CALL_ROWS, type CallOptions, STEADY_ROWS, type SteadyOptions } from './options.ts'
import { RETRY_ROWS, type RetryPolicy } from './retry-policy.ts'

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkSteadyOptions(options: unknown): asserts options is SteadyOptions {
  checkNamed('steady()', options, OF_STEADY)
}

/**
 * `where` is the face, such as `json()`.
 * @throws {TypeError} naming the option, its value and what is allowed.
 */
export function checkCallOptions(where: string, options: unknown): asserts options is CallOptions {
  checkNamed(where, options, where === 'json()' ? OF_JSON : OF_CALL)
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkGuardOptions(options: unknown): asserts options is GuardOptions {
  checkOptions('runIdempotent()', options, GUARD_ROWS)
  checkPresent('runIdempotent()', options, GUARD_ROWS, ['store', 'operation', 'payload'])
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkKeyedOperation(options: unknown): void {
  checkOptions('resolveIdempotent()', options, KEYED_ROWS)
  checkPresent('resolveIdempotent()', options, KEYED_ROWS, ['store', 'operation', 'idempotencyKey'])
}

/** @throws {TypeError} naming the option, its value and what is allowed. */
export function checkRetryPolicy(policy: unknown): asserts policy is RetryPolicy {
  checkNamed('retry()', policy, OF_RETRY)
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
    if (isProviders(name, Reflect.get(Object(params), name))) continue
    if (Object.hasOwn(REPLACED, name)) throw goneError(`${face}()`, name)
    const rest = face === 'create' ? `{ steady: { ${name} } }` : `{ ${name} }`
    throw new TypeError(
      `${face}(): ${name} is no parameter of a request; it belongs into the second argument: ${face}(params, ${rest})`,
    )
  }
}

/** vLLM has a parameter `priority`, a number. */
function isProviders(name: string, value: unknown): boolean {
  return value === undefined || (name === 'priority' && !CALL_ROWS.priority.accepts(value))
}

/**
 * Options of ours among openai's request options, where openai would ignore them, and unknown names
 * that are near one of ours.
 * @throws {TypeError} naming the first, and where it belongs.
 */
export function checkRequestOptions(face: 'create' | 'json', requestOptions: object): void {
  for (const name in requestOptions) {
    if (OPENAIS.has(name) || Reflect.get(requestOptions, name) === undefined) continue
    if (Object.hasOwn(REPLACED, name)) throw goneError(`${face}()`, name)
    const meant = nearestOf(name, face === 'create' ? [...OURS, 'steady'] : OURS)
    if (meant !== undefined) throw new TypeError(misplaced(face, name, meant))
  }
}

function misplaced(face: 'create' | 'json', name: string, meant: string): string {
  const isCreate = face === 'create'
  if (name === meant) {
    const place = isCreate ? 'under steady' : 'beside requestOptions'
    const example = isCreate ? `{ steady: { ${name} } }` : `{ ${name} }`
    return `${face}(): ${name} is no request option of openai; it belongs ${place}: ${face}(params, ${example})`
  }
  const path = isCreate ? name : `requestOptions.${name}`
  const near = isCreate && meant !== 'steady' ? `steady.${meant}` : meant
  return `${face}(): unknown option '${path}'; did you mean '${near}'?`
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

// Copies, since a class has no index signature.
const OF_STEADY: Checks = { ...STEADY_ROWS }
const OF_CALL: Checks = { ...CALL_ROWS }
const OF_JSON: Checks = { ...CALL_ROWS, requestOptions: json }
const OF_RETRY: Checks = { ...RETRY_ROWS }

const CALL_NAMES = Object.keys(CALL_ROWS)

// Of openai 6 and 7, with those that its helpers pass on.
const OPENAIS: ReadonlySet<string> = new Set([
  'method',
  'path',
  'query',
  'body',
  'headers',
  'maxRetries',
  'stream',
  'timeout',
  'fetchOptions',
  'signal',
  'idempotencyKey',
  'defaultBaseURL',
  'maxChatCompletions',
  'afterCompletion',
])

const OURS = CALL_NAMES.filter((name) => !OPENAIS.has(name))

// A parameter `concurrency` may be another program's.
const GONE_IN_PARAMS = Object.keys(REPLACED).filter((name) => name !== 'concurrency')

// LiteLLM's proxy takes `fallbacks` as a parameter.
const OURS_IN_PARAMS: ReadonlySet<string> = new Set([
  ...CALL_NAMES.filter((name) => name !== 'fallbacks'),
  'requestOptions',
  ...GONE_IN_PARAMS,
])

// No provider has a parameter of such a name or value; `signal`, `payload` or `repair` may be another
// program's.
const UNMISTAKABLY_OURS: ReadonlySet<string> = new Set([
  ...CALL_NAMES.filter((name) => /[A-Z]/.test(name)),
  'priority',
  ...GONE_IN_PARAMS,
])
