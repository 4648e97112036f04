import { AsyncLocalStorage } from 'node:async_hooks'
import type { CallErrorInit } from '../errors/call-error.ts'
import { processWide } from '../process-wide.ts'
import type { Deadline } from '../time.ts'
import type { FailureNotice, Store } from './store.ts'

/** A caller taking part in a flight. */
export interface Participant {
  readonly deadline: Deadline
  readonly onUncertain: 'rerun' | 'fail'
  /** Called if an owner outside this process holds the key; its lease ends in this time unless renewed. */
  waiting?(leaseLeftMs: number): void
}

/** How a flight ended for the joiners, whose own work it did not run. */
export type SharedEnd =
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
  /** Each joiner gets an error object of its own, created from `init`. */
  | { readonly type: 'error'; readonly init: CallErrorInit }
  /** It ended for a reason that does not concern the joiners: those with time left start over. */
  | { readonly type: 'again' }

export const AGAIN: SharedEnd = { type: 'again' }

/** Flights by store, so that two stores never mix, and by key. */
export type Flights = Map<Store, Map<string, InFlight>>

/** A flight, and the end that its joiners wait for. */
export interface InFlight {
  readonly flight: SharedFlight
  readonly end: Promise<SharedEnd>
}

/**
 * A key being claimed or worked on in this process, shared by all callers that need it. It does not belong
 * to the caller that started it: it lasts as long as its most patient participant, and is abandoned when the
 * last one leaves.
 */
export class SharedFlight {
  readonly fingerprint: string
  /** Identifies the call that started the flight, for the traces of joiners. */
  readonly origin: string | undefined
  /** The latest of the participants' deadlines. */
  readonly deadline: Deadline
  /** Whether the work may have left this process. */
  dispatched = false
  /** Resolves if joiners can be told the end before the work has ended. */
  readonly toldEarly: Promise<SharedEnd>
  /** Remaining lease time of an owner outside this process, while the flight waits for it. */
  #leaseLeftMs: (() => number) | undefined
  readonly #participants = new Map<Participant, Binding>()
  readonly #abandoned = new AbortController()
  #tellEarly: (end: SharedEnd) => void = () => {}
  #strict = false
  #onStricter: () => void = () => {}
  #ended = false
  /** Binding of the last participant to leave: it applies while there is no other participant. */
  #last: Binding | undefined

  constructor(fingerprint: string, origin?: string) {
    this.fingerprint = fingerprint
    this.origin = origin
    this.deadline = { remainingMs: () => this.#remainingMs() }
    this.toldEarly = new Promise((resolve) => {
      this.#tellEarly = resolve
    })
  }

  /** Tells joiners the end before the work has ended. Only the first call counts. */
  tellEarly(end: SharedEnd): void {
    this.#tellEarly(end)
  }

  /** Aborts if the last participant leaves before the flight has ended. */
  get signal(): AbortSignal {
    return this.#abandoned.signal
  }

  /** The strictest policy requested by any participant, past or present, or by the record. */
  get onUncertain(): 'rerun' | 'fail' {
    return this.#strict ? 'fail' : 'rerun'
  }

  tighten(onUncertain: 'rerun' | 'fail'): void {
    if (onUncertain === 'rerun' || this.#strict) return
    this.#strict = true
    this.#onStricter()
  }

  /** Registers a listener for `onUncertain` becoming stricter. */
  whenStricter(listener: () => void): void {
    this.#onStricter = listener
  }

  join(participant: Participant): void {
    this.#participants.set(participant, { deadline: participant.deadline, from: around() })
    this.tighten(participant.onUncertain)
    if (this.#leaseLeftMs !== undefined) participant.waiting?.(this.#leaseLeftMs())
  }

  /** Whether the flight waits for an owner outside this process. */
  get waiting(): boolean {
    return this.#leaseLeftMs !== undefined
  }

  /** Notifies all participants, present and future, that the flight waits for an owner elsewhere. */
  waitsFor(leaseLeftMs: () => number): void {
    this.#leaseLeftMs = leaseLeftMs
    for (const participant of this.#participants.keys()) participant.waiting?.(leaseLeftMs())
  }

  waitsNoMore(): void {
    this.#leaseLeftMs = undefined
  }

  /** `reason` is the abort reason of the work if this was the last participant. */
  leave(participant: Participant, reason: unknown): void {
    const binding = this.#participants.get(participant)
    if (!this.#participants.delete(participant) || this.#participants.size > 0) return
    this.#last = binding
    if (!this.#ended) this.#abandoned.abort(reason)
  }

  hasOthersThan(participant: Participant): boolean {
    return this.#participants.size > (this.#participants.has(participant) ? 1 : 0)
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Marks the flight as ended: from now on a leaving participant abandons nothing. */
  end(): void {
    this.#ended = true
  }

  /** Runs this flight's work in a context that lets a nested use of the same key be detected. */
  enclose<R>(work: () => R): R {
    return storage.run(this, work)
  }

  /**
   * Whether this flight waits, directly or through other flights, for the code that is running now. If
   * that code waited for this flight in turn, neither could finish.
   */
  get waitsForUs(): boolean {
    // Iterating a Set includes the elements added meanwhile.
    const waiting = new Set([around()])
    for (const flight of waiting) {
      if (flight === this) return true
      for (const { from } of flight?.bindings() ?? []) waiting.add(from)
    }
    return false
  }

  /** The current bindings of the work. Public, because the flight may belong to another copy of this package. */
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

/** What the work is bound to by a participant. */
interface Binding {
  readonly deadline: Deadline
  /** The flight whose work is the participant, if any. */
  readonly from: SharedFlight | undefined
}

/**
 * The flight whose work the running code is part of. None once it has ended: nothing waits for code that
 * outlives it, and a chain of calls, each started by the one before, must not be kept in memory.
 */
function around(): SharedFlight | undefined {
  const flight = storage.getStore()
  return flight?.ended ? undefined : flight
}

const STORAGE = Symbol.for('steadycall.flights.v1')

/** One storage shared by all copies of this package, so that they see each other's flights. */
const storage = processWide(STORAGE, () => new AsyncLocalStorage<SharedFlight>())
