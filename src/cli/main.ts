#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { type Command, type CommandContext, openTerminal, UsageError } from './command.ts'

/** The commands, loaded on demand so that help works without openai. */
const COMMANDS: Readonly<Record<string, { summary: string; load(): Promise<Command> }>> = {
  demo: {
    summary: 'the same faults, with and without steadycall',
    load: async () => (await import('./demo.ts')).demo,
  },
  repair: {
    summary: "turns a model's answer into valid JSON",
    load: async () => (await import('./repair.ts')).repair,
  },
}

const USAGE = `steadycall: makes LLM calls dependable.

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  steadycall ${name.padEnd(10)} ${summary}`)
  .join('\n')}

steadycall help <command>, or <command> --help, explains one. --version prints the version.
`

const EXIT_FAILED = 1
const EXIT_USAGE = 2
/** 128 + the number of SIGINT, as in shells. */
const EXIT_INTERRUPTED = 130

const leaving = new AbortController()
// A second Ctrl-C gets Node's default handling, which ends the process at once.
process.once('SIGINT', () => leaving.abort())
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has closed the pipe, as `head` does.
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const terminal = openTerminal(process.stdout, process.env)
process.exitCode = await main(process.argv.slice(2), {
  terminal,
  env: process.env,
  signal: leaving.signal,
})

async function main(given: readonly string[], context: CommandContext): Promise<number> {
  const [name, ...args] = helpAsOption(given)
  try {
    // No command has a --version of its own, so it is recognised anywhere.
    if (name === '-v' || [name, ...args].includes('--version')) {
      context.terminal.write(`${version()}\n`)
      return 0
    }
    if (name === '--help' || name === '-h') {
      context.terminal.write(USAGE)
      return 0
    }
    const command = await find(name)
    return await command(args, context)
  } catch (error) {
    // Clears the progress line.
    context.terminal.write('')
    if (context.signal.aborted) return complain('interrupted', EXIT_INTERRUPTED)
    const said = error instanceof Error ? error.message : String(error)
    if (error instanceof UsageError) {
      return complain(`${said}\nRun '${helpFor(name)}' for usage.`, EXIT_USAGE)
    }
    return complain(said, EXIT_FAILED)
  }
}

/** Rewrites `help repair` to `repair --help`, and `help` to `--help`. */
function helpAsOption([first, ...rest]: readonly string[]): readonly string[] {
  if (first === undefined) return []
  return first === 'help' ? [...rest, '--help'] : [first, ...rest]
}

/** package.json is two folders up from this file, in both the source and the build. */
function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return JSON.parse(manifest).version
}

function helpFor(name: string | undefined): string {
  const isCommand = name !== undefined && Object.hasOwn(COMMANDS, name)
  return isCommand ? `steadycall ${name} --help` : 'steadycall --help'
}

function find(name: string | undefined): Promise<Command> {
  if (name === undefined) throw new UsageError('a command is missing')
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command !== undefined) return command.load()
  const what = name.startsWith('-') ? 'option' : 'command'
  throw new UsageError(`unknown ${what} '${name.slice(0, 40)}'`)
}

function complain(message: string, exitCode: number): number {
  process.stderr.write(`steadycall: ${message}\n`)
  return exitCode
}
