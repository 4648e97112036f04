import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import { slow } from '../../src/testing/index.ts'
import { startServer } from '../support/set-up.ts'
import { sqlitePrograms } from '../support/sqlite-programs.ts'

describe('sqliteStore, between processes', () => {
  it('gives each of 1000 keys to one of eight processes, and nobody sees a lock', async () => {
    const path = temporaryFile()
    const runs = Array.from({ length: 8 }, () => start('sqlite-claims', [path, '1000', '8']))
    const outputs = await Promise.all(runs.map(({ output }) => output))
    const ends = outputs.map((output): { owned: number[]; errors: string[] } => JSON.parse(output))
    expect(ends.flatMap(({ errors }) => errors)).toEqual([])
    const owned = ends.flatMap((end) => end.owned).sort((one, other) => one - other)
    expect(owned).toEqual(Array.from({ length: 1_000 }, (_, key) => key))
    expect(integrityOf(path)).toBe('ok')
  })

  it('keeps all that it acknowledged, and stays whole, when it is killed at any moment', async () => {
    const path = temporaryFile()
    const acknowledged: string[] = []
    for (const afterLines of [1, 7, 23]) {
      const run = start('sqlite-endless', [path])
      let text = ''
      await new Promise<void>((resolve) => {
        run.child.stdout?.on('data', (chunk: string) => {
          text += chunk
          if (text.split('\n').length > afterLines) resolve()
        })
      })
      // Not between two commits: the loop is within one nearly all of its time.
      run.child.kill('SIGKILL')
      await once(run.child, 'close')
      acknowledged.push(...text.split('\n').slice(0, -1))
      expect(integrityOf(path)).toBe('ok')
    }
    const store = sqliteStore(path)
    onTestFinished(() => store.close())
    for (const key of acknowledged) {
      const { state } = await store.claim({
        key,
        fingerprint: 'payload',
        owner: 'me',
        leaseMs: 1_000,
        onUncertain: 'fail',
        ttlMs: 1_000,
      })
      expect(state).toBe('settled')
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(31)
  })

  it('refuses a file and a directory that may not be written', async () => {
    const path = temporaryFile()
    await sqliteStore(path).close()
    // Its name could be given to another file, but it is this one that may not be written.
    chmodSync(join(path, '..'), 0o777)
    chmodSync(path, 0o444)
    const file = await start('sqlite-open', [path, 'as nobody']).output
    expect(file).toMatch(/^Error: sqliteStore\(\): .*store\.db is not writable$/)
    chmodSync(join(path, '..'), 0o555)
    const other = join(path, '..', 'other.db')
    const directory = await start('sqlite-open', [other, 'as nobody']).output
    expect(directory).toMatch(/^Error: sqliteStore\(\): .*other\.db .*(EACCES|may not|cannot)/)
    chmodSync(join(path, '..'), 0o700)
  })

  it('says what is missing on a Node without node:sqlite', async () => {
    const { output } = start('sqlite-open', [temporaryFile()], {
      flags: ['--no-experimental-sqlite'],
    })
    await expect(output).resolves.toMatch(
      /^Error: sqliteStore\(\): this runtime \(v[\d.]+\) has no node:sqlite; Node has it from 22\.13/,
    )
  })

  it('lets four processes send one request under one key, and gives all the same bytes', async () => {
    const path = temporaryFile()
    const server = await startServer({ answer: '{"name":"Ada"}', perCall: [slow(300)] })
    const runs = Array.from({ length: 4 }, () => start('sqlite-call', [path, server.baseURL]))
    const outputs = await Promise.all(runs.map(({ output }) => output))
    const ends = outputs.map((output): { source: string; completion: unknown } =>
      JSON.parse(output),
    )
    expect(server.count).toBe(1)
    expect(ends.map(({ source }) => source).sort()).toEqual(['provider', 'store', 'store', 'store'])
    expect(new Set(ends.map(({ completion }) => JSON.stringify(completion))).size).toBe(1)
  })
})

interface Run {
  readonly child: ChildProcess
  /** What it printed, when it has ended well. */
  readonly output: Promise<string>
}

function start(
  program: string,
  args: readonly string[],
  { flags = [] }: { flags?: readonly string[] } = {},
): Run {
  const child = spawn(
    process.execPath,
    [...flags, '--no-warnings', join(sqlitePrograms, `${program}.js`), ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const output = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${stderr}`)
    return stdout
  })
  // One that is killed on purpose has no output to wait for.
  output.catch(() => {})
  return { child, output }
}

function temporaryFile(): string {
  const directory = mkdtempSync(join(tmpdir(), 'steadycall-sqlite-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'store.db')
}

function integrityOf(path: string): unknown {
  const database = new DatabaseSync(path)
  try {
    return database.prepare('PRAGMA integrity_check').get()?.['integrity_check']
  } finally {
    database.close()
  }
}
