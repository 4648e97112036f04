import type { CallEnd } from './client.ts'
import type { Provider } from './provider.ts'
import type { Scenario } from './scenario.ts'
import type { VirtualTime } from './virtual-time.ts'

/** What one run came to. */
export interface Result {
  readonly calls: number
  /** Requests per call, over the whole run. */
  readonly amplification: number
  /** The same within the fault: requests sent in it by calls made in it. NaN without a fault. */
  readonly inFault: number
  /** Most requests per second, as the mean of five. */
  readonly peakPerS: number
  /**
   * Seconds from the end of the fault until the calls of any 20 s succeed in the end as they did before
   * the fault, but for 5 %, and go on to do so. Infinity: not before the run ends. NaN without a fault, or where
   * the run ends sooner.
   */
  readonly recoveryS: number
  /** Share of the calls that succeed, percent. */
  readonly goodput: number
  /** Share of the provider's work that nobody waited for any more, percent. */
  readonly wasted: number
  /** Of the calls that succeed, milliseconds from call to answer. */
  readonly p99Ms: number
  /** Share of the calls that were refused without a request, percent. */
  readonly refused: number
  readonly tokensPerSuccess: number
  /** Share of the requests that the provider did not answer well, percent. */
  readonly inVain: number
  /** Seconds from the end of the fault until as many are served as before it, but for a tenth. */
  readonly fullRateS: number
  /** Most requests per second after the fault, as the mean of five. */
  readonly waveAfter: number
  /** Share of the calls that were over when their handler was killed, percent. */
  readonly overInTime: number
  /** When the last call was over, seconds. */
  readonly endedS: number
  /** Successes of the first process, of those since the last one has joined, percent. */
  readonly firstsShare: number
  /** Of all events in their order. */
  readonly hash: string
  /** Of the requests only: when each was sent. */
  readonly requestsHash: string
  /** Per second: calls made, calls that succeeded, requests sent. */
  readonly perSecond: {
    readonly offered: readonly number[]
    readonly served: readonly number[]
    readonly attempted: readonly number[]
  }
}

/**
 * Twenty seconds of which so many calls succeed, of the share that did before, are a recovery. The last
 * half minute before the fault is left out: its calls may have run into it.
 */
const RECOVERY = { windowS: 20, share: 0.95, apartS: 30 }

/** A fault's beginning is compared with what was served since then, seconds. */
const SETTLED_S = 5
const FULL = { windowS: 5, share: 0.9 }

/** Counts while a run goes on. */
export class Measured {
  readonly #scenario: Scenario
  readonly #time: VirtualTime
  readonly #providers: readonly Provider[]
  readonly #offered: number[] = []
  readonly #served: number[] = []
  readonly #attempted: number[] = []
  /** By the second in which the call was made. */
  readonly #successesOf: number[] = []
  readonly #latenciesMs: number[] = []
  #calls = 0
  #overInTime = 0
  #firsts = 0
  #sharing = 0
  #endedMs = 0
  #attempts = 0
  #refused = 0
  // FNV-1a, 32 bits.
  #hash = 0x811c9dc5
  #requestsHash = 0x811c9dc5

  constructor(scenario: Scenario, time: VirtualTime, providers: readonly Provider[]) {
    this.#scenario = scenario
    this.#time = time
    this.#providers = providers
  }

  called(client: number): void {
    this.#calls += 1
    count(this.#offered, this.#time.nowMs)
    this.#note(1, client)
  }

  sent(): void {
    this.#attempts += 1
    count(this.#attempted, this.#time.nowMs)
    this.#note(2, 0)
    this.#requestsHash = Math.imul(this.#requestsHash ^ this.#microseconds, 0x01000193)
  }

  ended(client: number, begunMs: number, { ok, attempts }: CallEnd): void {
    const { nowMs } = this.#time
    const { killedAfterMs = Infinity, joinMs = 0, clients } = this.#scenario
    this.#endedMs = nowMs
    if (nowMs - begunMs <= killedAfterMs) this.#overInTime += 1
    if (attempts === 0) this.#refused += 1
    if (ok) {
      // A minute after the last one has come they should have settled.
      if (nowMs > joinMs * (clients - 1) + 60_000) {
        this.#sharing += 1
        if (client === 0) this.#firsts += 1
      }
      count(this.#served, nowMs)
      count(this.#successesOf, begunMs)
      this.#latenciesMs.push(nowMs - begunMs)
    }
    this.#note(ok ? 3 : 4, client)
  }

  result(): Result {
    const latencies = Float64Array.from(this.#latenciesMs).sort()
    const successes = latencies.length
    const work = this.#providers.map((provider) => provider.work)
    const sum = (of: (one: Provider['work']) => number) =>
      work.reduce((before, one) => before + of(one), 0)
    return {
      calls: this.#calls,
      amplification: this.#attempts / this.#calls,
      inFault: this.#inFault(),
      peakPerS: peak(this.#attempted),
      recoveryS: this.#recoveryS(),
      goodput: (100 * successes) / this.#calls,
      wasted:
        (100 * sum((one) => one.wastedMs)) /
        Math.max(
          sum((one) => one.busyMs),
          1,
        ),
      p99Ms: quantile(latencies, 0.99),
      refused: (100 * this.#refused) / this.#calls,
      tokensPerSuccess: sum((one) => one.tokens) / Math.max(successes, 1),
      inVain: 100 - (100 * successes) / this.#attempts,
      fullRateS: this.#fullRateS(),
      waveAfter: this.#waveAfter(),
      overInTime: (100 * this.#overInTime) / this.#calls,
      endedS: this.#endedMs / 1_000,
      firstsShare: (100 * this.#firsts) / Math.max(this.#sharing, 1),
      hash: hex(this.#hash),
      requestsHash: hex(this.#requestsHash),
      perSecond: {
        offered: filled(this.#offered),
        served: filled(this.#served),
        attempted: filled(this.#attempted),
      },
    }
  }

  #inFault(): number {
    const { faultMs } = this.#scenario
    if (faultMs === undefined) return Number.NaN
    const range = [Math.floor(faultMs.from / 1_000), Math.floor(faultMs.until / 1_000)] as const
    return total(this.#attempted, ...range) / Math.max(total(this.#offered, ...range), 1)
  }

  #recoveryS(): number {
    const { faultMs, untilMs } = this.#scenario
    if (faultMs === undefined) return Number.NaN
    const fromS = Math.ceil(faultMs.until / 1_000)
    const lastS = Math.floor(untilMs / 1_000) - RECOVERY.windowS
    if (lastS < fromS) return Number.NaN
    // Backwards: a storm may begin some time after the fault has ended, when its timeouts arrive.
    let atS = lastS
    const share = RECOVERY.share * this.#usualShare(Math.floor(faultMs.from / 1_000))
    while (atS >= fromS && this.#shareOf(atS, atS + RECOVERY.windowS) >= share) atS -= 1
    return atS === lastS ? Number.POSITIVE_INFINITY : atS + 1 - fromS
  }

  #fullRateS(): number {
    const { faultMs } = this.#scenario
    if (faultMs === undefined) return Number.NaN
    const [fromS, untilS] = [Math.floor(faultMs.from / 1_000), Math.ceil(faultMs.until / 1_000)]
    const usual = total(this.#served, SETTLED_S, fromS) / (fromS - SETTLED_S)
    for (let atS = untilS; atS < this.#served.length; atS += 1) {
      if (total(this.#served, atS, atS + FULL.windowS) >= FULL.share * usual * FULL.windowS) {
        return atS - untilS
      }
    }
    return Number.POSITIVE_INFINITY
  }

  #waveAfter(): number {
    const { faultMs } = this.#scenario
    if (faultMs === undefined) return Number.NaN
    return peak(this.#attempted.slice(Math.ceil(faultMs.until / 1_000)))
  }

  #usualShare(faultFromS: number): number {
    return this.#shareOf(0, faultFromS - RECOVERY.apartS)
  }

  /** Of the calls made in these seconds, how many succeeded; all, where there were none. */
  #shareOf(fromS: number, untilS: number): number {
    const calls = total(this.#offered, fromS, untilS)
    return calls === 0 ? 1 : total(this.#successesOf, fromS, untilS) / calls
  }

  /** Finer than any two events that are not at the same instant. */
  get #microseconds(): number {
    return Math.round(this.#time.nowMs * 1_000)
  }

  #note(what: number, client: number): void {
    const at = this.#microseconds
    for (const value of [what, client, at | 0, (at / 2 ** 32) | 0]) {
      this.#hash = Math.imul(this.#hash ^ value, 0x01000193)
    }
  }
}

function hex(hash: number): string {
  return (hash >>> 0).toString(16).padStart(8, '0')
}

function count(perSecond: number[], atMs: number): void {
  const second = Math.floor(atMs / 1_000)
  perSecond[second] = (perSecond[second] ?? 0) + 1
}

function total(perSecond: readonly number[], fromS: number, untilS: number): number {
  let sum = 0
  for (let second = fromS; second < untilS; second += 1) sum += perSecond[second] ?? 0
  return sum
}

function filled(perSecond: readonly number[]): number[] {
  return Array.from(perSecond, (number) => number ?? 0)
}

function peak(perSecond: readonly number[]): number {
  let most = 0
  for (let second = 0; second < perSecond.length; second += 1) {
    most = Math.max(most, total(perSecond, second, second + 5) / 5)
  }
  return most
}

function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN
}
