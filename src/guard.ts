import { call } from './call/call.ts'
import { processRuntime, targetState } from './call/runtime.ts'
import { encodeValue, FunctionTask, type RunContext } from './function-task.ts'
import { type Keeping, keepingOf } from './idempotency/kept-result.ts'
import { storedKey } from './idempotency/key.ts'
import type { Outcome } from './idempotency/store.ts'
import {
  CALL_ROWS,
  type GuardOptions,
  type KeyedOperation,
  type SteadyOptions,
} from './options/options.ts'
import { checkGuardOptions, checkKeyedOperation, resolveCall } from './options/resolve-options.ts'
import { attachReport } from './report/call-report.ts'
import type { TargetSettings } from './retry/health/target-state.ts'
import { withoutUndefined } from './without-undefined.ts'

/**
 * Runs a side effect, such as creating a ticket or charging a card, at most once per key. If it is unknown
 * whether the work was done, callers of the key get `outcome_unknown` until it is resolved with
 * `resolveIdempotent`, unless `onUncertain: 'rerun'` allows it to run again.
 * @returns the result of `work`, which must be JSON, or the stored result of an earlier call.
 * @throws {CallError} `outcome_unknown`, `idempotency_mismatch`, `in_progress`, `store_unavailable`, …
 * @throws {TypeError} for a missing, unknown or invalid option.
 */
export async function runIdempotent<T>(
  options: GuardOptions,
  work: (context: RunContext) => PromiseLike<T> | T,
): Promise<T> {
  checkGuardOptions(options)
  if (typeof work !== 'function') {
    throw new TypeError(
      `runIdempotent(): the second argument must be a function, got ${typeof work}`,
    )
  }
  const {
    store,
    operation,
    tenant,
    keySecret,
    encryption,
    maxResultBytes,
    runtime = processRuntime(),
    onEvent,
    ...own
  } = options
  const settings: SteadyOptions = {
    store,
    ...(own.idempotencyKey === undefined && { idempotency: 'derive' }),
    ...(tenant !== undefined && { tenant }),
    ...(keySecret !== undefined && { keySecret }),
    ...(encryption !== undefined && { encryption }),
    ...(maxResultBytes !== undefined && { maxResultBytes }),
    ...(onEvent !== undefined && { onEvent }),
  }
  const resolved = resolveCall(settings, own, {
    face: 'guard',
    clientTimeoutMs: Number.POSITIVE_INFINITY,
  })
  const state = targetState(
    runtime,
    { key: `guard ${operation}`, name: `guard ${operation}` },
    UNLIMITED,
  )
  const task = new FunctionTask<T>({
    name: operation,
    options: resolved,
    state,
    work,
  })
  const { value, report } = await call(task, { runtime, settings, multiplied: false })
  attachReport(value, report)
  return value
}

/** The user's own function is not a provider that could be overloaded. */
const UNLIMITED: TargetSettings = { limits: 'none' }

/**
 * Resolves an `outcome_unknown`, after you have found out whether the work was done: `'rerun'` frees the key,
 * `{ value }` becomes the result for all further callers.
 * @returns false if the key's outcome is not unknown; then nothing has changed.
 * @throws {TypeError} for a missing, unknown or invalid option, and for a value that is not JSON or larger than
 * `maxResultBytes`.
 */
export async function resolveIdempotent(
  options: KeyedOperation,
  verdict: 'rerun' | { readonly value: unknown },
): Promise<boolean> {
  checkKeyedOperation(options)
  const isValue = typeof verdict === 'object' && verdict !== null && 'value' in verdict
  if (verdict !== 'rerun' && !isValue) {
    throw new TypeError("resolveIdempotent(): verdict must be 'rerun' or { value }")
  }
  const { store, operation, idempotencyKey: key, tenant, keySecret, ttlMs } = options
  const hash = storedKey(withoutUndefined({ operation, key, tenant, keySecret }))
  const outcome =
    verdict === 'rerun' ? verdict : await keptByHand(keepingOf(options, hash), verdict.value)
  return store.resolve(hash, outcome, ttlMs ?? CALL_ROWS.ttlMs.default)
}

async function keptByHand(keeping: Keeping, value: unknown): Promise<Outcome> {
  const { kept, whole } = await keeping.seal(encodeValue(value))
  if (!whole) throw new TypeError('resolveIdempotent(): value is larger than maxResultBytes')
  return { ok: true, result: kept }
}
