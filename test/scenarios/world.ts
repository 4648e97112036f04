import { setImmediate } from 'node:timers/promises'
import OpenAI from 'openai'
import {
  createRuntime,
  type SteadyClient,
  type SteadyOptions,
  steady,
  type TargetStatus,
} from '../../src/index.ts'
import { type VirtualClock, virtualClock } from '../../src/testing/index.ts'

/** A process of its own in virtual time: its runtime, and a client that is never sent anywhere. */
export interface World {
  readonly clock: VirtualClock
  readonly llm: SteadyClient<OpenAI>
  /** The health of the target `run name`. */
  target(name: string): TargetStatus
}

export function world(
  options: SteadyOptions & { readonly clock?: VirtualClock; readonly random?: () => number } = {},
): World {
  const { clock = virtualClock(), random = () => 0.5, ...settings } = options
  const client = new OpenAI({ apiKey: 'k', baseURL: 'http://127.0.0.1:9/v1' })
  const llm = steady(client, { runtime: createRuntime({ clock, random }), ...settings })
  return {
    clock,
    llm,
    target(name) {
      const found = llm.targets().find(({ target }) => target === `run ${name}`)
      if (found === undefined) throw new Error(`nobody has called ${name}`)
      return found
    },
  }
}

/** Moves time on, timer by timer, until the work has settled. */
export async function drive<T>(clock: VirtualClock, work: PromiseLike<T>): Promise<T> {
  let settled = false
  const done = () => {
    settled = true
  }
  work.then(done, done)
  for (;;) {
    await setImmediate()
    if (settled) return work
    if (clock.pending === 0) throw new Error('nothing is scheduled, and the work has not ended')
    await clock.advanceToNext()
  }
}

/** Lets everything run that waits for no timer. */
export async function settle(): Promise<void> {
  await setImmediate()
}

/** What a provider's client would throw. */
export function httpError(
  status: number,
  headers: Readonly<Record<string, string>> = {},
  message = `status ${status}`,
): Error {
  return Object.assign(new Error(message), { status, headers, error: { message } })
}

/** A promise that somebody else settles. */
export function pending<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (reason: unknown) => void = () => {}
  const promise = new Promise<T>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise
    reject = rejectPromise
  })
  return { promise, resolve, reject }
}
