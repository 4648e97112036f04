import type { ClaimRequest, Store } from '../../src/idempotency/store.ts'

/** Where a process meets its end: just before it asks the store, or just after the answer came. */
export interface Crash {
  readonly verb: 'claim' | 'heartbeat' | 'dispatch' | 'complete' | 'release' | 'markUncertain'
  readonly when: 'before' | 'after'
  readonly signal: 'SIGKILL' | 'SIGSTOP'
}

/**
 * A store whose process sends itself a signal at one step of a record's life, the first time only.
 * `leaseMs` shortens the leases that it takes, so that whoever comes next need not wait for 30 s.
 */
export function dyingStore(store: Store, crash: Crash | undefined, leaseMs?: number): Store {
  let armed = crash !== undefined
  async function around<T>(verb: Crash['verb'], ask: () => Promise<T>): Promise<T> {
    if (crash === undefined || !armed || verb !== crash.verb) return ask()
    armed = false
    if (crash.when === 'before') end(crash.signal)
    const answer = await ask()
    if (crash.when === 'after') end(crash.signal)
    return answer
  }
  return {
    ...store,
    name: store.name,
    claim: (request: ClaimRequest) =>
      around('claim', () => store.claim({ ...request, leaseMs: leaseMs ?? request.leaseMs })),
    heartbeat: (claim, forMs) =>
      around('heartbeat', () => store.heartbeat(claim, leaseMs ?? forMs)),
    dispatch: (claim) => around('dispatch', () => store.dispatch(claim)),
    complete: (claim, outcome, ttlMs) =>
      around('complete', () => store.complete(claim, outcome, ttlMs)),
    release: (claim, notice, noticeMs, doubtMs) =>
      around('release', () => store.release(claim, notice, noticeMs, doubtMs)),
    markUncertain: (claim, ttlMs) =>
      around('markUncertain', () => store.markUncertain(claim, ttlMs)),
    resolve: (key, verdict, ttlMs) => store.resolve(key, verdict, ttlMs),
  }
}

function end(signal: Crash['signal']): void {
  process.kill(process.pid, signal)
}
