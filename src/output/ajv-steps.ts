import type { Ajv, Name, _ as Template } from 'ajv'
import { MAX_INLINE_MEMBERS } from './enum-members.ts'
import { isRecord, own } from './json-value.ts'
import { partsIn, REFERENCES } from './schema-part.ts'
import type { Work } from './work.ts'

/** What AJV's code is written with. */
export interface CodeGeneration {
  readonly _: typeof Template
  readonly Name: typeof Name
}

/**
 * Counts the steps of a validator while it runs: one for each part of the schema and each value that it
 * is held against, so that neither its time nor its list of errors is without end.
 */
export class StepMeter {
  #work: Work | undefined

  /** Counted for `work` until it returns. @throws {OutOfSteps} */
  counted<T>(work: Work | undefined, run: () => T): T {
    const outer = this.#work
    this.#work = work
    try {
      return run()
    } finally {
      this.#work = outer
    }
  }

  /** Counts what a keyword of ours does beyond looking at a value once. @throws {OutOfSteps} */
  readonly spend = (steps: number): void => spend(this.#work, steps, 0)

  /** Makes the validators of this AJV count, for schemas that went through `withSteps`. */
  addTo(ajv: Ajv, { _, Name: NameOf }: CodeGeneration): void {
    const step = (steps: number, errors: number): void => spend(this.#work, steps, errors)
    ajv.addKeyword({
      keyword: STEPS,
      // Before a reference is followed: a recursion has to count before it goes down.
      before: ajv.getKeyword('$dynamicRef') === false ? '$ref' : '$dynamicRef',
      code({ gen, schema }) {
        const stepped = gen.scopeValue('func', { ref: step })
        // AJV's own name for the number of errors so far.
        gen.code(_`${stepped}(${Number(schema)}, ${new NameOf('errors')})`)
      },
    })
  }
}

/** @throws {OutOfSteps} for one step or one error too many. */
export function spend(work: Work | undefined, steps: number, errors: number): void {
  work?.spend(steps)
  work?.note(errors)
}

const STEPS = 'steadycall-steps'

/**
 * Marks what is to be counted in a schema, which is changed: every part of it, or those that refer to
 * another part only. No recursion and no union of many branches is without these.
 */
export function withSteps(schema: unknown, only: 'all' | 'references'): void {
  if (!isRecord(schema)) return
  const marked = schema as Record<string, unknown>
  for (const [, part] of partsIn(schema)) withSteps(part, only)
  const refers = REFERENCES.some((keyword) => typeof own(schema, keyword) === 'string')
  if (only === 'all' || refers) marked[STEPS] = stepsOf(schema)
}

/** A missing property is an error each; other lists are gone through for each value. */
export function stepsOf(schema: object): number {
  const patterns = Object.keys(Object(own(schema, 'patternProperties'))).length
  const members = Math.min(listIn(schema, 'enum').length, MAX_INLINE_MEMBERS)
  return 1 + listIn(schema, 'required').length + patterns + members / 8
}

function listIn(schema: object, keyword: string): readonly unknown[] {
  const list = own(schema, keyword)
  return Array.isArray(list) ? list : []
}
