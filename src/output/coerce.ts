import { type Allowed, Coercion, type How, mayApply } from './coercion.ts'
import type { ParsedJson } from './parse-with-sources.ts'
import type { Repair } from './repair-rules.ts'
import type { SchemaValidator } from './schema.ts'
import { isAsked, wrapped } from './unwrap.ts'
import type { Resting, Work } from './work.ts'

/** A value after coercion. It may still be invalid. */
export interface Coerced {
  readonly value: unknown
  /** If empty, nothing could be changed and `value` is the parsed value itself. */
  readonly repairs: readonly Repair[]
  readonly isAccepted: boolean
}

/**
 * Changes a value that the schema rejects, only in the places it rejects and only by the allowed rules.
 * Nothing is guessed: a missing required property stays missing, and a value inside a union changes only
 * if all branches that accept the changed value agree. Rules with a loss are applied only to a value that
 * those without one cannot save, so that `lenient` returns what `safe` does wherever that returns anything.
 * @throws {OutOfSteps}
 */
export function* coerce(
  parsed: ParsedJson,
  schema: SchemaValidator,
  allowed: Allowed,
  work: Work,
): Resting<Coerced> {
  if (schema.accepts(parsed.value, work)) {
    return { value: parsed.value, repairs: [], isAccepted: true }
  }
  const how = { parsed, schema, allowed, work }
  const layers = mayApply(allowed, 'unwrap') ? layersOf(parsed, schema) : layersOf(parsed)
  if (allowed.level !== 'lenient') return yield* firstAccepted(how, layers)
  const safe = yield* firstAccepted({ ...how, allowed: { ...allowed, level: 'safe' } }, layers)
  // From inside: with a loss, a wrapper may pass for the answer.
  return safe.isAccepted ? safe : yield* firstAccepted(how, layers.toReversed())
}

/** The whole value, or one inside of wrappers. */
interface Layer {
  readonly value: unknown
  readonly source: string | undefined
  readonly unwrapping: readonly Repair[]
}

const MAX_WRAPPERS = 4

/** The value and, for a schema that may have been answered inside of wrappers, what they hold. */
function layersOf({ value, source, sources }: ParsedJson, schema?: SchemaValidator) {
  let last: Layer = { value, source, unwrapping: [] }
  const layers: Layer[] = [last]
  let path = ''
  for (let count = 0; schema !== undefined && count < MAX_WRAPPERS; count += 1) {
    const inner = wrapped(last.value, schema.jsonSchema)
    if (inner === undefined) break
    path += inner.path
    const unwrapping = [...last.unwrapping, { path, rule: 'unwrap' as const }]
    last = { value: inner.value, source: sources.of(inner.holder, inner.key), unwrapping }
    if (isAsked(inner.value, schema.jsonSchema)) layers.push(last)
  }
  return layers
}

/** The first layer that the schema accepts, coerced; or the last failure to. */
function* firstAccepted(how: How, layers: readonly Layer[]): Resting<Coerced> {
  let outer: Coerced | undefined
  for (const { value, source, unwrapping } of layers) {
    const isAccepted = unwrapping.length > 0 && how.schema.accepts(value, how.work)
    const found = isAccepted
      ? { value, repairs: [], isAccepted }
      : yield* coerced(how, value, source)
    if (found.isAccepted) return { ...found, repairs: [...unwrapping, ...found.repairs] }
    if (unwrapping.length === 0) outer = found
  }
  return outer ?? { value: how.parsed.value, repairs: [], isAccepted: false }
}

// A validator that stops at the first error allows only one place to be coerced per round.
const MAX_ROUNDS = 20

/** Coerces a value that the schema rejects. */
function* coerced(how: How, value: unknown, source: string | undefined): Resting<Coerced> {
  const coercion = new Coercion(how)
  let current = value
  let isAccepted = false
  for (let round = 0; round < MAX_ROUNDS && !isAccepted; round++) {
    const next = yield* coercion.run(current, source)
    if (next === current) break
    current = next
    isAccepted = how.schema.accepts(current, how.work)
  }
  return { value: current, repairs: coercion.repairs, isAccepted }
}
