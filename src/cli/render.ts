import type { FailureKind } from '../index.ts'
import {
  formatMs,
  formatTimeline,
  lengthMs,
  type Paint,
  type Style,
  TIMELINE_LEGEND,
} from '../report/timeline.ts'
import type { BareAnswer, SteadyOutcome } from './clients.ts'
import type { Terminal } from './command.ts'
import type { CallEnding } from './explain.ts'
import type { OutageResult } from './outage.ts'

/** The part of a terminal that pure functions use. */
export type Canvas = Pick<Terminal, 'columns' | 'paint'>

/**
 * One timeline per call, all to the same scale, with an explanation: next to it if the terminal is wide enough,
 * otherwise on a line of its own.
 */
export function formatCalls(results: readonly FinishedCall[], { columns, paint }: Canvas): string {
  const nameWidth = longest(results.map(({ name }) => name))
  const fixedWidth = MARGIN.length + 2 + 2 + nameWidth + 2 + 2 + TIME_WIDTH
  const explanationWidth = longest(results.map(({ explanation }) => explanation))
  const besideWidth = columns - fixedWidth - 2 - explanationWidth
  const beside = besideWidth >= MIN_BAR
  const width = Math.min(beside ? besideWidth : columns - fixedWidth, MAX_BAR)
  const scaleMs = Math.max(1, ...results.map(({ report }) => lengthMs(report)))

  const lines = results.flatMap((result, index) => {
    const bar = formatTimeline(result.report, { width, scaleMs, paint })
    const time = paint('dim', formatMs(result.report.durationMs).padStart(TIME_WIDTH))
    const place = paint('dim', String(index + 1).padStart(2))
    const row = `${MARGIN}${place}  ${result.name.padEnd(nameWidth)}  ${bar}  ${time}`
    if (beside) return [`${row}  ${paintEnding(result, result.explanation, paint)}`]
    const fitted = cutTo(result.explanation, columns - DEEPER.length)
    return [row, `${DEEPER}${paintEnding(result, fitted, paint)}`]
  })
  const axis = formatAxis(width, scaleMs)
  const head = `${MARGIN}    ${' '.repeat(nameWidth)}  ${paint('dim', axis)}`
  return `${[head, ...lines, '', ...formatLegend(columns, paint)].join('\n')}\n`
}

/**
 * Compares both clients under the same faults; the numbers count HTTP requests. Calls that only one of them
 * made valid come first, then those with different numbers of requests.
 */
export function formatComparison(
  results: readonly FinishedCall[],
  { columns, paint }: Canvas,
): string {
  const nameWidth = longest(results.map(({ name }) => name))
  const indent = MARGIN.length + nameWidth + 2
  const wordsAt = indent + STEADY_HEAD.length + 2 + BARE_HEAD.length + 2
  const ordered = results.toSorted((a, b) => difference(b) - difference(a))
  const lines = ordered.flatMap(({ name, valid, requests, bare }) => {
    if (bare === undefined) return []
    const words = cutTo(bare.explanation, columns - wordsAt)
    const steadyCell = paintCount(valid, requests, STEADY_HEAD.length, paint)
    const bareCell = paintCount(bare.valid, bare.requests, BARE_HEAD.length, paint)
    const said = bare.valid ? paint('dim', words) : words
    return [`${MARGIN}${name.padEnd(nameWidth)}  ${steadyCell}  ${bareCell}  ${said}`]
  })
  const head = paint('dim', `${' '.repeat(indent)}${STEADY_HEAD}  ${BARE_HEAD}`)
  return `${[head, ...lines].join('\n')}\n`
}

function difference({ valid, requests, bare }: FinishedCall): number {
  if (bare === undefined || bare.valid !== valid) return 2
  return bare.requests === requests ? 0 : 1
}

/** The totals, side by side if the bare client was run too. */
export function formatTotals(totals: Totals, { paint }: Canvas): string {
  const { bare } = totals
  const rows: (readonly [label: string, steady: string, bare: string])[] = [
    ['valid answers', share(totals.valid, totals.calls), share(bare?.valid, totals.calls)],
    ['HTTP requests', count(totals.requests), count(bare?.requests)],
    ['attempts', count(totals.attempts), '-'],
    ['repaired', count(totals.repaired), '-'],
    ['re-asked', count(totals.reasked), '-'],
    ['shared or replayed', count(totals.replayed), '-'],
    ['tokens in, out', tokens(totals), bare === undefined ? '-' : tokens(bare)],
  ]
  const line = ([label, ours, theirs]: (typeof rows)[number], style?: Style) => {
    const cell = ours.padStart(COUNT_WIDTH)
    const other = bare === undefined ? '' : theirs.padStart(COUNT_WIDTH)
    return `${MARGIN}${label.padEnd(LABEL_WIDTH)}${style ? paint(style, cell) : cell}${other}`
  }
  const head = paint('dim', line(['', 'steadycall', 'bare client']))
  const lines = rows.map((row, index) => line(row, index === 0 ? 'bold' : undefined))
  const why = MARGIN + paint('dim', whyFewer(totals))
  const verdict = MARGIN + formatVerdict(totals, paint)
  return `${[head, ...lines, ...(whyFewer(totals) === '' ? [] : ['', why]), '', verdict].join('\n')}\n`
}

/** How the calls survived an outage, side by side. */
export function formatOutage({ calls, steady, bare }: OutageResult, { paint }: Canvas): string {
  const line = (label: string, ours: string, theirs: string) =>
    `${MARGIN}${label.padEnd(LABEL_WIDTH)}${ours.padStart(COUNT_WIDTH)}${theirs.padStart(COUNT_WIDTH)}`
  const lines = [
    paint('dim', line('', 'steadycall', 'bare client')),
    paint('bold', line('valid answers', share(steady.valid, calls), share(bare.valid, calls))),
    line('HTTP requests', count(steady.requests), count(bare.requests)),
    line('until all had ended', formatMs(steady.tookMs), formatMs(bare.tookMs)),
  ]
  return `${lines.join('\n')}\n`
}

/** Explains why the bare client sent fewer requests, which is not an advantage. */
function whyFewer({ requests, bare }: Totals): string {
  if (bare === undefined || bare.requests >= requests) return ''
  const calls = bare.givenUp === 1 ? '1 call' : `${bare.givenUp} calls`
  const saved = `it gave up ${calls} that one more request saved`
  return `The bare client sent ${requests - bare.requests} fewer: ${saved}.`
}

/** Names each call that did not end as expected; empty if there is none. */
export function formatUnexpected(results: readonly FinishedCall[], { paint }: Canvas): string {
  const wrong = results.filter((result) => !isAsExpected(result))
  const lines = wrong.map(({ name, report, valid, expected }) => {
    const ended = report.outcome === 'success' && !valid ? 'an invalid value' : report.outcome
    return `${MARGIN}${paint('bad', `unexpected: ${name} ended as ${ended}, not as ${expected}`)}\n`
  })
  return lines.join('')
}

/** A heading between sections. */
export function formatHeading(title: string, note: string, { columns, paint }: Canvas): string {
  const rest = cutTo(note, columns - MARGIN.length - title.length - 2)
  return `\n${MARGIN}${paint('bold', title)}  ${paint('dim', rest)}\n\n`
}

const MARGIN = '  '
const DEEPER = ' '.repeat(6)
const TIME_WIDTH = 6
const MIN_BAR = 16
const MAX_BAR = 48
const STEADY_HEAD = 'steady'
const BARE_HEAD = 'bare'
const PARTS = '·'
const LABEL_WIDTH = 20
const COUNT_WIDTH = 14

function formatAxis(width: number, scaleMs: number): string {
  const end = ` ${formatMs(scaleMs)}`
  return `0 ${'─'.repeat(Math.max(width - 2 - end.length, 0))}${end}`
}

function formatVerdict({ calls, valid, asExpected }: Totals, paint: Paint): string {
  const failed = calls - asExpected
  if (failed > 0) return paint('bad', `✗ ${failed} of ${calls} calls did not end as expected`)
  const others = calls - valid
  const rest = others > 0 ? `; no retry can help the other ${others}, which failed at once` : ''
  return paint('good', `✓ ${valid} of ${calls} calls valid${rest}`)
}

/** Uses as many lines as the width requires. */
function formatLegend(columns: number, paint: Paint): readonly string[] {
  const lines: string[] = []
  let width = columns
  for (const [style, mark, meaning] of TIMELINE_LEGEND) {
    const entry = `${paint(style, mark)} ${paint('dim', meaning)}`
    const length = mark.length + 1 + meaning.length
    const fits = width + LEGEND_GAP.length + length <= columns
    if (fits) lines.push(`${lines.pop()}${LEGEND_GAP}${entry}`)
    else lines.push(MARGIN + entry)
    width = (fits ? width + LEGEND_GAP.length : MARGIN.length) + length
  }
  return lines
}

const LEGEND_GAP = '   '

/** Highlights the last part of an explanation, which says how the call ended. */
function paintEnding(result: FinishedCall, text: string, paint: Paint): string {
  if (!isAsExpected(result)) return paint('bad', text)
  if (!result.valid) return paint('wait', text)
  const cut = text.lastIndexOf(PARTS) + 1
  return paint('dim', text.slice(0, cut)) + paint('good', text.slice(cut))
}

function paintCount(valid: boolean, requests: number, width: number, paint: Paint): string {
  const mark = valid ? paint('good', '✓') : paint('bad', '✗')
  return `${mark} ${String(requests).padEnd(width - 2)}`
}

function share(part: number | undefined, whole: number): string {
  return part === undefined ? '-' : `${part} of ${whole}`
}

function tokens({
  inputTokens,
  outputTokens,
}: Pick<Totals, 'inputTokens' | 'outputTokens'>): string {
  return `${count(inputTokens)}, ${count(outputTokens)}`
}

function count(value: number | undefined): string {
  return value === undefined ? '-' : String(value)
}

/** Cuts a text to a width, with an ellipsis. */
function cutTo(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(width - 1, 0))}…`
}

function longest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(({ length }) => length))
}

/** One finished call of the demo, and the bare client's call if there was one. */
export interface FinishedCall extends SteadyOutcome {
  readonly name: string
  readonly expected: 'success' | FailureKind
  readonly ending: CallEnding
  /** One line for display. */
  readonly explanation: string
  /** HTTP requests that arrived; for a real provider, requests that were sent. */
  readonly requests: number
  readonly bare?: BareResult
}

export interface BareResult extends BareAnswer {
  readonly valid: boolean
  readonly requests: number
  readonly durationMs: number
  readonly explanation: string
}

export interface Totals {
  readonly calls: number
  readonly valid: number
  /** Calls that ended as expected: valid, or with the expected kind of failure. */
  readonly asExpected: number
  readonly requests: number
  readonly attempts: number
  /** Calls whose answer was repaired without another request. */
  readonly repaired: number
  /** Calls that sent the answer's errors back to the model. */
  readonly reasked: number
  /** Calls answered by the store or by another call in flight. */
  readonly replayed: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly bare?: BareTotals
}

export interface BareTotals
  extends Pick<Totals, 'valid' | 'requests' | 'inputTokens' | 'outputTokens'> {
  /** Calls that steadycall made valid with more requests than the bare client sent. */
  readonly givenUp: number
}

/** Whether the call ended as expected. */
export function isAsExpected({ report, valid, expected }: FinishedCall): boolean {
  return report.outcome === expected && valid === (expected === 'success')
}

/** Adds up the results. */
export function totalsOf(results: readonly FinishedCall[]): Totals {
  const numberOf = (holds: (result: FinishedCall) => boolean) => results.filter(holds).length
  const bare = results.flatMap((result) => (result.bare === undefined ? [] : [result.bare]))
  return {
    calls: results.length,
    valid: numberOf(({ valid }) => valid),
    asExpected: numberOf(isAsExpected),
    requests: sum(results, ({ requests }) => requests),
    attempts: sum(results, ({ report }) => report.attempts.length),
    repaired: numberOf(({ repairs }) => repairs.length > 0),
    reasked: numberOf(({ report }) => report.attempts.some(({ cause }) => cause === 'reask')),
    replayed: numberOf(({ report }) => report.source !== 'provider'),
    inputTokens: sum(results, ({ report }) => report.usage.inputTokens),
    outputTokens: sum(results, ({ report }) => report.usage.outputTokens),
    ...(bare.length > 0 && {
      bare: {
        valid: bare.filter(({ valid }) => valid).length,
        requests: sum(bare, ({ requests }) => requests),
        givenUp: numberOf(isGivenUp),
        inputTokens: sum(bare, ({ inputTokens }) => inputTokens),
        outputTokens: sum(bare, ({ outputTokens }) => outputTokens),
      },
    }),
  }
}

function isGivenUp({ valid, requests, bare }: FinishedCall): boolean {
  return valid && bare?.valid === false && bare.requests < requests
}

function sum<T>(items: readonly T[], amount: (item: T) => number): number {
  return items.reduce((total, item) => total + amount(item), 0)
}
