import type { Claim, ClaimRequest, Store } from '../../src/idempotency/store.ts'

/** Where a process meets its end: just before it asks the store, or just after the answer came. */
export interface Crash {
  readonly verb: 'claim' | 'heartbeat' | 'dispatch' | 'complete' | 'release' | 'markUncertain'
  readonly when: 'before' | 'after'
  readonly signal: 'SIGKILL' | 'SIGSTOP'
}

/** How a process that may die uses its store. */
export interface DyingStoreOptions {
  readonly crash?: Crash | undefined
  /**
   * Its lease ends when its work is dispatched, or when it meets its end before: whoever comes next
   * need not wait for 30 s. Until then it is as long as any.
   */
  readonly lapses?: boolean | undefined
  /** How long its notices are told, instead of 5 s. */
  readonly noticeMs?: number | undefined
}

/** A store whose process sends itself a signal at one step of a record's life, the first time only. */
export function dyingStore(store: Store, options: DyingStoreOptions): Store {
  const { crash, lapses = false, noticeMs } = options
  let armed = crash !== undefined
  let held: Claim | undefined
  async function around<T>(verb: Crash['verb'], ask: () => Promise<T>): Promise<T> {
    if (crash === undefined || !armed || verb !== crash.verb) return ask()
    armed = false
    // At once where it can be: nothing that whoever asked does next happens before.
    if (crash.when === 'before') {
      if (lapses) await lapse()
      process.kill(process.pid, crash.signal)
    }
    const answer = await ask()
    if (crash.when === 'after') {
      if (lapses) await lapse()
      process.kill(process.pid, crash.signal)
    }
    return answer
  }
  async function lapse(): Promise<void> {
    if (held !== undefined) await store.heartbeat(held, 1)
  }
  return {
    ...store,
    name: store.name,
    claim: (request: ClaimRequest) =>
      around('claim', async () => {
        const claimed = await store.claim(request)
        if (claimed.state === 'owned') held = claimed.claim
        return claimed
      }),
    heartbeat: (claim, forMs) =>
      around('heartbeat', () => store.heartbeat(claim, lapses ? 1 : forMs)),
    dispatch: (claim) =>
      around('dispatch', async () => {
        const granted = await store.dispatch(claim)
        if (lapses) await lapse()
        return granted
      }),
    complete: (claim, outcome, ttlMs) =>
      around('complete', () => store.complete(claim, outcome, ttlMs)),
    release: (claim, notice, forMs) =>
      around('release', () => store.release(claim, notice, noticeMs ?? forMs)),
    markUncertain: (claim, ttlMs) =>
      around('markUncertain', () => store.markUncertain(claim, ttlMs)),
    resolve: (key, verdict, ttlMs) => store.resolve(key, verdict, ttlMs),
  }
}
