import { createRequire } from 'node:module'
import type * as AjvDraft7 from 'ajv'
import type { Ajv, ErrorObject, Options, ValidateFunction } from 'ajv'
import type * as AjvDraft2019 from 'ajv/dist/2019.js'
import type * as AjvDraft2020 from 'ajv/dist/2020.js'
import type * as AjvFormats from 'ajv-formats'
import { StepMeter, withSteps } from './ajv-steps.ts'
import { childPath } from './json-value.ts'
import { explodes } from './recursion.ts'
import { addUniqueItems } from './unique-items.ts'
import type { Work } from './work.ts'

/** A JSON Schema that AJV has compiled. */
export interface SchemaEngine {
  /** @throws {OutOfSteps} where a schema that contains itself takes too many. */
  accepts(value: unknown, work?: Work): boolean
  /**
   * What one part of the schema, named by a JSON Pointer into it, has against the value; empty
   * when it is valid. All errors, or the first only: see `explodes`.
   * @throws {OutOfSteps}
   */
  errorsAt(pointer: string, value: unknown, work?: Work): readonly ErrorObject[]
  /** The first error, without values and parts of the schema, at the price of `accepts`. */
  firstErrors?(value: unknown, work?: Work): readonly ErrorObject[]
  /** Where in the schema the `schema` of such an error stands; undefined for what is no part of it. */
  pointerOf(part: object): string | undefined
}

/**
 * Makes the regular expressions of a schema's patterns, in the place of `new RegExp`: one whose time
 * is linear, such as RE2's, where schemas or patterns come from others. `flags` is `'u'` or `''`.
 */
export type RegExpEngine = (pattern: string, flags: string) => { test(text: string): boolean }

export type Draft = 'draft-07' | '2019-09' | '2020-12'

/**
 * Compiles a schema given as its JSON text.
 *
 * @throws Error as AJV does, when the text is no valid schema of the draft.
 */
export function compileText(
  text: string,
  draft: Draft,
  regExp: RegExpEngine | undefined,
): SchemaEngine {
  const own: Options = regExp === undefined ? {} : { code: { regExp: asAjvTakes(regExp) } }
  checkSchema(parseSchema(text), draft)
  const meter = new StepMeter()
  const schema = parseSchema(text)
  const mayExplode = explodes(schema)
  // Others take a time that is linear in the value anyway, and do not pay for it.
  if (mayExplode) withSteps(schema, 'references')
  const accepts = validatorOf(newAjv(text, schema, draft, own, meter), '')
  // Only where something fails.
  let explaining: { readonly ajv: Ajv; readonly schema: object } | undefined
  let pointers: ReadonlyMap<object, string> | undefined
  return {
    accepts: (value, work) =>
      mayExplode ? meter.counted(work, () => accepts(value)) === true : accepts(value) === true,
    errorsAt(pointer, value, work) {
      explaining ??= explainer(text, draft, { ...own, allErrors: !mayExplode }, meter)
      const validate = validatorOf(explaining.ajv, pointer)
      return meter.counted(work, () => (validate(value) ? [] : (validate.errors ?? [])))
    },
    firstErrors: (value, work) =>
      meter.counted(work, () => (accepts(value) ? [] : (accepts.errors ?? []))),
    pointerOf(part) {
      pointers ??= pointersInto(explaining?.schema ?? {})
      return pointers.get(part)
    },
  }
}

function explainer(text: string, draft: Draft, options: Options, meter: StepMeter) {
  const schema = parseSchema(text)
  withSteps(schema, 'all')
  const ajv = newAjv(text, schema, draft, { ...options, verbose: true }, meter)
  return { ajv, schema }
}

/** AJV's own paths start at whatever part it has compiled; its errors hold the parts themselves. */
function pointersInto(schema: object): ReadonlyMap<object, string> {
  const pointers = new Map<object, string>()
  const visit = (part: unknown, pointer: string): void => {
    if (typeof part !== 'object' || part === null) return
    pointers.set(part, pointer)
    for (const [key, child] of Object.entries(part)) visit(child, childPath(pointer, key))
  }
  visit(schema, '')
  return pointers
}

/** Of its own, so that no two users' schemas meet under one $id, nor outlive their use. */
function newAjv(
  text: string,
  schema: object,
  draft: Draft,
  options: Options,
  meter: StepMeter,
): Ajv {
  const ajv = construct(draft, {
    ...OPTIONS,
    ...options,
    meta: false,
    validateSchema: false,
    ownProperties: mentionsInherited(text),
  })
  // The module is what its declarations say; see `load`.
  const formats = load('ajv-formats') as typeof AjvFormats
  formats.default.default(ajv)
  addUniqueItems(ajv)
  meter.addTo(ajv, load('ajv') as typeof AjvDraft7)
  return ajv.addSchema(schema, ROOT)
}

/** AJV keeps expressions apart by their text, and wants a name for the function in its code. */
function asAjvTakes(regExp: RegExpEngine): NonNullable<NonNullable<Options['code']>['regExp']> {
  const make = (pattern: string, flags: string) => {
    const made = regExp(pattern, flags)
    const test = (text: string) => made.test(text)
    return { test, toString: () => `/${pattern}/${flags}` }
  }
  // Of a RegExp, AJV uses `test` alone.
  return Object.assign(make, { code: 'regExp' }) as never
}

function validatorOf(ajv: Ajv, pointer: string): ValidateFunction {
  const validate = ajv.getSchema(`${ROOT}#${encodeURI(pointer)}`)
  if (validate === undefined) throw new TypeError('a part of it cannot be resolved')
  return validate
}

const OPTIONS: Options = {
  strict: false,
  // 1e400 parses as Infinity, which JSON cannot say: no number. Off where `strict` is.
  strictNumbers: true,
  validateFormats: true,
  logger: false,
}

const ROOT = 'root'

function parseSchema(text: string): object {
  const schema: unknown = JSON.parse(text)
  if (typeof schema !== 'object' || schema === null) throw new TypeError('not an object')
  // Drafts are chosen by us; AJV would look up draft-06 and unknown dialects, and find none.
  Reflect.deleteProperty(schema, '$schema')
  return schema
}

// AJV reads data.constructor where a schema names it, which every object inherits, unless it is
// told to look at own properties, which costs every other schema time.
function mentionsInherited(text: string): boolean {
  return Object.getOwnPropertyNames(Object.prototype).some((name) => text.includes(`"${name}"`))
}

/** One per draft: compiling the meta-schema is far dearer than compiling most users' schemas. */
const checkers = new Map<Draft, Ajv>()

function checkSchema(schema: object, draft: Draft): void {
  const checker = checkers.get(draft) ?? construct(draft, OPTIONS)
  checkers.set(draft, checker)
  if (checker.validateSchema(schema) !== true) {
    throw new TypeError(checker.errorsText(checker.errors, { dataVar: 'schema' }))
  }
}

function construct(draft: Draft, options: Options): Ajv {
  // Each module is what its declarations say; see `load`.
  switch (draft) {
    case 'draft-07': {
      const { Ajv: Draft7 } = load('ajv') as typeof AjvDraft7
      return new Draft7(options)
    }
    case '2019-09': {
      const { Ajv2019 } = load('ajv/dist/2019.js') as typeof AjvDraft2019
      return new Ajv2019(options)
    }
    case '2020-12': {
      const { Ajv2020 } = load('ajv/dist/2020.js') as typeof AjvDraft2020
      return new Ajv2020(options)
    }
  }
}

/**
 * AJV takes some 45 ms to load, so it loads when the first schema is compiled. `parseJson` is
 * synchronous, which leaves `require`: it is the same CommonJS file that `import` would give.
 */
const load = (specifier: string): unknown => createRequire(import.meta.url)(specifier)
