import type { Store } from '../idempotency/store.ts'

/**
 * A store in which all durations, given or returned, are scaled by `times`. The operations themselves take as
 * long as before.
 */
export function stretched(store: Store, times: number): Store {
  const longer = (ms: number | undefined) => (ms === undefined ? undefined : ms * times)
  return {
    name: store.name,
    async claim(request) {
      const { leaseMs, ttlMs } = request
      const claimed = await store.claim({
        ...request,
        leaseMs: leaseMs * times,
        ttlMs: ttlMs * times,
      })
      if (claimed.state !== 'busy') return claimed
      return { ...claimed, leaseLeftMs: claimed.leaseLeftMs / times }
    },
    heartbeat: (claim, leaseMs) => store.heartbeat(claim, leaseMs * times),
    dispatch: (claim) => store.dispatch(claim),
    complete: (claim, outcome, ttlMs) => store.complete(claim, outcome, ttlMs * times),
    release: (claim, notice, noticeMs, doubtMs) =>
      store.release(claim, notice, longer(noticeMs), longer(doubtMs)),
    markUncertain: (claim, ttlMs) => store.markUncertain(claim, ttlMs * times),
    resolve: (key, verdict, ttlMs) => store.resolve(key, verdict, ttlMs * times),
  }
}
