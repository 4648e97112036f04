import { nearestOf } from '../options/option-check.ts'
import type { Terminal } from './terminal.ts'

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
