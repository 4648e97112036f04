import type { OutputIssue } from '../errors/call-error.ts'
import { emitProcessWarning, processWide } from '../process-wide.ts'
import { ajvCompiler } from './ajv-engine.ts'
import type { StandardIssue, StandardProps, StandardResult } from './infer.ts'
import { interpreter } from './interpreter/interpreter.ts'
import { issuesOf, MAX_ISSUES, ofNearestBranches, wrongTypeIn } from './issues.ts'
import { childPath, isRecord, mayOverflow, mayRound, own, valueAt } from './json-value.ts'
import { refuseOldLibraries, standardJsonSchema, standardProps } from './library-schema.ts'
import { NotLoaded } from './load-ajv.ts'
import type { Draft, ErrorObject, RegExpEngine, SchemaEngine } from './schema-engine.ts'
import { isOpen } from './schema-part.ts'
import { atOnce, OutOfSteps, type Resting, Work } from './work.ts'

/** A schema prepared for checking answers. */
export interface CompiledSchema {
  /**
   * What the model is asked to produce: the user's JSON Schema, or the input side of a Standard Schema. A
   * copy; do not modify it.
   */
  readonly jsonSchema: object
  /**
   * The issues of a value, at most twelve; empty if it is valid. If checking takes more steps than `work`
   * allows (a million by default), one of the issues says so.
   */
  validate(value: unknown, work?: Work): readonly OutputIssue[]
  /**
   * Runs a Standard Schema's refinements, defaults and transforms on a value that `validate` accepts.
   * Returns the value itself for a plain JSON Schema. Throws or rejects with whatever the user's own
   * transform throws.
   */
  finish(value: unknown): Promise<FinishedSchema> | FinishedSchema
}

export type FinishedSchema =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly issues: readonly OutputIssue[] }

/**
 * Compiles a JSON Schema (an object or a boolean), or a Standard Schema that can convert itself to one. The
 * draft is read from `$schema`: draft-07 (also used for draft-06), 2019-09 or 2020-12. Without `$schema`,
 * 2020-12 is tried first, then draft-07, the only one that allows an array of `items`.
 *
 * `regExp` creates the regular expressions of `pattern` and `patternProperties`.
 *
 * Compiled schemas are cached per object, and validators per schema text, so that a schema built anew for
 * each call is compiled once. Changing a schema object after its first use has no effect.
 *
 * @throws TypeError if it is not a schema, too large (1 MiB of JSON, 100 levels), or cannot be compiled.
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
  const validators = compiledWith.get(regExp ?? NO_REGEXP) ?? new WeakMap<object, SchemaValidator>()
  compiledWith.set(regExp ?? NO_REGEXP, validators)
  const known = validators.get(schema)
  if (known !== undefined) return known
  const standard = standardProps(schema)
  const created = new SchemaValidator(
    standard === undefined ? plainSchema(schema) : standardJsonSchema(schema, standard, saysItself),
    standard,
    regExp,
  )
  validators.set(schema, created)
  return created
}

const compiledWith = new WeakMap<object, WeakMap<object, SchemaValidator>>()
const NO_REGEXP = {}

/** The result of `compileSchema`, with further methods for this folder. */
export class SchemaValidator implements CompiledSchema {
  readonly jsonSchema: object
  /** Whether it may accept a number without checking it. */
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
    // The schema exactly as AJV saw it: without getters or toJSON, and out of the user's reach.
    this.jsonSchema = JSON.parse(text)
    this.isOpen = isOpen(this.jsonSchema)
    this.#standard = standard
    this.#regExp = regExp ?? ((pattern, flags) => new RegExp(pattern, flags))
  }

  validate(value: unknown, work: Work = new Work('')): readonly OutputIssue[] {
    return atOnce(this.issuesWith(value, work))
  }

  /** Like `validate`, but yields between runs of the validator. */
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
      // A branch with a dynamic reference cannot be checked alone: AJV would recurse endlessly.
      if (error instanceof RangeError && first.length > 0) return first.slice(0, 1)
      return [...first, outOfSteps(error)]
    }
  }

  /** The issues that can be reported if listing all of them would take too long. */
  #firstIssues(value: unknown): readonly OutputIssue[] {
    const errors = this.#engine.firstErrors(value)
    const shown = errors.slice(0, MAX_FIRST_ERRORS)
    const seen = shown.map((error) => ({ ...error, data: valueAt(value, error.instancePath) }))
    return issuesOf(seen).slice(0, MAX_ISSUES - 1)
  }

  finish(value: unknown): Promise<FinishedSchema> | FinishedSchema {
    if (this.#standard?.validate === undefined) return { ok: true, value }
    const result = this.#standard.validate(value)
    return 'then' in result ? Promise.resolve(result).then(finishedWith) : finishedWith(result)
  }

  /** Like `finish`, for a schema that works synchronously; throws a TypeError for any other. */
  finishNow(value: unknown): FinishedSchema {
    if (this.#standard?.validate === undefined) return { ok: true, value }
    const result = this.#standard.validate(value)
    if (!('then' in result)) return finishedWith(result)
    // The promise is dropped, so its rejection must not become an unhandled one.
    result.then(undefined, () => {})
    throw new TypeError('schema: validates asynchronously; use compileSchema and its `finish`')
  }

  /** @throws {OutOfSteps} */
  accepts(value: unknown, work: Work): boolean {
    return this.#engine.accepts(value, work)
  }

  /** Whether the text matches this pattern of the schema. AJV compiles it with the same flag. */
  fits(pattern: string, text: string): boolean {
    const expression = this.#patterns.get(pattern) ?? this.#regExp(pattern, 'u')
    this.#patterns.set(pattern, expression)
    return expression.test(text)
  }

  /** AJV's errors for one part of the schema (`''` for the whole). @throws {OutOfSteps} */
  errorsAt(pointer: string, value: unknown, work: Work): readonly ErrorObject[] {
    return this.#engine.errorsAt(pointer, value, work)
  }
}

// A recursive union reports one error per level, each with a path as long as the level is deep.
const MAX_FIRST_ERRORS = 20

/** Turns `OutOfSteps` into an issue. @throws any other error. */
function outOfSteps(error: unknown): OutputIssue {
  if (error instanceof OutOfSteps) return { path: '', message: error.message }
  throw error
}

function finishedWith(result: StandardResult<unknown>): FinishedSchema {
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
  // AJV ignores unknown keywords, so { name: … } would accept any answer.
  if (keys.length > 0 && !keys.some((key) => KEYWORDS.has(key))) {
    throw new TypeError(
      'schema: no JSON Schema keyword in it; wrap fields in { type: "object", properties }',
    )
  }
  return schema
}

/** Whether the value is a JSON Schema by itself, produced by a library with options given by the caller. */
function saysItself(schema: object): boolean {
  return isPlain(schema) && Object.keys(schema).some((key) => KEYWORDS.has(key))
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  // The second test accepts plain objects of another realm.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an instance of a class' : `a ${typeof value}`
}

// Validation and annotation keywords of draft-07, 2019-09 and 2020-12 that may occur at the root of a schema.
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

/** The schema as JSON. Its size is limited, because AJV turns it into code. */
function serialized(schema: object): string {
  checkSize(schema, 0, { nodes: 0 })
  const text = jsonOf(schema)
  if (text.length > MAX_SCHEMA_CHARS) throw new TypeError(TOO_LARGE)
  return text
}

// Nodes are counted too: an object shared by two others at each of a hundred levels is small in memory
// but enormous as JSON.
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

/** Validators by schema text, in order of last use. */
const plainEngines = new Map<string, SchemaEngine>()
const enginesWith = new WeakMap<RegExpEngine, Map<string, SchemaEngine>>()
const MAX_ENGINES = 200

/**
 * The validator of a schema, cached by the schema's text.
 * @throws {TypeError} if the schema cannot be compiled. Also throws `NotLoaded`, and a RangeError if
 * compiling overflows the stack.
 */
export function engineFor(text: string, regExp: RegExpEngine | undefined): SchemaEngine {
  const engines = regExp === undefined ? plainEngines : (enginesWith.get(regExp) ?? new Map())
  if (regExp !== undefined) enginesWith.set(regExp, engines)
  const engine: SchemaEngine = engines.get(text) ?? compileEngine(text, regExp)
  engines.delete(text)
  engines.set(text, engine)
  for (const oldest of engines.keys()) {
    if (engines.size <= MAX_ENGINES) break
    engines.delete(oldest)
  }
  return engine
}

function compileEngine(text: string, regExp: RegExpEngine | undefined): SchemaEngine {
  const schema: unknown = JSON.parse(text)
  // AJV's validator of such a schema returns a promise, which is truthy and would mean "valid".
  if (isRecord(schema) && own(schema, '$async') !== undefined) {
    throw new TypeError('schema: $async is not supported')
  }
  let first: unknown
  for (const draft of draftsOf(own(schema, '$schema'))) {
    try {
      return mayGenerateCode()
        ? compiledByBoth(text, draft, regExp)
        : interpreting(text, draft, regExp)
    } catch (error) {
      if (isNoFaultOfTheSchema(error)) throw error
      first ??= error
    }
  }
  const said = wrongTypeIn(schema) ?? (first instanceof Error ? first.message : String(first))
  throw new TypeError(`schema: ${said}`, { cause: first })
}

/** Errors caused by the runtime: code generation is forbidden, the stack overflowed, or AJV is missing. */
function isNoFaultOfTheSchema(error: unknown): boolean {
  return error instanceof NotLoaded || error instanceof EvalError || error instanceof RangeError
}

/** AJV generates code from a schema, which Workers and strict content security policies forbid. */
function mayGenerateCode(): boolean {
  try {
    return typeof new Function('return 0') === 'function'
  } catch {
    return false
  }
}

/**
 * Uses AJV, and switches to the interpreter once AJV fails. Two cases are known: AJV compiles again when
 * the first answer fails, which Workers may forbid even if they allowed the first compilation; and for a
 * few schemas AJV generates faulty code.
 */
function compiledByBoth(
  text: string,
  draft: Draft,
  regExp: RegExpEngine | undefined,
): SchemaEngine {
  const compile = ajvCompiler(text, draft, regExp)
  const ajv = compiled(compile)
  if (ajv === undefined) return interpreting(text, draft, regExp)
  let engine = ajv
  const asked = <T>(ask: (of: SchemaEngine) => T): T => {
    try {
      return ask(engine)
    } catch (error) {
      // The interpreter would overflow the stack or exceed the step limit as well.
      if (error instanceof RangeError || error instanceof OutOfSteps || engine !== ajv) throw error
      if (error instanceof EvalError) sayOnce()
      engine = interpreter(text, draft, regExp)()
      return ask(engine)
    }
  }
  return {
    accepts: (value, work) => asked((of) => of.accepts(value, work)),
    errorsAt: (pointer, value, work) => asked((of) => of.errorsAt(pointer, value, work)),
    firstErrors: (value, work) => asked((of) => of.firstErrors(value, work)),
    pointerOf: (part) => engine.pointerOf(part),
  }
}

/** Undefined if the runtime forbids code generation although `new Function` could be called. */
function compiled(compile: () => SchemaEngine): SchemaEngine | undefined {
  try {
    return compile()
  } catch (error) {
    if (error instanceof EvalError) return undefined
    throw error
  }
}

function interpreting(text: string, draft: Draft, regExp: RegExpEngine | undefined): SchemaEngine {
  sayOnce()
  return interpreter(text, draft, regExp)()
}

function sayOnce(): void {
  const said = processWide(SAID, () => ({ isInterpreting: false }))
  if (said.isInterpreting) return
  said.isInterpreting = true
  emitProcessWarning(
    'This runtime does not allow AJV to generate code, so an interpreter checks the answers: ' +
      'the verdicts are the same, but it is slower.',
    'STEADYCALL_INTERPRETED',
  )
}

const SAID = Symbol.for('steadycall.said.v1')

function draftsOf(dialect: unknown): readonly Draft[] {
  if (dialect === undefined) return ['2020-12', 'draft-07']
  const uri = String(dialect)
  if (/draft-0[67]\b/.test(uri)) return ['draft-07']
  if (uri.includes('2019-09')) return ['2019-09']
  if (uri.includes('2020-12')) return ['2020-12']
  throw new TypeError(`schema: $schema ${uri} is not supported; use draft-07, 2019-09 or 2020-12`)
}

/** JSON that repeats the schema is not data, even if every property is optional. */
export function echoes(value: unknown, { jsonSchema: schema }: SchemaValidator): boolean {
  const repeated = own(value, 'properties')
  if (!isRecord(repeated)) return false
  const declared = own(schema, 'properties')
  if (!isRecord(declared)) return false
  if (own(declared, 'properties') !== undefined || own(value, 'type') !== own(schema, 'type')) {
    return false
  }
  return Object.keys(declared).every((key) => Object.hasOwn(repeated, key))
}

/** A schema that covers every number rejects an overflow to Infinity by itself. */
export function mayBeRounded(text: string, validator: SchemaValidator | undefined): boolean {
  return mayRound(text) || (validator?.isOpen !== false && mayOverflow(text))
}
