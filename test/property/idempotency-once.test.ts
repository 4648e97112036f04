import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Claim, Store } from '../../src/idempotency/store.ts'
import { memoryStore } from '../../src/stores/memory-store.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'
import { type Answer, answerOf, type Process, World } from '../unit/idempotency/harness.ts'
import type { VirtualClock } from '../unit/idempotency/virtual-clock.ts'

/** What may happen next; `which` picks a call or a run of the work, modulo how many there are. */
type Step =
  | { readonly type: 'call'; readonly process: number; readonly deadlineMs: number }
  | { readonly type: 'dispatch' | 'succeed' | 'fail' | 'abort'; readonly which: number }
  /** Time passes. `pause`: and no timer of anybody fires meanwhile. */
  | { readonly type: 'advance' | 'pause'; readonly ms: number }

interface Weather {
  readonly delaysMs: readonly number[]
  /** Of every so many answers of the store, one is lost after the store did what was asked. */
  readonly loseEvery: number
}

const which = fc.nat(20)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('call' as const),
      process: fc.nat(2),
      deadlineMs: fc.constantFrom(500, 5_000, 60_000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constantFrom('dispatch', 'succeed', 'fail', 'abort'),
      which,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom('advance', 'advance', 'advance', 'pause'),
      ms: fc.constantFrom(1, 40, 300, 9_000, 29_999, 31_000),
    }),
  },
)
const weather: fc.Arbitrary<Weather> = fc.record({
  delaysMs: fc.array(fc.constantFrom(0, 0, 1, 20, 400), { minLength: 1, maxLength: 5 }),
  loseEvery: fc.constantFrom(7, 13, 1_000_000),
})

describe('once, whatever callers, clocks and stores do', () => {
  it.each(['rerun', 'fail'] as const)(
    "has one live owner and one stored outcome, under '%s'",
    async (onUncertain) => {
      const history = fc.array(step, { minLength: 5, maxLength: 40, size: 'max' })
      await fc.assert(
        fc.asyncProperty(history, weather, async (steps, sky) => {
          const { world, answers, witness, flights } = await play(steps, sky, onUncertain)
          const kept = answers.filter((answer) => 'value' in answer && answer.persisted)
          const values = new Set(kept.map((answer) => 'value' in answer && answer.value))
          expect(values.size).toBeLessThanOrEqual(1)
          expect(witness.breaches).toEqual([])
          expect(flights).toBe(0)
          expect(world.clock.armedTimers).toBe(0)
          if (onUncertain === 'fail') {
            const sent = await Promise.all(world.work.map(mayHaveBeenDone))
            expect(sent.filter(Boolean).length).toBeLessThanOrEqual(1)
          }
        }),
        { numRuns: fuzzRuns(300) },
      )
    },
  )
})

async function play(steps: readonly Step[], sky: Weather, onUncertain: 'rerun' | 'fail') {
  const witness = new Witness()
  const world = new World((clock) =>
    unsteady(witness.watch(memoryStore({ clock }), clock), sky, clock),
  )
  const processes = [0, 1, 2].map(() => world.process({ onUncertain }))
  const calls: { readonly answer: Promise<Answer>; readonly abort: () => void }[] = []
  for (const next of steps) {
    await act(next)
    await world.clock.advance(0)
  }
  // In the end all work ends, or its callers have no time left.
  for (let round = 0; round < 40; round++) {
    for (const job of world.work) job.fail('server_error')
    await world.clock.advance(5_000)
  }
  const answers = await Promise.all(calls.map(({ answer }) => answer))
  return { world, answers, witness, flights: processes.reduce(countFlights, 0) }

  async function act(next: Step): Promise<void> {
    const job =
      'which' in next ? world.work[next.which % Math.max(1, world.work.length)] : undefined
    switch (next.type) {
      case 'call': {
        const aborting = new AbortController()
        const { deadlineMs } = next
        const call = processes[next.process]?.call({ deadlineMs, signal: aborting.signal })
        if (call) calls.push({ answer: answerOf(call), abort: () => aborting.abort() })
        return
      }
      case 'dispatch':
        // Not awaited: the store may take its time to answer.
        void job?.dispatch()
        return
      case 'succeed':
        // Work that was not sent has nothing to succeed with.
        if (job?.dispatched === 'yes') job.succeed(`value ${world.work.indexOf(job)}`)
        return
      case 'fail':
        job?.fail('rate_limit')
        return
      case 'abort':
        calls[next.which % Math.max(1, calls.length)]?.abort()
        return
      case 'pause':
        world.clock.jump(next.ms)
        return
      case 'advance':
        await world.clock.advance(next.ms)
    }
  }
}

function countFlights(sum: number, { flights }: Process): number {
  return sum + flights.size
}

async function mayHaveBeenDone(job: World['work'][number]): Promise<boolean> {
  const outcome = await job.outcome
  return job.dispatched === 'yes' && (outcome.ok || outcome.disposition !== 'release')
}

/** Sees every verb at the moment the store executes it, and notes what must not happen. */
class Witness {
  readonly breaches: string[] = []
  #owner: { readonly claim: Claim; leaseUntilMs: number } | undefined
  #stored: string | undefined

  watch(store: Store, clock: VirtualClock): Store {
    const note = (breach: string) => this.breaches.push(`${clock.monotonicMs()}: ${breach}`)
    const isCurrent = (claim: Claim) => this.#owner?.claim.owner === claim.owner
    return {
      ...store,
      claim: async (request) => {
        const claimed = await store.claim(request)
        if (claimed.state !== 'owned') return claimed
        const nowMs = clock.monotonicMs()
        if (this.#owner !== undefined && nowMs < this.#owner.leaseUntilMs) note('two live owners')
        if (this.#stored !== undefined) note('a claim over a stored result')
        this.#owner = { claim: claimed.claim, leaseUntilMs: nowMs + request.leaseMs }
        return claimed
      },
      heartbeat: async (claim, leaseMs) => {
        const held = await store.heartbeat(claim, leaseMs)
        if (held && !isCurrent(claim)) note('a heartbeat of a former owner')
        if (held && this.#owner) this.#owner.leaseUntilMs = clock.monotonicMs() + leaseMs
        return held
      },
      dispatch: async (claim) => {
        const granted = await store.dispatch(claim)
        if (granted && !isCurrent(claim)) note('a dispatch of a former owner')
        return granted
      },
      complete: async (claim, outcome, ttlMs) => {
        const kept = await store.complete(claim, outcome, ttlMs)
        if (kept !== 'stored' || !outcome.ok) return kept
        if (!isCurrent(claim)) note('a result of a former owner')
        if (this.#stored !== undefined && this.#stored !== outcome.result) note('two results')
        this.#stored = outcome.result
        if (this.#owner) this.#owner.leaseUntilMs = 0
        return kept
      },
      release: async (...parameters) => {
        const released = await store.release(...parameters)
        if (released && !isCurrent(parameters[0])) note('a release by a former owner')
        if (released) this.#owner = undefined
        return released
      },
    }
  }
}

/** A store far away: requests and answers take their time, and some answers never arrive. */
function unsteady(store: Store, { delaysMs, loseEvery }: Weather, clock: VirtualClock): Store {
  let asked = 0
  const travel = () =>
    new Promise<void>((resolve) => {
      clock.schedule(delaysMs[asked % delaysMs.length] ?? 0, resolve)
    })
  const far =
    <P extends unknown[], R>(verb: (...parameters: P) => Promise<R>) =>
    async (...parameters: P): Promise<R> => {
      const lost = ++asked % loseEvery === 0
      await travel()
      const answer = await verb(...parameters)
      await travel()
      if (lost) throw new Error('connection reset')
      return answer
    }
  return {
    ...store,
    claim: far(store.claim),
    heartbeat: far(store.heartbeat),
    dispatch: far(store.dispatch),
    complete: far(store.complete),
    release: far(store.release),
    markUncertain: far(store.markUncertain),
  }
}
