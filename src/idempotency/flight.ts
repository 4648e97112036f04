import { AsyncLocalStorage } from 'node:async_hooks'
import type { CallErrorInit } from '../errors/call-error.ts'
import { processWide } from '../process-wide.ts'
import type { Deadline } from '../time.ts'
import type { WorkOutcome } from './once.ts'
import type { FailureNotice } from './store.ts'

/** What a participant brings into a flight. */
export interface Participant {
  readonly deadline: Deadline
  readonly onUncertain: 'rerun' | 'fail'
  /** Somebody outside this process has the key, and must renew its lease within this time. */
  waiting?(leaseLeftMs: number): void
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
  /** Of the caller who started it, for the traces of those who join. */
  readonly origin: string | undefined
  /** The latest of the participants' deadlines. */
  readonly deadline: Deadline
  /** The work may have left this process. */
  dispatched = false
  /** Settles where those who joined need not wait for the end. */
  readonly toldEarly: Promise<Ending>
  /** How long the lease is still good of the owner outside this process, while it is waited for. */
  #leaseLeftMs: (() => number) | undefined
  readonly #participants = new Map<Participant, Binding>()
  readonly #abandoned = new AbortController()
  #tellEarly: (ending: Ending) => void = () => {}
  #strict = false
  #onStricter: () => void = () => {}
  #landed = false
  /** Of the participant who left last: it still binds the work while nobody else's does. */
  #last: Binding | undefined

  constructor(fingerprint: string, origin?: string) {
    this.fingerprint = fingerprint
    this.origin = origin
    this.deadline = { remainingMs: () => this.#remainingMs() }
    this.toldEarly = new Promise((resolve) => {
      this.#tellEarly = resolve
    })
  }

  /** The end for those who joined, ahead of the end of the work. Only the first time counts. */
  tellEarly(ending: Ending): void {
    this.#tellEarly(ending)
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
    if (onUncertain === 'rerun' || this.#strict) return
    this.#strict = true
    this.#onStricter()
  }

  /** Calls back when `onUncertain` becomes stricter. */
  whenStricter(listener: () => void): void {
    this.#onStricter = listener
  }

  enter(participant: Participant): void {
    this.#participants.set(participant, { deadline: participant.deadline, from: around() })
    this.tighten(participant.onUncertain)
    if (this.#leaseLeftMs !== undefined) participant.waiting?.(this.#leaseLeftMs())
  }

  /** Somebody outside this process has the key. */
  get waiting(): boolean {
    return this.#leaseLeftMs !== undefined
  }

  /** All who take part now, or come while it lasts, are told once of the wait for one owner. */
  waitsFor(leaseLeftMs: () => number): void {
    this.#leaseLeftMs = leaseLeftMs
    for (const participant of this.#participants.keys()) participant.waiting?.(leaseLeftMs())
  }

  waitsNoMore(): void {
    this.#leaseLeftMs = undefined
  }

  /** `reason` is what the work is aborted with if this was the last participant. */
  leave(participant: Participant, reason: unknown): void {
    const binding = this.#participants.get(participant)
    if (!this.#participants.delete(participant) || this.#participants.size > 0) return
    this.#last = binding
    if (!this.#landed) this.#abandoned.abort(reason)
  }

  hasOthersThan(participant: Participant): boolean {
    return this.#participants.size > (this.#participants.has(participant) ? 1 : 0)
  }

  get landed(): boolean {
    return this.#landed
  }

  /** It has ended: whoever leaves from now on abandons nothing. */
  land(): void {
    this.#landed = true
  }

  /** Runs this flight's work, so that a key which is used inside itself can be told. */
  enclose<R>(work: () => R): R {
    return storage().run(this, work)
  }

  /**
   * Does this flight wait for the code that runs now, which must then not wait for it? It does when
   * that is part of its work, or of the work of a flight that its work waits for. Each would wait
   * for the other, under deadlines that are each other's.
   */
  get waitsForUs(): boolean {
    // A set is iterated to what is added on the way.
    const waiting = new Set([around()])
    for (const flight of waiting) {
      if (flight === this) return true
      for (const { from } of flight?.bindings() ?? []) waiting.add(from)
    }
    return false
  }

  /** What binds the work now. Not private to the class: a flight may be another copy's. */
  bindings(): readonly Binding[] {
    if (this.#participants.size > 0) return [...this.#participants.values()]
    return this.#last === undefined ? [] : [this.#last]
  }

  #remainingMs(): number {
    return this.bindings().reduce(
      (latestMs, { deadline }) => Math.max(latestMs, deadline.remainingMs()),
      Number.NEGATIVE_INFINITY,
    )
  }
}

/** What a participant ties the work to. */
interface Binding {
  readonly deadline: Deadline
  /** The flight whose work takes part. */
  readonly from: SharedFlight | undefined
}

/**
 * The flight whose work the running code is part of. None once it has landed: nobody waits for what
 * outlives it, and a chain of calls that each begin the next must not be kept in memory.
 */
function around(): SharedFlight | undefined {
  const flight = storage().getStore()
  return flight?.landed ? undefined : flight
}

const STORAGE = Symbol.for('steadycall.flights.v1')

/** One storage for all copies of the package, so that they see each other's flights. */
function storage(): AsyncLocalStorage<SharedFlight> {
  return processWide(STORAGE, () => new AsyncLocalStorage<SharedFlight>())
}
