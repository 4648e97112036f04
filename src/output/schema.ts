import type { OutputIssue } from '../errors/call-error.ts'
import { engineFor } from './engines.ts'
import type { StandardIssue, StandardProps, StandardResult } from './infer.ts'
import { issuesOf, MAX_ISSUES } from './issues.ts'
import { childPath, valueAt } from './json-value.ts'
import { refuseOldLibraries, standardJsonSchema, standardProps } from './library-schema.ts'
import type { ErrorObject, RegExpEngine, SchemaEngine } from './schema-engine.ts'
import { isOpen } from './schema-part.ts'
import { ofNearestBranches } from './union-errors.ts'
import { atOnce, OutOfSteps, type Resting, Work } from './work.ts'

/** A schema made ready for checking answers. */
export interface CompiledSchema {
  /**
   * What the model is asked to produce: the user's JSON Schema, or a Standard Schema's input
   * side. A copy; do not change it.
   */
  readonly jsonSchema: object
  /**
   * What is wrong with a value, at most twelve issues; empty when it is valid. Where that takes more
   * steps than `work` allows (a million by default), one of them says so.
   */
  validate(value: unknown, work?: Work): readonly OutputIssue[]
  /**
   * The rest of a Standard Schema's work on a value that `validate` accepts: its refinements,
   * defaults and transforms. The value itself for a plain JSON Schema. Throws or rejects with what
   * the user's own transform throws.
   */
  finish(value: unknown): Promise<Finished> | Finished
}

export type Finished =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly issues: readonly OutputIssue[] }

/**
 * Compiles a JSON Schema (an object or a boolean), or a Standard Schema that can give its JSON
 * Schema. The draft is read from `$schema`: draft-07 (also for draft-06), 2019-09 or 2020-12.
 * Without it 2020-12 is tried first, then draft-07, which alone knows an array of `items`.
 *
 * `regExp` makes the regular expressions of `pattern` and `patternProperties`.
 *
 * Compiled schemas are kept per object, and validators per schema text, so that a schema built
 * anew for each call compiles once. Changing a schema object after its first use has no effect.
 *
 * @throws TypeError when it is no schema, too large (1 MiB of JSON, 100 levels), or one that AJV
 * cannot compile.
 */
export function compileSchema(schema: unknown, regExp?: RegExpEngine): CompiledSchema {
  if (schema instanceof SchemaValidator) return schema
  if (typeof schema === 'boolean') {
    return new SchemaValidator(schema ? {} : { not: {} }, undefined, regExp)
  }
  if ((typeof schema !== 'object' && typeof schema !== 'function') || schema === null) {
    throw new TypeError(
      `schema: expected a JSON Schema or a Standard Schema, got ${kindOf(schema)}`,
    )
  }
  const compiled = compiledWith.get(regExp ?? NO_REGEXP) ?? new WeakMap<object, SchemaValidator>()
  compiledWith.set(regExp ?? NO_REGEXP, compiled)
  const known = compiled.get(schema)
  if (known !== undefined) return known
  const standard = standardProps(schema)
  const created = new SchemaValidator(
    standard === undefined ? plainSchema(schema) : standardJsonSchema(schema, standard, saysItself),
    standard,
    regExp,
  )
  compiled.set(schema, created)
  return created
}

const compiledWith = new WeakMap<object, WeakMap<object, SchemaValidator>>()
const NO_REGEXP = {}

/** What `compileSchema` makes; the rest of this folder also asks it about parts of the schema. */
export class SchemaValidator implements CompiledSchema {
  readonly jsonSchema: object
  /** It may take a number without looking at it. */
  readonly isOpen: boolean
  readonly #engine: SchemaEngine
  readonly #standard: StandardProps | undefined
  readonly #regExp: RegExpEngine
  readonly #patterns = new Map<string, { test(text: string): boolean }>()

  constructor(
    jsonSchema: object,
    standard: StandardProps | undefined,
    regExp: RegExpEngine | undefined,
  ) {
    const text = serialized(jsonSchema)
    this.#engine = engineFor(text, regExp)
    // As AJV saw it: no getters, no toJSON, and out of the user's reach. It is an object's text.
    this.jsonSchema = JSON.parse(text)
    this.isOpen = isOpen(this.jsonSchema)
    this.#standard = standard
    this.#regExp = regExp ?? ((pattern, flags) => new RegExp(pattern, flags))
  }

  validate(value: unknown, work: Work = new Work('')): readonly OutputIssue[] {
    return atOnce(this.issuesWith(value, work))
  }

  /** `validate`, with a rest between its runs of the validator. */
  *issuesWith(value: unknown, work: Work): Resting<readonly OutputIssue[]> {
    try {
      if (this.accepts(value, work)) return []
    } catch (error) {
      return [outOfSteps(error)]
    }
    if (work.didAll()) yield
    try {
      const errors = this.errorsAt('', value, work)
      if (work.didAll()) yield
      return issuesOf(ofNearestBranches(errors, this.jsonSchema, this.#engine, work))
    } catch (error) {
      const first = this.#firstIssues(value)
      // A branch with a dynamic reference cannot be asked alone: AJV then goes round without an end.
      if (error instanceof RangeError && first.length > 0) return first.slice(0, 1)
      return [...first, outOfSteps(error)]
    }
  }

  /** What can be said where listing all issues would take too long. */
  #firstIssues(value: unknown): readonly OutputIssue[] {
    const errors = this.#engine.firstErrors(value)
    const shown = errors.slice(0, MAX_FIRST_ERRORS)
    const seen = shown.map((error) => ({ ...error, data: valueAt(value, error.instancePath) }))
    return issuesOf(seen).slice(0, MAX_ISSUES - 1)
  }

  finish(value: unknown): Promise<Finished> | Finished {
    if (this.#standard?.validate === undefined) return { ok: true, value }
    const result = this.#standard.validate(value)
    return 'then' in result ? Promise.resolve(result).then(finishedWith) : finishedWith(result)
  }

  /** `finish` for a schema that works synchronously; a TypeError for another. */
  finishNow(value: unknown): Finished {
    if (this.#standard?.validate === undefined) return { ok: true, value }
    const result = this.#standard.validate(value)
    if (!('then' in result)) return finishedWith(result)
    // Nobody is left to hear of its rejection.
    result.then(undefined, () => {})
    throw new TypeError('schema: validates asynchronously, which needs `finish` of compileSchema')
  }

  /** @throws {OutOfSteps} */
  accepts(value: unknown, work: Work): boolean {
    return this.#engine.accepts(value, work)
  }

  /** Is this pattern of the schema found in the text? AJV has compiled it with the same flag. */
  fits(pattern: string, text: string): boolean {
    const expression = this.#patterns.get(pattern) ?? this.#regExp(pattern, 'u')
    this.#patterns.set(pattern, expression)
    return expression.test(text)
  }

  /** AJV's own errors for one part of the schema, `''` for the whole. @throws {OutOfSteps} */
  errorsAt(pointer: string, value: unknown, work: Work): readonly ErrorObject[] {
    return this.#engine.errorsAt(pointer, value, work)
  }
}

// Of a recursive union they are one for each level, with a path as long as the level is deep.
const MAX_FIRST_ERRORS = 20

/** @throws any other error. */
function outOfSteps(error: unknown): OutputIssue {
  if (error instanceof OutOfSteps) return { path: '', message: error.message }
  throw error
}

function finishedWith(result: StandardResult<unknown>): Finished {
  return result.issues === undefined
    ? { ok: true, value: result.value }
    : { ok: false, issues: result.issues.slice(0, MAX_ISSUES).map(fromStandardIssue) }
}

function fromStandardIssue({ path = [], message }: StandardIssue): OutputIssue {
  const keys = path.map((segment) =>
    typeof segment === 'object' ? String(segment.key) : String(segment),
  )
  return { path: keys.reduce(childPath, ''), message: message.slice(0, MAX_STANDARD_MESSAGE) }
}

const MAX_STANDARD_MESSAGE = 400

function plainSchema(schema: object): object {
  refuseOldLibraries(schema)
  if (typeof schema === 'function' || Array.isArray(schema) || !isPlain(schema)) {
    throw new TypeError(
      `schema: expected a JSON Schema or a Standard Schema, got ${kindOf(schema)}`,
    )
  }
  const keys = Object.keys(schema)
  // AJV ignores what it does not know, so that { name: … } would accept any answer at all.
  if (keys.length > 0 && !keys.some((key) => KEYWORDS.has(key))) {
    throw new TypeError(
      'schema: no JSON Schema keyword in it; wrap fields in { type: "object", properties }',
    )
  }
  return schema
}

/** A JSON Schema that a library has made with the caller's options, and can make no more without these. */
function saysItself(schema: object): boolean {
  return isPlain(schema) && Object.keys(schema).some((key) => KEYWORDS.has(key))
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  // The second test holds for plain objects of another realm too.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an instance of a class' : `a ${typeof value}`
}

// Validation and annotation keywords of draft-07, 2019-09 and 2020-12 that can open a schema.
const KEYWORDS: ReadonlySet<string> = new Set(
  (
    '$schema $id $ref $defs $anchor $comment $dynamicRef $dynamicAnchor $recursiveRef $recursiveAnchor ' +
    'definitions title description default examples deprecated readOnly writeOnly ' +
    'type enum const not allOf anyOf oneOf if then else ' +
    'properties required additionalProperties patternProperties propertyNames minProperties ' +
    'maxProperties dependencies dependentRequired dependentSchemas unevaluatedProperties ' +
    'items prefixItems additionalItems contains minContains maxContains minItems maxItems ' +
    'uniqueItems unevaluatedItems minimum maximum exclusiveMinimum exclusiveMaximum multipleOf ' +
    'minLength maxLength pattern format contentEncoding contentMediaType contentSchema nullable'
  ).split(' '),
)

const MAX_SCHEMA_CHARS = 1024 * 1024
const MAX_SCHEMA_DEPTH = 100

/** The schema as JSON. AJV turns a schema into code, so its size is bounded first. */
function serialized(schema: object): string {
  checkSize(schema, 0, { nodes: 0 })
  const text = jsonOf(schema)
  if (text.length > MAX_SCHEMA_CHARS) throw new TypeError(TOO_LARGE)
  return text
}

// Counted, not only measured in depth: an object that is shared by two others at each of a hundred
// levels is small in memory and endless as JSON.
function checkSize(value: unknown, depth: number, seen: { nodes: number }): void {
  if (typeof value !== 'object' || value === null) return
  seen.nodes += 1
  if (depth > MAX_SCHEMA_DEPTH) throw new TypeError(TOO_DEEP)
  if (seen.nodes > MAX_SCHEMA_CHARS / 2) throw new TypeError(TOO_LARGE)
  for (const child of Object.values(value)) checkSize(child, depth + 1, seen)
}

const TOO_DEEP = `schema: nested more than ${MAX_SCHEMA_DEPTH} levels deep, or circular`
const TOO_LARGE = 'schema: larger than 1 MiB of JSON'

function jsonOf(schema: object): string {
  try {
    return JSON.stringify(schema)
  } catch (cause) {
    throw new TypeError(`schema: not JSON: ${messageOf(cause)}`, { cause })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
