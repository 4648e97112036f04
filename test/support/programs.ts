import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe } from 'vitest'

/** A program of the machine's that some tests start: a server, say. */
export interface Program {
  readonly name: string
  /** Searched after `PATH`: where Debian puts what it does not put there. */
  readonly folders?: readonly string[]
  /** How a person gets it. */
  readonly install: string
}

/** Its path, or undefined where this machine has none. */
export function pathOf({ name, folders = [] }: Program): string | undefined {
  return [...(process.env['PATH'] ?? '').split(delimiter), ...folders]
    .map((folder) => join(folder, name))
    .find(isExecutable)
}

/**
 * `describe` for tests that start these programs. Where one is missing they are skipped by name, and
 * the reason is printed; in CI they fail instead, since a test that never runs proves nothing.
 */
export function describeWith(programs: readonly Program[], name: string, define: () => void): void {
  const missing = programs.filter((program) => pathOf(program) === undefined)
  if (missing.length === 0) {
    describe(name, define)
    return
  }
  const wanted = missing.map(({ name: program, install }) => `${program} (${install})`).join(', ')
  const reason = `${name}: this machine has no ${wanted}`
  if (process.env['CI']) throw new Error(reason)
  process.stderr.write(`Skipped: ${reason}\n`)
  describe.skip(reason, define)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
