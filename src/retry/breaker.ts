import type { Failure } from '../errors/call-error.ts'
import { FAILURE_KINDS } from '../errors/failure-kinds.ts'
import type { Clock } from '../time.ts'
import { type NumberOptions, readNumbers } from './number-options.ts'
import { ResultWindow } from './result-window.ts'

export interface BreakerOptions {
  /** Opens when this share of the calls in the window failed. @default 0.7 */
  readonly failureRatio?: number | undefined
  /** With fewer calls in the window their share says nothing. @default 10 */
  readonly minimumCalls?: number | undefined
  /** How far back results count, milliseconds. @default 30,000 */
  readonly windowMs?: number | undefined
  /** Opens after so many failures in a row, whatever their share. @default 8 */
  readonly failuresInARow?: number | undefined
  /**
   * Opens only when this has gone on for so long, milliseconds, at most `windowMs`: a row, since the
   * last success; a share, since the first failure in the window. 0: at once.
   *
   * @default 1,000, or `windowMs` / 2 if that is less
   */
  readonly failingForMs?: number | undefined
  /** First rest, milliseconds; twice as long after each failed probe, ±20 %. @default 2,000, or `maxOpenMs` if that is less */
  readonly openMs?: number | undefined
  /** Longest rest, milliseconds; not less than `openMs`. @default 15,000, or `openMs` if that is more */
  readonly maxOpenMs?: number | undefined
  /** Probes that must succeed, one after the other, before it closes. @default 2 */
  readonly successesToClose?: number | undefined
  /** After so long a probe that did not end no longer keeps the next one back. @default 30,000 */
  readonly probeLeaseMs?: number | undefined
}

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
 * - **closed**: counts results in ten buckets, 30 s in all. It opens when at least 70 % of at least
 *   10 calls in that window failed, the first of them at least 1 s ago, or after 8 failures in a
 *   row with no success for 1 s. Sooner it may be chance: with room for half of 200 calls a second,
 *   a provider fails 8 in a row every three seconds. And calls that fail together are one event.
 * - **open**: admits nobody for 2 s, twice as long after each failed probe, at most 15 s; ±20 %, so
 *   that processes do not probe together. A minute closed and the doubling starts afresh.
 * - **half-open**: one probe at a time. Two successes close it, one failure opens it again. A probe
 *   is leased for 30 s: after that another may be sent, so a lost one cannot lock the breaker.
 *
 * These numbers are the defaults of {@link BreakerOptions}. They are ours, chosen by simulating a
 * brownout, an outage and a blip of five seconds: opening at 50 % or after 5 in a row lost calls that
 * would have succeeded, a longest rest of 60 s delayed the recovery.
 *
 * Every change of state starts a new generation. The result of a permit of an older generation is
 * ignored: a call that was slow to fail says nothing about the target as it is now. A probe that
 * outlives its lease still counts while its generation lasts, or a target slower than the lease
 * could never close the breaker.
 */
export class CircuitBreaker implements Breaker {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #limits: Record<keyof BreakerOptions, number>
  readonly #window: ResultWindow
  #state: 'closed' | 'open' | 'half-open' = 'closed'
  #generation = 0
  #failuresInARow = 0
  #succeededAtMs = -Infinity
  #rests = 0
  #closedAtMs = 0
  #retryAtMs = 0
  #probe: IssuedPermit | undefined
  #probeExpiresAtMs = 0
  #probeSuccesses = 0

  /** @throws TypeError, RangeError for a bad option. */
  constructor(
    dependencies: { readonly clock: Clock; readonly random: () => number },
    options: BreakerOptions = {},
  ) {
    this.#clock = dependencies.clock
    this.#random = dependencies.random
    this.#limits = readBreaker(options)
    this.#window = new ResultWindow(this.#limits.windowMs)
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
    this.#probeExpiresAtMs = nowMs + this.#limits.probeLeaseMs
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
    const nowMs = this.#clock.monotonicMs()
    this.#window.count(failed, nowMs)
    if (failed) this.#failuresInARow += 1
    else this.#endRow(nowMs)
    if (failed && this.#failsTooOften(nowMs)) this.#open()
  }

  #failsTooOften(nowMs: number): boolean {
    const { failuresInARow, minimumCalls, failureRatio, failingForMs } = this.#limits
    const sinceMs = nowMs - failingForMs
    if (this.#failuresInARow >= failuresInARow && this.#succeededAtMs <= sinceMs) return true
    const { calls, failures, firstFailureMs } = this.#window.read(nowMs)
    return calls >= minimumCalls && failures / calls >= failureRatio && firstFailureMs <= sinceMs
  }

  #countProbeSuccess(): void {
    this.#probeSuccesses += 1
    if (this.#probeSuccesses < this.#limits.successesToClose) return
    this.#enter('closed')
    this.#closedAtMs = this.#clock.monotonicMs()
    this.#endRow(this.#closedAtMs)
    this.#window.clear()
  }

  #endRow(nowMs: number): void {
    this.#failuresInARow = 0
    this.#succeededAtMs = nowMs
  }

  #open(): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#state === 'closed' && nowMs - this.#closedAtMs >= FORGET_RESTS_MS) this.#rests = 0
    const { openMs, maxOpenMs } = this.#limits
    const restMs = Math.min(openMs * 2 ** Math.min(this.#rests, 30), maxOpenMs)
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

const FORGET_RESTS_MS = 60_000

// A day: longer than anything it could be waiting for.
const MOST_MS = 86_400_000

/** @throws TypeError, RangeError naming the option, its value and what is accepted. */
export function readBreaker(options: BreakerOptions): Record<keyof BreakerOptions, number> {
  return readNumbers('breaker', options, breakerNumbers(options))
}

/** What each accepts. What is given decides: a default gives way to it. */
export function breakerNumbers(options: BreakerOptions): NumberOptions<keyof BreakerOptions> {
  const { windowMs = 30_000, openMs, maxOpenMs } = Object(options) as BreakerOptions
  const mostMs = typeof maxOpenMs === 'number' && maxOpenMs >= 1 ? maxOpenMs : MOST_MS
  return {
    failureRatio: { fallback: 0.7, min: 0.01, max: 1 },
    minimumCalls: { fallback: 10, min: 1, max: 1_000_000 },
    windowMs: { fallback: 30_000, min: 1_000, max: MOST_MS },
    failuresInARow: { fallback: 8, min: 1, max: Infinity },
    failingForMs: { fallback: Math.min(1_000, windowMs / 2), min: 0, max: windowMs },
    openMs: { fallback: Math.min(2_000, mostMs), min: 1, max: MOST_MS },
    maxOpenMs: { fallback: Math.max(15_000, openMs ?? 0), min: openMs ?? 1, max: MOST_MS },
    successesToClose: { fallback: 2, min: 1, max: 1_000 },
    probeLeaseMs: { fallback: 30_000, min: 1, max: MOST_MS },
  }
}

const nothing = () => {}
const FREE_PERMIT: Permit = {
  success: nothing,
  failure: nothing,
  answered: nothing,
  cancel: nothing,
}
