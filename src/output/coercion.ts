import { childPath, isRecord, own } from './json-value.ts'
import { LENIENT_VALUE_RULES } from './lenient-rules.ts'
import { type DecimalMark, decimalMarkIn } from './number-text.ts'
import { type NumberSources, type ParsedJson, parseWithSources } from './parse-with-sources.ts'
import { allows, type Repair, type RepairLevel, type RepairRule } from './repair-rules.ts'
import type { SchemaValidator } from './schema.ts'
import {
  itemPointer,
  localRef,
  memberPointers,
  partAt,
  partsOf,
  type SchemaPart,
  typeOfValue,
  typesOf,
} from './schema-part.ts'
import { DROP_RULES, isAsked, wrapped } from './unwrap.ts'
import {
  type CoercionRule,
  type RuleSite,
  SAFE_VALUE_RULES,
  type ValueRule,
} from './value-rules.ts'
import type { Resting, Work } from './work.ts'

/** Which rules may be applied. */
export interface Allowed {
  readonly level: RepairLevel
  /** Rules allowed at every level. */
  readonly always: ReadonlySet<RepairRule>
}

function mayApply({ level, always }: Allowed, rule: RepairRule): boolean {
  return allows(level, rule) || always.has(rule)
}

/** What is coerced, and how far. */
export interface How {
  readonly parsed: ParsedJson
  readonly schema: SchemaValidator
  readonly allowed: Allowed
  readonly work: Work
}

/** A value, its position, and the part of the schema that applies to it. */
interface Site {
  readonly value: unknown
  readonly path: string
  /** JSON Pointer to that part of the schema. */
  readonly at: string
  /** Paths with an error at or below them. */
  readonly failing: ReadonlySet<string>
  readonly source: string | undefined
  /** Whether that part is a branch of a union. */
  readonly isBranch: boolean
  /** How many `$ref`s were followed at this position. */
  readonly refs: number
  /** Nesting depth of the value. */
  readonly depth: number
}

const MAX_REFS = 20
// Each level uses several stack frames. No real answer is as deep; below this depth nothing is coerced.
const MAX_DEPTH = 200
// A visit looks up the applicable parts of the schema and tries all rules.
const STEPS_A_VISIT = 10
// Comparing two names of properties.
const STEPS_A_NAME = 10
// Path characters written or compared in the time of one step.
const CHARS_A_STEP = 16

const VALUE_RULES = [...SAFE_VALUE_RULES, ...LENIENT_VALUE_RULES]

/** A member of an object or array, and the part of the schema that applies to it. */
interface Child {
  readonly holder: object
  readonly key: string
  /** As changed so far. */
  readonly value: unknown
  readonly at: string
}

/** Coerces the places of a value that the schema rejects. */
class Coercion {
  readonly #schema: SchemaValidator
  readonly #allowed: Allowed
  readonly #sources: NumberSources
  readonly #work: Work
  readonly #valueRules: readonly ValueRule[]
  readonly #dropRules: typeof DROP_RULES
  readonly #root: unknown
  #repairs: Repair[] = []
  #mark: { readonly of: DecimalMark | undefined } | undefined

  constructor({ parsed, schema, allowed, work }: How) {
    this.#root = parsed.value
    this.#sources = parsed.sources
    this.#schema = schema
    this.#allowed = allowed
    this.#work = work
    this.#valueRules = VALUE_RULES.filter(({ name }) => mayApply(allowed, name))
    this.#dropRules = DROP_RULES.filter(({ name }) => mayApply(allowed, name))
  }

  get repairs(): readonly Repair[] {
    return this.#repairs
  }

  /** Returns the value with its failing parts coerced, or the same value if none could be. */
  run(value: unknown, source: string | undefined): Resting<unknown> {
    const failing = this.#failing('', '', value)
    const isBranch = false
    return this.#visit({ value, path: '', at: '', failing, source, isBranch, refs: 0, depth: 0 })
  }

  *#visit(site: Site): Resting<unknown> {
    if (!site.failing.has(site.path)) return site.value
    this.#work.spend(STEPS_A_VISIT + site.path.length / CHARS_A_STEP)
    if (this.#work.mayRest()) yield
    const schema = partAt(this.#schema.jsonSchema, site.at)
    if (schema === undefined) return site.value
    let here = yield* this.#ruled(site, schema)
    const target = localRef(schema)
    if (target !== undefined && here.refs < MAX_REFS) {
      here = { ...here, value: yield* this.#visit({ ...here, at: target, refs: here.refs + 1 }) }
    }
    for (const at of partsOf(schema, site.at, 'allOf')) {
      here = { ...here, value: yield* this.#visit({ ...here, at }) }
    }
    // Before the parts that look at them, such as the `if` of a discriminator.
    here = { ...here, value: yield* this.#inside(here, schema) }
    const chosen = this.#chosenByIf(here, schema)
    if (chosen !== undefined) {
      here = { ...here, value: yield* this.#visit({ ...here, at: chosen }) }
    }
    for (const keyword of ['anyOf', 'oneOf'] as const) {
      const branches = partsOf(schema, site.at, keyword)
      if (branches.length > 0) here = { ...here, value: yield* this.#union(here, branches) }
    }
    return here.value
  }

  *#inside(site: Site, schema: SchemaPart): Resting<unknown> {
    if (Array.isArray(site.value)) return yield* this.#elements(site, site.value, schema)
    return isRecord(site.value) ? yield* this.#members(site, site.value, schema) : site.value
  }

  /** `then` or `else`, depending on the current value. */
  #chosenByIf({ at, value }: Site, schema: SchemaPart): string | undefined {
    if (schema.if === undefined) return undefined
    const keyword = this.#errorsAt(`${at}/if`, value).length === 0 ? 'then' : 'else'
    return schema[keyword] === undefined ? undefined : `${at}/${keyword}`
  }

  readonly #decimalMark = (): DecimalMark | undefined => {
    this.#mark ??= { of: decimalMarkIn(this.#root, this.#work) }
    return this.#mark.of
  }

  #errorsAt(at: string, value: unknown) {
    return this.#schema.errorsAt(at, value, this.#work)
  }

  *#ruled(site: Site, schema: SchemaPart): Resting<Site> {
    const { value: before, path, source, isBranch } = site
    const given: RuleSite = {
      ...{ value: before, schema, source },
      isAlone: () => !isBranch && !ELEMENT.test(path),
      name: () => nameIn(path),
      decimalMark: this.#decimalMark,
    }
    for (const { name, apply, isJson } of this.#valueRules) {
      const made = apply(given)
      const value = isJson && made !== undefined ? yield* this.#parse(String(made)) : made
      if (value === undefined) continue
      this.#repairs.push({ path, rule: name })
      // A string may have become an object, whose members may fail as well.
      return { ...site, value, failing: this.#failing(site.at, path, value) }
    }
    return site
  }

  *#parse(text: string): Resting<unknown> {
    try {
      return (yield* parseWithSources(text, this.#work, this.#sources)).value
    } catch (error) {
      if (error instanceof SyntaxError) return undefined
      throw error
    }
  }

  /** The value as coerced by the only branch that then accepts it, or the value itself. */
  *#union(site: Site, branches: readonly string[]): Resting<unknown> {
    const possible = this.#possible(site, branches)
    // The value fits this branch or none, and the final check shows which. Checking on every level of a
    // nested structure would take quadratic time.
    if (possible.length === 1) {
      return yield* this.#visit({ ...site, at: possible[0] ?? '', isBranch: true })
    }
    const before = this.#repairs
    const fitting: { readonly value: unknown; readonly repairs: Repair[] }[] = []
    for (const at of possible) {
      this.#repairs = []
      const failing = this.#failing(at, site.path, site.value)
      const value = yield* this.#visit({ ...site, at, failing, isBranch: true })
      if (this.#errorsAt(at, value).length === 0) fitting.push({ value, repairs: this.#repairs })
      this.#repairs = before
    }
    const [only, ...others] = fitting
    // Several branches may fit if they agree: "36" becomes 36 both as an integer and as a number.
    if (only === undefined || others.some(({ value }) => value !== only.value)) return site.value
    this.#repairs = [...before, ...only.repairs]
    return only.value
  }

  /**
   * Drops branches for values of other types, unless no other is left for a short list: no other rule
   * changes the type of an object or array.
   */
  #possible({ value }: Site, branches: readonly string[]): readonly string[] {
    if (typeof value !== 'object' || value === null) return branches
    const taking = this.#taking(value, branches)
    const isShort = Array.isArray(value) && value.length > 0 && value.length <= 2
    return taking.length === 0 && isShort ? this.#taking(value[0], branches) : taking
  }

  #taking(value: unknown, branches: readonly string[]): readonly string[] {
    const type = typeOfValue(value)
    const root = this.#schema.jsonSchema
    const takes = (types: readonly string[]) =>
      types.includes(type) || (type === 'number' && types.includes('integer'))
    return branches.filter((at) => {
      const types = typesOf(partAt(root, at) ?? {}, root)
      return types === undefined || takes(types)
    })
  }

  *#elements(site: Site, items: readonly unknown[], schema: SchemaPart): Resting<unknown> {
    const changed: unknown[] = []
    for (const [index, value] of items.entries()) {
      const at = itemPointer(schema, site.at, index)
      const key = String(index)
      changed.push(
        at === undefined ? value : yield* this.#child(site, { holder: items, key, value, at }),
      )
    }
    if (changed.every((value, index) => value === items[index])) return items
    this.#sources.carry(items, changed)
    return changed
  }

  *#members(
    site: Site,
    record: Readonly<Record<string, unknown>>,
    schema: SchemaPart,
  ): Resting<unknown> {
    const entries: [string, unknown][] = []
    let changed = false
    for (const key of Object.keys(record)) {
      const dropped = this.#dropping(site, record, key, schema)
      if (dropped !== undefined) {
        this.#repairs.push({ path: childPath(site.path, key), rule: dropped })
        changed = true
        continue
      }
      let value = record[key]
      for (const at of memberPointers(schema, site.at, key, this.#fits)) {
        value = yield* this.#child(site, { holder: record, key, value, at })
      }
      changed ||= value !== record[key]
      entries.push([key, value])
    }
    if (!changed) return record
    // fromEntries defines own properties, even for the key __proto__.
    const copy: unknown = Object.fromEntries(entries)
    this.#sources.carry(record, Object(copy))
    return copy
  }

  readonly #fits = (pattern: string, name: string): boolean => this.#schema.fits(pattern, name)

  /** The rule that drops the property, if one does. */
  #dropping(
    site: Site,
    record: Readonly<Record<string, unknown>>,
    key: string,
    schema: SchemaPart,
  ): CoercionRule | undefined {
    const { patternProperties, properties } = schema
    const patterns = isRecord(patternProperties) ? Object.keys(patternProperties) : []
    if (this.#allowed.level === 'lenient' && own(properties, key) === undefined) {
      // The name is compared with all declared ones.
      const names = Object.keys(Object(properties)).length
      this.#work.spend(names * (STEPS_A_NAME + key.length / CHARS_A_STEP))
    }
    const member = {
      ...{ key, record, schema, at: site.at, root: this.#schema.jsonSchema },
      isFailing: site.failing.has(childPath(site.path, key)),
      isPatterned: patterns.some((pattern) => this.#fits(pattern, key)),
    }
    return this.#dropRules.find(({ applies }) => applies(member))?.name
  }

  *#child(site: Site, { holder, key, value, at }: Child): Resting<unknown> {
    const path = childPath(site.path, key)
    this.#work.spend(1 + path.length / CHARS_A_STEP)
    const depth = site.depth + 1
    if (depth > MAX_DEPTH || !site.failing.has(path)) return value
    const source = this.#sources.of(holder, key)
    const { failing } = site
    return yield* this.#visit({ value, path, at, failing, source, isBranch: false, refs: 0, depth })
  }

  /** The paths at which this part of the schema rejects the value, and their parent paths. */
  #failing(at: string, base: string, value: unknown): ReadonlySet<string> {
    const paths = new Set<string>()
    for (const { instancePath } of this.#errorsAt(at, value)) {
      let path = base + instancePath
      this.#work.spend(1 + path.length / CHARS_A_STEP)
      while (!paths.has(path)) {
        paths.add(path)
        if (path === base) break
        path = path.slice(0, path.lastIndexOf('/'))
        this.#work.spend(1 + path.length / CHARS_A_STEP)
      }
    }
    return paths
  }
}

const ELEMENT = /\/\d+$/

/** The name of the property at a path, or of the one whose list it points into. */
function nameIn(path: string): string {
  const names = path.split('/').slice(1)
  return names.findLast((name) => !/^\d+$/.test(name)) ?? ''
}

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
