import type { AttemptReport } from '../errors/call-error.ts'
import type { CallReport } from './call-report.ts'

export interface TimelineOptions {
  /** Width in characters. Exceeded if the attempts need more. @default 40 */
  readonly width?: number
  /** The time that the full width represents, in milliseconds. @default the duration of this call */
  readonly scaleMs?: number
  /** @default no colours */
  readonly paint?: Paint
}

/** The meaning of the characters of a timeline. */
export const TIMELINE_LEGEND: readonly (readonly [Style, string, string])[] = [
  ['dim', '━', 'request'],
  ['wait', '┄', 'wait'],
  ['bad', '✗', 'failed'],
  ['note', '↻', 're-asked'],
  ['note', '⇢', 'fallback'],
  ['note', '◆', 'no request'],
  ['good', '✓', 'valid'],
]

/**
 * A call's attempts and the waits between them as one line, drawn to scale. Each attempt ends with its mark,
 * however short it was. A call without attempts was answered by another call.
 *
 * @example
 * formatTimeline(report, { width: 16 }) // '✗┄┄┄┄┄┄┄✗┄┄┄━━━✓'
 */
export function formatTimeline(
  report: Drawn,
  { width = 40, scaleMs = lengthMs(report), paint = plainPaint }: TimelineOptions = {},
): string {
  const pieces = shrink(
    draw(report, (ms) => cellAt(ms, scaleMs, width)),
    width,
  )
  const drawn = pieces.map(({ style, mark, count }) => paint(style, mark.repeat(count)))
  return drawn.join('') + ' '.repeat(Math.max(width - total(pieces), 0))
}

/** The part of a report that a timeline shows. */
type Drawn = Pick<CallReport, 'attempts' | 'outcome' | 'waits'>

/** The total duration of a call's waits and attempts, in milliseconds. */
export function lengthMs({ attempts, waits }: Pick<CallReport, 'attempts' | 'waits'>): number {
  const made = attempts.reduce((sum, { delayMs, durationMs }) => sum + delayMs + durationMs, 0)
  return made + inVainMs({ waits })
}

/** The duration of waits that led to no attempt. */
function inVainMs({ waits = [] }: { readonly waits: CallReport['waits'] }): number {
  return waits.reduce((sum, { ms }) => sum + ms, 0)
}

interface Piece {
  readonly style: Style
  readonly mark: string
  readonly count: number
  /** Minimum number of cells. */
  readonly least: 0 | 1
}

/** The last cell reached by this time. */
function cellAt(ms: number, scaleMs: number, width: number): number {
  return scaleMs > 0 ? Math.round((ms / scaleMs) * width) : 0
}

/** Places the pieces. With many short ones, they may exceed the width. */
function draw(
  { attempts, outcome, waits }: Drawn,
  toCell: (ms: number) => number,
): readonly Piece[] {
  const ending = endMark(outcome)
  const pieces: Piece[] = []
  let ms = 0
  const wait = (forMs: number) => {
    ms += forMs
    if (forMs <= 0) return
    const count = Math.max(toCell(ms) - total(pieces), 1)
    pieces.push({ style: 'wait', mark: '┄', count, least: 1 })
  }
  const vainMs = inVainMs({ waits })
  if (attempts.length === 0) pieces.push({ style: 'note', mark: '◆', count: 1, least: 1 })
  for (const attempt of attempts) {
    wait(attempt.delayMs)
    pieces.push(...causeMark(attempt))
    ms += attempt.durationMs
    const running = Math.max(toCell(ms) - total(pieces) - 1, 0)
    pieces.push({ style: 'dim', mark: '━', count: running, least: 0 })
    // A drop-in call may fail after a successful attempt, if its stream breaks.
    const isEnd = attempt === attempts.at(-1) && vainMs <= 0
    pieces.push(isEnd ? ending : endMark(attempt.outcome))
  }
  wait(vainMs)
  if (attempts.length === 0 || vainMs > 0) pieces.push(ending)
  return pieces
}

function endMark(outcome: AttemptReport['outcome']): Piece {
  return outcome === 'success'
    ? { style: 'good', mark: '✓', count: 1, least: 1 }
    : { style: 'bad', mark: '✗', count: 1, least: 1 }
}

function causeMark({ cause }: AttemptReport): readonly Piece[] {
  if (cause === 'reask') return [{ style: 'note', mark: '↻', count: 1, least: 1 }]
  if (cause === 'fallback') return [{ style: 'note', mark: '⇢', count: 1, least: 1 }]
  return []
}

/** Removes cells from the longest pieces until all pieces fit, so that no mark is lost. */
function shrink(pieces: readonly Piece[], width: number): readonly Piece[] {
  let fitted = pieces
  while (total(fitted) > width) {
    const longest = fitted.reduce((best, piece) => (spare(piece) > spare(best) ? piece : best))
    if (spare(longest) === 0) return fitted
    fitted = fitted.map((piece) =>
      piece === longest ? { ...piece, count: piece.count - 1 } : piece,
    )
  }
  return fitted
}

function spare({ count, least }: Piece): number {
  return count - least
}

function total(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { count }) => sum + count, 0)
}

/** A duration for display: `<1 ms` below half a millisecond, then `12 ms`, `1.2 s`, `120 s`. */
export function formatMs(durationMs: number): string {
  if (durationMs < 0.5) return '<1 ms'
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`
  if (durationMs < 99_950) return `${(durationMs / 1_000).toFixed(1).replace(/\.0$/, '')} s`
  return `${Math.round(durationMs / 1_000)} s`
}

/** The meaning of a piece of text, which a terminal may show as a colour. */
export type Style = 'good' | 'bad' | 'wait' | 'note' | 'dim' | 'bold'

/** Adds markup to a piece of text, or returns it unchanged. */
export type Paint = (style: Style, text: string) => string

/** Without colours. */
export const plainPaint: Paint = (_style, text) => text

/** With ANSI colours. */
export const colourPaint: Paint = (style, text) => {
  if (text === '') return ''
  const [on, off] = COLOURS[style]
  return `\u001B[${on}m${text}\u001B[${off}m`
}

// Green, red, yellow, cyan, faint and bold, each with the code that ends it: ECMA-48, SGR.
const COLOURS: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  good: [32, 39],
  bad: [31, 39],
  wait: [33, 39],
  note: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
}
