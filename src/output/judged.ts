import type { OutputIssue } from '../errors/call-error.ts'
import { isObject } from '../errors/hostile.ts'
import { type Allowed, type Coerced, coerce } from './coercion.ts'
import { MAX_ISSUES } from './issues.ts'
import { childPath, LargeNumber, own } from './json-value.ts'
import { type FoundIssue, foundAtRoot, SchemaNames } from './named-path.ts'
import { type ParsedJson, parseWithSources } from './parse-with-sources.ts'
import { allows, type Repair } from './repair-rules.ts'
import { ASKED_WRAPPER } from './response-format.ts'
import { echoes, mayBeRounded, type SchemaValidator } from './schema.ts'
import { OutOfSteps, type Resting, saysOutOfSteps, type Work } from './work.ts'

export interface ParseFailure<I extends OutputIssue> {
  readonly ok: false
  /**
   * `malformed_output`: no JSON, or more than one answer. `schema_mismatch`: JSON that the schema does not
   * accept. `truncated`: the text ends inside the JSON. `refusal`: the model declined to answer.
   */
  readonly kind: 'malformed_output' | 'schema_mismatch' | 'truncated' | 'refusal'
  readonly issues: readonly I[]
}

/** The result of reading an answer to a request of ours. */
export type AnswerResult = Accepted | ParseFailure<FoundIssue>

export interface Accepted {
  readonly ok: true
  readonly value: unknown
  readonly repairs: readonly Repair[]
}

/** What an answer is checked against, which repairs are allowed, and the work done so far. */
export interface Against {
  readonly validator: SchemaValidator | undefined
  readonly allowed: Allowed
  readonly work: Work
}

/** Checks a parsed value against the schema: first as it is, then coerced. */
export function* judged(parsed: Parsed, against: Against): Resting<AnswerResult> {
  // A wrapper that the request asked for is not part of the answer, even if the schema accepts any object.
  const { value, mayBeLarge } = parsed
  const { validator, allowed, work } = against
  const inner = allowed.always.has('unwrap') ? insideOfWrapper(value) : undefined
  const innerIssues =
    inner === undefined ? undefined : yield* issuesWith(inner, mayBeLarge, validator, work)
  if (innerIssues?.length === 0) return { ok: true, value: inner, repairs: [] }
  const issues = yield* issuesWith(value, mayBeLarge, validator, work)
  if (issues.length === 0) return { ok: true, value, repairs: [] }
  const refused = (of: unknown, found: readonly OutputIssue[]): AnswerResult => ({
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

/** A JSON text and its parsed value. */
export interface Parsed {
  readonly json: string
  readonly value: unknown
  /** Whether the text may contain an integer that a JavaScript number would round. */
  readonly mayBeLarge: boolean
}

export function* parsedOrUndefined(
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

/** Adds the paths that may be shown in reports and errors. */
export function foundIn(
  value: unknown,
  issues: readonly OutputIssue[],
  validator: SchemaValidator | undefined,
): readonly FoundIssue[] {
  // Without a schema this is `parseJson`, whose result only the caller sees.
  if (validator === undefined) return issues.map((issue) => ({ ...issue, told: issue }))
  const names = new SchemaNames(validator.jsonSchema)
  return issues.map((issue) => names.found(issue, value))
}

export function malformed(message: string): ParseFailure<FoundIssue> {
  return failure('malformed_output', message)
}

export function failure(
  kind: ParseFailure<FoundIssue>['kind'],
  message: string,
): ParseFailure<FoundIssue> {
  return { ok: false, kind, issues: [foundAtRoot(message)] }
}

/**
 * The issues of a parsed value: those of the schema, plus two that the schema cannot detect: numbers that a
 * double would have rounded (searched only if `mayBeLarge`), and a schema returned as the answer.
 */
function* issuesWith(
  value: unknown,
  mayBeLarge: boolean,
  validator: SchemaValidator | undefined,
  work: Work,
): Resting<readonly OutputIssue[]> {
  const issues = validator === undefined ? [] : yield* validator.issuesWith(value, work)
  if (work.didAll()) yield
  const large = mayBeLarge ? yield* largeNumbersIn(value, work) : []
  if (large.length > 0) {
    const elsewhere = issues.filter(({ path }) => !large.includes(path))
    return [...large.map((path) => ({ path, message: TOO_LARGE })), ...elsewhere].slice(
      0,
      MAX_ISSUES,
    )
  }
  if (issues.length > 0 || validator === undefined) return issues
  return echoes(value, validator) ? [{ path: '', message: ECHO }] : []
}

interface Spot {
  readonly value: object
  readonly key: string
  readonly holder: Spot | undefined
}

/** JSON Pointers to the first numbers that would have been rounded. */
function* largeNumbersIn(root: unknown, work: Work): Resting<readonly string[]> {
  const found: string[] = []
  const left: Spot[] = isObject(root) ? [{ value: root, key: '', holder: undefined }] : []
  for (let spot = left.pop(); spot !== undefined; spot = left.pop()) {
    const { value } = spot
    if (value instanceof LargeNumber) {
      found.push(pathTo(spot))
      if (found.length === MAX_ISSUES) break
      continue
    }
    const members = Object.entries(value)
    for (const [key, member] of members.toReversed()) {
      if (isObject(member)) left.push({ value: member, key, holder: spot })
    }
    if (work.did(members.length)) yield
  }
  return found
}

function pathTo(spot: Spot): string {
  const keys: string[] = []
  for (let at = spot; at.holder !== undefined; at = at.holder) keys.push(at.key)
  return keys.reduceRight(childPath, '')
}

const TOO_LARGE = 'integer too large to keep exactly; expected it as a string, or smaller'
const ECHO = 'expected data that follows the schema, got the schema'
