import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

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

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
