import {
  goalPolicies,
  type Policy,
  policies,
  withFallback,
  withHedge,
  withOptions,
} from './policies.ts'
import type { ProviderSettings } from './provider.ts'
import {
  ATTEMPT_TIMEOUT_MS,
  common,
  faulty,
  PATIENT_MS,
  provider,
  random,
  type Scenario,
  UNTIL_MS,
} from './scenario.ts'

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
  overload('quick', '503 without a hint, where answers take 50 ms', seconds, {
    ...bucket(503, 0),
    serviceMs: 50,
  }),
  overload('slots', '503 where all places are taken', seconds, { slots: 100, queue: 0, full: 503 }),
  overload('true', '429 with a true hint', seconds, bucket(429, 1)),
  overload('short', '429 with a hint that is too short', seconds, bucket(429, 0.1)),
  overload('long', '429 with a hint ten times too long', seconds, bucket(429, 10)),
  overload(
    'far',
    '429 that say ten seconds where ten milliseconds would do',
    seconds,
    bucket(429, 1_000),
  ),
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
const hidden = (
  name: string,
  limit: NonNullable<ProviderSettings['limit']>,
  workers = 40,
): Scenario => ({
  id: `hidden-${name}`,
  title: `a limit that nobody was told of, halved in the middle: ${name}`,
  clients: 1,
  attemptTimeoutMs: 60_000,
  load: { kind: 'closed', workers, thinkMs: 1 },
  provider: {
    ...provider(undefined, { slots: 400, limit }),
    faults: [{ fromMs: 300_000, untilMs: 600_000, fault: { kind: 'limit', times: 0.5 } }],
  },
  faultMs: { from: 300_000, until: 600_000 },
  untilMs: 900_000,
  policies,
})
const requests = { unit: 'requests', perMinute: 600 } as const
/** As many requests, by their mean. */
const tokens = { unit: 'tokens', perMinute: 900_000 } as const

/** 2,000 calls by 16 workers of which some fail, whatever the load: how long they take tells. */
const batchOf = (percent: number, status: 500 | 503): Scenario => ({
  id: `batch${percent}-${status}`,
  title: `a batch of which ${percent} % of all requests end with a ${status}, whatever the load`,
  clients: 1,
  attemptTimeoutMs: PATIENT_MS,
  load: { ...LOADS.pool, workers: 40 },
  provider: provider(
    { kind: 'failing', share: percent / 100, status },
    {},
    { from: 0, until: 10 * UNTIL_MS },
  ),
  untilMs: 10 * UNTIL_MS,
  policies,
})
/** Two processes with 40 workers each, the second two minutes later, and room for less than one. */
const shared = (name: string, what: string, settings: Partial<ProviderSettings>): Scenario => ({
  id: `two-${name}`,
  title: `two processes that share one limit of ${what}`,
  clients: 2,
  attemptTimeoutMs: 60_000,
  load: { kind: 'closed', workers: 40, thinkMs: 1 },
  joinMs: 120_000,
  provider: provider(undefined, { slots: 400, ...settings }),
  untilMs: 600_000,
  policies,
})
const loaded = (percent: number): Scenario => ({
  id: `load${percent}`,
  title: `nothing goes wrong, at ${percent} % of what the provider can do`,
  clients: 1,
  attemptTimeoutMs: PATIENT_MS,
  load: { kind: 'open', perSecond: percent / 2 },
  provider: provider(),
  untilMs: UNTIL_MS,
  policies,
})
const interactive: Omit<Scenario, 'id' | 'title'> = {
  clients: 1,
  attemptTimeoutMs: PATIENT_MS,
  load: { kind: 'open', perSecond: 10 },
  provider: provider(undefined, { queue: 0, full: 503 }),
  untilMs: 300_000,
  policies,
}

const down = (seconds: number) =>
  faulty({ kind: 'unavailable' }, {}, { from: 60_000, until: 60_000 + seconds * 1_000 })

/** What a line has to stand: played by name, or with the goals. */
const all: readonly Scenario[] = [
  ...[3, 8, 30, 120].flatMap((seconds) => [
    outage(seconds, 'pool'),
    outage(seconds, 'open'),
    outage(seconds, 'lone'),
  ]),
  ...overloads,
  ...[10, 20, 50].flatMap((percent) => [batchOf(percent, 500), batchOf(percent, 503)]),
  random(50),
  ...[10, 20, 50].map(refusing),
  hidden('bucket', { ...requests, style: 'bucket' }),
  hidden('bucket-silent', { ...requests, style: 'bucket', hintTimes: 0 }),
  hidden('window', { ...requests, style: 'window' }),
  hidden('window-silent', { ...requests, style: 'window', hintTimes: 0 }),
  hidden('rolling', { ...requests, style: 'rolling' }),
  hidden('rolling-silent', { ...requests, style: 'rolling', hintTimes: 0 }),
  hidden('tokens', { ...tokens, style: 'bucket' }),
  hidden('tokens-window', { ...tokens, style: 'window' }),
  hidden('tokens-rolling', { ...tokens, style: 'rolling' }),
  hidden('headers', { ...tokens, style: 'bucket', burstS: 60, headers: true }),
  hidden('headers-window', { ...tokens, style: 'window', headers: true }),
  hidden('bucket-of-400', { ...requests, style: 'bucket' }, 400),
  shared('bucket', '600 requests a minute', {
    limit: { ...requests, style: 'bucket', hintTimes: 0 },
  }),
  shared('slots', '20 places', { slots: 20, queue: 0, full: 503 }),
  {
    ...common,
    id: 'A1000',
    title: 'an outage: 503 at once, for a minute, met by 1,000 small clients',
    clients: 1_000,
    ...faulty({ kind: 'unavailable' }),
  },
  {
    ...common,
    id: 'G1000',
    title: '30 s of 429 that all name the same reset, with 1,000 small clients',
    clients: 1_000,
    ...faulty({ kind: 'limited' }, {}, { from: 120_000, until: 150_000 }),
  },
  {
    id: 'mixed',
    title: 'calls of 1 s and of 60 s, at twice the capacity for 60 s',
    clients: 1,
    attemptTimeoutMs: PATIENT_MS,
    load: { kind: 'open', perSecond: 4 },
    surge: { fromMs: 180_000, untilMs: 240_000, times: 4 },
    provider: provider(undefined, {
      slots: 100,
      queue: 0,
      full: 503,
      slowTail: { share: 0.2, extraMs: 59_000 },
    }),
    faultMs: { from: 180_000, until: 240_000 },
    untilMs: 480_000,
    policies,
  },
  {
    id: 'streams',
    title: 'streams of 5 s that begin after half a second, at twice the capacity for 60 s',
    clients: 1,
    attemptTimeoutMs: 60_000,
    load: { kind: 'open', perSecond: 10 },
    surge: { fromMs: 60_000, untilMs: 120_000, times: 4 },
    provider: provider(undefined, {
      slots: 100,
      serviceMs: 5_000,
      queue: 0,
      full: 503,
      firstChunkShare: 0.1,
    }),
    faultMs: { from: 60_000, until: 120_000 },
    untilMs: 360_000,
    policies,
  },
  {
    ...outage(30, 'pool'),
    id: 'suspended',
    title: 'an outage of 30 s, met by a pool whose process is suspended for a minute in its middle',
    suspended: { fromMs: 70_000, untilMs: 130_000 },
  },
  {
    id: 'cold',
    title: 'a cold start: 100 calls at once where there are 40 places',
    clients: 1,
    attemptTimeoutMs: PATIENT_MS,
    load: { kind: 'open', perSecond: 1 },
    burst: { atMs: 1_000, callsPerClient: 100 },
    provider: provider(undefined, { slots: 40, queue: 0, full: 503 }),
    untilMs: 60_000,
    policies,
  },
  loaded(80),
  loaded(95),
  {
    ...interactive,
    id: 'users',
    title: 'calls that users wait for, with nothing beside them',
  },
  {
    ...interactive,
    id: 'users-and-batch',
    title: 'calls that users wait for, beside a batch that takes all places there are',
    batch: { fromMs: 10_000, workers: 200 },
  },
  {
    id: 'killed',
    title: 'an outage of 60 s, met by handlers that are killed after 25 s',
    clients: 1,
    attemptTimeoutMs: PATIENT_MS,
    load: LOADS.open,
    killedAfterMs: 25_000,
    ...down(60),
    untilMs: 240_000,
    policies,
  },
  {
    id: 'half',
    title: 'an outage of 30 s, with a second provider that takes half of the load',
    clients: 1,
    attemptTimeoutMs: PATIENT_MS,
    load: LOADS.open,
    ...down(30),
    second: provider(undefined, { slots: 10, queue: 0, full: 503 }),
    untilMs: 240_000,
    policies: withFallback,
  },
]

export const lineScenarios: readonly Scenario[] = all.map((scenario) => ({
  ...scenario,
  policies:
    scenario.policies === policies ? [...goalPolicies, ...optionsFor(scenario)] : scenario.policies,
}))

/** Our own with the options that a goal of this scenario is about. */
function optionsFor({ id, killedAfterMs }: Scenario): readonly Policy[] {
  return [...withOptions, ...withHedge].filter(({ name }) => {
    if (name === 'steadycall, patient') return id.endsWith('120')
    if (name === 'steadycall, 3 attempts') return id.startsWith('lone')
    if (name === 'steadycall + hedge') return id === 'x2-slots-60'
    return killedAfterMs !== undefined
  })
}
