import type { Ajv, Options, ValidateFunction } from 'ajv'
import { addEnum, MAX_INLINE_MEMBERS } from './enum-members.ts'
import { addUniqueItems, childPath, isRecord, own } from './json-value.ts'
import { metaSchemasFor } from './library-schema.ts'
import {
  addFormats,
  type CodeGeneration,
  codeGeneration,
  draft7,
  draft2019,
  draft2020,
} from './load-ajv.ts'
import { type Draft, parseSchema, type RegExpEngine, type SchemaEngine } from './schema-engine.ts'
import { explodes, partsIn, REFERENCES, recurs } from './schema-part.ts'
import type { Work } from './work.ts'

/**
 * Prepares AJV for a schema given as JSON text. The returned function compiles the schema; it throws a
 * TypeError if the schema is invalid.
 * @throws {NotLoaded}
 */
export function ajvCompiler(
  text: string,
  draft: Draft,
  regExp: RegExpEngine | undefined,
): () => SchemaEngine {
  const settings: Options = {
    ...(regExp === undefined ? {} : { code: { regExp: asAjvTakes(regExp) } }),
    ownProperties: mentionsInherited(text),
  }
  const checker = checkerOf(draft)
  const meter = new StepMeter()
  const ajv = newAjv(draft, settings, meter)
  return () => {
    checkSchema(parseSchema(text), checker)
    const schema = parseSchema(text)
    const isCounted = recurs(schema)
    const allErrors = !explodes(schema)
    // Validators without recursion run in time linear in the value, so they skip the cost of counting.
    if (isCounted) withSteps(schema, 'references')
    const accepts = validatorOf(withSchema(ajv, schema, draft), '')
    return {
      accepts: (value, work) =>
        isCounted ? meter.counted(work, () => accepts(value)) === true : accepts(value) === true,
      firstErrors: (value, work) =>
        meter.counted(work, () => (accepts(value) ? [] : (accepts.errors ?? []))),
      ...explaining(text, draft, { ...settings, allErrors }, meter),
    }
  }
}

/** Lists errors. Compiled only after a value has failed. */
function explaining(
  text: string,
  draft: Draft,
  options: Options,
  meter: StepMeter,
): Pick<SchemaEngine, 'errorsAt' | 'pointerOf'> {
  let explainer: { readonly ajv: Ajv; readonly schema: object } | undefined
  let pointers: ReadonlyMap<object, string> | undefined
  return {
    errorsAt(pointer, value, work) {
      explainer ??= explainerOf(text, draft, options, meter)
      const validate = validatorOf(explainer.ajv, pointer)
      return meter.counted(work, () => (validate(value) ? [] : (validate.errors ?? [])))
    },
    pointerOf(part) {
      pointers ??= pointersInto(explainer?.schema ?? {})
      return pointers.get(part)
    },
  }
}

function explainerOf(text: string, draft: Draft, options: Options, meter: StepMeter) {
  const schema = parseSchema(text)
  withSteps(schema, 'all')
  const code = { ...options.code, process: withErrorsAppended }
  const ajv = newAjv(draft, { ...options, code, verbose: true }, meter)
  return { ajv: withSchema(ajv, schema, draft), schema }
}

/**
 * After each reference AJV copies all errors so far, which takes quadratic time. Never applied to the code
 * that gives verdicts, because a string of the schema may contain the same characters.
 */
function withErrorsAppended(code: string): string {
  return code.replace(
    /\bvErrors\.concat\(([\w.]+)\)/g,
    (_, added: string) => `(${added}.forEach(error => vErrors.push(error)), vErrors)`,
  )
}

/** Maps each part of a schema to its JSON Pointer. AJV's errors contain the parts, but paths relative to them. */
export function pointersInto(schema: object): ReadonlyMap<object, string> {
  const pointers = new Map<object, string>()
  const visit = (part: unknown, pointer: string): void => {
    if (typeof part !== 'object' || part === null) return
    pointers.set(part, pointer)
    for (const [key, child] of Object.entries(part)) visit(child, childPath(pointer, key))
  }
  visit(schema, '')
  return pointers
}

/** A separate instance per schema, so that schemas of different users cannot clash by $id or outlive their use. */
function newAjv(draft: Draft, options: Options, meter: StepMeter): Ajv {
  const ajv = construct(draft, { ...OPTIONS, ...options, meta: false, validateSchema: false })
  addFormats()(ajv)
  addEnum(ajv, codeGeneration())
  addUniqueItems(ajv, meter.spend)
  meter.addTo(ajv, codeGeneration())
  return ajv
}

function withSchema(ajv: Ajv, schema: object, draft: Draft): Ajv {
  for (const metaSchema of metaSchemasFor(schema, draft, metaSchemasOf)) ajv.addSchema(metaSchema)
  return ajv.addSchema(schema, ROOT)
}

/** AJV tells expressions apart by their text, and needs a name for the function in its generated code. */
function asAjvTakes(regExp: RegExpEngine): NonNullable<NonNullable<Options['code']>['regExp']> {
  const make = (pattern: string, flags: string) => {
    const made = regExp(pattern, flags)
    const test = (text: string) => made.test(text)
    return { test, toString: () => `/${pattern}/${flags}` }
  }
  // AJV calls only `test`, so an object with `test` is enough.
  return Object.assign(make, { code: 'regExp' }) as never
}

function validatorOf(ajv: Ajv, pointer: string): ValidateFunction {
  const validate = ajv.getSchema(`${ROOT}#${encodeURI(pointer)}`)
  if (validate === undefined) throw new TypeError('a part of it cannot be resolved')
  return validate
}

const OPTIONS: Options = {
  strict: false,
  // 1e400 parses as Infinity, which JSON cannot express. `strict: false` would turn this check off.
  strictNumbers: true,
  validateFormats: true,
  logger: false,
}

const ROOT = 'root'

// AJV would read an inherited `data.constructor` if a schema names that property. Checking for own
// properties prevents this, but slows down every validator, so it is enabled only for such schemas.
function mentionsInherited(text: string): boolean {
  return Object.getOwnPropertyNames(Object.prototype).some((name) => text.includes(`"${name}"`))
}

/** One per draft, because compiling a meta-schema costs far more than compiling most schemas. */
const checkers = new Map<Draft, Ajv>()

function checkerOf(draft: Draft): Ajv {
  const checker = checkers.get(draft) ?? construct(draft, OPTIONS)
  checkers.set(draft, checker)
  return checker
}

function checkSchema(schema: object, checker: Ajv): void {
  if (checker.validateSchema(schema) !== true) {
    throw new TypeError(checker.errorsText(checker.errors, { dataVar: 'schema' }))
  }
}

/** The meta-schema of a draft and the vocabularies it consists of, as AJV ships them. */
export function metaSchemasOf(draft: Draft): ReadonlyMap<string, object> {
  const metaSchemas = new Map<string, object>()
  for (const [address, added] of Object.entries(checkerOf(draft).schemas)) {
    if (typeof added?.schema === 'object') metaSchemas.set(address, added.schema)
  }
  return metaSchemas
}

const CLASSES = { 'draft-07': draft7, '2019-09': draft2019, '2020-12': draft2020 } as const

function construct(draft: Draft, options: Options): Ajv {
  const Class = CLASSES[draft]()
  return new Class(options)
}

/**
 * Counts the steps of a running validator, one for each part of the schema applied to a value, so that its
 * running time and its list of errors stay bounded.
 */
class StepMeter {
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
function withSteps(schema: unknown, only: 'all' | 'references'): void {
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
