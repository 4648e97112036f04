import { type Policy, policies } from './policies.ts'
import type { Fault, ProviderSettings } from './provider.ts'

/** Who asks, how much, of whom, and what goes wrong. */
export interface Scenario {
  readonly id: string
  readonly title: string
  readonly clients: number
  /** How long an attempt waits for its answer, milliseconds. */
  readonly attemptTimeoutMs: number
  readonly load: /** Calls come as a Poisson process, whatever became of the earlier ones; per second, all clients. */
    | { readonly kind: 'open'; readonly perSecond: number }
    /** Each client has so many workers, who wait for their call and then think, on average so long. */
    | {
        readonly kind: 'closed'
        readonly workers: number
        readonly thinkMs: number
        /** So many calls in all; whatever fails is not made again. @default until `untilMs` */
        readonly calls?: number
      }
  /** With workers: each process begins so much later than the one before, milliseconds. */
  readonly joinMs?: number
  /** Beside its calls the first process has a batch to do, by so many workers. */
  readonly batch?: { readonly fromMs: number; readonly workers: number }
  /** Whoever makes a call is gone so much later, milliseconds: a handler of a serverless platform. */
  readonly killedAfterMs?: number
  /** For a while the load is so many times higher. */
  readonly surge?: { readonly fromMs: number; readonly untilMs: number; readonly times: number }
  /** Every client begins so many calls at once. */
  readonly burst?: { readonly atMs: number; readonly callsPerClient: number }
  /** Every client is replaced by a fresh one; calls under way end as they would have. */
  readonly restartAtMs?: number
  /** The clients' processes stand still for a while, and hear of everything afterwards. */
  readonly suspended?: { readonly fromMs: number; readonly untilMs: number }
  readonly provider: ProviderSettings
  readonly second?: ProviderSettings
  /** What "in the fault" and "recovered" refer to. */
  readonly faultMs?: { readonly from: number; readonly until: number }
  /** Calls come until then. */
  readonly untilMs: number
  readonly policies: readonly Policy[]
}

export const FAULT = { from: 120_000, until: 180_000 }
export const UNTIL_MS = 600_000
/** 70 % of what the provider can do. */
const USUAL = { kind: 'open', perSecond: 35 } as const
const CLIENTS = 50
/** Shorter than the provider's queue is long, as with users in front of the clients. */
export const ATTEMPT_TIMEOUT_MS = 10_000
/** The openai client's default; the AI SDK's is none. */
export const PATIENT_MS = 600_000

export const provider = (
  fault?: Fault,
  more: Partial<ProviderSettings> = {},
  { from, until } = FAULT,
): ProviderSettings => ({
  slots: 50,
  serviceMs: 1_000,
  queue: 1_000,
  abandoned: 'computed',
  faults: fault === undefined ? [] : [{ fromMs: from, untilMs: until, fault }],
  ...more,
})

/** A provider with a fault, and the time that the metrics refer to. */
export const faulty = (fault: Fault, more: Partial<ProviderSettings> = {}, faultMs = FAULT) => ({
  provider: provider(fault, more, faultMs),
  faultMs,
})

export const brownout: Fault = { kind: 'slow', slots: 0.2 }
export const common = {
  clients: CLIENTS,
  attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
  load: USUAL,
  untilMs: UNTIL_MS,
  policies,
}
export const random = (percent: number): Scenario => ({
  ...common,
  id: `K${percent}`,
  title: `${percent} % of all requests fail, all the time`,
  provider: provider({ kind: 'failing', share: percent / 100 }, {}, { from: 0, until: UNTIL_MS }),
})
