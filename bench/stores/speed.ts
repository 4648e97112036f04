import { createHash, randomUUID } from 'node:crypto'
import type { Claim, Store } from '../../src/index.ts'
import { median, quantile } from '../statistics.ts'
import type { Place } from './places.ts'

/** What is done to each key, in the order of a record's life: plain writes and reads beside verbs. */
export const STEPS = ['set', 'claim', 'dispatch', 'complete', 'get', 'replay'] as const
export type StepName = (typeof STEPS)[number]

export interface Speed {
  /** Steps per second, many at once. */
  readonly perSecond: Readonly<Record<StepName, number>>
  /** Microseconds of one step, one at a time: the median and the 99th percentile. */
  readonly alone: Readonly<Record<StepName, { readonly p50: number; readonly p99: number }>>
}

export interface Load {
  readonly keys: number
  readonly atOnce: number
  readonly keysAlone: number
}

/** Blocks of keys, each of which goes through every step before the next: all meet the same noise. */
const BLOCK = 500

export async function measure(place: Place, load: Load): Promise<Speed> {
  // Once for the compiler, the pool and the scripts.
  await block(place, BLOCK, load.atOnce)
  const blocks = Math.ceil(load.keys / BLOCK)
  const times = STEPS.map((): number[] => [])
  for (let n = 0; n < blocks; n++) {
    const taken = await block(place, BLOCK, load.atOnce)
    for (const [index, ms] of taken.entries()) times[index]?.push(ms)
  }
  const alone = STEPS.map((): number[] => [])
  for (let n = 0; n < load.keysAlone; n++) {
    const taken = await block(place, 1, 1)
    for (const [index, ms] of taken.entries()) alone[index]?.push(ms * 1_000)
  }
  return {
    perSecond: each((index) => (BLOCK * 1_000) / median(times[index] ?? [])),
    alone: each((index) => {
      const list = alone[index] ?? []
      return { p50: median(list), p99: quantile(list, 0.99) }
    }),
  }
}

function each<T>(value: (index: number) => T): Record<StepName, T> {
  const entries = STEPS.map((name, index) => [name, value(index)] as const)
  // Built from every name.
  return Object.fromEntries(entries) as Record<StepName, T>
}

/** Milliseconds that each step took for so many new keys. */
async function block(place: Place, keys: number, atOnce: number): Promise<number[]> {
  const { store } = place
  const claims = Array.from({ length: keys }, () => newClaim())
  const does: Record<StepName, (claim: Claim) => Promise<unknown>> = {
    set: ({ key }) => place.set(key, ANSWER),
    claim: (claim) => expecting('owned', ask(store, claim)),
    dispatch: (claim) => store.dispatch(claim),
    complete: (claim) => store.complete(claim, { ok: true, result: ANSWER }, TTL_MS),
    get: ({ key }) => place.get(key),
    replay: (claim) => expecting('settled', ask(store, claim)),
  }
  const taken: number[] = []
  for (const name of STEPS) {
    const startedMs = performance.now()
    await forAll(claims, atOnce, does[name])
    taken.push(performance.now() - startedMs)
  }
  return taken
}

/** As long as a short answer's completion is. */
const ANSWER = JSON.stringify({ text: 'x'.repeat(1_000) })
const TTL_MS = 60_000

function newClaim(): Claim {
  const key = createHash('sha256').update(randomUUID()).digest('hex')
  return { key, owner: randomUUID(), fence: 1 }
}

function ask(store: Store, { key, owner }: Claim) {
  const terms = { leaseMs: 30_000, ttlMs: TTL_MS, onUncertain: 'rerun' } as const
  return store.claim({ key, owner, fingerprint: key, ...terms })
}

/** A benchmark of something that does not do its work is worth nothing. */
async function expecting(state: string, claimed: ReturnType<Store['claim']>): Promise<void> {
  const found = (await claimed).state
  if (found !== state) throw new Error(`expected the key to be ${state}, but it is ${found}`)
}

async function forAll<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
}
