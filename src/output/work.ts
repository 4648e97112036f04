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

  constructor(taken: string) {
    super(`${NOT_FURTHER}: ${taken}`)
  }
}

const NOT_FURTHER = 'not compared further with the schema'

/** Is it the message of an `OutOfSteps`? */
export function saysOutOfSteps(message: string): boolean {
  return message.startsWith(NOT_FURTHER)
}

// Of a small text comparing is given up after a few tenths of a second, as a step takes some 20 to 150 ns,
// and beyond that the time is linear in its length. A list of records takes less than one step a character.
const MIN_STEPS = 1_000_000
const STEPS_PER_CHAR = 4

// A validator cannot rest while it runs: of a small text it is stopped after some 50 ms.
const MIN_STEPS_AT_ONCE = 400_000
const STEPS_AT_ONCE_PER_CHAR = 3

// A problem takes some 300 bytes, and a microsecond to note and to look through.
const MIN_PROBLEMS = 30_000
const CHARS_A_PROBLEM = 4
const MAX_PROBLEMS = 100_000

// Some milliseconds, so that nobody else waits long, and a turn of the event loop costs nothing beside it.
const STEPS_BEFORE_REST = 50_000

// What goes through a text once, such as JSON.parse or a validator, takes the time of a step for so much.
const CHARS_A_STEP = 16

/**
 * How much has been done for one text. Reading it is linear in its length, and is only counted to know
 * when to rest. Comparing a value with a schema can take any number of steps, so these are limited.
 */
export class Work {
  /** The most steps that comparing may take. */
  readonly limit: number
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

  /** @throws {OutOfSteps} when all are spent, or as many as may be before the next rest. */
  spend(steps: number): void {
    this.#left -= steps
    this.#sinceRest += steps
    this.#spentSinceRest += steps
    if (this.#left >= 0 && this.#spentSinceRest <= this.#atOnce) return
    const limit = this.#left < 0 ? this.limit : this.#atOnce
    throw new OutOfSteps(`that takes more than ${limit} steps`)
  }

  /** Problems are collected until all are known. @throws {OutOfSteps} when they are too many. */
  note(problems: number): void {
    if (problems <= this.#problems) return
    throw new OutOfSteps(`more than ${Math.floor(this.#problems)} problems`)
  }

  /** Counts what is linear in the text anyway. True when it is time to rest. */
  did(steps: number): boolean {
    this.#sinceRest += steps
    return this.mayRest()
  }

  /** The same for what went through the whole text at once. */
  didAll(): boolean {
    return this.did(this.#length / CHARS_A_STEP)
  }

  /** True, once, when enough was done since the last time. */
  mayRest(): boolean {
    if (this.#sinceRest < STEPS_BEFORE_REST) return false
    this.#sinceRest = 0
    this.#spentSinceRest = 0
    return true
  }
}
