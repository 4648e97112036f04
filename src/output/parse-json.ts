import type { OutputIssue } from '../errors/call-error.ts'
import {
  aFunction,
  checkOptions,
  number,
  type OptionCheck,
  oneOf,
} from '../options/option-check.ts'
import { candidatesIn } from './candidates.ts'
import { type Extraction, MAX_CANDIDATES } from './extract.ts'
import type { InferSchema, SchemaInput } from './infer.ts'
import { own, sortedJson } from './json-value.ts'
import {
  type Accepted,
  type Against,
  type AnswerResult,
  failure,
  foundIn,
  judged,
  malformed,
  type ParseFailure,
  parsedOrUndefined,
} from './judged.ts'
import { toldOf } from './named-path.ts'
import type { Outcome } from './parser/parser.ts'
import {
  type CandidateReading,
  type MarkedText,
  markedText,
  readCandidate,
  withRules,
} from './read-candidate.ts'
import type { Repair, RepairLevel, RepairRule } from './repair-rules.ts'
import {
  type CompiledSchema,
  compileSchema,
  echoes,
  mayBeRounded,
  type SchemaValidator,
} from './schema.ts'
import type { RegExpEngine } from './schema-engine.ts'
import { isRefusal, saidAround } from './strict-schema.ts'
import { atOnce, OutOfSteps, type Resting, Work } from './work.ts'

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

interface ReadOptions extends ParseOptions {
  readonly undo: ReadonlySet<RepairRule>
  /** Receives the text that was read, and each edit in it. */
  readonly mark?: (marked: MarkedText) => void
}

/** `parseJson`, and the text with each edit of its syntax; none if no syntax was repaired. */
export function explainJson(
  text: string,
  schema: SchemaInput | undefined,
  options: ParseOptions,
): { readonly result: ParseResult<unknown>; readonly marked: MarkedText | undefined } {
  let marked: MarkedText | undefined
  const validator = schema === undefined ? undefined : validatorFor(schema, options.regExp)
  const mark = (found: MarkedText) => {
    marked = found
  }
  atOnce(guarded(text, validator, { ...options, undo: NOTHING, mark }))
  return { result: parseJson(text, schema ?? true, options), marked }
}

function validatorFor(schema: unknown, regExp?: RegExpEngine): SchemaValidator {
  const compiled = compileSchema(schema, regExp)
  // Safe: compileSchema returns nothing else.
  return compiled as SchemaValidator
}

function finish(accepted: Accepted, validator: SchemaValidator): AnswerResult {
  const finished = validator.finishNow(accepted.value)
  return finished.ok
    ? { ...accepted, value: finished.value }
    : {
        ok: false,
        kind: 'schema_mismatch',
        issues: foundIn(accepted.value, finished.issues, validator),
      }
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
): Resting<AnswerResult> {
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
  { level = 'safe', finishReason, maxBytes = MAX_BYTES, undo, mark }: ReadOptions,
): Resting<AnswerResult> {
  const work = new Work(text)
  const against: Against = { validator, allowed: { level, always: undo }, work }
  if (isLonger(text, maxBytes)) return malformed(`expected at most ${maxBytes} bytes`)
  if (saysTruncated(finishReason)) return failure('truncated', CUT)
  if (finishReason === 'refusal') return failure('refusal', DECLINED)
  const whole = yield* parsedOrUndefined(text, against)
  if (whole !== undefined) return yield* judged(whole, against)

  const extraction = yield* candidatesIn(text, against)
  const { candidates, rules, prose, overflow } = extraction
  const last = candidates.at(-1)
  if (last !== undefined && isCut(last.outcome, last.text, finishReason)) {
    return failure('truncated', CUT)
  }
  if (level === 'off') return malformed('expected JSON and nothing else')
  if (overflow) return malformed(candidates.length < MAX_CANDIDATES ? TOO_MUCH : TOO_MANY)
  const said = candidates.length > 0 ? saidAround(prose) : undefined
  if (said === 'declined') return failure('refusal', DECLINED)
  if (said !== undefined) return malformed(said)
  const readings: CandidateReading[] = []
  for (const candidate of candidates) readings.push(yield* readCandidate(candidate, against))
  if (mark !== undefined) yield* markFirst(readings, mark, work)
  const results = readings.map(({ result }) => result)
  if (validator === undefined && prose !== '' && results.some(isNumbers)) {
    return malformed('found numbers in brackets, which may be a part of the words around them')
  }
  const list = chosen(results, rules) ?? (yield* fromLines(extraction, readings, against))
  return list ?? noneOf(results, text)
}

/** [1] and [0, 2] are citations and intervals; without a schema nothing says that they are the answer. */
function isNumbers(result: AnswerResult): boolean {
  const value = result.ok ? result.value : undefined
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'number')
}

function* markFirst(
  readings: readonly CandidateReading[],
  mark: (marked: MarkedText) => void,
  work: Work,
): Resting<void> {
  const first = readings.find(({ result }) => result.ok)
  const marked = first === undefined ? undefined : yield* markedText(first, work)
  if (marked !== undefined) mark(marked)
}

/** Joins objects that follow one another (one a line, for instance) if the schema asks for an array. */
function* fromLines(
  { candidates, rules, prose }: Extraction,
  readings: readonly CandidateReading[],
  against: Against,
): Resting<AnswerResult | undefined> {
  const { jsonSchema } = against.validator ?? {}
  if (own(jsonSchema, 'type') !== 'array' || candidates.length < 2) return undefined
  // If an object was repeated, only one copy was kept: it is unknown how many elements were meant.
  if (!/^[\s,]*$/.test(prose) || rules.includes('collapse-duplicates')) return undefined
  const objects = readings.flatMap(({ json }) => (json?.startsWith('{') === true ? [json] : []))
  if (objects.length < candidates.length) return undefined
  const parsed = yield* parsedOrUndefined(`[${objects.join(',')}]`, against)
  if (parsed === undefined) return undefined
  const list = yield* judged(parsed, against)
  return list.ok ? withRules(list, [...rules, 'join-lines']) : undefined
}

const TOO_MANY = `found more than ${MAX_CANDIDATES} pieces of JSON, expected one`
const TOO_MUCH = 'found too much that may be damaged JSON, expected one piece'
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

/** The answer that all valid candidates agree on. */
function chosen(
  results: readonly AnswerResult[],
  rules: readonly RepairRule[],
): AnswerResult | undefined {
  const valid = results.filter((result) => result.ok)
  const [first, ...others] = valid
  if (first === undefined) return undefined
  const same = others.length > 0 ? sortedJson(first.value) : ''
  if (others.some(({ value }) => sortedJson(value) !== same)) {
    return malformed('ambiguous: several different answers, expected one')
  }
  const collapsed = others.length > 0 && !rules.includes('collapse-duplicates')
  return withRules(first, collapsed ? [...rules, 'collapse-duplicates'] : rules)
}

/** The most informative failure: of the candidate closest to the schema, otherwise of the last one. */
function noneOf(results: readonly AnswerResult[], text: string): AnswerResult {
  const mismatches = results
    .filter((result) => !result.ok)
    .filter(({ kind }) => kind === 'schema_mismatch')
    .toSorted((a, b) => a.issues.length - b.issues.length)
  const [nearest] = mismatches
  if (nearest !== undefined) return nearest
  if (isRefusal(text)) return failure('refusal', DECLINED)
  return results.at(-1) ?? malformed('expected JSON, found none')
}

/** Whether the provider reports that the answer reached a length limit. */
export function saysTruncated(finishReason: string | undefined): boolean {
  return finishReason !== undefined && CUT_REASONS.has(finishReason.toLowerCase())
}

// OpenAI and most others: `length`. Anthropic: `max_tokens`, `model_context_window_exceeded`. Gemini:
// `MAX_TOKENS`. Mistral: `model_length`. OpenAI's Responses API: `max_output_tokens`.
const CUT_REASONS: ReadonlySet<string> = new Set([
  'length',
  'max_tokens',
  'max_output_tokens',
  'model_length',
  'model_context_window_exceeded',
])

/** Whether the answer reached the end of the model's context rather than the output limit. */
export function fillsContext(finishReason: string | undefined): boolean {
  return finishReason !== undefined && FULL_REASONS.has(finishReason.toLowerCase())
}

const FULL_REASONS: ReadonlySet<string> = new Set(['model_length', 'model_context_window_exceeded'])

/**
 * Whether a candidate's text ends inside the JSON it started. A list whose last item is complete counts as cut
 * too, because further items may be missing.
 */
function isCut(outcome: Outcome, text: string, finishReason?: string): boolean {
  if (outcome.kind !== 'cut') return false
  if (!outcome.insideString) return true
  // A string that lost its closing quote swallows the rest: the fence behind the JSON, or its last bracket
  // in a text that the provider says is finished.
  if (CLOSING_FENCE.test(text)) return false
  const closesItself = text.trimEnd().endsWith(text.startsWith('{') ? '}' : ']')
  return !(finishReason === 'stop' && closesItself)
}

const CLOSING_FENCE = /[}\]]\s*\n(?:`{3}|~{3})(?:\s|$)/
