import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder that is there as long as the run of the tests: see `oncePerRun`. */
    readonly runFolder: string
  }
}

/** Before all test files, in Vitest's own process. Returns what is done after them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'steadycall-run-'))
  project.provide('runFolder', folder)
  // In watch mode the sources have changed.
  project.onTestsRerun(async () => {
    for (const made of await readdir(folder)) await remove(join(folder, made))
  })
  return () => remove(folder)
}

function remove(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true })
}
