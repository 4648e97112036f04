import { existsSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'

/**
 * A folder that several test files need and that costs time to make: made by the first that asks, in
 * whichever process, and removed after the run.
 *
 * @param make fills an empty folder, whose path does not matter to what is in it: it is moved. Two
 *   files that ask at the same time both make one, and one of the two is used.
 * @returns the folder's path
 */
export async function oncePerRun(
  name: string,
  make: (folder: string) => Promise<unknown>,
): Promise<string> {
  const home = join(inject('runFolder'), name)
  if (existsSync(home)) return home
  const draft = await mkdtemp(`${home}-`)
  await make(draft)
  try {
    await rename(draft, home)
  } catch (error) {
    if (!existsSync(home)) throw error
    await rm(draft, { recursive: true })
  }
  return home
}
