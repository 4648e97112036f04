import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CallError } from '../../src/errors/call-error.ts'
import type { Flight, LateEnd, WorkOutcome } from '../../src/idempotency/protocol.ts'
import type { Claim, ClaimResult, Store } from '../../src/idempotency/store.ts'
import { memoryStore } from '../../src/stores/memory-store.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { answerOf, World } from '../unit/idempotency/harness.ts'
import type { VirtualClock } from '../unit/idempotency/virtual-clock.ts'

/** What may happen next; `which` picks a call or a run of the work, modulo how many there are. */
type Step =
  | { readonly type: 'call'; readonly process: number; readonly onUncertain: 'rerun' | 'fail' }
  | { readonly type: 'send' | 'succeed' | 'fail' | 'abort'; readonly which: number }
  | { readonly type: 'advance' | 'pause'; readonly ms: number }

const which = fc.nat(3)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('call' as const),
      process: fc.nat(1),
      onUncertain: fc.constantFrom('rerun', 'rerun', 'fail'),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constantFrom('send', 'send', 'send', 'send', 'succeed', 'fail', 'abort'),
      which,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom('advance', 'advance', 'advance', 'pause'),
      ms: fc.constantFrom(1, 40, 300, 9_000, 31_000),
    }),
  },
)

describe('callers of several policies under one key', () => {
  it("see nothing sent again that was not allowed before the first of them asked for 'fail'", async () => {
    const delays = fc.array(fc.constantFrom(0, 0, 1, 20, 400), { minLength: 1, maxLength: 5 })
    const history = fc.array(step, { minLength: 5, maxLength: 40, size: 'max' })
    let sentAgain = 0
    let forbidden = 0
    await fc.assert(
      fc.asyncProperty(history, delays, fc.boolean(), async (steps, delaysMs, goesOn) => {
        const { witness, stored } = await play(steps, delaysMs, goesOn)
        expect(witness.breaches).toEqual([])
        expect(stored.size).toBeLessThanOrEqual(1)
        sentAgain += witness.sentAgain
        forbidden += witness.forbidden
      }),
      { numRuns: fuzzRuns(400) },
    )
    // The histories have what they are about.
    expect(sentAgain).toBeGreaterThan(0)
    expect(forbidden).toBeGreaterThan(0)
  }, 240_000)
})

/** So that most histories are about something that was sent. */
const OPENING: readonly Step[] = [
  { type: 'call', process: 0, onUncertain: 'rerun' },
  { type: 'advance', ms: 1_000 },
  { type: 'send', which: 0 },
]

async function play(steps: readonly Step[], delaysMs: readonly number[], goesOn: boolean) {
  const witness = new Witness()
  const world = new World((clock) => far(witness.watch(memoryStore({ clock })), delaysMs, clock))
  const processes = [0, 1].map(() => world.process())
  const runs: Run[] = []
  const calls: { readonly answer: Promise<unknown>; readonly abort: () => void }[] = []
  for (const next of [...OPENING, ...steps]) {
    await act(next)
    await world.clock.advance(0)
  }
  for (let round = 0; round < 40; round++) {
    for (const run of runs) run.fail()
    await world.clock.advance(5_000)
  }
  await Promise.all(calls.map(({ answer }) => answer))
  return { witness, stored: witness.stored }

  async function act(next: Step): Promise<void> {
    if (next.type === 'call') {
      const aborting = new AbortController()
      const call = processes[next.process]?.call({
        onUncertain: next.onUncertain,
        signal: aborting.signal,
        work: (flight) => {
          const run = new Run(flight, witness, goesOn)
          runs.push(run)
          return run.outcome
        },
      })
      if (call) calls.push({ answer: answerOf(call), abort: () => aborting.abort() })
      return
    }
    if (!('which' in next)) {
      if (next.type === 'advance') await world.clock.advance(next.ms)
      else world.clock.jump(next.ms)
      return
    }
    const run = runs[next.which % Math.max(1, runs.length)]
    if (next.type === 'abort') calls[next.which % Math.max(1, calls.length)]?.abort()
    else if (next.type === 'send') void run?.send()
    else if (next.type === 'succeed') run?.succeed(`value ${runs.indexOf(run)}`)
    else run?.fail()
  }
}

/** One run of the work, as `runWork` does it: asks before it sends, and again before each repetition. */
class Run {
  readonly outcome: Promise<WorkOutcome<string>>
  readonly #flight: Flight
  readonly #witness: Witness
  #sends = 0
  #asking = false
  #over = false
  #end: (outcome: WorkOutcome<string>) => void = () => {}
  #endLate: (end: LateEnd<string>) => void = () => {}

  constructor(flight: Flight, witness: Witness, goesOn: boolean) {
    this.#flight = flight
    this.#witness = witness
    this.outcome = new Promise((resolve) => {
      this.#end = resolve
    })
    const late = new Promise<LateEnd<string>>((resolve) => {
      this.#endLate = resolve
    })
    flight.signal.addEventListener('abort', () =>
      this.#failWith('aborted', goesOn && this.#sends > 0 ? late : undefined),
    )
  }

  async send(): Promise<void> {
    if (this.#asking || this.#over) return
    this.#asking = true
    const again = this.#sends > 0
    try {
      await this.#flight.dispatch({ again })
      this.#asking = false
      if (this.#over) return
      if (again && this.#flight.onUncertain === 'fail') this.#failWith('outcome_unknown')
      else {
        this.#sends++
        this.#witness.sent()
      }
    } catch (error) {
      this.#failWith(error instanceof CallError ? error.kind : 'unknown')
    }
  }

  succeed(value: string): void {
    if (this.#sends === 0) return
    this.#over = true
    this.#end({ ok: true, value })
    this.#endLate({ ok: true, value })
  }

  fail(): void {
    this.#failWith('server_error')
    this.#endLate({ ok: false, executed: 'maybe' })
  }

  #failWith(kind: CallError['kind'], late?: Promise<LateEnd<string>>): void {
    this.#over = true
    const doubtful = this.#sends > 0
    const uncertain = doubtful && this.#flight.onUncertain === 'fail'
    this.#end({
      ok: false,
      error: new CallError({ kind, message: 'own' }),
      disposition: uncertain ? 'uncertain' : 'release',
      doubtful,
      ...(late !== undefined && { late }),
      notice: { kind, executed: doubtful ? 'maybe' : 'no' },
    })
  }
}

type Owned = Extract<ClaimResult, { readonly state: 'owned' }>

/**
 * Follows the key from its first claim until it is settled or free. What it must not see: something
 * sent, after an earlier send that may have been executed, without leave that the store gave before
 * the first claim under 'fail'.
 */
class Witness {
  readonly breaches: string[] = []
  readonly stored = new Set<string>()
  sentAgain = 0
  forbidden = 0
  #now = 0
  #owner: Claim | undefined
  #sends = 0
  #lastSentAt = 0
  #lastLeaveAt = 0
  #strictAt: number | undefined

  sent(): void {
    this.#now++
    if (this.#sends > 0) {
      this.sentAgain++
      const strictAt = this.#strictAt ?? Number.POSITIVE_INFINITY
      const hadLeave = this.#lastLeaveAt > this.#lastSentAt && this.#lastLeaveAt < strictAt
      if (!hadLeave) this.breaches.push(`sent again at ${this.#now}, forbidden at ${strictAt}`)
    }
    this.#sends++
    this.#lastSentAt = this.#now
  }

  watch(store: Store): Store {
    return {
      ...store,
      claim: async (request) => {
        const claimed = await store.claim(request)
        this.#now++
        const { state } = claimed
        if (state === 'owned') this.#granted(claimed)
        if (request.onUncertain === 'fail' && (state === 'owned' || state === 'busy')) {
          this.#strictAt ??= this.#now
        }
        return claimed
      },
      complete: async (claim, outcome, ttlMs) => {
        const kept = await store.complete(claim, outcome, ttlMs)
        if (kept === 'stored' && outcome.ok) this.stored.add(outcome.result)
        return kept
      },
      release: async (claim, notice, noticeMs, doubtMs) => {
        const released = await store.release(claim, notice, noticeMs, doubtMs)
        if (!released) return false
        const isForbidden = this.#strictAt !== undefined && this.#sends > 0
        // All that fails here after it was sent may have been done.
        if (isForbidden && doubtMs === undefined) {
          this.breaches.push('what may have been done was freed')
        }
        if (!isForbidden) this.#forget()
        return true
      },
    }
  }

  #granted({ claim, onUncertain }: Owned): void {
    const isRepeated = this.#owner?.owner === claim.owner
    if (!isRepeated && this.#strictAt !== undefined && this.#sends > 0) {
      this.breaches.push('what may have been done was given to somebody else')
    }
    this.#owner = claim
    // Taken over while that was allowed: it begins anew.
    if (!isRepeated) this.#sends = 0
    if (onUncertain === 'rerun') this.#lastLeaveAt = this.#now
    else if (isRepeated) this.forbidden++
  }

  #forget(): void {
    this.#owner = undefined
    this.#sends = 0
    this.#strictAt = undefined
  }
}

/** A store far away: requests and answers take their time. */
function far(store: Store, delaysMs: readonly number[], clock: VirtualClock): Store {
  let asked = 0
  const travel = () =>
    new Promise<void>((resolve) => {
      clock.schedule(delaysMs[asked++ % delaysMs.length] ?? 0, resolve)
    })
  const slowly =
    <P extends unknown[], R>(verb: (...parameters: P) => Promise<R>) =>
    async (...parameters: P): Promise<R> => {
      await travel()
      const answer = await verb(...parameters)
      await travel()
      return answer
    }
  return {
    ...store,
    claim: slowly(store.claim),
    heartbeat: slowly(store.heartbeat),
    dispatch: slowly(store.dispatch),
    complete: slowly(store.complete),
    release: slowly(store.release),
    markUncertain: slowly(store.markUncertain),
  }
}
