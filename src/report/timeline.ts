import type { AttemptReport } from '../errors/call-error.ts'
import type { CallReport } from './call-report.ts'
import { type Paint, plainPaint, type Style } from './paint.ts'

export interface TimelineOptions {
  /** Characters to fill. Fewer than the attempts need are exceeded. @default 40 */
  readonly width?: number
  /** What the whole width stands for, milliseconds. @default the call's own length */
  readonly scaleMs?: number
  /** @default without colours */
  readonly paint?: Paint
}

/** What the characters of a timeline mean. */
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
 * A call's attempts and the waits between them, as one line drawn to scale. Each attempt ends with
 * its mark, however short it was; a call without attempts was answered by another one.
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

/** What a timeline shows of a call. */
type Drawn = Pick<CallReport, 'attempts' | 'outcome' | 'waits'>

/** How long the waits and attempts of a call took together, milliseconds. */
export function lengthMs({ attempts, waits }: Pick<CallReport, 'attempts' | 'waits'>): number {
  const made = attempts.reduce((sum, { delayMs, durationMs }) => sum + delayMs + durationMs, 0)
  return made + inVainMs({ waits })
}

/** How long it waited for an attempt that it could not make. */
function inVainMs({ waits = [] }: { readonly waits: CallReport['waits'] }): number {
  return waits.reduce((sum, { ms }) => sum + ms, 0)
}

interface Piece {
  readonly style: Style
  readonly mark: string
  readonly count: number
  /** Cells it must keep. */
  readonly least: 0 | 1
}

/** The last cell that a moment reaches. */
function cellAt(ms: number, scaleMs: number, width: number): number {
  return scaleMs > 0 ? Math.round((ms / scaleMs) * width) : 0
}

/** The pieces at their places, which may run past the end where many are short. */
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
    // A drop-in call may fail after an attempt that succeeded, when its stream breaks.
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

/** Takes cells from the longest pieces until all fit, so that no mark is lost. */
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
