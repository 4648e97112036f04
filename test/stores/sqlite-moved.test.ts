import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createRuntime, runIdempotent, type Store } from '../../src/index.ts'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import { systemClock } from '../../src/time.ts'
import { claim, opened, type Place, temporaryPlace } from '../support/sqlite-files.ts'

/** What may happen to a file that a store has open, and what the error names. */
const MOVES: Readonly<Record<string, { readonly named: string; move(place: Place): void }>> = {
  'it is removed, with all that belongs to it': {
    named: 'keys.db',
    move: ({ file }) => removeAll(file),
  },
  'it alone is removed': { named: 'keys.db', move: ({ file }) => unlinkSync(file) },
  'a backup is put in its place': {
    named: 'keys.db',
    move({ directory, file }) {
      const backup = join(directory, 'backup.db')
      copyFileSync(file, backup)
      renameSync(backup, file)
    },
  },
  'it is removed, and another store makes it anew': {
    named: 'keys.db',
    move({ file }) {
      removeAll(file)
      opened(sqliteStore(file))
    },
  },
  'it is moved, and a symbolic link to it is left in its place': {
    named: 'keys.db',
    move({ directory, file }) {
      renameSync(file, join(directory, 'elsewhere.db'))
      symlinkSync(join(directory, 'elsewhere.db'), file)
    },
  },
  'its log is removed': { named: 'keys.db-wal', move: ({ file }) => unlinkSync(`${file}-wal`) },
  'its shared memory is removed': {
    named: 'keys.db-shm',
    move: ({ file }) => unlinkSync(`${file}-shm`),
  },
  'it is emptied': { named: 'keys.db', move: ({ file }) => overwrite(file) },
  'it is emptied, once its log has been worked in': {
    named: 'keys.db',
    move({ file }) {
      workLogIn(file)
      overwrite(file)
    },
  },
  'its directory is moved': {
    named: 'keys.db',
    move({ directory }) {
      renameSync(directory, `${directory}-moved`)
      onTestFinished(() => rmSync(`${directory}-moved`, { recursive: true }))
    },
  },
}

/** However slow the disk is. */
const writesToDisk = { timeout: 60_000 }

describe('a file that is no longer what its name leads to:', writesToDisk, () => {
  it.each(Object.entries(MOVES))('%s, and no verb is acknowledged', async (_, { named, move }) => {
    const place = temporaryPlace()
    const store = opened(sqliteStore(place.file))
    const owned = await claim(store, 'a')
    if (owned.state !== 'owned') throw new Error('Expected to own the key')
    await store.dispatch(owned.claim)
    move(place)
    const isSaid = new RegExp(`keys\\.db has been removed or replaced since .*${named}\\)`)
    await expect(claim(store, 'a')).rejects.toThrow(isSaid)
    await expect(claim(store, 'b')).rejects.toThrow(isSaid)
    await expect(store.heartbeat(owned.claim, 60_000)).rejects.toThrow(isSaid)
    await expect(store.dispatch(owned.claim)).rejects.toThrow(isSaid)
    await expect(store.complete(owned.claim, { ok: true, result: '1' }, 1_000)).rejects.toThrow(
      isSaid,
    )
    await expect(store.release(owned.claim)).rejects.toThrow(isSaid)
    await expect(store.markUncertain(owned.claim, 1_000)).rejects.toThrow(isSaid)
    await expect(store.resolve('a', 'rerun', 1_000)).rejects.toThrow(isSaid)
  })

  it('each of several verbs of one turn is told', async () => {
    const { file } = temporaryPlace()
    const store = opened(sqliteStore(file))
    unlinkSync(file)
    const ends = await Promise.allSettled(['a', 'b', 'c'].map((key) => claim(store, key)))
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  })

  it('a side effect is not run by who has the old file, and once by who has the new one', async () => {
    const { file } = temporaryPlace()
    const before = opened(sqliteStore(file))
    removeAll(file)
    const after = opened(sqliteStore(file))
    let runs = 0
    const charge = (store: Store) =>
      runIdempotent(
        {
          store,
          runtime: createRuntime(),
          operation: 'charge',
          payload: 1,
          idempotencyKey: 'order-7',
        },
        async () => ++runs,
      )
    await expect(charge(before)).rejects.toMatchObject({
      kind: 'store_unavailable',
      executed: 'no',
      cause: { message: expect.stringContaining('has been removed or replaced') },
    })
    expect(runs).toBe(0)
    expect(await charge(after)).toBe(1)
  })

  it('is noticed also when it happens while a claim is being written', async () => {
    const { file } = temporaryPlace()
    let armed = false
    // The wall clock is read under the lock.
    const wallMs = () => {
      if (armed) removeAll(file)
      armed = false
      return Date.now()
    }
    const store = opened(sqliteStore(file, { clock: { ...systemClock, wallMs } }))
    const claimed = claim(store, 'a')
    // Not by the look that comes before the lock.
    armed = true
    await expect(claimed).rejects.toThrow('has been removed or replaced')
  })

  it('a symbolic link that leads elsewhere since', async () => {
    const { directory, file } = temporaryPlace()
    for (const release of ['one', 'two']) mkdirSync(join(directory, release))
    symlinkSync(join(directory, 'one', 'keys.db'), file)
    const store = opened(sqliteStore(file))
    expect((await claim(store, 'a')).state).toBe('owned')
    unlinkSync(file)
    symlinkSync(join(directory, 'two', 'keys.db'), file)
    await expect(claim(store, 'b')).rejects.toThrow('has been removed or replaced')
  })

  it('is used again when it is put back, with what it had', async () => {
    const { file } = temporaryPlace()
    const store = opened(sqliteStore(file))
    await claim(store, 'a')
    renameSync(file, `${file}.away`)
    await expect(claim(store, 'b')).rejects.toThrow('has been removed or replaced')
    renameSync(`${file}.away`, file)
    expect((await claim(store, 'a')).state).toBe('busy')
    expect((await claim(store, 'b')).state).toBe('owned')
  })

  it('an older state of it that is written over it, and goes on to be told of', async () => {
    const { directory, file } = temporaryPlace()
    const first = sqliteStore(file)
    await claim(first, 'before')
    await first.close()
    copyFileSync(file, join(directory, 'backup.db'))
    const times = { wallMs: Date.now() + 1_000 }
    const clock = { ...systemClock, wallMs: () => times.wallMs }
    const store = opened(sqliteStore(file, { clock }))
    expect((await claim(store, 'a')).state).toBe('owned')
    workLogIn(file)
    expect((await claim(store, 'a')).state).toBe('busy')
    workLogIn(file)
    times.wallMs += 1_000
    expect((await claim(store, 'b')).state).toBe('owned')
    workLogIn(file)
    overwrite(file, join(directory, 'backup.db'))
    const isSaid = /keys\.db has been removed or replaced since .*keys\.db\)/
    await expect(claim(store, 'a')).rejects.toThrow(isSaid)
    // Others write it on, past the time that was seen last.
    times.wallMs += 1_000
    const other = opened(sqliteStore(file, { clock }))
    expect((await claim(other, 'b')).state).toBe('owned')
    const ends = await Promise.allSettled(['a', 'b', 'c'].map((key) => claim(store, key)))
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  })

  it('can be opened anew by the same process', async () => {
    const { file } = temporaryPlace()
    const store = opened(sqliteStore(file))
    removeAll(file)
    await expect(claim(store, 'a')).rejects.toThrow('open the path again')
    await store.close()
    expect((await claim(opened(sqliteStore(file)), 'a')).state).toBe('owned')
  })

  it('a process that changes its directory goes on in its file', async () => {
    const { directory } = temporaryPlace()
    const before = process.cwd
    onTestFinished(() => {
      process.cwd = before
    })
    // Threads may not change it, and tests run in some; what resolves a path asks this function.
    process.cwd = () => directory
    const store = opened(sqliteStore('keys.db'))
    process.cwd = () => tmpdir()
    expect((await claim(store, 'a')).state).toBe('owned')
    expect((await claim(opened(sqliteStore(join(directory, 'keys.db'))), 'a')).state).toBe('busy')
  })
})

describe('a file with two names', writesToDisk, () => {
  it('is refused, since SQLite would keep two logs of it', async () => {
    const { directory, file } = temporaryPlace()
    const store = opened(sqliteStore(file))
    await claim(store, 'a')
    const second = join(directory, 'second.db')
    linkSync(file, second)
    expect(() => sqliteStore(second)).toThrow(/second\.db has a second name \(a hard link\)/)
    expect(() => sqliteStore(file)).toThrow('has a second name')
    // Who had it open before goes on: nobody can come by the other name.
    expect((await claim(store, 'b')).state).toBe('owned')
    unlinkSync(second)
    expect((await claim(opened(sqliteStore(file)), 'a')).state).toBe('busy')
  })
})

function removeAll(file: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
}

/** Brings all that stands in the log into the file itself. */
function workLogIn(file: string): void {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
}

/** In another process: a descriptor that this one closes would cost it its locks. */
function overwrite(file: string, other?: string): void {
  const program =
    "const { readFileSync, writeFileSync } = require('node:fs')\n" +
    'const [, file, other] = process.argv\n' +
    "writeFileSync(file, other === undefined ? '' : readFileSync(other))"
  const { status } = spawnSync(process.execPath, ['-e', program, file, ...(other ? [other] : [])])
  expect(status).toBe(0)
}
