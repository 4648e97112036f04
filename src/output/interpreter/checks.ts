import { childPath } from '../json-value.ts'
import type { ErrorObject } from '../schema-engine.ts'
import type { Work } from '../work.ts'

/** A JSON Schema that is an object. */
export type Schema = Readonly<Record<string, unknown>>

/** A value and its position. */
export interface LocatedValue {
  readonly value: unknown
  /** JSON Pointer; empty if no errors are collected. */
  readonly path: string
}

/** The settings and state of one validation. */
export interface Validation {
  /** Undefined if only the verdict is needed. */
  readonly errors: ErrorObject[] | undefined
  /** Whether to collect all errors rather than only the first. */
  readonly all: boolean
  /** Inside a branch of a union, an error does not decide the verdict. */
  readonly inUnion: boolean
  /** The chain of schema addresses that led here, the most recent first. */
  readonly scope: DynamicScope | undefined
  /** Set if steps are counted. */
  readonly work?: Work | undefined
}

export interface DynamicScope {
  readonly address: string
  readonly outer: DynamicScope | undefined
}

/** Whether a schema accepts the value. Adds errors to the validation. */
export type Check = (
  place: LocatedValue,
  run: Validation,
  evaluated: Evaluated | undefined,
) => boolean

/** Items and properties evaluated so far, for `unevaluatedItems` and `unevaluatedProperties`. */
export class Evaluated {
  /** How many items, counted from the first. */
  items = 0
  allProperties = false
  readonly properties: Set<string> = new Set()

  add(other: Evaluated): void {
    this.items = Math.max(this.items, other.items)
    this.allProperties ||= other.allProperties
    for (const name of other.properties) this.properties.add(name)
  }
}

/** The parts of an error that come from its keyword. */
export interface Complaint {
  readonly keyword: string
  readonly params: unknown
  readonly message: string
  readonly schema: unknown
  readonly parentSchema: unknown
}

/** Adds an error to the validation, if errors are collected. */
export function fail(
  { errors }: Validation,
  { value, path }: LocatedValue,
  complaint: Complaint,
): false {
  errors?.push({ ...complaint, instancePath: path, data: value })
  return false
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member of the value, with its position. */
export function memberOf(
  place: LocatedValue,
  key: string | number,
  value: unknown,
  run: Validation,
): LocatedValue {
  return { value, path: run.errors === undefined ? '' : childPath(place.path, String(key)) }
}

/** A run that collects no errors. */
export function silent(run: Validation): Validation {
  return { ...run, errors: undefined, all: false }
}

/** A run for a branch of a union, in which an error does not end the validation. */
export function branching(run: Validation): Validation {
  return run.inUnion ? run : { ...run, inUnion: true }
}

/** Checks every element, or stops at the first failure if one error is enough. */
export function each<T>(
  elements: readonly T[],
  run: Validation,
  accepts: (element: T, index: number) => boolean,
): boolean {
  let valid = true
  // An index loop: an iterator uses more of the stack, which limits how deeply a value may be nested.
  for (let at = 0; at < elements.length && (valid || run.all); at += 1) {
    // `at` is below the length, so the element exists.
    valid = accepts(elements[at] as T, at) && valid
  }
  return valid
}
