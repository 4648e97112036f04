import { AsyncLocalStorage } from 'node:async_hooks'
import type { CallErrorInit } from '../errors/call-error.ts'
import type { Deadline } from '../time.ts'
import type { WorkOutcome } from './once.ts'
import type { FailureNotice } from './store.ts'

/** What a participant brings into a flight. */
export interface Participant {
  readonly deadline: Deadline
  readonly onUncertain: 'rerun' | 'fail'
}

/** How a flight ended for those whose own work it did not run. */
export type Ending =
  | {
      readonly type: 'result'
      readonly result: string
      readonly source: 'store' | 'shared'
      readonly persisted: boolean
    }
  | {
      readonly type: 'failure'
      readonly notice: FailureNotice
      readonly source: 'store' | 'shared'
    }
  /** Everybody gets an error object of his own, made from this. */
  | { readonly type: 'error'; readonly init: CallErrorInit }
  /** It ended for a reason that is not theirs: who has time left starts anew. */
  | { readonly type: 'again' }

export const AGAIN: Ending = { type: 'again' }

/** How a flight ended: `own` for the caller whose work it ran, `others` for everybody else. */
export type Landing<T> =
  | Ending
  | {
      readonly type: 'own'
      readonly outcome: WorkOutcome<T>
      readonly persisted: boolean
      readonly others: Ending
    }

/** The work of the caller who started the flight, as far as it has come. */
export interface OwnWork<T> {
  running?: Promise<unknown> | undefined
  outcome?: WorkOutcome<T> | undefined
}

/**
 * A key being asked for or worked on in this process, for all who want it meanwhile. It belongs to
 * nobody: it lasts as long as its most patient participant, and is abandoned with the last.
 */
export class SharedFlight {
  readonly fingerprint: string
  /** The latest of the participants' deadlines. */
  readonly deadline: Deadline
  /** Somebody outside this process has the key. */
  waiting = false
  /** The work may have left this process. */
  dispatched = false
  readonly #participants = new Set<Participant>()
  readonly #abandoned = new AbortController()
  #strict = false
  #landed = false
  #lastDeadline: Deadline = { remainingMs: () => 0 }

  constructor(fingerprint: string) {
    this.fingerprint = fingerprint
    this.deadline = { remainingMs: () => this.#remainingMs() }
  }

  /** Aborts when the last participant has left before the end. */
  get signal(): AbortSignal {
    return this.#abandoned.signal
  }

  /** The strictest that any participant, past or present, or the record asked for. */
  get onUncertain(): 'rerun' | 'fail' {
    return this.#strict ? 'fail' : 'rerun'
  }

  tighten(onUncertain: 'rerun' | 'fail'): void {
    if (onUncertain === 'fail') this.#strict = true
  }

  enter(participant: Participant): void {
    this.#participants.add(participant)
    this.tighten(participant.onUncertain)
  }

  /** `reason` is what the work is aborted with if this was the last participant. */
  leave(participant: Participant, reason: unknown): void {
    if (!this.#participants.delete(participant) || this.#participants.size > 0) return
    this.#lastDeadline = participant.deadline
    if (!this.#landed) this.#abandoned.abort(reason)
  }

  hasOthersThan(participant: Participant): boolean {
    return this.#participants.size > (this.#participants.has(participant) ? 1 : 0)
  }

  /** It has ended: whoever leaves from now on abandons nothing. */
  land(): void {
    this.#landed = true
  }

  #remainingMs(): number {
    if (this.#participants.size === 0) return this.#lastDeadline.remainingMs()
    let latestMs = Number.NEGATIVE_INFINITY
    for (const { deadline } of this.#participants) {
      latestMs = Math.max(latestMs, deadline.remainingMs())
    }
    return latestMs
  }
}

const WITHIN = Symbol.for('steadycall.flights.v1')

/** The flights whose work the code that runs now is part of. One storage for all copies of us. */
function storage(): AsyncLocalStorage<ReadonlySet<SharedFlight>> {
  const existing: unknown = Reflect.get(globalThis, WITHIN)
  // Only this function sets that symbol, and its version is part of its name.
  if (existing !== undefined) return existing as AsyncLocalStorage<ReadonlySet<SharedFlight>>
  const created = new AsyncLocalStorage<ReadonlySet<SharedFlight>>()
  Object.defineProperty(globalThis, WITHIN, { value: created })
  return created
}

/** Runs a flight's work, so that a key which is used inside itself can be told. */
export function insideFlight<T>(flight: SharedFlight, work: () => T): T {
  return storage().run(new Set(storage().getStore()).add(flight), work)
}

/** Is the code that runs now part of this flight's own work? Then it must not wait for it. */
export function isInsideFlight(flight: SharedFlight): boolean {
  return storage().getStore()?.has(flight) ?? false
}
