import type { Ajv } from 'ajv'
import { MAX_INLINE_MEMBERS } from './enum-members.ts'
import { isRecord, own } from './json-value.ts'
import type { CodeGeneration } from './load-ajv.ts'
import { partsIn, REFERENCES } from './schema-part.ts'
import type { Work } from './work.ts'

/**
 * Counts the steps of a running validator, one for each part of the schema applied to a value, so that its
 * running time and its list of errors stay bounded.
 */
export class StepMeter {
  #work: Work | undefined

  /** Runs a function and counts its steps towards `work`. @throws {OutOfSteps} */
  counted<T>(work: Work | undefined, run: () => T): T {
    const outer = this.#work
    this.#work = work
    try {
      return run()
    } finally {
      this.#work = outer
    }
  }

  /** Counts steps that one of our own keywords takes in addition. @throws {OutOfSteps} */
  readonly spend = (steps: number): void => spend(this.#work, steps, 0)

  /** Makes the validators of this AJV count steps, for schemas prepared by `withSteps`. */
  addTo(ajv: Ajv, { _, Name: NameOf }: CodeGeneration): void {
    const step = (steps: number, errors: number): void => spend(this.#work, steps, errors)
    ajv.addKeyword({
      keyword: STEPS,
      // A recursion has to be counted before it is entered, hence before `$ref`.
      before: ajv.getKeyword('$dynamicRef') === false ? '$ref' : '$dynamicRef',
      code({ gen, schema }) {
        const stepped = gen.scopeValue('func', { ref: step })
        // `errors` is AJV's own variable for the number of errors so far.
        gen.code(_`${stepped}(${Number(schema)}, ${new NameOf('errors')})`)
      },
    })
  }
}

/** @throws {OutOfSteps} if a limit is exceeded. */
export function spend(work: Work | undefined, steps: number, errors: number): void {
  work?.spend(steps)
  work?.note(errors)
}

const STEPS = 'steadycall-steps'

/**
 * Marks the parts of a schema to be counted, changing it in place: either all parts, or only those that
 * refer to another part. Every recursion and every recursive union goes through one of the latter.
 */
export function withSteps(schema: unknown, only: 'all' | 'references'): void {
  if (!isRecord(schema)) return
  const marked = schema as Record<string, unknown>
  for (const [, part] of partsIn(schema)) withSteps(part, only)
  const refers = REFERENCES.some((keyword) => typeof own(schema, keyword) === 'string')
  if (only === 'all' || refers) marked[STEPS] = stepsOf(schema)
}

/** Every required name can cause an error of its own; the other lists are traversed for each value. */
export function stepsOf(schema: object): number {
  const patterns = Object.keys(Object(own(schema, 'patternProperties'))).length
  const members = Math.min(listIn(schema, 'enum').length, MAX_INLINE_MEMBERS)
  return 1 + listIn(schema, 'required').length + patterns + members / 8
}

function listIn(schema: object, keyword: string): readonly unknown[] {
  const list = own(schema, keyword)
  return Array.isArray(list) ? list : []
}
