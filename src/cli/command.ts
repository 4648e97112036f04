import { nearestOf } from '../options/option-check.ts'
import { colourPaint, type Paint, plainPaint } from '../report/timeline.ts'

/** What every command receives. */
export interface CommandContext {
  readonly terminal: Terminal
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when the user presses Ctrl-C. */
  readonly signal: AbortSignal
}

/** Runs with the arguments after its name; resolves to the exit code of the process. */
export type Command = (args: readonly string[], context: CommandContext) => Promise<number>

/** A mistake in the arguments: prints a message, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * Runs `parseArgs` and turns its errors into messages for the user.
 *
 * @param names the known option names
 * @throws UsageError if an option is unknown, incomplete or unexpected.
 */
export function readOptions<T>(names: readonly string[], parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    // Drops Node's advice about passing such a text as a positional argument, which no command takes.
    const [said = 'bad arguments'] = error instanceof Error ? error.message.split('. ') : []
    const unknown = /^Unknown option '--([^']*)'/.exec(said)?.[1]
    const near = unknown === undefined ? undefined : nearestOf(unknown, names)
    const more = near === undefined ? '' : `; did you mean '--${near}'?`
    throw new UsageError(`${said.charAt(0).toLowerCase()}${said.slice(1)}${more}`, { cause: error })
  }
}

/** The output of a command. */
export interface Terminal {
  /** Characters per line. */
  readonly columns: number
  readonly paint: Paint
  write(text: string): void
  /** Shows a line until the next write; does nothing if the output is not a terminal. */
  progress(line: string): void
}

/** The used part of `process.stdout`. */
export interface OutputStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const MIN_COLUMNS = 60
const MAX_COLUMNS = 160
/** For output that is not a terminal: a file, a pipe, the README. */
const PIPE_COLUMNS = 120

/**
 * Uses colours only on a terminal that supports them, and not if `NO_COLOR` is set (no-color.org). `COLUMNS`
 * sets the width if the stream has none.
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
