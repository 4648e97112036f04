import type { Failure } from '../errors/call-error.ts'
import { FAILURE_KINDS } from '../errors/failure-kinds.ts'
import type { Clock } from '../time.ts'

/** Keeps calls away from a target that fails. */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'half-open'
  /** When it admits a probe, on the monotonic clock; undefined unless it is open. */
  readonly retryAtMs: number | undefined
  /** Leave for one attempt, or undefined: do not send it. */
  tryAcquire(): Permit | undefined
}

/** Leave to make one attempt. Exactly one of the methods is called at its end; later ones do nothing. */
export interface Permit {
  success(): void
  /** The target failed: overload, server error, network or timeout. */
  failure(): void
  /**
   * The target answered, though not with what was wanted (a 400, a 429, a refusal). As the verdict
   * on a probe that is a success: the target is alive. While closed it counts for nothing, lest
   * a flood of bad requests hide that every good one fails.
   */
  answered(): void
  /** Nothing was learned of the target: aborted, cut by the deadline, never sent. Frees the probe. */
  cancel(): void
}

/**
 * A circuit breaker for one target.
 *
 * - **closed**: counts results in ten buckets of 3 s. It opens when at least 70 % of at least 10
 *   calls in that window failed, or after 8 failures in a row.
 * - **open**: admits nobody for 2 s, twice as long after each failed probe, at most 15 s; ±20 %, so
 *   that processes do not probe together. A minute closed and the doubling starts afresh.
 * - **half-open**: one probe at a time. Two successes close it, one failure opens it again. A probe
 *   is leased for 30 s: after that another may be sent, so a lost one cannot lock the breaker.
 *
 * Every change of state starts a new generation. The result of a permit of an older generation is
 * ignored: a call that was slow to fail says nothing about the target as it is now. A probe that
 * outlives its lease still counts while its generation lasts, or a target slower than the lease
 * could never close the breaker.
 */
export class CircuitBreaker implements Breaker {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #window = new ResultWindow()
  #state: 'closed' | 'open' | 'half-open' = 'closed'
  #generation = 0
  #failuresInARow = 0
  #rests = 0
  #closedAtMs = 0
  #retryAtMs = 0
  #probe: IssuedPermit | undefined
  #probeExpiresAtMs = 0
  #probeSuccesses = 0

  constructor(dependencies: { readonly clock: Clock; readonly random: () => number }) {
    this.#clock = dependencies.clock
    this.#random = dependencies.random
  }

  get state(): 'closed' | 'open' | 'half-open' {
    this.#endRest()
    return this.#state
  }

  get retryAtMs(): number | undefined {
    return this.state === 'open' ? this.#retryAtMs : undefined
  }

  tryAcquire(): Permit | undefined {
    const state = this.state
    if (state === 'closed') return new IssuedPermit(this.#generation, this.#settle)
    if (state === 'open') return undefined
    const nowMs = this.#clock.monotonicMs()
    if (this.#probe !== undefined && nowMs < this.#probeExpiresAtMs) return undefined
    this.#probe = new IssuedPermit(this.#generation, this.#settle)
    this.#probeExpiresAtMs = nowMs + PROBE_LEASE_MS
    return this.#probe
  }

  readonly #settle = (permit: IssuedPermit, result: Result): void => {
    if (this.#probe === permit) this.#probe = undefined
    if (permit.generation === this.#generation && result !== 'cancel') this.#record(result)
  }

  #record(result: 'success' | 'failure' | 'answered'): void {
    if (this.#state === 'half-open') {
      if (result === 'failure') this.#open()
      else this.#countProbeSuccess()
      return
    }
    if (result === 'answered') return
    const failed = result === 'failure'
    this.#failuresInARow = failed ? this.#failuresInARow + 1 : 0
    this.#window.count(failed, this.#clock.monotonicMs())
    if (failed && this.#failsTooOften()) this.#open()
  }

  #failsTooOften(): boolean {
    if (this.#failuresInARow >= FAILURES_IN_A_ROW) return true
    const { calls, failures } = this.#window.read(this.#clock.monotonicMs())
    return calls >= MINIMUM_CALLS && failures / calls >= FAILURE_RATIO
  }

  #countProbeSuccess(): void {
    this.#probeSuccesses += 1
    if (this.#probeSuccesses < SUCCESSES_TO_CLOSE) return
    this.#enter('closed')
    this.#closedAtMs = this.#clock.monotonicMs()
    this.#failuresInARow = 0
    this.#window.clear()
  }

  #open(): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#state === 'closed' && nowMs - this.#closedAtMs >= FORGET_RESTS_MS) this.#rests = 0
    const restMs = Math.min(FIRST_REST_MS * 2 ** Math.min(this.#rests, 30), LONGEST_REST_MS)
    this.#rests += 1
    this.#retryAtMs = nowMs + Math.round(restMs * (0.8 + 0.4 * this.#random()))
    this.#enter('open')
  }

  // Nobody is called when a rest ends: whoever looks next finds out from the time.
  #endRest(): void {
    if (this.#state !== 'open' || this.#clock.monotonicMs() < this.#retryAtMs) return
    this.#probeSuccesses = 0
    this.#enter('half-open')
  }

  #enter(state: 'closed' | 'open' | 'half-open'): void {
    this.#state = state
    this.#generation += 1
    this.#probe = undefined
  }
}

type Result = keyof Permit

// A class, not closures: one is made for every attempt.
class IssuedPermit implements Permit {
  readonly generation: number
  #settle: ((permit: IssuedPermit, result: Result) => void) | undefined

  constructor(generation: number, settle: (permit: IssuedPermit, result: Result) => void) {
    this.generation = generation
    this.#settle = settle
  }

  success(): void {
    this.#end('success')
  }

  failure(): void {
    this.#end('failure')
  }

  answered(): void {
    this.#end('answered')
  }

  cancel(): void {
    this.#end('cancel')
  }

  #end(result: Result): void {
    this.#settle?.(this, result)
    this.#settle = undefined
  }
}

/** The breaker of `breaker: false`: always closed, learns nothing. */
export const NEVER_OPEN: Breaker = {
  state: 'closed',
  retryAtMs: undefined,
  tryAcquire: () => FREE_PERMIT,
}

/** Tells the breaker how an attempt ended. */
export function settlePermit(permit: Permit, failure: Failure | undefined): void {
  if (failure === undefined) permit.success()
  else if (FAILURE_KINDS[failure.kind].tripsBreaker) permit.failure()
  else if (saysNothing(failure)) permit.cancel()
  else permit.answered()
}

// Our own verdicts, and failures of the name or the certificate, are not the target's answer.
function saysNothing({ kind, status }: Failure): boolean {
  if (kind === 'unknown') return status === undefined
  return FAILURE_KINDS[kind].ours || kind === 'dns' || kind === 'tls'
}

const FAILURE_RATIO = 0.7
const MINIMUM_CALLS = 10
const FAILURES_IN_A_ROW = 8
const BUCKETS = 10
const BUCKET_MS = 3_000
const FIRST_REST_MS = 2_000
const LONGEST_REST_MS = 15_000
const SUCCESSES_TO_CLOSE = 2
const PROBE_LEASE_MS = 30_000
const FORGET_RESTS_MS = 60_000

const nothing = () => {}
const FREE_PERMIT: Permit = {
  success: nothing,
  failure: nothing,
  answered: nothing,
  cancel: nothing,
}

interface Bucket {
  /** Which interval of the clock it counts. */
  readonly interval: number
  calls: number
  failures: number
}

/**
 * Results of the last ten intervals. A bucket's age is judged when it is read, never by a timer
 * or by the number of calls since: after an idle hour nothing in it counts.
 */
class ResultWindow {
  #buckets: Bucket[] = []

  count(failed: boolean, nowMs: number): void {
    const bucket = this.#current(nowMs)
    bucket.calls += 1
    if (failed) bucket.failures += 1
  }

  read(nowMs: number): { readonly calls: number; readonly failures: number } {
    const oldest = Math.floor(nowMs / BUCKET_MS) - BUCKETS
    let calls = 0
    let failures = 0
    for (const bucket of this.#buckets) {
      if (bucket.interval <= oldest) continue
      calls += bucket.calls
      failures += bucket.failures
    }
    return { calls, failures }
  }

  clear(): void {
    this.#buckets = []
  }

  #current(nowMs: number): Bucket {
    const interval = Math.floor(nowMs / BUCKET_MS)
    const newest = this.#buckets.at(-1)
    if (newest !== undefined && newest.interval === interval) return newest
    const bucket: Bucket = { interval, calls: 0, failures: 0 }
    this.#buckets.push(bucket)
    if (this.#buckets.length > BUCKETS) this.#buckets.shift()
    return bucket
  }
}
