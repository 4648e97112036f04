import type { Result } from './measure.ts'

/** The numbers of a `Result` that a median can be taken of. */
export type Numbers = {
  readonly [Name in keyof Result as Result[Name] extends number ? Name : never]: number
}

const names = [
  'calls',
  'amplification',
  'inFault',
  'peakPerS',
  'recoveryS',
  'goodput',
  'wasted',
  'p99Ms',
  'refused',
  'tokensPerSuccess',
  'inVain',
  'fullRateS',
  'waveAfter',
  'overInTime',
  'endedS',
  'firstsShare',
] as const satisfies readonly (keyof Numbers)[]

/** The median of each number over the seeds. "Never" counts as the longest. */
export function medians(results: readonly Result[]): Numbers {
  const entries = names.map((name) => [name, median(results.map((result) => result[name]))])
  // One entry for each name.
  return Object.fromEntries(entries) as Numbers
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

const columns: readonly (readonly [string, (numbers: Numbers) => string])[] = [
  ['goodput', ({ goodput }) => `${goodput.toFixed(1)} %`],
  ['requests per call', ({ amplification }) => amplification.toFixed(2)],
  ['in the fault', ({ inFault }) => (Number.isNaN(inFault) ? '' : inFault.toFixed(2))],
  ['peak per s', ({ peakPerS }) => peakPerS.toFixed(0)],
  ['recovered after', ({ recoveryS }) => recovery(recoveryS)],
  ['wasted work', ({ wasted }) => `${wasted.toFixed(1)} %`],
  ['p99', ({ p99Ms }) => `${(p99Ms / 1_000).toFixed(1)} s`],
  ['refused here', ({ refused }) => `${refused.toFixed(1)} %`],
  ['tokens per success', ({ tokensPerSuccess }) => tokensPerSuccess.toFixed(0)],
]

/** A table in Markdown, one row per policy. */
export function table(rows: readonly (readonly [policy: string, numbers: Numbers])[]): string {
  const cells = [
    ['policy', ...columns.map(([title]) => title)],
    ['---', ...columns.map(() => '---:')],
    ...rows.map(([policy, numbers]) => [policy, ...columns.map(([, show]) => show(numbers))]),
  ]
  return cells.map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function recovery(seconds: number): string {
  if (Number.isNaN(seconds)) return ''
  return seconds === Number.POSITIVE_INFINITY ? 'never' : `${seconds.toFixed(0)} s`
}
