import type { OutputIssue } from '../errors/call-error.ts'
import { type Allowed, coerce } from './coerce.ts'
import { type Candidate, type Extraction, extract, listOf, MAX_CANDIDATES } from './extract.ts'
import type { InferSchema, SchemaInput } from './infer.ts'
import { withInnerQuotesEscaped } from './inner-quotes.ts'
import { mayRoundIntegers, own, parseWithSources, sortedJson } from './json-value.ts'
import { KEYWORDS } from './jsonrepair.ts'
import { isRefusal, saidAround } from './refusal.ts'
import { allows, type Repair, type RepairLevel, type RepairRule } from './repair-rules.ts'
import { repairSyntax } from './repair-syntax.ts'
import { ASKED_WRAPPER } from './response-format.ts'
import { type CompiledSchema, compileSchema, type SchemaValidator } from './schema.ts'
import type { RegExpEngine } from './schema-engine.ts'
import { looksCut, saysTruncated } from './truncation.ts'
import { issuesWith } from './value-issues.ts'

export type { Repair } from './repair-rules.ts'

export interface ParseOptions {
  /** How much may be changed. @default 'safe' */
  readonly level?: RepairLevel | undefined
  /** The provider's `finish_reason`. One that says "cut at a limit" makes any text `truncated`. */
  readonly finishReason?: string | undefined
  /** Longest text that is read at all, UTF-8 bytes. @default 4_194_304 */
  readonly maxBytes?: number | undefined
  /** Makes the regular expressions of the schema's patterns. @default `new RegExp` */
  readonly regExp?: RegExpEngine | undefined
}

export type ParseResult<T> =
  | { readonly ok: true; readonly value: T; readonly repairs: readonly Repair[] }
  | ParseFailure

interface ParseFailure {
  readonly ok: false
  /**
   * `malformed_output`: no JSON, or more than one answer. `schema_mismatch`: JSON, but not the
   * schema's. `truncated`: the text ends inside the JSON. `refusal`: the model declined.
   */
  readonly kind: 'malformed_output' | 'schema_mismatch' | 'truncated' | 'refusal'
  readonly issues: readonly OutputIssue[]
}

/** The type of a valid value for a schema, compiled or not; `unknown` where it cannot be known. */
export type ParsedBy<S> = S extends CompiledSchema ? unknown : InferSchema<S>

/**
 * Reads a model's answer as JSON that the schema accepts, or says why it cannot. A text that
 * parses and validates as it stands is returned unchanged; every change made to another is listed
 * in `repairs`. Never completes what was cut, makes up a required value, or rounds an integer.
 *
 * A Standard Schema's own refinements and transforms run last, and `value` is its output. A
 * compiled schema leaves them to its `finish`.
 *
 * @throws TypeError when the schema is none, or validates asynchronously; never for the text.
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
  options: ParseOptions = {},
): ParseResult<ParsedBy<S>> {
  const validator = schema === undefined ? undefined : validatorFor(schema, options.regExp)
  const result = guarded(text, validator, { ...options, undo: NOTHING })
  const finished =
    result.ok && validator !== undefined && schema !== validator
      ? finish(result, validator)
      : result
  // The schema accepted the value, or there is none and the type says `unknown`.
  return finished as ParseResult<ParsedBy<S>>
}

/**
 * The same for an answer to a request of ours: `undo` are repairs that only take back what the
 * request asked for. They are made at every level, and not listed.
 */
export function parseAnswer(
  text: string,
  schema: CompiledSchema,
  options: ParseOptions & { readonly undo: ReadonlySet<RepairRule> },
): ParseResult<unknown> {
  const result = guarded(text, validatorFor(schema), options)
  if (!result.ok || options.undo.size === 0) return result
  return { ...result, repairs: result.repairs.filter(({ rule }) => !options.undo.has(rule)) }
}

const NOTHING: ReadonlySet<RepairRule> = new Set()
const MAX_BYTES = 4 * 1024 * 1024

type Result = ParseResult<unknown>
type Reading = ParseOptions & { readonly undo: ReadonlySet<RepairRule> }
type Accepted = Result & { readonly ok: true }

function validatorFor(schema: unknown, regExp?: RegExpEngine): SchemaValidator {
  const compiled = compileSchema(schema, regExp)
  // compileSchema makes nothing else.
  return compiled as SchemaValidator
}

function finish(accepted: Accepted, validator: SchemaValidator): Result {
  const finished = validator.finishNow(accepted.value)
  return finished.ok
    ? { ...accepted, value: finished.value }
    : { ok: false, kind: 'schema_mismatch', issues: finished.issues }
}

function guarded(text: string, validator: SchemaValidator | undefined, options: Reading): Result {
  try {
    return parse(text, validator, options)
  } catch (error) {
    // Deep nesting overflows the stack of whatever walks it, AJV included.
    if (error instanceof RangeError) return malformed('nested too deeply')
    throw error
  }
}

function parse(
  text: string,
  validator: SchemaValidator | undefined,
  { level = 'safe', finishReason, maxBytes = MAX_BYTES, undo }: Reading,
): Result {
  const allowed: Allowed = { level, always: undo }
  if (isLonger(text, maxBytes)) return malformed(`expected at most ${maxBytes} bytes`)
  if (saysTruncated(finishReason)) return failure('truncated', CUT)
  if (finishReason === 'refusal') return failure('refusal', DECLINED)
  const whole = parsedOrUndefined(text)
  if (whole !== undefined) return judged(whole, validator, allowed)

  const extraction = extract(text)
  const { candidates, rules, prose, torn, overflow } = extraction
  const last = candidates.at(-1)
  if (last !== undefined && looksCut(last, finishReason) && !hasInnerQuotes(last)) {
    return failure('truncated', CUT)
  }
  if (level === 'off') return malformed('expected JSON and nothing else')
  if (overflow) return malformed(`found more than ${MAX_CANDIDATES} pieces of JSON, expected one`)
  if (torn) return malformed('a string goes on after a bracket that seemed to close it')
  const said = candidates.length > 0 ? saidAround(prose) : undefined
  if (said === 'declined') return failure('refusal', DECLINED)
  if (said !== undefined) return malformed(said)
  const results = candidates.map((candidate) => read(candidate, validator, allowed))
  return (
    chosen(results, rules) ?? fromLines(extraction, validator, allowed) ?? noneOf(results, text)
  )
}

/** One object a line where a list of them is asked for (NDJSON). */
function fromLines(
  extraction: Extraction,
  validator: SchemaValidator | undefined,
  allowed: Allowed,
): Result | undefined {
  const lines = own(validator?.jsonSchema, 'type') === 'array' ? listOf(extraction) : undefined
  if (lines === undefined) return undefined
  const list = read(lines, validator, allowed)
  return list.ok ? withRules(list, [...extraction.rules, 'join-lines']) : undefined
}

/** A quote that was not escaped made it look cut: with that mended it is whole. */
function hasInnerQuotes({ text, insideString }: Candidate): boolean {
  return insideString && withInnerQuotesEscaped(text.trimEnd()) !== undefined
}

const CUT = 'the answer is cut off'
const DECLINED = 'the model declined to answer'

function isLonger(text: string, maxBytes: number): boolean {
  // UTF-8 has at least one byte per UTF-16 unit, and at most three.
  if (text.length > maxBytes) return true
  return text.length * 3 > maxBytes && bytesOf(text) > maxBytes
}

function bytesOf(text: string): number {
  // Without a copy, where there is such a thing; not on every platform.
  return globalThis.Buffer?.byteLength(text) ?? new TextEncoder().encode(text).length
}

/** JSON, and what it says. */
interface Parsed {
  readonly json: string
  readonly value: unknown
  /** Only then is there an integer in it that a number would have rounded. */
  readonly mayBeLarge: boolean
}

function parsedOrUndefined(text: string): Parsed | undefined {
  try {
    // Looked for once: it is what valid text pays besides being parsed and validated.
    const mayBeLarge = mayRoundIntegers(text)
    const value: unknown = mayBeLarge ? parseWithSources(text).value : JSON.parse(text)
    return { json: text, value, mayBeLarge }
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** One candidate, mended where its syntax needs it. */
function read(
  { text }: Candidate,
  validator: SchemaValidator | undefined,
  allowed: Allowed,
): Result {
  const strict = parsedOrUndefined(text)
  if (strict !== undefined) return judged(strict, validator, allowed)
  const literal = KEYWORDS.get(text)
  const literally = literal === undefined ? undefined : parsedOrUndefined(literal)
  if (literally !== undefined)
    return withRules(judged(literally, validator, allowed), ['fix-syntax'])
  if (!/^[{[]/.test(text)) return malformed('expected JSON')
  const repaired = repairSyntax(text)
  if (!repaired.ok) return malformed(repaired.message)
  const parsed = parsedOrUndefined(repaired.text)
  if (parsed === undefined) return malformed('expected JSON')
  return withRules(judged(parsed, validator, allowed), repaired.rules)
}

function withRules(result: Result, rules: readonly RepairRule[]): Result {
  if (!result.ok || rules.length === 0) return result
  return { ...result, repairs: [...rules.map((rule) => ({ path: '', rule })), ...result.repairs] }
}

/** A parsed value against the schema: as it is, else coerced. */
function judged(parsed: Parsed, validator: SchemaValidator | undefined, allowed: Allowed): Result {
  // Where it was asked for, the wrapper is none of the answer, also if the schema takes any object.
  const { json, value, mayBeLarge } = parsed
  const inner = allowed.always.has('unwrap') ? insideOfWrapper(value) : undefined
  const innerIssues = inner === undefined ? undefined : issuesWith(inner, mayBeLarge, validator)
  if (innerIssues?.length === 0) return { ok: true, value: inner, repairs: [] }
  const issues = issuesWith(value, mayBeLarge, validator)
  if (issues.length === 0) return { ok: true, value, repairs: [] }
  const refused = (found: readonly OutputIssue[]): Result => ({
    ok: false,
    kind: 'schema_mismatch',
    issues: innerIssues?.map(insideWrapper) ?? found,
  })
  const mayCoerce = allows(allowed.level, 'number-from-string') || allowed.always.size > 0
  if (validator === undefined || !mayCoerce) return refused(issues)
  const coerced = coerce(parseWithSources(json), validator, allowed)
  if (coerced.repairs.length === 0) return refused(issues)
  const left = issuesWith(coerced.value, mayBeLarge, validator)
  return left.length === 0
    ? { ok: true, value: coerced.value, repairs: coerced.repairs }
    : refused(left)
}

/** What is beside it was not asked for: then it is another object, which has such a property. */
function insideOfWrapper(value: unknown): unknown {
  const inner = own(value, ASKED_WRAPPER)
  return inner !== undefined && Object.keys(Object(value)).length === 1 ? inner : undefined
}

/** As a pointer into the answer, in which the wrapper stands. */
function insideWrapper({ path, message }: OutputIssue): OutputIssue {
  return { path: `/${ASKED_WRAPPER}${path}`, message }
}

/** The one answer that several candidates agree on. */
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

/** The failure that says most: the candidate nearest to the schema, else the last one. */
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

function malformed(message: string): ParseFailure {
  return failure('malformed_output', message)
}

function failure(kind: ParseFailure['kind'], message: string): ParseFailure {
  return { ok: false, kind, issues: [{ path: '', message }] }
}
