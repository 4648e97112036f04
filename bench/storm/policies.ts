import type { Client, ClientRequest } from './client.ts'
import type { Failed, Layer, ModelledPolicy } from './modelled-client.ts'
import type { ShippedPolicy } from './shipped-client.ts'
import { spoiled } from './spoiled.ts'

export type Policy =
  | { readonly name: string; readonly modelled: ModelledPolicy }
  | { readonly name: string; readonly shipped: ShippedPolicy }
  | {
      readonly name: string
      /** Any other client: the tests have one that goes through a whole `openai` client. */
      readonly client: (request: ClientRequest) => Client
      /** How often its promises have to go through the event loop between two events. */
      readonly turns: number
    }

const transient = ({ status }: Failed) => status !== 'malformed'

/**
 * openai-node 7.57.0, `src/client.ts`, `shouldRetry` and `calculateDefaultRetryTimeoutMillis`: two
 * retries, half a second doubled up to eight, less up to a quarter; a hint of up to a minute is
 * obeyed to the millisecond, a longer one ignored.
 */
const openai: Layer = {
  attempts: 3,
  delayMs(retry, failure, random) {
    if (!transient(failure)) return undefined
    const { hintMs } = failure
    if (hintMs !== undefined && hintMs <= 60_000) return hintMs
    return Math.min(500 * 2 ** (retry - 1), 8_000) * (1 - 0.25 * random())
  },
}

/**
 * ai 7.0.173, `retryWithExponentialBackoffRespectingRetryHeaders`: two retries after 2 s and 4 s. A
 * request that the caller's timeout ended is not retried: `isAbortError` of `@ai-sdk/provider-utils`
 * hands a TimeoutError on as it is.
 */
const aiSdk: Layer = {
  attempts: 3,
  delayMs(retry, failure) {
    if (!transient(failure) || failure.status === 'timeout') return undefined
    const backoffMs = 2_000 * 2 ** (retry - 1)
    const { hintMs } = failure
    return hintMs !== undefined && (hintMs < 60_000 || hintMs < backoffMs) ? hintMs : backoffMs
  },
}

/**
 * `AsyncCaller` of @langchain/core 1.4.0: six retries after 1 s doubled, times one to two, or the hint
 * of a 429 if that is longer; none after a 429 without a hint or with one above a minute. It asks
 * again whatever fails without a status, a bad answer too.
 */
const langChain: Layer = {
  attempts: 7,
  delayMs(retry, { status, hintMs }, random) {
    if (status === 429 && (hintMs === undefined || hintMs > 60_000)) return undefined
    const backoffMs = 1_000 * 2 ** (retry - 1) * (1 + random())
    return status === 429 ? Math.max(backoffMs, hintMs ?? 0) : backoffMs
  },
}

/** A loop around it with p-retry's first two delays: it takes whatever fails, and reads no hint. */
const loop: Layer = { attempts: 3, delayMs: (retry) => 1_000 * 2 ** (retry - 1) }

/** p-retry 9.0.0 as it comes: ten retries, around a client that makes none itself. */
const pRetry: Layer = { attempts: 11, delayMs: (retry) => 1_000 * 2 ** (retry - 1) }

/**
 * The AWS SDKs' standard mode as of 2026, `StandardRetryStrategy` of @smithy/core 3.41.0 (in earlier
 * releases only with `SMITHY_NEW_RETRIES_2026`): full jitter of 50 ms (throttled: 1 s) doubled up to 20 s; a hint binds up to 5 s beyond that; a quota of 500
 * per client, 14 a retry, 5 when throttled, 1 earned by a success.
 */
const aws: ModelledPolicy = {
  layers: [
    {
      attempts: 3,
      delayMs(retry, failure, random) {
        if (!transient(failure)) return undefined
        const baseMs = failure.status === 429 ? 1_000 : 50
        const backoffMs = random() * Math.min(baseMs * 2 ** (retry - 1), 20_000)
        const { hintMs } = failure
        if (hintMs === undefined) return backoffMs
        return Math.max(backoffMs, Math.min(hintMs, backoffMs + 5_000))
      },
    },
  ],
  quota: {
    capacity: 500,
    cost: ({ status }) => (status === 429 ? 5 : 14),
    depositPerSuccess: 1,
  },
}

/** Compared in every scenario, in this order. */
export const policies: readonly Policy[] = [
  { name: 'no retry', modelled: { layers: [] } },
  { name: 'openai', modelled: { layers: [openai] } },
  { name: 'AI SDK', modelled: { layers: [aiSdk] } },
  { name: 'LangChain', modelled: { layers: [langChain] } },
  { name: 'p-retry', modelled: { layers: [pRetry] } },
  { name: 'nested 9', modelled: { layers: [openai, loop] } },
  { name: 'AWS 2026', modelled: aws },
  { name: 'steadycall, no limit', shipped: { limits: 'off' } },
  { name: 'steadycall', shipped: {} },
]

/** Beside which the line is judged: those that somebody may have now. `nested 9` is p-retry around openai's own retries. */
export const goalPolicies = policies.filter(({ name }) => name !== 'steadycall, no limit')

/** What two loops around a client that retries come to: once is enough. */
export const nested27: Policy = {
  name: 'nested 27',
  modelled: { layers: [openai, loop, loop] },
}

/** Compared where they make a difference. */
export const withFallback: readonly Policy[] = [
  { name: 'openai + fallback', modelled: { layers: [openai], fallsBack: true } },
  { name: 'steadycall + fallback', shipped: { fallsBack: true } },
]
export const withHedge: readonly Policy[] = [
  { name: 'steadycall + hedge', shipped: { hedge: true } },
]
/** Our own with other options, where a goal is about them. */
export const withOptions: readonly Policy[] = [
  { name: 'steadycall, patient', shipped: { call: { maxWaitMs: 600_000 } } },
  { name: 'steadycall, 3 attempts', shipped: { call: { maxAttempts: 3 } } },
  { name: 'steadycall create', shipped: { face: 'create' } },
  { name: 'steadycall create, 24 s', shipped: { face: 'create', call: { deadlineMs: 24_000 } } },
]

export function policyNamed(name: string): Policy {
  const all = [...policies, nested27, ...withFallback, ...withHedge, ...withOptions, ...spoiled]
  const found = all.find((policy) => policy.name === name)
  if (found === undefined) {
    throw new RangeError(
      `There is no policy '${name}'; there are ${all.map((one) => one.name).join(', ')}`,
    )
  }
  return found
}
