import { nativeSignal } from '../time.ts'
import { withoutUndefined } from '../without-undefined.ts'
import {
  type Checks,
  checkOptions,
  checkPresent,
  json,
  nearestOf,
  type ResolvedOf,
} from './option-check.ts'
import {
  CALL_ROWS,
  type CallOptions,
  type CallSettings,
  GUARD_ROWS,
  type GuardOptions,
  KEYED_ROWS,
  RETRY_ROWS,
  type ResolvedCall,
  type RetryPolicy,
  STEADY_ROWS,
  type SteadyOptions,
} from './options.ts'

/** What the face that starts a call knows of it: its own defaults and the client's settings. */
export interface CallFace {
  readonly face: 'create' | 'json' | 'run' | 'guard'
  /** The request's or client's own `timeout`. */
  readonly clientTimeoutMs: number
  /** The request sets a `timeout`, or the client was built with one. @default false */
  readonly setsTimeout?: boolean | undefined
  /** `maxRetries + 1` where the request sets `maxRetries`. */
  readonly requestAttempts?: number | undefined
  /** `maxRetries + 1` where the client was built with another than the SDK's default. */
  readonly clientAttempts?: number | undefined
}

/**
 * A call's options over the client's over the defaults. Merged once for all calls that bring none of
 * their own.
 * Expects the client's without members that are undefined, and both checked, by {@link checkSteadyOptions} and {@link checkCallOptions}.
 */
export function resolveCall(client: CallSettings, call: CallOptions, face: CallFace): ResolvedCall {
  if (face.requestAttempts !== undefined || Object.keys(call).length > 0) {
    return mergeOptions(client, call, face)
  }
  const last = lastResolved.get(client)
  if (last !== undefined && isSame(last.face, face)) return last.resolved
  const resolved = Object.freeze(mergeOptions(client, call, face))
  lastResolved.set(client, { face, resolved })
  return resolved
}

// By the options of a client, which are the same object in all its calls.
const lastResolved = new WeakMap<
  CallSettings,
  { readonly face: CallFace; readonly resolved: ResolvedCall }
>()

function isSame(a: CallFace, b: CallFace): boolean {
  return (
    a.face === b.face &&
    a.clientTimeoutMs === b.clientTimeoutMs &&
    a.setsTimeout === b.setsTimeout &&
    a.clientAttempts === b.clientAttempts
  )
}

function mergeOptions(client: CallSettings, call: CallOptions, by: CallFace): ResolvedCall {
  const merged = { ...settingsOf(client), ...withoutUndefined(call) }
  const isKeyed = merged.idempotencyKey !== undefined
  const mayBeShared = isKeyed || merged.idempotency === 'derive'
  const sideEffects = by.face === 'guard' || (by.face === 'run' && mayBeShared)
  return {
    ...merged,
    ...resolveTimes(merged, call.deadlineMs ?? client.deadlineMs, by),
    ...resolvePatience(merged.maxWaitMs, by, isSwitchedOff(client, call, by)),
    ...resolveLimits(client, call, by),
    onUncertain: merged.onUncertain ?? (sideEffects ? 'fail' : 'rerun'),
    onStoreError: merged.onStoreError ?? (sideEffects || isKeyed ? 'fail' : 'bypass'),
    signal: merged.signal && nativeSignal(merged.signal),
  }
}

type Merged = ResolvedOf<typeof CALL_ROWS>

// By the options of a client, too: a call with options of its own adds only these.
const settings = new WeakMap<CallSettings, Merged>()

/** The client's settings over the defaults, without its options that are no settings of a call. */
function settingsOf(client: CallSettings): Merged {
  const known = settings.get(client)
  if (known !== undefined) return known
  const values = Object.entries(CALL_ROWS).map(([name, row]) => [
    name,
    Reflect.get(client, name) ?? row.default,
  ])
  // Exactly the names of the rows, each with a value of its type.
  const merged = Object.fromEntries(values) as Merged
  settings.set(client, merged)
  return merged
}

/** The nearer setting decides; at each place ours before openai's own. */
function resolveLimits(
  client: CallSettings,
  call: CallOptions,
  { face, requestAttempts, clientAttempts }: CallFace,
): Pick<ResolvedCall, 'maxAttempts' | 'maxRequests'> {
  const ofCall = call.maxAttempts ?? requestAttempts
  const ofClient = client.maxAttempts ?? clientAttempts
  const set = ofCall ?? ofClient ?? (face === 'guard' ? 1 : undefined)
  // One number, as the bare client has it, bounds requests of any kind: over a `maxRequests` that is
  // set further away, too.
  const given = call.maxRequests ?? (ofCall === undefined ? client.maxRequests : undefined)
  return {
    maxAttempts: set ?? CALL_ROWS.maxAttempts.default,
    maxRequests: given ?? set ?? CALL_ROWS.maxRequests.default,
  }
}

/** Retries are switched off by openai's own option, and no setting of ours decides otherwise. */
function isSwitchedOff(
  client: CallSettings,
  call: CallOptions,
  { requestAttempts, clientAttempts }: CallFace,
): boolean {
  if (call.maxAttempts !== undefined) return false
  if (requestAttempts !== undefined) return requestAttempts === 1
  return client.maxAttempts === undefined && clientAttempts === 1
}

/** A person often waits for `create`, a pipeline for the others. */
const PATIENCE = { createMs: 20_000, othersMs: 90_000 }

// The bare client obeys a hint of up to a minute (openai-node 7.57.0, `src/client.ts`).
const BARE_HINT_MS = 60_000

function resolvePatience(
  maxWaitMs: number | undefined,
  { face, clientTimeoutMs, setsTimeout }: CallFace,
  isOff: boolean,
): Pick<ResolvedCall, 'maxWaitMs' | 'maxHintMs'> {
  if (maxWaitMs !== undefined) return { maxWaitMs, maxHintMs: maxWaitMs }
  if (face !== 'create') return { maxWaitMs: PATIENCE.othersMs, maxHintMs: PATIENCE.othersMs }
  // Retries that are switched off, or an explicit timeout, say that the caller will not wait longer.
  if (isOff) return { maxWaitMs: 0, maxHintMs: 0 }
  const mostMs = setsTimeout === true ? clientTimeoutMs : Number.POSITIVE_INFINITY
  return {
    maxWaitMs: Math.min(PATIENCE.createMs, mostMs),
    maxHintMs: Math.min(BARE_HINT_MS, mostMs),
  }
}

/** How the three time limits follow from one another where they are not given. */
function resolveTimes(
  given: Pick<Merged, 'attemptTimeoutMs' | 'firstChunkTimeoutMs'>,
  givenDeadlineMs: number | undefined,
  { face, clientTimeoutMs }: CallFace,
): Pick<ResolvedCall, 'deadlineMs' | 'attemptTimeoutMs' | 'firstChunkTimeoutMs'> {
  if (face === 'create') {
    // A drop-in must not fail a slow call that the bare client would have finished.
    const attemptTimeoutMs = given.attemptTimeoutMs ?? clientTimeoutMs
    return {
      attemptTimeoutMs,
      deadlineMs: givenDeadlineMs ?? Math.max(CALL_ROWS.deadlineMs.default, 2 * attemptTimeoutMs),
      firstChunkTimeoutMs: given.firstChunkTimeoutMs ?? attemptTimeoutMs,
    }
  }
  const deadlineMs = givenDeadlineMs ?? CALL_ROWS.deadlineMs.default
  // A guard makes one attempt: half of its time would be lost.
  const share = face === 'guard' ? deadlineMs : deadlineMs / 2
  const attemptTimeoutMs = given.attemptTimeoutMs ?? Math.min(clientTimeoutMs, share)
  return {
    deadlineMs,
    attemptTimeoutMs,
    firstChunkTimeoutMs: given.firstChunkTimeoutMs ?? attemptTimeoutMs,
  }
}

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

/** Parameters that would make another kind of answer than one JSON value. */
const REFUSED_BY_JSON = {
  stream: 'an answer can only be checked whole',
  response_format: 'it is made from the schema',
  functions: 'it asks for JSON; use create() for calls of functions',
} as const

/** @throws {TypeError} for a parameter that `json` cannot use, before any request. */
export function checkJsonParams(params: unknown): Readonly<Record<string, unknown>> {
  if (typeof params !== 'object' || params === null) {
    throw new TypeError(
      `json(): params must be an object, got ${params === null ? 'null' : typeof params}`,
    )
  }
  const given: Readonly<Record<string, unknown>> = { ...params }
  for (const [name, why] of Object.entries(REFUSED_BY_JSON)) {
    if (!isAbsent(given[name])) throw new TypeError(`json(): ${name} must be left out: ${why}`)
  }
  const { n, tools, tool_choice: toolChoice, model, messages, schema } = given
  if (!isAbsent(n) && n !== 1) {
    throw new TypeError(`json(): n must be 1 or left out, got ${String(n)}`)
  }
  if (!isAbsent(tools) && toolChoice !== 'none') {
    throw new TypeError("json(): tools must be left out, or tool_choice be 'none'")
  }
  if (typeof model !== 'string' || model === '') {
    throw new TypeError('json(): model must be the name of a model')
  }
  if (!Array.isArray(messages)) throw new TypeError('json(): messages must be an array')
  if (schema === undefined) {
    throw new TypeError('json(): schema must be a JSON Schema or a Standard Schema')
  }
  return given
}

/** openai takes null for "left out" too. */
function isAbsent(value: unknown): boolean {
  return value === undefined || value === null
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
