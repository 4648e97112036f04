import { type Policy, policies, withFallback, withHedge } from './policies.ts'
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
  /** For a while the load is so many times higher. */
  readonly surge?: { readonly fromMs: number; readonly untilMs: number; readonly times: number }
  /** Every client begins so many calls at once. */
  readonly burst?: { readonly atMs: number; readonly callsPerClient: number }
  /** Every client is replaced by a fresh one; calls under way end as they would have. */
  readonly restartAtMs?: number
  readonly provider: ProviderSettings
  readonly second?: ProviderSettings
  /** What "in the fault" and "recovered" refer to. */
  readonly faultMs?: { readonly from: number; readonly until: number }
  /** Calls come until then. */
  readonly untilMs: number
  readonly policies: readonly Policy[]
}

const FAULT = { from: 120_000, until: 180_000 }
const UNTIL_MS = 600_000
/** 70 % of what the provider can do. */
const USUAL = { kind: 'open', perSecond: 35 } as const
const CLIENTS = 50
/** Shorter than the provider's queue is long, as with users in front of the clients. */
const ATTEMPT_TIMEOUT_MS = 10_000
/** The openai client's default; the AI SDK's is none. */
const PATIENT_MS = 600_000

const provider = (
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
const faulty = (fault: Fault, more: Partial<ProviderSettings> = {}, faultMs = FAULT) => ({
  provider: provider(fault, more, faultMs),
  faultMs,
})

const brownout: Fault = { kind: 'slow', slots: 0.2 }
const common = {
  clients: CLIENTS,
  attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
  load: USUAL,
  untilMs: UNTIL_MS,
  policies,
}
const random = (percent: number): Scenario => ({
  ...common,
  id: `K${percent}`,
  title: `${percent} % of all requests fail, all the time`,
  provider: provider({ kind: 'failing', share: percent / 100 }, {}, { from: 0, until: UNTIL_MS }),
})
/** At the failure rate up to which the tokens last, by the formula of docs/concepts/storms.md. */
const limitOf = (percent: number): Scenario => ({
  ...random(percent),
  policies: [...some(['no retry', 'openai', 'steadycall'])],
})
const limitedFor = (seconds: number): Scenario => ({
  ...common,
  id: `G${seconds}`,
  title: `${seconds} s of 429 that all name the same reset`,
  ...faulty({ kind: 'limited' }, {}, { from: 120_000, until: 120_000 + seconds * 1_000 }),
  policies: [...some(['no retry', 'steadycall'])],
})
/** One process, and how it meets an outage. */
const LOADS = {
  pool: { kind: 'closed', workers: 16, thinkMs: 1, calls: 2_000 },
  open: { kind: 'open', perSecond: 20 },
  lone: { kind: 'closed', workers: 1, thinkMs: 1_000 },
} as const
const outage = (seconds: number, load: keyof typeof LOADS): Scenario => {
  const faultMs = { from: 60_000, until: 60_000 + seconds * 1_000 }
  return {
    id: `${load}${seconds}`,
    title: `an outage of ${seconds} s, met by ${OF_LOAD[load]}`,
    clients: 1,
    attemptTimeoutMs: PATIENT_MS,
    load: LOADS[load],
    ...faulty({ kind: 'unavailable' }, {}, faultMs),
    untilMs: 360_000,
    policies,
  }
}
const OF_LOAD = {
  pool: 'a pool of 16 workers',
  open: 'calls that come, 20 a second',
  lone: 'one lone caller',
} as const

/** One process at twice what its provider takes for a while: 100 a second. */
const overload = (
  name: string,
  what: string,
  seconds: number,
  settings: Partial<ProviderSettings>,
  attemptTimeoutMs = 60_000,
): Scenario => ({
  id: `x2-${name}-${seconds}`,
  title: `twice the capacity for ${seconds} s, refused by ${what}`,
  clients: 1,
  attemptTimeoutMs,
  load: { kind: 'open', perSecond: 50 },
  surge: { fromMs: 60_000, untilMs: 60_000 + seconds * 1_000, times: 4 },
  provider: provider(undefined, { slots: 400, ...settings }),
  faultMs: { from: 60_000, until: 60_000 + seconds * 1_000 },
  untilMs: 360_000,
  policies,
})
const bucket = (status: 429 | 503, hintTimes: number): Partial<ProviderSettings> => ({
  limit: { unit: 'requests', perMinute: 6_000, style: 'bucket', burstS: 1, status, hintTimes },
})
const overloads = [10, 60].flatMap((seconds) => [
  overload('503', '503 without a hint', seconds, bucket(503, 0)),
  overload('slots', '503 where all places are taken', seconds, { slots: 100, queue: 0, full: 503 }),
  overload('true', '429 with a true hint', seconds, bucket(429, 1)),
  overload('short', '429 with a hint that is too short', seconds, bucket(429, 0.1)),
  overload('long', '429 with a hint ten times too long', seconds, bucket(429, 10)),
  overload(
    'queue',
    'nothing but timeouts',
    seconds,
    { slots: 100, queue: 10_000 },
    ATTEMPT_TIMEOUT_MS,
  ),
])
const refusing = (percent: number): Scenario => ({
  ...random(percent),
  id: `K${percent}-503`,
  title: `${percent} % of all requests are refused with 503, whatever the load`,
  clients: 1,
  provider: provider(
    { kind: 'failing', share: percent / 100, status: 503 },
    {},
    { from: 0, until: UNTIL_MS },
  ),
})
const hidden = (name: string, limit: NonNullable<ProviderSettings['limit']>): Scenario => ({
  id: `hidden-${name}`,
  title: `a limit that nobody was told of, halved in the middle: ${name}`,
  clients: 1,
  attemptTimeoutMs: 60_000,
  load: { kind: 'closed', workers: 40, thinkMs: 1 },
  provider: {
    ...provider(undefined, { slots: 400, limit }),
    faults: [{ fromMs: 300_000, untilMs: 600_000, fault: { kind: 'limit', times: 0.5 } }],
  },
  faultMs: { from: 300_000, until: 600_000 },
  untilMs: 900_000,
  policies,
})
const requests = { unit: 'requests', perMinute: 600 } as const

const some = (names: readonly string[]) => policies.filter(({ name }) => names.includes(name))

export const scenarios: readonly Scenario[] = [
  { ...common, id: 'calm', title: 'nothing goes wrong', provider: provider() },
  {
    ...common,
    id: 'A',
    title: 'an outage: 503 at once, for a minute',
    ...faulty({ kind: 'unavailable' }),
  },
  {
    ...common,
    id: 'B',
    title: 'a brownout: a fifth of the capacity, for a minute',
    ...faulty(brownout),
  },
  {
    ...common,
    id: 'C',
    title: 'the brownout at 85 % load',
    load: { kind: 'open', perSecond: 42.5 },
    ...faulty(brownout),
  },
  {
    ...common,
    id: 'D',
    title: 'the brownout, with workers who wait for their answers',
    load: { kind: 'closed', workers: 2, thinkMs: 1_857 },
    ...faulty(brownout),
  },
  {
    ...common,
    id: 'E',
    title: 'a blip: 503 for five seconds',
    ...faulty({ kind: 'unavailable' }, {}, { from: 120_000, until: 125_000 }),
  },
  {
    ...common,
    id: 'F',
    title: 'the brownout, at a provider that drops queued work nobody waits for',
    ...faulty(brownout, { abandoned: 'dropped' }),
  },
  {
    ...common,
    id: 'G',
    title: '30 s of 429 that all name the same reset',
    ...faulty({ kind: 'limited' }, {}, { from: 120_000, until: 150_000 }),
    policies: [...policies],
  },
  {
    ...common,
    id: 'H',
    title: 'the brownout, with 1,000 small clients',
    clients: 1_000,
    ...faulty(brownout),
    policies: [...policies],
  },
  {
    ...common,
    id: 'I',
    title: 'half as much load again for a minute, beyond a limit of tokens per minute',
    surge: { fromMs: FAULT.from, untilMs: FAULT.until, times: 1.5 },
    provider: provider(undefined, {
      slots: 100,
      limit: { unit: 'tokens', perMinute: 3_600_000, style: 'bucket' },
    }),
    faultMs: FAULT,
  },
  {
    ...common,
    id: 'J',
    title: 'one request in a hundred takes 8 s longer',
    provider: provider(undefined, { slowTail: { share: 0.01, extraMs: 8_000 } }),
    policies: [...policies, ...withHedge],
  },
  random(10),
  random(20),
  { ...random(40), policies: [...policies] },
  {
    ...common,
    id: 'L',
    title: 'a cold start: 10 processes begin 100 calls each, 300 more than the minute allows',
    clients: 10,
    load: { kind: 'open', perSecond: 1 },
    burst: { atMs: 121_000, callsPerClient: 100 },
    provider: provider(undefined, {
      slots: 400,
      limit: { unit: 'requests', perMinute: 700, style: 'window' },
    }),
    faultMs: { from: 121_000, until: 180_000 },
    untilMs: 300_000,
  },
  {
    ...common,
    id: 'M',
    title: 'a deploy in the middle of the brownout: every process starts afresh',
    restartAtMs: 150_000,
    ...faulty(brownout),
  },
  {
    ...common,
    id: 'N',
    title: 'the brownout, with a second provider that has half of the capacity needed',
    ...faulty(brownout),
    second: provider(undefined, { slots: 18 }),
    policies: [...policies, ...withFallback],
  },
  {
    ...common,
    id: 'O',
    title: 'the brownout, where 15 % of the answers have to be asked for again',
    ...faulty(brownout, { malformed: 0.15 }),
  },
  {
    ...common,
    id: 'P',
    title: '20 s in which requests are swallowed: what was sent then times out afterwards',
    ...faulty({ kind: 'silent' }, {}, { from: 120_000, until: 140_000 }),
  },
  {
    ...common,
    id: 'Q',
    title: 'the brownout, with clients that wait ten minutes for an answer',
    attemptTimeoutMs: PATIENT_MS,
    ...faulty(brownout),
  },
  {
    ...common,
    id: 'R',
    title: '30 s of 429, with clients that wait ten minutes for an answer',
    attemptTimeoutMs: PATIENT_MS,
    ...faulty({ kind: 'limited' }, {}, { from: 120_000, until: 150_000 }),
    policies: [...policies],
  },
  ...[10, 20, 45, 60].map(limitedFor),
  limitOf(18),
  limitOf(24),
  limitOf(32),
  limitOf(44),
]

/** What a line has to stand: played by name, beside the others. */
export const lineScenarios: readonly Scenario[] = [
  ...[3, 8, 30, 120].flatMap((seconds) => [
    outage(seconds, 'pool'),
    outage(seconds, 'open'),
    outage(seconds, 'lone'),
  ]),
  ...overloads,
  random(50),
  ...[10, 20, 50].map(refusing),
  hidden('bucket', { ...requests, style: 'bucket' }),
  hidden('bucket-silent', { ...requests, style: 'bucket', hintTimes: 0 }),
  hidden('window', { ...requests, style: 'window' }),
  hidden('window-silent', { ...requests, style: 'window', hintTimes: 0 }),
  hidden('rolling', { ...requests, style: 'rolling' }),
  hidden('rolling-silent', { ...requests, style: 'rolling', hintTimes: 0 }),
  hidden('tokens', { unit: 'tokens', perMinute: 900_000, style: 'bucket' }),
].map((scenario) => ({ ...scenario, policies: [...policies] }))

export function scenarioNamed(id: string): Scenario {
  const all = [...scenarios, ...lineScenarios]
  const found = all.find((scenario) => scenario.id === id)
  if (found === undefined) {
    const known = all.map((scenario) => scenario.id).join(', ')
    throw new RangeError(`There is no scenario '${id}'; there are ${known}`)
  }
  return found
}
