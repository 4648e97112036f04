import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClaimRequest } from '../../src/idempotency/store.ts'
import { memoryStore, type Store, steady } from '../../src/index.ts'
import { advanced } from '../../src/stores/sqlite-open.ts'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import { slow } from '../../src/testing/index.ts'
import { storeSuite } from '../../src/testing/store-suite.ts'
import { passed, patientClock } from '../support/patient-clock.ts'
import {
  ask,
  clientFor,
  patientRuntime,
  person,
  rejection,
  startServer,
} from '../support/set-up.ts'
import { VirtualClock } from '../unit/idempotency/virtual-clock.ts'

storeSuite(
  'sqlite, its clock moved by hand',
  async () => {
    const clock = new VirtualClock()
    const { path, remove } = temporaryFile()
    const store = sqliteStore(path, { clock })
    return {
      store,
      advance: (ms) => clock.advance(ms),
      close: () => store.close().then(remove),
    }
  },
  { describe, it, expect },
)

storeSuite(
  'sqlite, two connections to one file',
  async () => {
    const clock = new VirtualClock()
    const { path, remove } = temporaryFile()
    const stores = [sqliteStore(path, { clock }), sqliteStore(path, { clock })]
    return {
      store: alternating(stores),
      advance: (ms) => clock.advance(ms),
      close: async () => {
        for (const store of stores) await store.close()
        remove()
      },
    }
  },
  { describe, it, expect },
)

storeSuite(
  'sqlite, in real time',
  async () => {
    const { path, remove } = temporaryFile()
    const store = sqliteStore(path)
    return { store, close: () => store.close().then(remove) }
  },
  { describe, it, expect },
)

describe('sqliteStore', () => {
  it('keeps its records over a restart', async () => {
    const path = file()
    const first = sqliteStore(path)
    const claimed = await claim(first, 'a')
    await complete(first, claimed, '"kept"')
    await first.close()
    await expect(claim(open(path), 'a')).resolves.toEqual({
      state: 'settled',
      outcome: { ok: true, result: '"kept"' },
    })
  })

  it('makes the file for its owner only, and leaves the mode of one that is there', async () => {
    const path = file()
    open(path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const shared = file()
    writeFileSync(shared, '')
    chmodSync(shared, 0o660)
    await claim(open(shared), 'a')
    expect(statSync(shared).mode & 0o777).toBe(0o660)
    expect(statSync(`${shared}-wal`).mode & 0o777).toBe(0o660)
  })

  it('takes a file: URL', async () => {
    const path = file()
    const store = sqliteStore(pathToFileURL(path))
    await claim(store, 'a')
    await store.close()
    expect((await claim(open(path), 'a')).state).toBe('busy')
  })

  it('has a write-ahead log', () => {
    const path = file()
    open(path)
    const database = new DatabaseSync(path)
    expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
    database.close()
  })

  it('removes expired records, a few with each write, and none that lives', async () => {
    const clock = new VirtualClock()
    const path = file()
    const store = open(path, { clock })
    for (let i = 0; i < 50; i++) await claim(store, `short ${i}`, { ttlMs: 1_000, leaseMs: 1_000 })
    await claim(store, 'long', { leaseMs: 60_000 })
    await clock.advance(1_000)
    expect(countOf(path)).toBe(51)
    for (let i = 0; i < 5; i++) await claim(store, `new ${i}`)
    // Three for each one written.
    expect(countOf(path)).toBe(51 + 5 - 15)
    for (let i = 5; i < 30; i++) await claim(store, `new ${i}`)
    expect(countOf(path)).toBe(31)
    expect((await claim(store, 'long')).state).toBe('busy')
  })

  it('commits what is asked for in one turn of the loop together', async () => {
    const path = file()
    const store = open(path)
    const watcher = new DatabaseSync(path)
    const version = () => Number(watcher.prepare('PRAGMA data_version').get()?.['data_version'])
    const log = () => statSync(`${path}-wal`).size
    const before = [version(), log()]
    const claims = await Promise.all(Array.from({ length: 60 }, (_, i) => claim(store, `k${i}`)))
    expect(claims.filter(({ state }) => state === 'owned')).toHaveLength(60)
    expect(version()).not.toBe(before[0])
    // Sixty commits would have written the pages of clock and index sixty times.
    expect(log() - (before[1] ?? 0)).toBeLessThan(60 * 2 * 4_120)
    watcher.close()
  })

  it('is left alone by close() while verbs are under way, then refuses, and closes once', async () => {
    const store = sqliteStore(file())
    const claims = Array.from({ length: 100 }, (_, i) => claim(store, `k${i}`))
    const closed = store.close()
    await expect(claim(store, 'late')).rejects.toThrow('the store is closed')
    expect((await Promise.all(claims)).every(({ state }) => state === 'owned')).toBe(true)
    await closed
    await store.close()
  })
})

describe('a lock that somebody else holds', () => {
  it('is waited for off the event loop, in line, and without an error', async () => {
    const path = file()
    // It would refuse after four seconds, of which this thread must see nothing.
    const store = open(path, { clock: patientClock })
    const { release } = lock(path)
    let ended = 0
    const claims = Array.from({ length: 20 }, (_, i) =>
      claim(store, `k${i}`).finally(() => ended++),
    )
    for (let turn = 0; turn < 100; turn++) await passed(2)
    expect(ended).toBe(0)
    release()
    expect((await Promise.all(claims)).every(({ state }) => state === 'owned')).toBe(true)
  })

  it('does not keep anybody from reading an outcome', async () => {
    const path = file()
    const store = open(path)
    await complete(store, await claim(store, 'a'), '"kept"')
    const { release } = lock(path)
    expect((await claim(store, 'a')).state).toBe('settled')
    release()
  })

  it('ends a verb with an error after four seconds', async () => {
    const path = file()
    const clock = new VirtualClock()
    const store = open(path, { clock })
    lock(path)
    const claimed = claim(store, 'a')
    let ended = false
    claimed.catch(() => {
      ended = true
    })
    await clock.advance(3_999)
    expect(ended).toBe(false)
    await clock.advance(60)
    await expect(claimed).rejects.toThrow(`${path} has been locked by others for 4000 ms`)
    expect(clock.armedTimers).toBe(0)
  })

  it('puts off the making of the tables, too', async () => {
    const path = file()
    const database = new DatabaseSync(path)
    database.exec('PRAGMA journal_mode = WAL; BEGIN IMMEDIATE')
    const store = open(path)
    database.exec('ROLLBACK')
    database.close()
    expect((await claim(store, 'a')).state).toBe('owned')
  })
})

describe('a file that cannot be used is refused at once:', () => {
  it.each<[string, (path: string) => string | undefined, RegExp]>([
    ['no directory', (path) => join(path, 'missing', 'a.db'), /missing\/a\.db has no directory/],
    ['a directory', () => tmpdir(), /is a directory/],
    ['a short text', (path) => written(path, 'x'), /is not an SQLite database/],
    [
      'a long text',
      (path) => written(path, 'some notes '.repeat(1_000)),
      /is not an SQLite database/,
    ],
    [
      'a database whose first page is damaged',
      (path) => written(path, `SQLite format 3\0${'x'.repeat(5_000)}`),
      /is not an SQLite database|is damaged/,
    ],
    [
      "another program's database",
      (path) => made(path, 'CREATE TABLE orders (id INTEGER)'),
      /is another program's database/,
    ],
    [
      'a newer version',
      (path) => {
        open(path)
        return made(path, 'PRAGMA user_version = 2')
      },
      /was written by another version of steadycall: its schema is 2, this one knows 1/,
    ],
  ])('%s', (_, prepare, message) => {
    const path = file()
    expect(() => sqliteStore(prepare(path) ?? path)).toThrow(message)
  })

  it('and is not changed by that', () => {
    const path = written(file(), 'x')
    expect(() => sqliteStore(path)).toThrow()
    expect(readFileSync(path, 'utf8')).toBe('x')
    const orders = made(file(), 'CREATE TABLE orders (id INTEGER)')
    const before = readFileSync(orders)
    expect(() => sqliteStore(orders)).toThrow()
    expect(readFileSync(orders)).toEqual(before)
  })

  it.each<[unknown, object, RegExp]>([
    ['', {}, /path must be the path or file: URL of a file/],
    [':memory:', {}, /path must be/],
    [undefined, {}, /path must be/],
    [new URL('http://example.com/a.db'), {}, /path must be/],
    ['a.db', { maxBytes: 1 }, /unknown option 'maxBytes'; known are maxFileBytes and clock/],
    ['a.db', { maxFileBytes: 10 }, /maxFileBytes must be an integer from 65536, got 10/],
    ['a.db', { clock: Date }, /clock must be a Clock/],
  ])('path %s with %o', (path, options, message) => {
    // What JavaScript may pass, whatever the types say.
    expect(() => sqliteStore(path as string, options as object)).toThrow(TypeError)
    expect(() => sqliteStore(path as string, options as object)).toThrow(message)
  })
})

describe('a file that fails later', () => {
  it('full, refuses what has no room and nothing else, and goes on when records expire', async () => {
    const clock = new VirtualClock()
    const store = open(file(), { clock, maxFileBytes: 200_000 })
    const large = `"${'x'.repeat(50_000)}"`
    for (const key of ['a', 'b', 'c']) await complete(store, await claim(store, key), large)
    const small = await claim(store, 'small')
    const [refused, taken] = await Promise.allSettled([
      complete(store, await claim(store, 'd'), large),
      complete(store, small, '"small"'),
    ])
    expect(refused).toMatchObject({ status: 'rejected' })
    expect(String(Reflect.get(refused, 'reason'))).toMatch(/ is full, or its disk is$/)
    expect(taken).toEqual({ status: 'fulfilled', value: 'stored' })
    // Reads go on.
    expect((await claim(store, 'a')).state).toBe('settled')
    await clock.advance(60_000)
    await complete(store, await claim(store, 'e'), large)
    expect((await claim(store, 'e')).state).toBe('settled')
  })

  it('damaged, gives an error and no answer', async () => {
    const path = file()
    const first = sqliteStore(path)
    for (let i = 0; i < 100; i++) await complete(first, await claim(first, `k${i}`), '"kept"')
    await first.close()
    const bytes = readFileSync(path)
    writeFileSync(path, bytes.fill(0x55, 4_096))
    const store = open(path)
    await expect(claim(store, 'k1')).rejects.toThrow(/is damaged|cannot be/)
  })

  it('that lost its clock says so', async () => {
    const path = file()
    const store = open(path)
    made(path, 'DELETE FROM clock')
    await expect(claim(store, 'a')).rejects.toThrow(`${path} is damaged: it has lost its clock`)
  })
})

describe('a record that this version cannot have written', () => {
  it.each([
    ['its state', "state = 'paid'"],
    ['its state', "state = ''"],
    ['its outcome', "state = 'claimed'"],
    ['its outcome', 'result = NULL'],
    ['its outcome', `refusal = '{"kind":"auth"}'`],
    ['its outcome', `result = NULL, refusal = '{"kind":"toString"}'`],
    ['its outcome', `result = NULL, refusal = '{"__proto__":{"kind":"auth"}}'`],
    ['its outcome', `result = NULL, refusal = '{"kind":"auth","status":"401"}'`],
    ['its outcome', `result = NULL, refusal = 'not JSON'`],
    ['its outcome', `result = NULL, refusal = '{"kind":"auth","x":"${'x'.repeat(2_000)}"}'`],
    ['its fence', 'fence = 0'],
    ['its fence', 'fence = -1'],
    ['a number', 'fence = 9223372036854775807'],
    ['a number', 'expires_at_ms = 9223372036854775807'],
    ['its onUncertain', "on_uncertain = 'FAIL'"],
    ['its notice', "left_notice = '{}', left_fence = 1, left_until_ms = 1"],
    ['its notice', 'left_fence = 1'],
  ])('for %s is an error, never a second run: %s', async (what, change) => {
    const path = file()
    const store = open(path)
    await complete(store, await claim(store, 'a'), '"kept"')
    made(path, `UPDATE record SET ${change}`)
    const error = await rejection(claim(store, 'a'))
    expect(error).toMatchObject({ kind: 'store_unavailable', retryable: false, executed: 'maybe' })
    expect(String(error)).toContain(`damaged: ${what} cannot be read`)
    expect(String(error)).not.toContain('kept')
    // Under the lock, too.
    await expect(
      store.heartbeat({ key: hash('a'), owner: 'x', fence: 1 }, 1_000),
    ).rejects.toMatchObject({ kind: 'store_unavailable' })
    // Another key is not concerned.
    expect((await claim(store, 'b')).state).toBe('owned')
  })

  it.each(['fail', 'bypass'] as const)("is told to a caller under '%s'", async (onStoreError) => {
    const path = file()
    const server = await startServer({ answer: '{"name":"Ada","age":36}' })
    const llm = steady(clientFor(server), {
      store: open(path),
      runtime: patientRuntime(),
      onStoreError,
    })
    const call = () => llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    await call()
    made(path, "UPDATE record SET state = 'paid'")
    await expect(rejection(call())).resolves.toMatchObject({
      kind: 'store_unavailable',
      retryable: false,
      idempotencyKey: 'k',
      source: 'store',
    })
    expect(server.count).toBe(1)
  })
})

describe("the file's time", () => {
  it('goes on at the same pace when the clock is set back, until that has caught up', () => {
    const start = advanced({ nowMs: 0, aheadMs: 0 }, 10_000)
    expect(start).toEqual({ nowMs: 10_000, aheadMs: 0 })
    const setBack = advanced(start, 4_000)
    expect(setBack).toEqual({ nowMs: 10_000, aheadMs: 6_000 })
    expect(advanced(setBack, 5_500)).toEqual({ nowMs: 11_500, aheadMs: 6_000 })
    expect(advanced({ nowMs: 11_500, aheadMs: 6_000 }, 12_000)).toEqual({
      nowMs: 12_000,
      aheadMs: 0,
    })
    // Set back twice.
    expect(advanced({ nowMs: 11_500, aheadMs: 6_000 }, 1_000)).toEqual({
      nowMs: 11_500,
      aheadMs: 10_500,
    })
  })

  it('is the same for all who have the file: a clock set back extends no lease', async () => {
    const path = file()
    const clock = new VirtualClock()
    const one = open(path, { clock })
    await clock.advance(3_600_000)
    await claim(one, 'a', { leaseMs: 30_000 })
    clock.jump(-3_600_000)
    const two = open(path, { clock })
    await claim(two, 'b')
    await clock.advance(29_999)
    expect((await claim(two, 'a')).state).toBe('busy')
    await clock.advance(1)
    expect((await claim(two, 'a')).state).toBe('owned')
  })

  it('follows a clock set forward: leases end early, and a fence still decides', async () => {
    const clock = new VirtualClock()
    const store = open(file(), { clock })
    const first = await claim(store, 'a', { leaseMs: 30_000 })
    clock.jump(3_600_000)
    const second = await claim(store, 'a')
    expect([first.state, second.state]).toEqual(['owned', 'owned'])
    await expect(complete(store, first, '"late"')).resolves.toBe('lost')
    await expect(complete(store, second, '"kept"')).resolves.toBe('stored')
  })
})

describe('through steady()', () => {
  const ada = { answer: '{"name":"Ada","age":36}' }

  it('two runtimes on two connections send one request', async () => {
    const path = file()
    const server = await startServer({ ...ada, perCall: [slow(100)] })
    const callers = [0, 1].map(() =>
      steady(clientFor(server), { store: open(path), runtime: patientRuntime() }),
    )
    const calls = callers.flatMap((llm) =>
      [0, 1].map(() => llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })),
    )
    const results = await Promise.all(calls)
    expect(server.count).toBe(1)
    expect(results.map(({ source }) => source).sort()).toEqual([
      'provider',
      'shared',
      // The second of the other runtime joined the first, who waited and was given what is kept.
      'store',
      'store',
    ])
    expect(new Set(results.map(({ completion }) => JSON.stringify(completion))).size).toBe(1)
  })

  it('leaves nothing of prompt, tenant, key and secret in the file', async () => {
    const path = file()
    const server = await startServer({ answer: '{"name":"Canary-answer","age":36}' })
    const options = { tenant: 'canary-tenant', keySecret: 'canary-secret' }
    const llm = steady(clientFor(server), {
      ...options,
      store: open(path),
      runtime: patientRuntime(),
    })
    await llm.json(
      { ...ask('canary-prompt'), schema: person },
      { idempotencyKey: 'canary-key', payload: { canary: 'canary-payload' } },
    )
    const dump = ['', '-wal', '-shm'].map((end) => readFileSync(`${path}${end}`, 'latin1')).join()
    expect(dump).toContain('Canary-answer')
    expect(dump).not.toMatch(/canary-|sk-test/)
  })

  it('leaves nothing of an encrypted answer in the file either', async () => {
    const path = file()
    const server = await startServer({ answer: '{"name":"Canary-answer","age":36}' })
    const encryption = { keys: { k1: randomBytes(32) }, use: 'k1' }
    const llm = steady(clientFor(server), {
      store: open(path),
      encryption,
      runtime: patientRuntime(),
    })
    await llm.json({ ...ask('canary-prompt'), schema: person }, { idempotencyKey: 'canary-key' })
    const dump = ['', '-wal', '-shm'].map((end) => readFileSync(`${path}${end}`, 'latin1')).join()
    expect(dump).toContain('1e:k1:')
    expect(dump).not.toMatch(/canary|chatcmpl|gpt-test/i)
  })

  it('a full file does not cost an answer that was paid for', async () => {
    const store = open(file(), { maxFileBytes: 65_536 })
    const server = await startServer({
      answer: JSON.stringify({ name: randomText(100_000), age: 36 }),
    })
    const llm = steady(clientFor(server), { store, runtime: patientRuntime() })
    const result = await llm.json({ ...ask('who?'), schema: person }, { idempotencyKey: 'k' })
    expect(result).toMatchObject({ source: 'provider', persisted: false })
  })
})

/** A path for a file of this test's own. */
function file(): string {
  const { path, remove } = temporaryFile()
  onTestFinished(remove)
  return path
}

function temporaryFile(): { readonly path: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'steadycall-sqlite-'))
  return {
    path: join(directory, 'store.db'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

function open(path: string, options: Parameters<typeof sqliteStore>[1] = {}): Store {
  const store = sqliteStore(path, options)
  onTestFinished(() => store.close())
  return store
}

/** Each verb goes to the next of them, as if another process had sent it. */
function alternating(stores: readonly Store[]): Store {
  let turn = 0
  return new Proxy(memoryStore(), {
    get: (_, verb) => Reflect.get(stores[turn++ % stores.length] ?? {}, verb),
  })
}

function written(path: string, text: string): string {
  writeFileSync(path, text)
  return path
}

function made(path: string, sql: string): string {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
  return path
}

/** Writes in the file, as another process would, until released. */
function lock(path: string): { release(): void } {
  const database = new DatabaseSync(path)
  database.exec('BEGIN IMMEDIATE')
  let held = true
  const release = () => {
    if (held) database.close()
    held = false
  }
  onTestFinished(release)
  return { release }
}

function countOf(path: string): number {
  const database = new DatabaseSync(path)
  const count = Number(database.prepare('SELECT count(*) AS n FROM record').get()?.['n'])
  database.close()
  return count
}

function claim(store: Store, key: string, changes: Partial<ClaimRequest> = {}) {
  return store.claim({
    key: hash(key),
    fingerprint: hash('payload'),
    owner: randomUUID(),
    leaseMs: 60_000,
    onUncertain: 'rerun',
    ttlMs: 60_000,
    ...changes,
  })
}

async function complete(
  store: Store,
  claimed: Awaited<ReturnType<Store['claim']>>,
  result: string,
) {
  if (claimed.state !== 'owned')
    throw new Error(`Expected to own the key, but it is ${claimed.state}`)
  return store.complete(claimed.claim, { ok: true, result }, 60_000)
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Text that does not compress. */
function randomText(length: number): string {
  return Array.from({ length: Math.ceil(length / 36) }, () => randomUUID())
    .join('')
    .slice(0, length)
}
