import type { Result } from './measure.ts'
import type { Scenario } from './scenario.ts'

interface Plotted {
  readonly policy: string
  readonly perSecond: Result['perSecond']
}

const PANEL = { width: 300, height: 120, left: 34, top: 22, bottom: 18, gap: 14 }
const COLUMNS = 3
/** Each point is the mean of so many seconds. */
const STEP_S = 5
const LINES = [
  ['attempted', '#d1495b'],
  ['offered', '#8d99ae'],
  ['served', '#00798c'],
] as const

/** The plot of a scenario: of each policy the first of its runs. */
export function picture(
  { id, title, untilMs, faultMs }: Scenario,
  rows: readonly { readonly name: string; readonly runs: readonly Result[] }[],
): string {
  const plotted = rows.flatMap(({ name, runs: [first] }) =>
    first === undefined ? [] : [{ policy: name, perSecond: first.perSecond }],
  )
  return plot(`${id}: ${title}`, plotted, {
    untilS: untilMs / 1_000,
    maxPerS: 200,
    faultS: faultMs && [faultMs.from / 1_000, faultMs.until / 1_000],
  })
}

/**
 * One panel per policy, all with the same axes: calls offered, calls that succeeded and requests
 * sent per second over time. The vertical axis ends at `maxPerS`, where taller lines are cut.
 */
function plot(
  title: string,
  plotted: readonly Plotted[],
  {
    untilS,
    maxPerS,
    faultS,
  }: {
    readonly untilS: number
    readonly maxPerS: number
    readonly faultS: readonly [number, number] | undefined
  },
): string {
  const rows = Math.ceil(plotted.length / COLUMNS)
  const width = COLUMNS * (PANEL.width + PANEL.gap) + PANEL.gap
  const height = 46 + rows * (PANEL.height + PANEL.gap)
  const axes = { untilS, maxPerS, faultS }
  const panels = plotted.map((one, index) => {
    const x = PANEL.gap + (index % COLUMNS) * (PANEL.width + PANEL.gap)
    const y = 46 + Math.floor(index / COLUMNS) * (PANEL.height + PANEL.gap)
    return `<g transform="translate(${x} ${y})">\n${panel(one, axes)}\n</g>`
  })
  const key = LINES.map(
    ([name, color], index) =>
      `<text x="${PANEL.gap + index * 90}" y="36" fill="${color}" font-weight="bold">${name}</text>`,
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" role="img" aria-labelledby="title">`,
    `<title id="title">${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${PANEL.gap}" y="18" font-size="13" fill="#222">${escapeXml(title)}: per second (means of ${STEP_S} s); shaded: the fault</text>`,
    ...key,
    ...panels,
    '</svg>\n',
  ].join('\n')
}

function panel(
  { policy, perSecond }: Plotted,
  { untilS, maxPerS, faultS }: Parameters<typeof plot>[2],
): string {
  const inner = {
    width: PANEL.width - PANEL.left,
    height: PANEL.height - PANEL.top - PANEL.bottom,
  }
  const x = (second: number) => round(PANEL.left + (second / untilS) * inner.width)
  const y = (rate: number) =>
    round(PANEL.top + inner.height * (1 - Math.min(rate, maxPerS) / maxPerS))
  const fault =
    faultS === undefined
      ? ''
      : `<rect x="${x(faultS[0])}" y="${PANEL.top}" width="${round(x(faultS[1]) - x(faultS[0]))}" height="${inner.height}" fill="#f4e9cd"/>`
  const lines = LINES.map(([name, color]) => {
    const points = means(perSecond[name], untilS).map(
      (rate, index) => `${x((index + 0.5) * STEP_S)},${y(rate)}`,
    )
    return `<polyline fill="none" stroke="${color}" stroke-width="1.2" points="${points.join(' ')}"/>`
  })
  const peak = Math.max(...means(perSecond.attempted, untilS))
  const cut = peak > maxPerS ? ` (up to ${Math.round(peak)})` : ''
  return [
    `<text x="${PANEL.left}" y="14" fill="#222">${escapeXml(policy + cut)}</text>`,
    fault,
    `<path d="M${PANEL.left} ${PANEL.top}V${PANEL.top + inner.height}H${PANEL.width}" fill="none" stroke="#999"/>`,
    `<text x="${PANEL.left - 4}" y="${PANEL.top + 8}" text-anchor="end" fill="#666">${maxPerS}</text>`,
    `<text x="${PANEL.left - 4}" y="${PANEL.top + inner.height}" text-anchor="end" fill="#666">0</text>`,
    `<text x="${PANEL.left}" y="${PANEL.height - 4}" fill="#666">0</text>`,
    `<text x="${PANEL.width}" y="${PANEL.height - 4}" text-anchor="end" fill="#666">${untilS} s</text>`,
    ...lines,
  ]
    .filter((part) => part !== '')
    .join('\n')
}

function means(perSecond: readonly number[], untilS: number): number[] {
  return Array.from({ length: Math.ceil(untilS / STEP_S) }, (_, step) => {
    let sum = 0
    for (let second = step * STEP_S; second < (step + 1) * STEP_S; second += 1) {
      sum += perSecond[second] ?? 0
    }
    return sum / STEP_S
  })
}

function round(number: number): number {
  return Math.round(number * 10) / 10
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
