import { colourPaint, type Paint, plainPaint } from '../report/paint.ts'

/** Where a command writes. */
export interface Terminal {
  /** Characters in a line. */
  readonly columns: number
  readonly paint: Paint
  write(text: string): void
  /** Shows a line that the next write takes away again; nothing where nobody watches. */
  progress(line: string): void
}

/** The part of `process.stdout` that is used. */
export interface OutputStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const MIN_COLUMNS = 60
const MAX_COLUMNS = 160
/** Where the output is no terminal: a file, a pipe, the README. */
const PIPE_COLUMNS = 120

/**
 * Colours only on a terminal that can show them, and not under `NO_COLOR` (no-color.org). `COLUMNS`
 * sets the width where the stream has none.
 */
export function openTerminal(
  stream: OutputStream,
  env: Readonly<Record<string, string | undefined>>,
): Terminal {
  const live = stream.isTTY === true && env['TERM'] !== 'dumb'
  const wanted = Number((stream.isTTY === true ? stream.columns : undefined) ?? env['COLUMNS'])
  const columns = wanted > 0 ? wanted : PIPE_COLUMNS
  let shown = false
  const clear = () => {
    if (shown) stream.write('\r\u001B[2K')
    shown = false
  }
  return {
    columns: Math.min(Math.max(Math.floor(columns), MIN_COLUMNS), MAX_COLUMNS),
    paint: live && !env['NO_COLOR'] ? colourPaint : plainPaint,
    write(text) {
      clear()
      stream.write(text)
    },
    progress(line) {
      if (!live) return
      clear()
      stream.write(line)
      shown = true
    },
  }
}
