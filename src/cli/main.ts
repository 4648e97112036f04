#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { type Command, type CommandContext, UsageError } from './command.ts'
import { openTerminal } from './terminal.ts'

/** What `steadycall <name>` can be. Loaded when asked for: help must not need openai. */
const COMMANDS: Readonly<Record<string, { summary: string; load(): Promise<Command> }>> = {
  demo: {
    summary: 'the same faults, met with steadycall and without',
    load: async () => (await import('./demo.ts')).demo,
  },
  repair: {
    summary: "a model's answer in, valid JSON out",
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
/** 128 + the number of SIGINT, as shells report it. */
const EXIT_INTERRUPTED = 130

const leaving = new AbortController()
// A second Ctrl-C meets Node's own handling, which ends the process at once.
process.once('SIGINT', () => leaving.abort())
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has seen enough, as `head` does; there is nobody left to tell.
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
    // No command takes a version of its own: it is this one's wherever it stands.
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
    // Takes a progress line away.
    context.terminal.write('')
    if (context.signal.aborted) return complain('interrupted', EXIT_INTERRUPTED)
    const said = error instanceof Error ? error.message : String(error)
    if (error instanceof UsageError) {
      return complain(`${said}\nRun '${helpFor(name)}' to see what there is.`, EXIT_USAGE)
    }
    return complain(said, EXIT_FAILED)
  }
}

/** `help repair` as `repair --help`, and `help` alone as `--help`. */
function helpAsOption([first, ...rest]: readonly string[]): readonly string[] {
  if (first === undefined) return []
  return first === 'help' ? [...rest, '--help'] : [first, ...rest]
}

/** The same two folders up from the source and from the build. */
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
