import type { OutputIssue } from '../errors/call-error.ts'
import {
  aFunction,
  checkOptions,
  number,
  type OptionCheck,
  oneOf,
} from '../options/option-check.ts'
import { type Coerced, coerce } from './coerce.ts'
import type { Allowed } from './coercion.ts'
import { mayOverflow, mayRound } from './exact-number.ts'
import { type Candidate, type Extraction, extract, listOf, MAX_CANDIDATES } from './extract.ts'
import type { InferSchema, SchemaInput } from './infer.ts'
import { withInnerQuotesEscaped } from './inner-quotes.ts'
import { MAX_ISSUES } from './issues.ts'
import { own, sortedJson } from './json-value.ts'
import { KEYWORDS } from './jsonrepair.ts'
import { type FoundIssue, foundAtRoot, SchemaNames, toldOf } from './named-path.ts'
import { type ParsedJson, parseWithSources } from './parse-with-sources.ts'
import { isRefusal, saidAround } from './refusal.ts'
import { allows, type Repair, type RepairLevel, type RepairRule } from './repair-rules.ts'
import { repairSyntax } from './repair-syntax.ts'
import { ASKED_WRAPPER } from './response-format.ts'
import { type CompiledSchema, compileSchema, type SchemaValidator } from './schema.ts'
import type { RegExpEngine } from './schema-engine.ts'
import { looksCut, saysTruncated } from './truncation.ts'
import { echoes, issuesWith } from './value-issues.ts'
import { atOnce, OutOfSteps, type Resting, saysOutOfSteps, Work } from './work.ts'

export type { Repair } from './repair-rules.ts'

export interface ParseOptions {
  /** How much of the text may be repaired. @default 'safe' */
  readonly level?: RepairLevel | undefined
  /** The provider's `finish_reason`. A reason that reports a length limit makes any text `truncated`. */
  readonly finishReason?: string | undefined
  /** The longest text that is read, in UTF-8 bytes. @default 4_194_304 */
  readonly maxBytes?: number | undefined
  /** Creates the regular expressions for the schema's patterns. @default `new RegExp` */
  readonly regExp?: RegExpEngine | undefined
}

export type ParseResult<T> =
  | { readonly ok: true; readonly value: T; readonly repairs: readonly Repair[] }
  | ParseFailure<OutputIssue>

interface ParseFailure<I extends OutputIssue> {
  readonly ok: false
  /**
   * `malformed_output`: no JSON, or more than one answer. `schema_mismatch`: JSON that the schema does not
   * accept. `truncated`: the text ends inside the JSON. `refusal`: the model declined to answer.
   */
  readonly kind: 'malformed_output' | 'schema_mismatch' | 'truncated' | 'refusal'
  readonly issues: readonly I[]
}

/** The type of a valid value for a schema, compiled or not; `unknown` if it cannot be inferred. */
export type ParsedBy<S> = S extends CompiledSchema ? unknown : InferSchema<S>

/**
 * Reads a model's answer as JSON and checks it against a schema. A text that is valid as it stands is
 * parsed and returned without changes; every change made to another text is listed in `repairs`. Never
 * completes a truncated text, invents a required value, or rounds an integer. In paths, names that do not
 * occur in the schema are replaced by `*`, because they are the model's own text.
 *
 * Runs in time linear in the text: comparing an answer with the schema stops after a million steps plus
 * four per character, and reports an issue that says so.
 *
 * A Standard Schema's own refinements and transforms run last, and `value` is their output. For a compiled
 * schema, call its `finish` instead.
 *
 * @throws TypeError if the schema is invalid or validates asynchronously, or if an option is invalid; never
 * because of the text.
 *
 * @example
 * const answer = parseJson('The age is {"age": "36",}', {
 *   type: 'object', properties: { age: { type: 'integer' } }, required: ['age'],
 * })
 * // value { age: 36 }; repairs strip-prose, fix-syntax and, at /age, number-from-string
 */
export function parseJson<const S extends SchemaInput | CompiledSchema | boolean = object>(
  text: string,
  schema?: S,
  options: ParseOptions = NO_OPTIONS,
): ParseResult<ParsedBy<S>> {
  if (options !== NO_OPTIONS) checkOptions('parseJson()', options, PARSE_CHECKS)
  const validator = schema === undefined ? undefined : validatorFor(schema, options.regExp)
  const isCompiled = Object.is(schema, validator)
  const reading = { ...options, undo: NOTHING }
  const result =
    validAsItStands(text, validator, reading) ?? atOnce(guarded(text, validator, reading))
  const finished =
    result.ok && validator !== undefined && !isCompiled ? finish(result, validator) : result
  // Safe: the schema accepted the value, or there is none and the type is `unknown`.
  return (finished.ok ? finished : { ...finished, issues: toldOf(finished.issues) }) as ParseResult<
    ParsedBy<S>
  >
}

const NO_OPTIONS: ParseOptions = {}

const PARSE_CHECKS: Readonly<Record<keyof ParseOptions, OptionCheck>> = {
  level: oneOf('off', 'syntax', 'safe', 'lenient'),
  finishReason: { allowed: 'a string', accepts: (value) => typeof value === 'string' },
  maxBytes: number(0, Infinity),
  regExp: aFunction,
}

/** The result of reading an answer to a request of ours. */
export type AnswerResult = Accepted | ParseFailure<FoundIssue>

/**
 * `parseJson` for an answer to a request of ours. `undo` names repairs that only reverse what the request
 * asked for; they are made at every level and not listed. Yields at intervals, so that long answers do not
 * block the event loop.
 */
export function* parseAnswer(
  text: string,
  schema: CompiledSchema,
  options: ParseOptions & { readonly undo: ReadonlySet<RepairRule> },
): Resting<AnswerResult> {
  const validator = validatorFor(schema)
  const result =
    validAsItStands(text, validator, options) ?? (yield* guarded(text, validator, options))
  if (!result.ok || options.undo.size === 0) return result
  return { ...result, repairs: result.repairs.filter(({ rule }) => !options.undo.has(rule)) }
}

const NOTHING: ReadonlySet<RepairRule> = new Set()
const MAX_BYTES = 4 * 1024 * 1024

type Result = AnswerResult
type ReadOptions = ParseOptions & { readonly undo: ReadonlySet<RepairRule> }
type Accepted = ParseResult<unknown> & { readonly ok: true }

/** What an answer is checked against, which repairs are allowed, and the work done so far. */
interface Against {
  readonly validator: SchemaValidator | undefined
  readonly allowed: Allowed
  readonly work: Work
}

function validatorFor(schema: unknown, regExp?: RegExpEngine): SchemaValidator {
  const compiled = compileSchema(schema, regExp)
  // Safe: compileSchema returns nothing else.
  return compiled as SchemaValidator
}

function finish(accepted: Accepted, validator: SchemaValidator): Result {
  const finished = validator.finishNow(accepted.value)
  return finished.ok
    ? { ...accepted, value: finished.value }
    : {
        ok: false,
        kind: 'schema_mismatch',
        issues: foundIn(accepted.value, finished.issues, validator),
      }
}

/** Adds the paths that may be shown in reports and errors. */
function foundIn(
  value: unknown,
  issues: readonly OutputIssue[],
  validator: SchemaValidator | undefined,
): readonly FoundIssue[] {
  // Without a schema this is `parseJson`, whose result only the caller sees.
  if (validator === undefined) return issues.map((issue) => ({ ...issue, told: issue }))
  const names = new SchemaNames(validator.jsonSchema)
  return issues.map((issue) => names.found(issue, value))
}

/**
 * The fast path, taken by nearly every answer: parse and validate, nothing else. Undefined for an answer
 * that needs a closer look.
 */
function validAsItStands(
  text: string,
  validator: SchemaValidator | undefined,
  { finishReason, maxBytes = MAX_BYTES, undo }: ReadOptions,
): Accepted | undefined {
  if (undo.has('unwrap') || isLonger(text, maxBytes) || mayBeRounded(text, validator))
    return undefined
  if (saysTruncated(finishReason) || finishReason === 'refusal') return undefined
  try {
    const value: unknown = JSON.parse(text)
    const isValid =
      validator === undefined ||
      (validator.accepts(value, new Work(text)) && !echoes(value, validator))
    return isValid ? { ok: true, value, repairs: [] } : undefined
  } catch {
    return undefined
  }
}

function* guarded(
  text: string,
  validator: SchemaValidator | undefined,
  options: ReadOptions,
): Resting<Result> {
  try {
    return yield* parse(text, validator, options)
  } catch (error) {
    if (error instanceof OutOfSteps) return failure('schema_mismatch', error.message)
    // Deep nesting overflows the stack of every recursive function, including AJV's.
    if (error instanceof RangeError) return malformed(TOO_DEEP)
    throw error
  }
}

function* parse(
  text: string,
  validator: SchemaValidator | undefined,
  { level = 'safe', finishReason, maxBytes = MAX_BYTES, undo }: ReadOptions,
): Resting<Result> {
  const work = new Work(text)
  const against: Against = { validator, allowed: { level, always: undo }, work }
  if (isLonger(text, maxBytes)) return malformed(`expected at most ${maxBytes} bytes`)
  if (saysTruncated(finishReason)) return failure('truncated', CUT)
  if (finishReason === 'refusal') return failure('refusal', DECLINED)
  const whole = yield* parsedOrUndefined(text, against)
  if (whole !== undefined) return yield* judged(whole, against)

  const extraction = yield* extract(text, work)
  const { candidates, rules, prose, torn, overflow } = extraction
  const last = candidates.at(-1)
  const seemsCut = last !== undefined && looksCut(last, finishReason)
  if (seemsCut && !(yield* hasInnerQuotes(last, work))) return failure('truncated', CUT)
  if (level === 'off') return malformed('expected JSON and nothing else')
  if (overflow) return malformed(`found more than ${MAX_CANDIDATES} pieces of JSON, expected one`)
  if (torn) return malformed('a string goes on after a bracket that seemed to close it')
  const said = candidates.length > 0 ? saidAround(prose) : undefined
  if (said === 'declined') return failure('refusal', DECLINED)
  if (said !== undefined) return malformed(said)
  const results: Result[] = []
  for (const candidate of candidates) results.push(yield* read(candidate, against))
  return chosen(results, rules) ?? (yield* fromLines(extraction, against)) ?? noneOf(results, text)
}

/** Joins NDJSON (one object per line) if the schema asks for an array. */
function* fromLines(extraction: Extraction, against: Against): Resting<Result | undefined> {
  const { jsonSchema } = against.validator ?? {}
  const lines = own(jsonSchema, 'type') === 'array' ? listOf(extraction) : undefined
  if (lines === undefined) return undefined
  const list = yield* read(lines, against)
  return list.ok ? withRules(list, [...extraction.rules, 'join-lines']) : undefined
}

/** Whether the text only seemed to be cut, because of an unescaped quote. */
function* hasInnerQuotes({ text, insideString }: Candidate, work: Work): Resting<boolean> {
  return insideString && (yield* withInnerQuotesEscaped(text.trimEnd(), work)) !== undefined
}

const TOO_DEEP = 'nested too deeply'
const CUT = 'the answer is cut off'
const DECLINED = 'the model declined to answer'

function isLonger(text: string, maxBytes: number): boolean {
  // UTF-8 has at least one byte per UTF-16 unit, and at most three.
  if (text.length > maxBytes) return true
  return text.length * 3 > maxBytes && bytesOf(text) > maxBytes
}

function bytesOf(text: string): number {
  // Buffer counts without copying, but does not exist on every platform.
  return globalThis.Buffer?.byteLength(text) ?? new TextEncoder().encode(text).length
}

/** A schema that covers every number rejects an overflow to Infinity by itself. */
function mayBeRounded(text: string, validator: SchemaValidator | undefined): boolean {
  return mayRound(text) || (validator?.isOpen !== false && mayOverflow(text))
}

/** A JSON text and its parsed value. */
interface Parsed {
  readonly json: string
  readonly value: unknown
  /** Whether the text may contain an integer that a JavaScript number would round. */
  readonly mayBeLarge: boolean
}

function* parsedOrUndefined(
  text: string,
  { validator, work }: Against,
): Resting<Parsed | undefined> {
  // The fast path may already have parsed and validated the whole text.
  if (work.didAll()) yield
  try {
    // Checked once, because valid text should cost little more than parsing and validating.
    const mayBeLarge = mayBeRounded(text, validator)
    if (!mayBeLarge) {
      const value: unknown = JSON.parse(text)
      if (work.didAll()) yield
      return { json: text, value, mayBeLarge }
    }
    const { value } = yield* parseWithSources(text, work)
    return { json: text, value, mayBeLarge }
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Reads one candidate, repairing its syntax if needed. */
function* read({ text }: Candidate, against: Against): Resting<Result> {
  const { work } = against
  const strict = yield* parsedOrUndefined(text, against)
  if (strict !== undefined) return yield* judged(strict, against)
  const literal = KEYWORDS.get(text)
  const literally = literal === undefined ? undefined : yield* parsedOrUndefined(literal, against)
  if (literally !== undefined) return withRules(yield* judged(literally, against), ['fix-syntax'])
  if (!/^[{[]/.test(text)) return malformed('expected JSON')
  const repaired = yield* repairSyntax(text, work)
  if (!repaired.ok) return malformed(repaired.message)
  const parsed = yield* parsedOrUndefined(repaired.text, against)
  if (parsed === undefined) return malformed('expected JSON')
  return withRules(yield* judged(parsed, against), repaired.rules)
}

function withRules(result: Result, rules: readonly RepairRule[]): Result {
  if (!result.ok || rules.length === 0) return result
  return { ...result, repairs: [...rules.map((rule) => ({ path: '', rule })), ...result.repairs] }
}

/** Checks a parsed value against the schema: first as it is, then coerced. */
function* judged(parsed: Parsed, against: Against): Resting<Result> {
  // A wrapper that the request asked for is not part of the answer, even if the schema accepts any object.
  const { value, mayBeLarge } = parsed
  const { validator, allowed, work } = against
  const inner = allowed.always.has('unwrap') ? insideOfWrapper(value) : undefined
  const innerIssues =
    inner === undefined ? undefined : yield* issuesWith(inner, mayBeLarge, validator, work)
  if (innerIssues?.length === 0) return { ok: true, value: inner, repairs: [] }
  const issues = yield* issuesWith(value, mayBeLarge, validator, work)
  if (issues.length === 0) return { ok: true, value, repairs: [] }
  const refused = (of: unknown, found: readonly OutputIssue[]): Result => ({
    ok: false,
    kind: 'schema_mismatch',
    issues:
      innerIssues === undefined
        ? foundIn(of, found, validator)
        : foundIn(inner, innerIssues, validator).map(insideWrapper),
  })
  const mayCoerce = allows(allowed.level, 'number-from-string') || allowed.always.size > 0
  if (validator === undefined || !mayCoerce) return refused(value, issues)
  const again = yield* parseWithSources(parsed.json, work)
  const coerced = yield* coercedWithin(again, validator, against)
  if (coerced instanceof OutOfSteps) return refused(value, withStop(issues, coerced))
  if (coerced.repairs.length === 0) return refused(value, issues)
  const left = yield* issuesWith(coerced.value, again.sources.hasLarge, validator, work)
  if (left.length > 0) return refused(coerced.value, left)
  const repairs = named(coerced.repairs, coerced.value, validator)
  return { ok: true, value: coerced.value, repairs }
}

/** Coerces the value, or returns the error if that takes too many steps; the value then stays as it is. */
function* coercedWithin(
  parsed: ParsedJson,
  validator: SchemaValidator,
  { allowed, work }: Against,
): Resting<Coerced | OutOfSteps> {
  try {
    return yield* coerce(parsed, validator, allowed, work)
  } catch (error) {
    if (error instanceof OutOfSteps) return error
    // Too deeply nested: the value stays as it is, and its issues are already known.
    if (error instanceof RangeError) return { value: undefined, repairs: [], isAccepted: false }
    throw error
  }
}

function withStop(issues: readonly OutputIssue[], { message }: OutOfSteps): readonly OutputIssue[] {
  const isSaid = issues.some((issue) => issue.path === '' && saysOutOfSteps(issue.message))
  return isSaid ? issues : [...issues.slice(0, MAX_ISSUES - 1), { path: '', message }]
}

function named(
  repairs: readonly Repair[],
  value: unknown,
  { jsonSchema }: SchemaValidator,
): readonly Repair[] {
  const names = new SchemaNames(jsonSchema)
  // The path of an `unwrap` points into the text, outside the value.
  const isOutside = ({ rule }: Repair) => rule === 'unwrap'
  return repairs.map((repair) =>
    isOutside(repair) ? repair : { ...repair, path: names.path(repair.path, value) },
  )
}

/** A wrapper with other members next to it was not the requested one, but an object with such a property. */
function insideOfWrapper(value: unknown): unknown {
  const inner = own(value, ASKED_WRAPPER)
  return inner !== undefined && Object.keys(Object(value)).length === 1 ? inner : undefined
}

/** Makes the path point into the answer, which includes the wrapper. */
function insideWrapper({ path, message, told }: FoundIssue): FoundIssue {
  const within = (inner: string) => `/${ASKED_WRAPPER}${inner}`
  return { path: within(path), message, told: { path: within(told.path), message } }
}

/** The answer that all valid candidates agree on. */
function chosen(results: readonly Result[], rules: readonly RepairRule[]): Result | undefined {
  const valid = results.filter((result) => result.ok)
  const [first, ...others] = valid
  if (first === undefined) return undefined
  const same = sortedJson(first.value)
  if (others.some(({ value }) => sortedJson(value) !== same)) {
    return malformed('ambiguous: several different answers, expected one')
  }
  const collapsed = others.length > 0 && !rules.includes('collapse-duplicates')
  return withRules(first, collapsed ? [...rules, 'collapse-duplicates'] : rules)
}

/** The most informative failure: of the candidate closest to the schema, otherwise of the last one. */
function noneOf(results: readonly Result[], text: string): Result {
  const mismatches = results
    .filter((result) => !result.ok)
    .filter(({ kind }) => kind === 'schema_mismatch')
    .toSorted((a, b) => a.issues.length - b.issues.length)
  const [nearest] = mismatches
  if (nearest !== undefined) return nearest
  if (isRefusal(text)) return failure('refusal', DECLINED)
  return results.at(-1) ?? malformed('expected JSON, found none')
}

function malformed(message: string): ParseFailure<FoundIssue> {
  return failure('malformed_output', message)
}

function failure(
  kind: ParseFailure<FoundIssue>['kind'],
  message: string,
): ParseFailure<FoundIssue> {
  return { ok: false, kind, issues: [foundAtRoot(message)] }
}
