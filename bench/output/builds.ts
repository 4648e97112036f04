import { statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseJson } from '../../src/output/parse-json.ts'

export type ParseJson = typeof parseJson

/** This checkout's own. */
export const THIS_BUILD = 'this build'

/**
 * The builds to compare: this one, and one more for each path of a checkout. A checkout's `dist` is
 * read if it has one, otherwise its sources.
 */
export async function loadBuilds(paths: readonly string[]): Promise<Record<string, ParseJson>> {
  const builds: Record<string, ParseJson> = { [THIS_BUILD]: parseJson }
  for (const path of paths) {
    const exports: { parseJson?: ParseJson } = await import(pathToFileURL(entryOf(path)).href)
    if (exports.parseJson === undefined) throw new RangeError(`${path} exports no parseJson`)
    builds[path] = exports.parseJson
  }
  return builds
}

function entryOf(path: string): string {
  const entries = ['dist/index.js', 'src/index.ts'].map((entry) => join(resolve(path), entry))
  const found = entries.find((entry) => statSync(entry, { throwIfNoEntry: false })?.isFile())
  if (found === undefined) throw new RangeError(`${path}: neither ${entries.join(' nor ')}`)
  return found
}
