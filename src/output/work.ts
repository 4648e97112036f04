/** Work in pieces: it yields at intervals. Run it with `atOnce`, or with `inTurns` to let other tasks run. */
export type Resting<T> = Generator<undefined, T, undefined>

/** Does the work without pausing. */
export function atOnce<T>(work: Resting<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/** Does the work and awaits `rest` at every pause. Rejects with whatever `rest` throws. */
export async function inTurns<T>(work: Resting<T>, rest: () => Promise<void>): Promise<T> {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    await rest()
  }
}

/** Comparing a value with its schema took too many steps; the message says how many. */
export class OutOfSteps extends Error {
  override readonly name = 'OutOfSteps'

  constructor(taken: string) {
    super(`${NOT_FURTHER}: ${taken}`)
  }
}

const NOT_FURTHER = 'not compared further with the schema'

/** Whether this is the message of an `OutOfSteps`. */
export function saysOutOfSteps(message: string): boolean {
  return message.startsWith(NOT_FURTHER)
}

// For a small text, comparing stops after a few tenths of a second (a step takes about 20 to 150 ns); for
// larger ones the limit grows with the length. A list of records takes less than one step per character.
const MIN_STEPS = 1_000_000
const STEPS_PER_CHAR = 4

// A validator cannot pause while it runs, so for a small text it is stopped after about 50 ms.
const MIN_STEPS_AT_ONCE = 400_000
const STEPS_AT_ONCE_PER_CHAR = 3

// A problem takes about 300 bytes, and a microsecond to record and process.
const MIN_PROBLEMS = 30_000
const CHARS_A_PROBLEM = 4
const MAX_PROBLEMS = 100_000

// A few milliseconds: short enough for other tasks, and long compared to a turn of the event loop.
const STEPS_BEFORE_REST = 50_000

// Characters that a single pass, such as JSON.parse or a validator, processes in the time of one step.
const CHARS_A_STEP = 16

/**
 * Measures the work done for one text. Reading is linear in its length and counted only to know when to
 * pause. Comparing a value with a schema can take any number of steps, so these are limited.
 */
export class Work {
  /** The maximum number of steps for comparing. */
  readonly limit: number
  /** What the parser has spent on the text, which its own limits bound. */
  readonly reading = { stretches: 0, steps: 0, pieces: 0, chars: 0 }
  readonly #atOnce: number
  readonly #problems: number
  readonly #length: number
  #left: number
  #spentSinceRest = 0
  #sinceRest = 0

  constructor(text: string) {
    const { length } = text
    this.limit = MIN_STEPS + STEPS_PER_CHAR * length
    this.#atOnce = MIN_STEPS_AT_ONCE + STEPS_AT_ONCE_PER_CHAR * length
    this.#problems = Math.min(MIN_PROBLEMS + length / CHARS_A_PROBLEM, MAX_PROBLEMS)
    this.#length = length
    this.#left = this.limit
  }

  /** @throws {OutOfSteps} if no steps are left in total, or none before the next pause. */
  spend(steps: number): void {
    this.#left -= steps
    this.#sinceRest += steps
    this.#spentSinceRest += steps
    if (this.#left >= 0 && this.#spentSinceRest <= this.#atOnce) return
    const limit = this.#left < 0 ? this.limit : this.#atOnce
    throw new OutOfSteps(`that takes more than ${limit} steps`)
  }

  /** Limits the number of problems collected so far. @throws {OutOfSteps} if there are too many. */
  note(problems: number): void {
    if (problems <= this.#problems) return
    throw new OutOfSteps(`more than ${Math.floor(this.#problems)} problems`)
  }

  /** Counts work that is linear in the text. Returns true when it is time to pause. */
  did(steps: number): boolean {
    this.#sinceRest += steps
    return this.mayRest()
  }

  /** Like `did`, for one pass over the whole text. */
  didAll(): boolean {
    return this.did(this.#length / CHARS_A_STEP)
  }

  /** Returns true once whenever enough work was done since the last pause. */
  mayRest(): boolean {
    if (this.#sinceRest < STEPS_BEFORE_REST) return false
    this.#sinceRest = 0
    this.#spentSinceRest = 0
    return true
  }
}
