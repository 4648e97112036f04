import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import OpenAI from 'openai'
import { type CallReport, callReport, createRuntime, memoryStore, steady } from '../../src/index.ts'
import { sqliteStore } from '../../src/stores/sqlite-store.ts'
import { startChild } from '../child.ts'
import { table } from '../markdown.ts'
import { type Call, KINDS, type Means } from './calls.ts'
import type { ProviderRequest } from './provider.ts'

/**
 * Many calls of every kind under mixed faults: whether the heap stays flat, whether anything is left
 * when all is over, and whether the reports tell of every request. As Markdown; throws where
 * reports and requests differ, or something is left.
 */
export async function soak(calls: number): Promise<string> {
  const provider = await startChild<ProviderRequest, number>(
    new URL('provider.ts', import.meta.url),
  )
  const folder = await mkdtemp(join(tmpdir(), 'steadycall-soak-'))
  const sqlite = sqliteStore(join(folder, 'store.db'))
  const idle = resources()
  const means = meansFor(String(provider.first), sqlite)
  const totals = { succeeded: 0, failed: 0, attempts: 0, requests: 0 }
  const heap: number[] = []
  const startedMs = performance.now()
  for (let first = 0; first < calls; first += BATCH) {
    const tally = await batch(means, first, Math.min(BATCH, calls - first))
    // A request that was given up may arrive after its call has ended.
    await pause(200)
    totals.requests += await provider.ask({ count: true })
    totals.succeeded += tally.succeeded
    totals.failed += tally.failed
    totals.attempts += tally.attempts
    heap.push(await settledHeap())
    console.error(mebibytes(heap.at(-1)))
  }
  const seconds = (performance.now() - startedMs) / 1_000
  await sqlite.close()
  await provider.close()
  const left = await leftOver(idle)
  await rm(folder, { recursive: true, force: true })
  if (totals.attempts !== totals.requests || left !== '') {
    throw new Error(`${JSON.stringify(totals)}; left: ${left || 'nothing'}`)
  }
  return [
    `${calls.toLocaleString('en')} calls of eight kinds, ${LANES} at once, 5 % of requests with one of 18 faults, ${seconds.toFixed(0)} s:\n`,
    table(
      ['', 'number'],
      [
        ['calls that succeeded', totals.succeeded.toLocaleString('en')],
        ['calls that failed', totals.failed.toLocaleString('en')],
        ['attempts, by the reports', totals.attempts.toLocaleString('en')],
        ['requests, by the server', totals.requests.toLocaleString('en')],
        ['timers and sockets left', 0],
        ['heap after the first tenth', mebibytes(heap[Math.floor(heap.length / 10)])],
        ['heap in the middle', mebibytes(heap[Math.floor(heap.length / 2)])],
        ['heap at the end', mebibytes(heap.at(-1))],
      ],
    ),
  ].join('\n')
}

const BATCH = 10_000
const LANES = 64

function meansFor(baseURL: string, sqlite: ReturnType<typeof sqliteStore>): Means {
  const client = new OpenAI({ apiKey: 'soak', baseURL })
  const options = {
    runtime: createRuntime(),
    // Of the server's faults, two hang until they are given up.
    attemptTimeoutMs: 1_000,
    chunkIdleTimeoutMs: 500,
    // Faults come by chance: there is nothing to learn from them.
    limits: 'off',
  } as const
  // Full early on, so that a leak is not taken for a store that fills.
  const store = memoryStore({ maxEntries: 1_000 })
  return {
    llm: steady(client, { ...options, store }),
    onSqlite: steady(client, { ...options, store: sqlite }),
  }
}

interface Tally {
  succeeded: number
  failed: number
  attempts: number
}

async function batch(means: Means, first: number, count: number): Promise<Tally> {
  const tally: Tally = { succeeded: 0, failed: 0, attempts: 0 }
  let n = first
  const lane = async () => {
    while (n < first + count) {
      const number = n++
      const { ok, report } = await outcome(kindOf(number), means, number)
      tally[ok ? 'succeeded' : 'failed'] += 1
      tally.attempts += report?.attempts.length ?? 0
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return tally
}

async function outcome(
  call: Call,
  means: Means,
  n: number,
): Promise<{ readonly ok: boolean; readonly report: CallReport | undefined }> {
  try {
    return { ok: true, report: await call(means, n) }
  } catch (error) {
    const report = callReport(error)
    // An error without a report is none that steadycall should have let out.
    if (report === undefined) throw error
    return { ok: false, report }
  }
}

/** By number, so that the two of a pair, which have one key, are of one kind. */
function kindOf(n: number): Call {
  let place = Math.floor((n - (n % 10 === 0 ? 1 : 0)) / 2) % 100
  for (const [share, call] of KINDS) {
    place -= share
    if (place < 0) return call
  }
  throw new Error('the shares are not a hundred')
}

async function settledHeap(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc')
  // What is weakly held goes in the second round.
  for (let round = 0; round < 2; round++) {
    globalThis.gc()
    await pause(20)
  }
  return process.memoryUsage().heapUsed
}

const mebibytes = (bytes = Number.NaN) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

function resources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of process.getActiveResourcesInfo()) {
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

/** What the process holds now and did not before; waits while idle connections are closed. */
async function leftOver(before: ReadonlyMap<string, number>): Promise<string> {
  let left = ''
  for (let tries = 0; tries < 60; tries++) {
    await pause(250)
    left = [...resources()]
      .filter(([name, count]) => WATCHED.test(name) && count > (before.get(name) ?? 0))
      .map(([name, count]) => `${count} ${name}`)
      .join(', ')
    if (left === '') break
  }
  return left
}

// `pause` has a timer of its own, which has ended when it is looked at.
const WATCHED = /^(Timeout|Immediate|TCP.*|.*Socket.*)$/

if (import.meta.main) process.stdout.write(await soak(Number(process.argv[2] ?? 200_000)))
