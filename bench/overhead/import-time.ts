import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { table } from '../markdown.ts'
import { median, middleHalf } from '../statistics.ts'
import type { Goal } from './goals.ts'

const run = promisify(execFile)
const ROUNDS = 15

/** What is imported, as an application would: the built package, not its sources. */
const STEADYCALL = new URL('../../dist/index.js', import.meta.url).href
const IMPORTS: Readonly<Record<string, readonly string[]>> = {
  openai: ['openai'],
  'openai, steadycall': ['openai', STEADYCALL],
  'ai, @ai-sdk/openai-compatible': ['ai', '@ai-sdk/openai-compatible'],
  '@langchain/openai': ['@langchain/openai'],
}

/** Milliseconds that importing takes in a new process, round by round so that all meet the same noise. */
export async function importTable(): Promise<{ readonly text: string; readonly goal: Goal }> {
  const names = Object.keys(IMPORTS)
  const times = new Map<string, number[]>(names.map((name) => [name, []]))
  for (let round = -1; round < ROUNDS; round++) {
    for (const name of names) {
      const timeMs = await importMs(IMPORTS[name] ?? [])
      // The first round fills the disk's cache.
      if (round >= 0) times.get(name)?.push(timeMs)
    }
  }
  const base = times.get('openai') ?? []
  const beyondBase = (name: string) =>
    (times.get(name) ?? []).map((time, round) => time - (base[round] ?? Number.NaN))
  const rows = names.map((name) => {
    const own = times.get(name) ?? []
    const beyond = beyondBase(name)
    const [low, high] = middleHalf(beyond)
    const more = `${median(beyond).toFixed(0)} (${low.toFixed(0)} to ${high.toFixed(0)})`
    return [name, median(own).toFixed(0), name === 'openai' ? '' : more]
  })
  const measured = median(beyondBase('openai, steadycall'))
  return {
    text: table(['', 'ms', 'beyond openai, ms (middle half)'], rows),
    goal: { what: 'import, beyond openai', limit: 45, measured, unit: 'ms' },
  }
}

async function importMs(names: readonly string[]): Promise<number> {
  const imports = names.map((name) => `await import(${JSON.stringify(name)});`).join('')
  const program = `const t = performance.now(); ${imports} console.log(performance.now() - t)`
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  })
  return Number(stdout)
}
