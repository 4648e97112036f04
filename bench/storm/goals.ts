import type { Figures, Played } from './judging.ts'

/** One number and its bound. */
export interface Check {
  readonly what: string
  readonly of: keyof Figures
  readonly least?: (played: Played) => number
  readonly most?: (played: Played) => number
  readonly show: (value: number) => string
}

/** What has to come out of a scenario. */
export interface Goal {
  readonly scenario: string
  readonly policy: string
  readonly checks: readonly Check[]
  /** Scenarios that its bounds are taken from. */
  readonly needs?: readonly string[]
}

const percent = (value: number) => `${value.toFixed(1)} %`
const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`
const times = (value: number) => value.toFixed(2)
const whole = (value: number) => `${value.toFixed(0)} s`

const share = (least: number): Check => ({
  what: 'share',
  of: 'goodput',
  least: () => least,
  show: percent,
})
const shareBeside = (points: number, names?: readonly string[]): Check => ({
  what: 'share',
  of: 'goodput',
  least: ({ peers }) =>
    Math.max(
      ...[...peers].flatMap(([name, { goodput }]) =>
        names === undefined || names.includes(name) ? [goodput] : [],
      ),
    ) - points,
  show: percent,
})
const requests = (most: number): Check => ({
  what: 'requests per call',
  of: 'amplification',
  most: () => most,
  show: times,
})
/** 1.35 times that of the best peer of those that serve as many, and 2 s. */
const tail: Check = {
  what: 'p99',
  of: 'p99Ms',
  most: ({ ours, peers }) =>
    1.35 *
      Math.min(
        ...[...peers.values()].flatMap(({ goodput, p99Ms }) =>
          goodput >= ours.goodput - 2 ? [p99Ms] : [],
        ),
      ) +
    2_000,
  show: seconds,
}
const fullRate = (most: number): Check => ({
  what: 'the full rate again after',
  of: 'fullRateS',
  most: () => most,
  show: whole,
})
/** In times of what the provider can do. */
const wave = (most: number, perSecond: number): Check => ({
  what: 'requests a second after the fault',
  of: 'waveAfter',
  most: () => most * perSecond,
  show: (value) => value.toFixed(0),
})
const inVain = (most: number): Check => ({
  what: 'refused',
  of: 'inVain',
  most: () => most,
  show: percent,
})
const used: Check = { what: 'used', of: 'used', least: () => 95, show: percent }

const CAPACITY = 50
/** Ten seconds and two median calls of a second in the mean. */
const SOON_S = 10 + 2 * Math.LN2

const goal = (scenario: string, ...checks: readonly Check[]): Goal => ({
  scenario,
  policy: 'steadycall',
  checks,
})

/** What a call of which a share `f` of all attempts fails comes to, with three attempts. */
const independent = (scenario: string, f: number) =>
  goal(scenario, share(100 * (1 - f ** 3) - 0.5), requests(1.05 * (1 + f + f ** 2)), tail)
const refused = (scenario: string, f: number) =>
  goal(scenario, share(99.5), requests(1.05 / (1 - f)), tail)

const outages: readonly Goal[] = [3, 8, 30].flatMap((s) => [
  ...['pool', 'open'].map((load) =>
    goal(`${load}${s}`, share(99), requests(1.2), tail, fullRate(SOON_S), wave(1.2, CAPACITY)),
  ),
  goal(`lone${s}`, share(100), tail),
  {
    ...goal(`lone${s}`, shareBeside(0, ['openai', 'AI SDK', 'AWS 2026'])),
    policy: 'steadycall, 3 attempts',
  },
])
const long: readonly Goal[] = ['pool120', 'open120', 'lone120'].flatMap((id) => [
  goal(id, shareBeside(1)),
  { ...goal(id, share(100)), policy: 'steadycall, patient' },
])
const overloads: readonly Goal[] = [10, 60].flatMap((s) =>
  ['503', 'quick', 'slots', 'true', 'short', 'long', 'far', 'queue'].map((name) =>
    goal(`x2-${name}-${s}`, share(99), requests(1.2), tail),
  ),
)
const failures: readonly Goal[] = [10, 20, 50].flatMap((percentage) => {
  const f = percentage / 100
  const batch = refused(`batch${percentage}-503`, f)
  const sameBy500: Check = {
    what: 'the batch takes',
    of: 'endedS',
    most: ({ elsewhere }) => 1.5 * elsewhere(`batch${percentage}-500`).endedS,
    show: whole,
  }
  return [
    independent(`K${percentage}`, f),
    independent(`batch${percentage}-500`, f),
    refused(`K${percentage}-503`, f),
    { ...batch, checks: [...batch.checks, sameBy500], needs: [`batch${percentage}-500`] },
  ]
})
const fleets: readonly Goal[] = [
  goal('B', share(99), tail, fullRate(SOON_S), wave(1.5, CAPACITY)),
  goal('A', share(98), tail, fullRate(SOON_S), wave(1.5, CAPACITY)),
  goal('G', share(99.5), tail, fullRate(SOON_S), wave(1.5, CAPACITY)),
  goal('A1000', shareBeside(1), tail, fullRate(SOON_S), wave(2, CAPACITY)),
  goal('G1000', shareBeside(1), tail, fullRate(SOON_S), wave(2, CAPACITY)),
  goal('H', shareBeside(5), tail, fullRate(36), wave(2, CAPACITY)),
]
const HIDDEN = [
  'bucket',
  'bucket-silent',
  'window',
  'window-silent',
  'rolling',
  'rolling-silent',
  'tokens',
  'tokens-window',
  'tokens-rolling',
  'headers',
  'headers-window',
  'bucket-of-400',
]
const limits: readonly Goal[] = [
  ...HIDDEN.map((name) => goal(`hidden-${name}`, used, inVain(name === 'window-silent' ? 4 : 2))),
  ...['bucket', 'slots'].map((name) =>
    goal(
      `two-${name}`,
      {
        what: "the first one's part",
        of: 'firstsShare',
        least: () => 40,
        most: () => 60,
        show: percent,
      },
      inVain(3.5),
    ),
  ),
]
const beside =
  (peer: string, points: number) =>
  ({ peers }: Played) =>
    (peers.get(peer)?.p99Ms ?? Number.NaN) + points
const others: readonly Goal[] = [
  goal('load80', { what: 'p99', of: 'p99Ms', most: beside('no retry', 0), show: seconds }),
  goal('load95', { what: 'p99', of: 'p99Ms', most: beside('no retry', 100), show: seconds }),
  {
    ...goal('users-and-batch', {
      what: 'p99 of those that users wait for',
      of: 'p99Ms',
      most: ({ elsewhere }) => 1.2 * elsewhere('users').p99Ms,
      show: seconds,
    }),
    needs: ['users'],
  },
  ...['steadycall create', 'steadycall create, 24 s'].map((policy) => ({
    ...goal('killed', {
      what: 'answers or clean errors in time',
      of: 'overInTime' as const,
      least: ({ peers }: Played) => peers.get('openai')?.overInTime ?? Number.NaN,
      show: percent,
    }),
    policy,
  })),
  goal('streams', share(99), requests(1.2), tail),
  { ...goal('x2-slots-60', share(99), requests(1.2)), policy: 'steadycall + hedge' },
  goal('suspended', share(99), requests(1.2)),
  goal('mixed', shareBeside(1), requests(1.2), tail),
  goal('cold', share(100), requests(1.2), tail),
  { ...goal('half', share(99), shareBeside(0)), policy: 'steadycall + fallback' },
]

export const goals: readonly Goal[] = [
  ...outages,
  ...long,
  ...overloads,
  ...failures,
  ...fleets,
  ...limits,
  ...others,
]
