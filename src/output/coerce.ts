import { childPath, isRecord, own, type ParsedJson, parseWithSources } from './json-value.ts'
import { allows, type Repair, type RepairLevel, type RepairRule } from './repair-rules.ts'
import type { SchemaValidator } from './schema.ts'
import {
  itemPointer,
  localRef,
  memberPointer,
  partAt,
  partsOf,
  type SchemaPart,
} from './schema-part.ts'
import { wrapped } from './unwrap.ts'
import { VALUE_RULES } from './value-rules.ts'

/** Which rules may be applied. */
export interface Allowed {
  readonly level: RepairLevel
  /** Rules that are allowed at every level. */
  readonly always: ReadonlySet<RepairRule>
}

function mayApply({ level, always }: Allowed, rule: RepairRule): boolean {
  return allows(level, rule) || always.has(rule)
}

/** A value after coercion. It may still be invalid: the caller validates it. */
export interface Coerced {
  readonly value: unknown
  /** Empty when nothing could be changed; `value` is then the parsed one itself. */
  readonly repairs: readonly Repair[]
}

/**
 * Changes a value that the schema refuses, only where it refuses it and only by the rules that are
 * allowed. What needs a guess stays as it is: a required property is never made up, and inside a
 * union nothing is changed unless the branches that then fit agree.
 */
export function coerce(parsed: ParsedJson, schema: SchemaValidator, allowed: Allowed): Coerced {
  const plain = coerced(parsed, parsed.value, parsed.source, schema, allowed)
  if (schema.accepts(plain.value) || !mayApply(allowed, 'unwrap')) return plain
  const inner = wrapped(parsed.value, schema.jsonSchema)
  if (inner === undefined) return plain
  const source = isRecord(parsed.value) ? parsed.sourceOf(parsed.value, inner.key) : undefined
  const unwrapped = coerced(parsed, inner.value, source, schema, allowed)
  if (!schema.accepts(unwrapped.value)) return plain
  return {
    value: unwrapped.value,
    repairs: [{ path: inner.path, rule: 'unwrap' }, ...unwrapped.repairs],
  }
}

// A schema that reports one error at a time has one place coerced at a time.
const MAX_ROUNDS = 20

function coerced(
  parsed: ParsedJson,
  value: unknown,
  source: string | undefined,
  schema: SchemaValidator,
  allowed: Allowed,
): Coerced {
  const coercion = new Coercion(parsed, schema, allowed)
  let current = value
  for (let round = 0; round < MAX_ROUNDS && !schema.accepts(current); round++) {
    const next = coercion.run(current, source)
    if (next === current) break
    current = next
  }
  return { value: current, repairs: coercion.repairs }
}

/** A value, where it stands, and which part of the schema it is held against. */
interface Site {
  readonly value: unknown
  readonly path: string
  /** JSON Pointer into the schema. */
  readonly at: string
  /** Paths with an error at or below them. */
  readonly failing: ReadonlySet<string>
  readonly source: string | undefined
  /** `$ref`s followed without going down into the value. */
  readonly refs: number
}

// A union tries each of its branches, and unions nest: hostile text must not buy more than this.
const MAX_VISITS = 100_000
const MAX_BRANCHES = 500
const MAX_REFS = 20

class Coercion {
  readonly #schema: SchemaValidator
  readonly #allowed: Allowed
  readonly #parsed: ParsedJson[]
  #repairs: Repair[] = []
  #visits = 0
  #branches = 0

  constructor(parsed: ParsedJson, schema: SchemaValidator, allowed: Allowed) {
    this.#parsed = [parsed]
    this.#schema = schema
    this.#allowed = allowed
  }

  get repairs(): readonly Repair[] {
    return this.#repairs
  }

  /** The value with what fails in it coerced; the value itself where nothing could be. */
  run(value: unknown, source: string | undefined): unknown {
    const failing = this.#failing('', '', value)
    return this.#visit({ value, path: '', at: '', failing, source, refs: 0 })
  }

  #visit(site: Site): unknown {
    this.#visits += 1
    if (!site.failing.has(site.path) || this.#visits > MAX_VISITS) return site.value
    const schema = partAt(this.#schema.jsonSchema, site.at)
    if (schema === undefined) return site.value
    let here = this.#ruled(site, schema)
    const target = localRef(schema)
    if (target !== undefined && here.refs < MAX_REFS) {
      here = { ...here, value: this.#visit({ ...here, at: target, refs: here.refs + 1 }) }
    }
    for (const at of partsOf(schema, site.at, 'allOf')) {
      here = { ...here, value: this.#visit({ ...here, at }) }
    }
    const chosen = this.#chosenByIf(here, schema)
    if (chosen !== undefined) here = { ...here, value: this.#visit({ ...here, at: chosen }) }
    for (const keyword of ['anyOf', 'oneOf'] as const) {
      const branches = partsOf(schema, site.at, keyword)
      if (branches.length > 0) here = { ...here, value: this.#union(here, branches) }
    }
    if (Array.isArray(here.value)) return this.#elements(here, here.value, schema)
    return isRecord(here.value) ? this.#members(here, here.value, schema) : here.value
  }

  /** `then` or `else`, as the value stands. */
  #chosenByIf({ at, value }: Site, schema: SchemaPart): string | undefined {
    if (schema.if === undefined) return undefined
    const keyword = this.#schema.errorsAt(`${at}/if`, value).length === 0 ? 'then' : 'else'
    return schema[keyword] === undefined ? undefined : `${at}/${keyword}`
  }

  #ruled(site: Site, schema: SchemaPart): Site {
    const parse = (text: string): unknown => this.#parse(text)
    for (const { name, apply } of VALUE_RULES) {
      if (!mayApply(this.#allowed, name)) continue
      const value = apply({ value: site.value, schema, source: site.source, parse })
      if (value === undefined) continue
      this.#repairs.push({ path: site.path, rule: name })
      // What was a string may be an object now, with failures of its own.
      return { ...site, value, failing: this.#failing(site.at, site.path, value) }
    }
    return site
  }

  #parse(text: string): unknown {
    try {
      const parsed = parseWithSources(text)
      this.#parsed.push(parsed)
      return parsed.value
    } catch {
      return undefined
    }
  }

  /** The value as the only branch has it that fits after coercion; else the value itself. */
  #union(site: Site, branches: readonly string[]): unknown {
    const before = this.#repairs
    const fitting: { readonly value: unknown; readonly repairs: Repair[] }[] = []
    for (const at of branches) {
      this.#branches += 1
      if (this.#branches > MAX_BRANCHES) return site.value
      this.#repairs = []
      const failing = this.#failing(at, site.path, site.value)
      const value = this.#visit({ ...site, at, failing })
      if (this.#schema.errorsAt(at, value).length === 0) {
        fitting.push({ value, repairs: this.#repairs })
      }
      this.#repairs = before
    }
    const [only, ...others] = fitting
    // More than one may fit, if they agree: "36" is 36 as an integer and as a number.
    if (only === undefined || others.some(({ value }) => value !== only.value)) return site.value
    this.#repairs = [...before, ...only.repairs]
    return only.value
  }

  #elements(site: Site, items: readonly unknown[], schema: SchemaPart): unknown {
    const changed = items.map((value, index) => {
      const at = itemPointer(schema, site.at, index)
      return at === undefined ? value : this.#child(site, items, String(index), at)
    })
    return changed.some((value, index) => value !== items[index]) ? changed : items
  }

  #members(site: Site, record: Readonly<Record<string, unknown>>, schema: SchemaPart): unknown {
    const entries: [string, unknown][] = []
    let changed = false
    for (const key of Object.keys(record)) {
      const path = childPath(site.path, key)
      if (this.#droppable(record[key], key, schema) && site.failing.has(path)) {
        this.#repairs.push({ path, rule: 'drop-null' })
        changed = true
        continue
      }
      const at = memberPointer(schema, site.at, key, this.#fits)
      const value = at === undefined ? record[key] : this.#child(site, record, key, at)
      changed ||= value !== record[key]
      entries.push([key, value])
    }
    // Defines own properties, also for the key __proto__.
    return changed ? Object.fromEntries(entries) : record
  }

  readonly #fits = (pattern: string, name: string): boolean => this.#schema.fits(pattern, name)

  #droppable(value: unknown, key: string, schema: SchemaPart): boolean {
    return (
      value === null &&
      mayApply(this.#allowed, 'drop-null') &&
      own(schema.properties, key) !== undefined &&
      !(Array.isArray(schema.required) && schema.required.includes(key))
    )
  }

  #child(site: Site, holder: object, key: string, at: string): unknown {
    const path = childPath(site.path, key)
    const value = own(holder, key)
    if (!site.failing.has(path)) return value
    const parsed = this.#parsed.find((one) => one.sourceOf(holder, key) !== undefined)
    const source = parsed?.sourceOf(holder, key)
    return this.#visit({ value, path, at, failing: site.failing, source, refs: 0 })
  }

  /** The paths at which the part of the schema refuses the value, and all paths above them. */
  #failing(at: string, base: string, value: unknown): ReadonlySet<string> {
    const paths = new Set<string>()
    for (const { instancePath } of this.#schema.errorsAt(at, value)) {
      let path = base + instancePath
      while (!paths.has(path)) {
        paths.add(path)
        if (path === base) break
        path = path.slice(0, path.lastIndexOf('/'))
      }
    }
    return paths
  }
}
