import { childPath } from '../json-value.ts'
import type { ErrorObject } from '../schema-engine.ts'
import type { Work } from '../work.ts'

/** A JSON Schema that is an object. */
export type Schema = Readonly<Record<string, unknown>>

/** What a schema is applied to. */
export interface Place {
  readonly value: unknown
  /** JSON Pointer; empty where no errors are collected. */
  readonly path: string
}

/** One checking of a value. */
export interface Run {
  /** Undefined where only the verdict is asked for. */
  readonly errors: ErrorObject[] | undefined
  /** All errors of a value, or the first one. */
  readonly all: boolean
  /** The first error need not be the last word: in a branch of a union. */
  readonly inUnion: boolean
  /** Through which addresses the schema was reached, the last one first. */
  readonly scope: Scope | undefined
  /** Where steps are counted. */
  readonly work?: Work | undefined
}

export interface Scope {
  readonly address: string
  readonly outer: Scope | undefined
}

/** Does it accept the value? Errors are collected in the run. */
export type Check = (place: Place, run: Run, evaluated: Evaluated | undefined) => boolean

/** What schemas in the same place have looked at, for `unevaluatedItems` and `unevaluatedProperties`. */
export class Evaluated {
  /** The first items, this many. */
  items = 0
  allProperties = false
  readonly properties: Set<string> = new Set()

  add(other: Evaluated): void {
    this.items = Math.max(this.items, other.items)
    this.allProperties ||= other.allProperties
    for (const name of other.properties) this.properties.add(name)
  }
}

/** What an error says of its keyword. */
export interface Complaint {
  readonly keyword: string
  readonly params: unknown
  readonly message: string
  readonly schema: unknown
  readonly parentSchema: unknown
}

/** Notes the complaint where errors are collected. */
export function fail({ errors }: Run, { value, path }: Place, complaint: Complaint): false {
  errors?.push({ ...complaint, instancePath: path, data: value })
  return false
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member of the place, as a place. */
export function memberOf(place: Place, key: string | number, value: unknown, run: Run): Place {
  return { value, path: run.errors === undefined ? '' : childPath(place.path, String(key)) }
}

/** The run without errors: only the verdict counts. */
export function silent(run: Run): Run {
  return { ...run, errors: undefined, all: false }
}

/** The run of a branch: what it complains of does not end the run. */
export function branching(run: Run): Run {
  return run.inUnion ? run : { ...run, inUnion: true }
}

/** Every element, or up to the first that fails where the first error is enough. */
export function each<T>(
  elements: readonly T[],
  run: Run,
  accepts: (element: T, index: number) => boolean,
): boolean {
  let valid = true
  // Not by an iterator, which takes much of the stack: a value may be nested the deeper.
  for (let at = 0; at < elements.length && (valid || run.all); at += 1) {
    // Below the length there is one.
    valid = accepts(elements[at] as T, at) && valid
  }
  return valid
}
