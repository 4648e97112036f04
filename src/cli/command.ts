import { nearestOf } from '../options/option-check.ts'
import type { Terminal } from './terminal.ts'

/** What every command gets. */
export interface CommandContext {
  readonly terminal: Terminal
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when the user wants to leave. */
  readonly signal: AbortSignal
}

/** Runs with the arguments after its name, and gives the process's exit code. */
export type Command = (args: readonly string[], context: CommandContext) => Promise<number>

/** The user asked for something that does not exist: a message, and exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * Runs `parseArgs` and words what it throws for the user.
 *
 * @param names of the options there are
 * @throws UsageError for an option that is unknown, incomplete or unexpected.
 */
export function readOptions<T>(names: readonly string[], parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    // Node appends advice on passing such a text as a positional argument, which no command takes.
    const [said = 'bad arguments'] = error instanceof Error ? error.message.split('. ') : []
    const unknown = /^Unknown option '--([^']*)'/.exec(said)?.[1]
    const near = unknown === undefined ? undefined : nearestOf(unknown, names)
    const more = near === undefined ? '' : `; did you mean '--${near}'?`
    throw new UsageError(`${said.charAt(0).toLowerCase()}${said.slice(1)}${more}`, { cause: error })
  }
}
