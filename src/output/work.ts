/** Work that rests where it has gone on for a while. Driven by `atOnce`, or with others let in between. */
export type Resting<T> = Generator<undefined, T, undefined>

/** Does the work without resting. */
export function atOnce<T>(work: Resting<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/** Does the work, and awaits `rest` wherever it may rest. Ends with what `rest` throws. */
export async function inTurns<T>(work: Resting<T>, rest: () => Promise<void>): Promise<T> {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    await rest()
  }
}

/** Comparing a value with its schema has taken all it may; the message says so. */
export class OutOfSteps extends Error {
  override readonly name = 'OutOfSteps'
}

// A step takes some 20 to 100 ns: a small text is given up after a tenth of a second, and beyond that
// the time is linear in its length. A list of records takes less than one step for each character.
const MIN_STEPS = 1_000_000
const STEPS_PER_CHAR = 4

// Some milliseconds, so that nobody else waits long, and a turn of the event loop costs nothing beside it.
const STEPS_BEFORE_REST = 50_000

/**
 * How much has been done for one text. Reading it is linear in its length, and is only counted to know
 * when to rest. Comparing a value with a schema can take any number of steps, so these are limited.
 */
export class Work {
  /** The most steps that comparing may take. */
  readonly limit: number
  #left: number
  #sinceRest = 0

  constructor(text: string) {
    this.limit = MIN_STEPS + STEPS_PER_CHAR * text.length
    this.#left = this.limit
  }

  /** @throws {OutOfSteps} when all are spent. */
  spend(steps: number): void {
    this.#left -= steps
    this.#sinceRest += steps
    if (this.#left >= 0) return
    throw new OutOfSteps(
      `not compared further with the schema: that takes more than ${this.limit} steps`,
    )
  }

  /** Counts what is linear in the text anyway. True when it is time to rest. */
  did(steps: number): boolean {
    this.#sinceRest += steps
    return this.mayRest()
  }

  /** True, once, when enough was done since the last time. */
  mayRest(): boolean {
    if (this.#sinceRest < STEPS_BEFORE_REST) return false
    this.#sinceRest = 0
    return true
  }
}
