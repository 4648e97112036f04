import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import { claim, opened, type Place, temporaryPlace } from '../support/sqlite-files.ts'

/** What a process may do beside a store that is open, each with the file under another of its names. */
const BESIDE: Readonly<Record<string, (place: Place) => unknown>> = {
  'a second store': ({ file }) => sqliteStore(file).close(),
  'a second store that stays open': ({ file }) => opened(sqliteStore(file)),
  'a second store by a relative path': ({ file }) =>
    sqliteStore(relative(process.cwd(), file)).close(),
  'a second store by a file: URL': ({ file }) => sqliteStore(pathToFileURL(file)).close(),
  'a second store by a symbolic link': ({ directory, file }) => {
    symlinkSync(file, join(directory, 'link.db'))
    return sqliteStore(join(directory, 'link.db')).close()
  },
  'a second store by a linked directory': ({ directory }) => {
    symlinkSync(directory, `${directory}-link`)
    onTestFinished(() => rmSync(`${directory}-link`))
    return sqliteStore(join(`${directory}-link`, 'keys.db')).close()
  },
  'a store of another copy of the package': async ({ file }) => {
    vi.resetModules()
    const copy = await import('../../src/stores/sqlite-store.ts')
    expect(copy.sqliteStore).not.toBe(sqliteStore)
    await copy.sqliteStore(file).close()
  },
  'a store in a thread': async ({ file }) => {
    const program = new URL('programs/sqlite-thread.ts', import.meta.url)
    const worker = new Worker(program, { workerData: file, execArgv: ['--no-warnings'] })
    const [state] = await once(worker, 'message')
    expect(state).toBe('owned')
    await worker.terminate()
  },
  'a store that is refused': ({ directory, file }) => {
    writeFileSync(join(directory, 'notes.db'), 'some notes '.repeat(100))
    expect(() => sqliteStore(join(directory, 'notes.db'))).toThrow('is not an SQLite database')
    expect(() => sqliteStore(file, { maxFileBytes: 1 })).toThrow('maxFileBytes')
  },
}

const startsPrograms = { timeout: 60_000 }

describe('the locks of a store that is open', startsPrograms, () => {
  it.each(Object.entries(BESIDE))('outlast %s', async (_, act) => {
    const place = temporaryPlace()
    const store = opened(sqliteStore(place.file))
    await claim(store, 'before')
    const held = locksOn(place.file)
    await act(place)
    // Where the system does not list them, what another program does to the log has to tell.
    if (held !== undefined) expect(held).toBeGreaterThan(0)
    expect(locksOn(place.file)).toBe(held)
    const log = inodeOf(`${place.file}-wal`)
    // An older SQLite, as many systems have it, deletes the log when it believes to be the last.
    visit(place.file)
    expect(inodeOf(`${place.file}-wal`)).toBe(log)
    expect((await claim(store, 'after')).state).toBe('owned')
    const other = opened(sqliteStore(place.file))
    expect((await claim(other, 'before')).state).toBe('busy')
    expect((await claim(other, 'after')).state).toBe('busy')
  })
})

describe('the file that a store makes', startsPrograms, () => {
  it('is closed before it has its name, and leaves no draft behind', async () => {
    const { directory, file } = temporaryPlace()
    const store = opened(sqliteStore(file))
    await claim(store, 'a')
    expect(
      ['keys.db', 'keys.db-shm', 'keys.db-wal'].map((name) => existsSync(join(directory, name))),
    ).toEqual([true, true, true])
    expect(statSync(file).nlink).toBe(1)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  it('is for its owner only also where a symbolic link leads to it', () => {
    const { directory, file } = temporaryPlace()
    mkdirSync(join(directory, 'data'))
    symlinkSync(join('data', 'real.db'), file)
    opened(sqliteStore(file))
    expect(statSync(join(directory, 'data', 'real.db')).mode & 0o777).toBe(0o600)
    expect(existsSync(join(directory, 'data', 'real.db-wal'))).toBe(true)
  })
})

/** How many locks this process has on the file; undefined where the system does not say. */
function locksOn(file: string): number | undefined {
  if (!existsSync('/proc/locks')) return undefined
  const inode = `:${inodeOf(file)} `
  const lines = readFileSync('/proc/locks', 'utf8').split('\n')
  return lines.filter((line) => line.includes(` ${process.pid} `) && line.includes(inode)).length
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
}

/** Another program opens the file, writes and closes it: python3's SQLite, where there is one. */
function visit(file: string): void {
  const program =
    'import sqlite3, sys\n' +
    'c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n' +
    "c.execute('UPDATE clock SET now_ms = now_ms')\nc.close()"
  const { error, status, stderr } = spawnSync('python3', ['-c', program, file], {
    encoding: 'utf8',
  })
  if (error !== undefined) return
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
}
