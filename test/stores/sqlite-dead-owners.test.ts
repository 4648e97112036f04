import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import { claim, opened, temporaryPlace } from '../support/sqlite-files.ts'
import { sqlitePrograms } from '../support/sqlite-programs.ts'

/** A process that has claimed these keys. */
async function holder(
  path: string,
  { onUncertain = 'rerun', how = 'claimed', keys = ['a'] } = {},
): Promise<ChildProcess> {
  const file = join(sqlitePrograms, 'sqlite-hold.js')
  const args = ['--no-warnings', file, path, onUncertain, how, ...keys]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('it ended before it had a claim'))),
  ])
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

const signsIn = (directory: string) =>
  readdirSync(directory).filter((name) => name.includes('-owner-'))

describe('the lease of a process that was killed', () => {
  it('has ended: the next claim owns the key, under the next fence', async () => {
    const { file } = temporaryPlace()
    const child = await holder(file)
    const store = opened(sqliteStore(file))
    expect(await claim(store, 'a')).toMatchObject({ state: 'busy' })
    await kill(child)
    expect(await claim(store, 'a')).toMatchObject({ state: 'owned', claim: { fence: 2 } })
    expect(await claim(store, 'a')).toMatchObject({ state: 'busy' })
  })

  it('has ended for all of its keys, also for a store that is opened afterwards', async () => {
    const { file, directory } = temporaryPlace()
    const keys = ['a', 'b', 'c']
    await kill(await holder(file, { keys }))
    const store = opened(sqliteStore(file))
    expect(signsIn(directory)).toEqual([])
    for (const key of keys) expect(await claim(store, key)).toMatchObject({ state: 'owned' })
  })

  it("leaves in doubt what was dispatched under 'fail'", async () => {
    const { file } = temporaryPlace()
    await kill(await holder(file, { onUncertain: 'fail', how: 'dispatched' }))
    expect(await claim(opened(sqliteStore(file)), 'a')).toEqual({ state: 'uncertain' })
  })

  it("is taken over where it was dispatched under 'rerun'", async () => {
    const { file } = temporaryPlace()
    await kill(await holder(file, { how: 'dispatched' }))
    expect(await claim(opened(sqliteStore(file)), 'a')).toMatchObject({ state: 'owned' })
  })

  it('goes to one of many that ask', async () => {
    const { file } = temporaryPlace()
    const child = await holder(file)
    const stores = Array.from({ length: 5 }, () => opened(sqliteStore(file)))
    await kill(child)
    const first = await Promise.all(stores.map((store) => claim(store, 'a')))
    const second = await Promise.all(stores.map((store) => claim(store, 'a')))
    const owned = [...first, ...second].filter(({ state }) => state === 'owned')
    expect(owned).toHaveLength(1)
  })
})

describe('the lease of a process that is alive is kept', () => {
  it('while it is suspended', async () => {
    const { file } = temporaryPlace()
    const child = await holder(file)
    child.kill('SIGSTOP')
    expect(await claim(opened(sqliteStore(file)), 'a')).toMatchObject({ state: 'busy' })
  })

  it('after it closed its store with the work under way', async () => {
    const { file } = temporaryPlace()
    const child = await holder(file, { how: 'dispatched closed' })
    const store = opened(sqliteStore(file))
    expect(await claim(store, 'a')).toMatchObject({ state: 'busy' })
    await kill(child)
    expect(await claim(store, 'a')).toMatchObject({ state: 'owned' })
  })

  it('though a second store of the same process has asked, and was closed', async () => {
    const { file } = temporaryPlace()
    const store = opened(sqliteStore(file))
    expect(await claim(store, 'a')).toMatchObject({ state: 'owned' })
    const second = sqliteStore(file)
    expect(await claim(second, 'a')).toMatchObject({ state: 'busy' })
    await second.close()
    // Another process is refused as well: the lock has not gone with the second store's descriptors.
    await expect(holder(file)).rejects.toThrow('ended before')
    expect(await claim(store, 'a')).toMatchObject({ state: 'busy' })
  })

  it('where its sign has been removed, until it runs out', async () => {
    const { file, directory } = temporaryPlace()
    const child = await holder(file)
    for (const name of signsIn(directory)) rmSync(join(directory, name))
    await kill(child)
    expect(await claim(opened(sqliteStore(file)), 'a')).toMatchObject({ state: 'busy' })
  })
})

describe('the sign of a process that is alive', () => {
  it('is an empty file, from its first claim until its store is closed with nothing under way', async () => {
    const { file, directory } = temporaryPlace()
    const store = sqliteStore(file)
    expect(signsIn(directory)).toEqual([])
    const claimed = await claim(store, 'a')
    const [name = ''] = signsIn(directory)
    expect(statSync(join(directory, name)).size).toBe(0)
    if (claimed.state === 'owned') await store.release(claimed.claim)
    await store.close()
    expect(signsIn(directory)).toEqual([])
  })

  it('is left alone by a store that is opened meanwhile', async () => {
    const { file, directory } = temporaryPlace()
    await holder(file)
    opened(sqliteStore(file))
    expect(signsIn(directory)).toEqual([expect.stringMatching(/^keys\.db-owner-[-0-9a-f]{36}$/)])
  })
})
