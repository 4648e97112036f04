import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callReport, retry, runIdempotent } from '../../src/index.ts'
import { rejection } from '../support/set-up.ts'
import { never, type Scene, scenes } from './abort-scenes.ts'
import { callAs, faces } from './faces.ts'
import { down, finish, pieces, type Seen, type Stage, stageFor, watch } from './stage.ts'
import { countTurns, oneStep } from './stepped-clock.ts'
import { httpError } from './world.ts'

describe('an abort leaves nothing behind', () => {
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown) => unhandled.push(reason)
  let stopCounting = () => {}
  beforeAll(() => {
    process.on('unhandledRejection', onUnhandled)
    stopCounting = countTurns()
  })
  afterAll(() => {
    process.off('unhandledRejection', onUnhandled)
    stopCounting()
  })

  describe('at any turn of the promises and before any timer', () => {
    it.each(scenes)('$name', async (scene) => {
      let turns = 0
      while (!(await aborted(scene, { turn: turns }))) turns += 1
      // The shortest, a replay, has ten: an enumeration that stops early would prove nothing.
      expect(turns).toBeGreaterThan(8)
      expect(unhandled).toEqual([])
    })
  })

  describe('out of code that the call calls: fetch, a verb of the store, a listener', () => {
    const calling = scenes.filter(({ name }) => name !== 'retry')
    it.each(calling)('$name', async (scene) => {
      const entered: string[] = []
      const onEntry = (name: string) => entered.push(name)
      while (!(await aborted(scene, { entry: entered.length, onEntry })));
      expect(entered.length).toBeGreaterThan(2)
      expect(unhandled).toEqual([])
    })
  })
})

describe('an abort of a stream that nobody reads yet', () => {
  let stopCounting = () => {}
  beforeAll(() => {
    stopCounting = countTurns()
  })
  afterAll(() => stopCounting())

  it('at any turn: its report is the one that was told', async () => {
    let released = 0
    for (let turns = 0; released < 10; turns += 1) {
      const caller = new AbortController()
      const stage = stageFor({ replies: [{ body: pieces }], signal: caller.signal })
      const call = callAs('a stream', stage)
      const seen = watch(call)
      for (let turn = 0; turn < turns; turn += 1) await oneStep(stage.clock)
      caller.abort()
      for (let turn = 0; turn < 20; turn += 1) await setImmediate()
      if (seen.how !== 'succeeded') continue
      released += 1
      const told = stage.events.flatMap((event) =>
        event.type === 'call-settled' ? [event.report] : [],
      )
      expect(told).toHaveLength(1)
      expect(callReport(await call), `after ${turns} turns`).toBe(told[0])
    }
  })
})

describe('an abort during a wait', () => {
  it.each([...faces, 'retry', 'runIdempotent'] as const)(
    '%s: settles in the same tick, and the reason is the caller’s own',
    async (face) => {
      const caller = new AbortController()
      let sent = 0
      const stage = stageFor({
        replies: [down],
        signal: caller.signal,
        userCode: (name) => {
          if (name === 'fetch') sent += 1
        },
      })
      const { clock, runtime, store, signal } = stage
      const fail = () => {
        sent += 1
        return Promise.reject(httpError(500))
      }
      const begin = () => {
        if (face === 'retry') return retry(fail, { signal, runtime })
        if (face !== 'runIdempotent') return callAs(face, stage)
        const operation = {
          operation: 'mail',
          payload: 1,
          onUncertain: 'rerun',
          maxAttempts: 2,
        } as const
        return runIdempotent({ ...operation, store, runtime, signal }, fail)
      }
      const call = begin()
      const seen = watch(call)
      // The request is with the provider, which answers by a timer of its own.
      await setImmediate()
      // To the first timer after the first request that is not the provider's: the backoff.
      for (;;) {
        // A call may arm its attempt's timer some turns before its request leaves.
        for (let turn = 0; turn < 20; turn += 1) await setImmediate()
        if (sent > 0 && clock.pendingOutside === 0) break
        clock.fireNext()
      }
      expect([seen.how, sent]).toEqual([undefined, 1])
      const reason = new Error('the user closed the page')
      caller.abort(reason)
      await setImmediate()
      expect(seen.how).toBeDefined()
      expect(rootOf(await rejection(call))).toBe(reason)
      // What is on its way to the store gets there.
      while (clock.pendingOutside > 0) {
        clock.fireNext()
        await setImmediate()
      }
      expect([sent, clock.pending]).toEqual([1, 0])
    },
  )
})

/** When the caller leaves: after so many turns, or out of one of the calls into his own code. */
type Moment =
  | { readonly turn: number }
  | { readonly entry: number; readonly onEntry: (name: string) => void }

/** Plays the scene with an abort at that moment. True: the call had ended before. */
async function aborted(scene: Scene, moment: Moment): Promise<boolean> {
  const caller = new AbortController()
  const { signal } = caller
  let entries = 0
  let begun = false
  const userCode = (name: string) => {
    if (!begun || !('entry' in moment) || entries++ !== moment.entry) return
    moment.onEntry(name)
    caller.abort(new Error('the caller left'))
  }
  const stage = stageFor({ ...scene, signal, userCode })
  await scene.prepare?.(stage)
  begun = true
  const before = watch(scene.before?.(stage) ?? Promise.resolve())
  const call = watch(scene.call(stage))
  const after = watch(scene.after?.(stage) ?? Promise.resolve())
  const turns = 'turn' in moment ? moment.turn : Number.POSITIVE_INFINITY
  for (let turn = 0; turn < turns && !signal.aborted && call.how === undefined; turn += 1) {
    await oneStep(stage.clock)
  }
  const endedBefore = !signal.aborted && call.how !== undefined
  // Before the abort: that would take every listener off itself.
  const listening = endedBefore && scene.staysOpen !== true ? countListeners(signal) : 0
  caller.abort(new Error('the caller left'))
  // At once: no timer has to fire for it.
  for (let turn = 0; turn < 20 && call.how === undefined; turn += 1) await setImmediate()
  const atOnce = call.how
  await othersFinish(stage, [before, after])

  expect({ ...moment, ...whatIsLeft(stage, signal), listening, settledAtOnce: atOnce }).toEqual({
    ...moment,
    ...nothing,
    listening: 0,
    settledAtOnce: expect.any(String),
  })
  expect([before.how, after.how]).toEqual(['succeeded', 'succeeded'])
  const { settled = [1], again = ['succeeded'] } = scene
  expect({ ...moment, settled }).toEqual({ ...moment, settled: containing(settledIn(stage)) })
  // Nothing is held any more that the next call needs: no probe, no place, no claim.
  const atMs = stage.clock.monotonicMs()
  const next = await finish(stage, scene.call({ ...stage, signal: never }))
  expect({ ...moment, again }).toEqual({ ...moment, again: containing(next.how) })
  expect(stage.clock.monotonicMs() - atMs).toBeLessThan(5_000)
  return endedBefore
}

const nothing = { timers: 0, listeners: 0, flights: 0, inFlight: 0, waiting: 0, attemptsOpen: 0 }

function whatIsLeft({ clock, runtime, llm, events }: Stage, signal: AbortSignal): typeof nothing {
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0)
  const targets = llm.targets()
  const open = events.map(({ type }) =>
    type === 'attempt-started' ? 1 : type === 'attempt-ended' ? -1 : 0,
  )
  return {
    timers: clock.pending,
    listeners: countListeners(signal),
    flights: runtime.shared.flights.size,
    inFlight: sum(targets.map(({ inFlight = 0 }) => inFlight)),
    waiting: sum(targets.map(({ waiting }) => waiting)),
    attemptsOpen: sum(open),
  }
}

function countListeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length
}

function settledIn({ events }: Stage): number {
  return events.filter(({ type }) => type === 'call-settled').length
}

function containing(value: unknown): unknown {
  return expect.arrayContaining([value])
}

/** What others began goes on to its end; so does what is on its way to the store. */
async function othersFinish({ clock }: Stage, others: readonly Seen[]): Promise<void> {
  while (others.some(({ how }) => how === undefined) || clock.pendingOutside > 0) {
    clock.fireNext()
    await setImmediate()
  }
}

/** What an error was caused by, in the end. */
function rootOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error
}
