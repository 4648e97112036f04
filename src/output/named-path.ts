import type { OutputIssue } from '../errors/call-error.ts'
import { isRecord, own } from './json-value.ts'
import { localRef, partAt, type SchemaPart } from './schema-part.ts'

/** An issue in two forms: for the model, which knows its own answer, and for reports and errors. */
export interface FoundIssue extends OutputIssue {
  /** Contains nothing that is known from the answer alone. */
  readonly told: OutputIssue
}

export function toldOf(issues: readonly FoundIssue[]): readonly OutputIssue[] {
  return issues.map(({ told }) => told)
}

/** An issue with the answer as a whole. */
export function foundAtRoot(message: string): FoundIssue {
  return { path: '', message, told: { path: '', message } }
}

/**
 * Replaces, in a path into an answer, each name that does not occur in the schema at its place by `*`: it
 * is the model's own text, such as a key of a map. Array indices are kept.
 */
export class SchemaNames {
  readonly #root: object
  readonly #ids = new Map<object, number>()
  readonly #places = new Map<string, AnswerPlace>()
  #top: AnswerPlace | undefined
  #anchors: ReadonlyMap<string, readonly object[]> | undefined

  constructor(schema: object) {
    this.#root = schema
  }

  /** `path` is a JSON Pointer into `value`. */
  path(path: string, value: unknown): string {
    if (path === '') return ''
    this.#top ??= this.#placeOf([this.#root])
    let place = this.#top
    let holder = value
    let named = ''
    for (const segment of path.slice(1).split('/')) {
      const isPlain = !segment.includes('~')
      const key = isPlain ? segment : segment.replaceAll('~1', '/').replaceAll('~0', '~')
      const step = this.#step(place, key, Array.isArray(holder))
      named = step.isNamed ? `${named}/${segment}` : `${named}/*`
      place = step.place
      holder = own(holder, key)
    }
    return named
  }

  found({ path, message }: OutputIssue, value: unknown): FoundIssue {
    return { path, message, told: { path: this.path(path, value), message } }
  }

  #step(place: AnswerPlace, key: string, isIndex: boolean): AnswerStep {
    if (isIndex) return { isNamed: true, place: this.#element(place, Number(key)) }
    const isNamed = place.parts.some((part) => names(part, key))
    // All names that are not in the schema share one place.
    const id = isNamed ? `/${key}` : '*'
    const known = place.steps.get(id)
    if (known !== undefined) return known
    const step = { isNamed, place: this.#placeOf(place.parts.flatMap((p) => membersOf(p, key))) }
    place.steps.set(id, step)
    return step
  }

  #element(place: AnswerPlace, index: number): AnswerPlace {
    const last = Math.max(0, ...place.parts.map(tupleLength))
    const id = `[${Math.min(index, last)}`
    const known = place.steps.get(id)
    if (known !== undefined) return known.place
    const made = this.#placeOf(place.parts.flatMap((part) => elementsOf(part, index)))
    place.steps.set(id, { isNamed: true, place: made })
    return made
  }

  /** One place for the same set of parts, so that a recursive schema has finitely many. */
  #placeOf(parts: readonly unknown[]): AnswerPlace {
    const all = this.#withApplied(parts)
    const id = all
      .map((part) => this.#idOf(part))
      .toSorted((a, b) => a - b)
      .join()
    const place = this.#places.get(id) ?? { parts: all, steps: new Map() }
    this.#places.set(id, place)
    return place
  }

  #idOf(part: object): number {
    const id = this.#ids.get(part) ?? this.#ids.size
    this.#ids.set(part, id)
    return id
  }

  /** The parts, and all further parts that apply to the same value. */
  #withApplied(parts: readonly unknown[]): readonly SchemaPart[] {
    const all = new Set<SchemaPart>()
    const left = [...parts]
    for (let part = left.pop(); left.length > 0 || part !== undefined; part = left.pop()) {
      if (!isRecord(part) || all.has(part) || all.size === MAX_PARTS) continue
      all.add(part)
      left.push(...appliedBy(part), ...this.#referred(part))
    }
    return [...all]
  }

  #referred(part: SchemaPart): readonly object[] {
    const local = localRef(part)
    const refs = REFERENCES.map((keyword) => own(part, keyword)).filter(isText)
    return [
      ...(local === undefined ? [] : [partAt(this.#root, local) ?? {}]),
      ...refs.flatMap((ref) => this.#anchored(ref)),
    ]
  }

  /** Parts by anchor or `$id`, for references that are not JSON Pointers. */
  #anchored(ref: string): readonly object[] {
    if (ref === '#') return [this.#root]
    this.#anchors ??= anchorsIn(this.#root)
    return this.#anchors.get(ref) ?? []
  }
}

// More parts than any hand-written schema applies to one value; a limit for generated ones.
const MAX_PARTS = 1_000

/** A place in the answer: the parts of the schema that may apply to the value there. */
interface AnswerPlace {
  readonly parts: readonly SchemaPart[]
  readonly steps: Map<string, AnswerStep>
}

interface AnswerStep {
  readonly isNamed: boolean
  readonly place: AnswerPlace
}

const REFERENCES = ['$ref', '$dynamicRef', '$recursiveRef'] as const
const LISTS = ['allOf', 'anyOf', 'oneOf'] as const
const BRANCHES = ['if', 'then', 'else', 'not'] as const
/** Keywords whose keys are property names, and whose values are schemas or lists of names. */
const BY_NAME = ['dependentSchemas', 'dependentRequired', 'dependencies'] as const

function appliedBy(part: SchemaPart): readonly unknown[] {
  return [
    ...LISTS.flatMap((keyword) => listIn(part, keyword)),
    ...BRANCHES.map((keyword) => own(part, keyword)),
    ...BY_NAME.flatMap((keyword) => Object.values(Object(own(part, keyword)))),
  ]
}

function names(part: SchemaPart, key: string): boolean {
  if (own(part.properties, key) !== undefined || listIn(part, 'required').includes(key)) return true
  const allowed = own(part, 'propertyNames')
  if (own(allowed, 'const') === key || listIn(allowed, 'enum').includes(key)) return true
  return BY_NAME.some((keyword) => {
    const byName = own(part, keyword)
    return (
      own(byName, key) !== undefined ||
      Object.values(Object(byName)).some((list) => Array.isArray(list) && list.includes(key))
    )
  })
}

function membersOf(part: SchemaPart, key: string): readonly unknown[] {
  const declared = own(part.properties, key)
  if (declared !== undefined) return [declared]
  return [
    ...Object.values(Object(part.patternProperties)),
    part.additionalProperties,
    own(part, 'unevaluatedProperties'),
  ]
}

function tupleLength(part: SchemaPart): number {
  return Math.max(listIn(part, 'prefixItems').length, listIn(part, 'items').length)
}

function elementsOf(part: SchemaPart, index: number): readonly unknown[] {
  return [
    listIn(part, 'prefixItems')[index],
    listIn(part, 'items')[index],
    part.items,
    part.additionalItems,
    own(part, 'contains'),
    own(part, 'unevaluatedItems'),
  ]
}

function anchorsIn(root: object): ReadonlyMap<string, readonly object[]> {
  const anchors = new Map<string, object[]>()
  const add = (name: string, part: object) => {
    const known = anchors.get(name)
    if (known === undefined) anchors.set(name, [part])
    else known.push(part)
  }
  const visit = (part: unknown): void => {
    if (typeof part !== 'object' || part === null) return
    for (const keyword of ['$anchor', '$dynamicAnchor'] as const) {
      const name = own(part, keyword)
      if (isText(name)) add(`#${name}`, part)
    }
    const id = own(part, '$id')
    if (isText(id)) add(id, part)
    for (const child of Object.values(part)) visit(child)
  }
  visit(root)
  return anchors
}

function listIn(part: unknown, keyword: string): readonly unknown[] {
  const list = own(part, keyword)
  return Array.isArray(list) ? list : []
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
