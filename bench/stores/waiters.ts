import { createRuntime, memoryStore, runIdempotent, type Store } from '../../src/index.ts'
import { median, quantile } from '../statistics.ts'

export interface WaitersLoad {
  /** Claims of one waiter in one second. */
  readonly claimsPerSecond: number
  /** Milliseconds from the end of the work until a waiter in another process has the result. */
  readonly toldAfterMs: { readonly p50: number; readonly p99: number }
}

/**
 * What it costs a store that others wait for a key: an owner works for some seconds while waiters,
 * each as a process of its own would (with a Runtime of its own), ask for the same key. How often
 * they ask is the protocol's choice, the same for every store.
 */
export async function measureWaiters(waiters: number, workMs: number): Promise<WaitersLoad> {
  let claims = 0
  const memory = memoryStore()
  const store: Store = {
    ...memory,
    claim(request) {
      claims += 1
      return memory.claim(request)
    },
  }
  let endedMs = 0
  const call = () =>
    runIdempotent(
      {
        store,
        operation: 'bench',
        idempotencyKey: 'k',
        payload: 1,
        runtime: createRuntime(),
      },
      async () => {
        await new Promise((resolve) => setTimeout(resolve, workMs))
        endedMs = performance.now()
        return 'done'
      },
    )
  const owner = call()
  await new Promise((resolve) => setTimeout(resolve, 50))
  claims = 0
  const told = Array.from({ length: waiters }, async () => {
    await call()
    return performance.now()
  })
  await owner
  const claimsPerSecond = claims / waiters / (workMs / 1_000)
  const afterMs = (await Promise.all(told)).map((atMs) => atMs - endedMs)
  return {
    claimsPerSecond,
    toldAfterMs: { p50: median(afterMs), p99: quantile(afterMs, 0.99) },
  }
}
