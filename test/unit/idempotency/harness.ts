import { CallError } from '../../../src/errors/call-error.ts'
import type { FailureKind } from '../../../src/errors/failure-kinds.ts'
import type { Flights } from '../../../src/idempotency/flight.ts'
import { once } from '../../../src/idempotency/once.ts'
import type {
  Flight,
  OnceRequest,
  OnceResult,
  Sending,
  WorkOutcome,
} from '../../../src/idempotency/protocol.ts'
import type { Store } from '../../../src/idempotency/store.ts'
import { memoryStore } from '../../../src/stores/memory-store.ts'
import { type Deadline, deadlineAfter } from '../../../src/time.ts'
import { settle, VirtualClock } from './virtual-clock.ts'

/** What a caller gets, in a form that tests can compare. */
export type Answer =
  | Pick<OnceResult<string>, 'value' | 'source' | 'persisted'>
  | { readonly failed: FailureKind | string; readonly source?: string }

/** A machine's processes: each with flights of its own, all on one store and one clock. */
export class World {
  readonly clock = new VirtualClock()
  readonly store: Store
  readonly work: Job[] = []

  constructor(store?: (clock: VirtualClock) => Store) {
    this.store = store?.(this.clock) ?? memoryStore({ clock: this.clock })
  }

  process(changes: Partial<OnceRequest<string>> = {}): Process {
    return new Process(this, changes)
  }
}

export interface CallChanges extends Partial<Omit<OnceRequest<string>, 'deadline'>> {
  readonly deadlineMs?: number
  /** The deadline of the call around this one, which binds it too. */
  readonly outer?: Deadline
}

export class Process {
  readonly flights: Flights = new Map()
  readonly #world: World
  readonly #changes: Partial<OnceRequest<string>>

  constructor(world: World, changes: Partial<OnceRequest<string>>) {
    this.#world = world
    this.#changes = changes
  }

  /** Calls `once` with a job that the test ends by hand. */
  call({ deadlineMs = 60_000, outer, ...changes }: CallChanges = {}): Promise<OnceResult<string>> {
    const { clock, store, work } = this.#world
    const promise = once<string>({
      store,
      flights: this.flights,
      clock,
      random: () => 0.5,
      key: 'k'.repeat(64),
      fingerprint: 'payload',
      onUncertain: 'rerun',
      onStoreError: 'fail',
      ttlMs: 86_400_000,
      deadline: deadlineAfter(clock, deadlineMs, outer),
      work: (flight) => {
        const job = new Job(flight)
        work.push(job)
        return job.outcome
      },
      encode: (value) => JSON.stringify(value),
      decode: (result) => String(JSON.parse(result)),
      failure: (notice, source) => new CallError({ ...notice, message: notice.kind, source }),
      ...this.#changes,
      ...changes,
    })
    // A test may look at a rejection later than it happens.
    promise.catch(() => {})
    return promise
  }
}

/** One run of the work. Ends when told, or when its signal aborts, as well-behaved work does. */
export class Job {
  readonly flight: Flight
  readonly outcome: Promise<WorkOutcome<string>>
  dispatched: 'no' | 'yes' | FailureKind = 'no'
  #end: (outcome: WorkOutcome<string>) => void = () => {}

  constructor(flight: Flight) {
    this.flight = flight
    this.outcome = new Promise((resolve) => {
      this.#end = resolve
    })
    flight.signal.addEventListener('abort', () => {
      const uncertain = this.dispatched === 'yes' && flight.onUncertain === 'fail'
      this.fail('aborted', uncertain ? 'uncertain' : 'release')
    })
  }

  async dispatch(sending?: Sending): Promise<void> {
    try {
      await this.flight.dispatch(sending)
      this.dispatched = 'yes'
    } catch (error) {
      const kind = error instanceof CallError ? error.kind : 'unknown'
      this.dispatched = kind
      this.fail(kind)
    }
  }

  succeed(value: string): void {
    this.#end({ ok: true, value })
  }

  fail(
    kind: FailureKind,
    disposition: 'keep' | 'release' | 'uncertain' = 'release',
    retryAfterMs?: number,
  ): void {
    const notice = { kind, ...(retryAfterMs !== undefined && { retryAfterMs }) }
    const error = new CallError({ kind, message: 'own', source: 'provider' })
    this.#end({ ok: false, error, disposition, notice })
  }
}

export async function answerOf(call: Promise<OnceResult<string>>): Promise<Answer> {
  try {
    return await call
  } catch (error) {
    if (error instanceof CallError) return { failed: error.kind, source: error.source }
    return { failed: String(error) }
  }
}

/** The answer if there is one by now. */
export async function peek(call: Promise<OnceResult<string>>): Promise<Answer | 'pending'> {
  await settle()
  const pending = Symbol('pending')
  const first = await Promise.race([answerOf(call), settle().then(() => pending)])
  return typeof first === 'symbol' ? 'pending' : first
}

/** One machine with one process, its store changed as the test needs it. */
export function setUp(change?: (store: Store) => Store): { world: World; here: Process } {
  const world = new World((clock) => {
    const store = memoryStore({ clock })
    return change?.(store) ?? store
  })
  return { world, here: world.process() }
}

/** The latest run of the work. */
export function latestJob({ work }: World): Job {
  const latest = work.at(-1)
  if (latest === undefined) throw new Error('No work has been begun')
  return latest
}

/** The same store with some verbs replaced. */
export function withVerbs(store: Store, verbs: Partial<Store>): Store {
  return { ...store, ...verbs }
}

export { settle }
