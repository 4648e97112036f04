import { describe } from 'vitest'
import { type Program, pathOf } from './programs.ts'

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
