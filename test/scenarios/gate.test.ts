import { describe, expect, it } from 'vitest'
import { exponential, seeded } from '../../bench/storm/random.ts'
import { type VirtualClock, virtualClock } from '../../src/testing/index.ts'
import { httpError, world } from './world.ts'

/** A provider that limits everybody for 20 s, then works again: 50 places, a second each, a queue. */
class Provider {
  readonly arrivals: number[] = []
  readonly #clock: VirtualClock
  readonly #queue: (() => void)[] = []
  #busy = 0

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  async ask(): Promise<string> {
    const nowMs = this.#clock.monotonicMs()
    this.arrivals.push(nowMs)
    if (nowMs >= LIMITED_FROM_MS && nowMs < RESET_MS) {
      throw httpError(429, { 'retry-after': String(Math.ceil((RESET_MS - nowMs) / 1_000)) })
    }
    await new Promise<void>((resolve) => {
      this.#queue.push(resolve)
      this.#serve()
    })
    return 'served'
  }

  #serve(): void {
    if (this.#busy >= CAPACITY) return
    const next = this.#queue.shift()
    if (next === undefined) return
    this.#busy += 1
    this.#clock.schedule(1_000, () => {
      this.#busy -= 1
      next()
      this.#serve()
    })
  }
}

const CAPACITY = 50
const OFFERED_PER_S = 35
const LIMITED_FROM_MS = 10_000
const RESET_MS = 30_000

describe('the gate', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'spreads 50 clients who were told one reset: never many more than there is room for (seed %i)',
    async (seed) => {
      const random = seeded(seed)
      const clock = virtualClock()
      const provider = new Provider(clock)
      let served = 0
      const failures: unknown[] = []
      for (let client = 0; client < 50; client += 1) {
        const { llm } = world({ clock, random, attemptTimeoutMs: 15_000 })
        const call = () => {
          llm
            .run('ask', () => provider.ask())
            .then(
              () => served++,
              (error: unknown) => failures.push(error),
            )
        }
        const gapMs = () => exponential(random, 50_000 / OFFERED_PER_S)
        for (let atMs = gapMs(); atMs < 90_000; atMs += gapMs()) clock.schedule(atMs, call)
      }
      for (let step = 0; step < 1_300; step += 1) await clock.advance(100)
      const since = (atMs: number) => provider.arrivals.filter((arrival) => arrival >= atMs)
      expect(peakPerSecond(since(RESET_MS))).toBeLessThanOrEqual(1.7 * CAPACITY)
      // Those who came within 20 s have left 1.5 times as long and half of the hint later: from then
      // on nothing is left of it but what is offered anyway.
      expect(peakPerSecond(since(RESET_MS + 40_000))).toBeLessThanOrEqual(1.6 * OFFERED_PER_S)
      expect(failures).toEqual([])
      expect(served).toBeGreaterThan(2_900)
    },
  )
})

// Long enough for the mean to show: in a single second chance alone adds a quarter.
const WINDOW_S = 3

/** Arrivals a second, in the busiest window. */
function peakPerSecond(arrivals: readonly number[]): number {
  const windows = new Map<number, number>()
  for (const atMs of arrivals) {
    const window = Math.floor(atMs / (WINDOW_S * 1_000))
    windows.set(window, (windows.get(window) ?? 0) + 1)
  }
  return Math.max(...windows.values()) / WINDOW_S
}
