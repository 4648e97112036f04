import { isRecord, own } from '../json-value.ts'
import {
  itemPointer,
  localRef,
  memberPointers,
  membersOf,
  partAt,
  partsOf,
  type SchemaPart,
} from '../schema-part.ts'
import type { Frame } from './configuration.ts'

/** The parts of a schema that may apply to a place; `undefined` where it says nothing. */
export type Parts = readonly SchemaPart[] | undefined

/**
 * What a schema says about a place in the text. It is lenient: all branches of a union count as
 * alternatives, and the validator decides in the end.
 */
export class Guide {
  readonly #root: object | undefined
  readonly #parts = new WeakMap<Frame, Parts>()
  readonly #keyOf: (from: number, to: number) => string

  /** `keyOf` gives the key that a range of the text holds. */
  constructor(root: unknown, keyOf: (from: number, to: number) => string) {
    this.#root = isRecord(root) ? root : undefined
    this.#keyOf = keyOf
  }

  /** The parts for a value in an open bracket, or for the root. */
  at(frame: Frame | undefined, index: number, key: string | undefined): Parts {
    if (this.#root === undefined) return undefined
    if (frame === undefined) return this.#expanded([''])
    const parts = this.#of(frame)
    return frame.kind === '{' ? this.#member(parts, key ?? '') : this.#item(parts, index)
  }

  /** Whether the schema has a key in this object: by name, not at all, or not by name. */
  knows(frame: Frame, key: string): 'declared' | 'closed' | 'open' {
    const parts = this.#of(frame)
    const objects = parts?.filter(isObject)
    if (objects === undefined || objects.length === 0) return 'open'
    if (objects.some((part) => own(part.properties, key) !== undefined)) return 'declared'
    const isClosed = ({ additionalProperties, patternProperties }: SchemaPart) =>
      additionalProperties === false && patternProperties === undefined
    return objects.every(isClosed) ? 'closed' : 'open'
  }

  /** The parts that apply to the container that a frame opened. */
  #of(frame: Frame): Parts {
    if (this.#parts.has(frame)) return this.#parts.get(frame)
    const { up, index, keyFrom, keyTo } = frame
    const parts =
      frame.depth > MAX_DEPTH
        ? undefined
        : this.at(up, index, up?.kind === '{' ? this.#keyOf(keyFrom, keyTo) : undefined)
    this.#parts.set(frame, parts)
    return parts
  }

  #member(parts: Parts, key: string): Parts {
    if (parts === undefined) return undefined
    return this.#follow(parts, (part) => memberPointers(part, '', key, matches))
  }

  #item(parts: Parts, index: number): Parts {
    if (parts === undefined) return undefined
    return this.#follow(parts, (part) => {
      const pointer = itemPointer(part, '', index)
      return pointer === undefined ? [] : [pointer]
    })
  }

  #follow(
    parts: readonly SchemaPart[],
    pointersIn: (part: SchemaPart) => readonly string[],
  ): Parts {
    const found: SchemaPart[] = []
    for (const part of parts) {
      for (const pointer of pointersIn(part)) {
        const target = partAt(part, pointer)
        if (target !== undefined) this.#expand(target, found, 0)
      }
    }
    return found.length === 0 ? undefined : found
  }

  #expanded(pointers: readonly string[]): Parts {
    const found: SchemaPart[] = []
    for (const pointer of pointers) {
      const part = this.#root === undefined ? undefined : partAt(this.#root, pointer)
      if (part !== undefined) this.#expand(part, found, 0)
    }
    return found.length === 0 ? undefined : found
  }

  #expand(part: SchemaPart, found: SchemaPart[], depth: number): void {
    if (depth > MAX_DEPTH_OF_PARTS || found.length >= MAX_PARTS || found.includes(part)) return
    found.push(part)
    const target = localRef(part)
    const referred =
      target === undefined || this.#root === undefined ? undefined : partAt(this.#root, target)
    if (referred !== undefined) this.#expand(referred, found, depth + 1)
    for (const keyword of ['anyOf', 'oneOf', 'allOf'] as const) {
      for (const pointer of partsOf(part, '', keyword)) {
        const branch = partAt(part, pointer)
        if (branch !== undefined) this.#expand(branch, found, depth + 1)
      }
    }
    for (const branch of [part.then, part.else]) {
      if (isRecord(branch)) this.#expand(branch, found, depth + 1)
    }
  }
}

const MAX_DEPTH = 100
const MAX_DEPTH_OF_PARTS = 12
const MAX_PARTS = 60

function isObject(part: SchemaPart): boolean {
  return part.properties !== undefined || part.type === 'object'
}

// A pattern of the schema may backtrack, so none is run here; the validator runs it once.
function matches(): boolean {
  return false
}

export type JsonType = 'string' | 'number' | 'boolean' | 'null' | 'array' | 'object'

/** Whether a value of this type may stand in the place, as far as the schema says. */
export function takes(parts: Parts, type: JsonType): boolean {
  if (parts === undefined) return true
  const said = parts.flatMap(typesOfPart)
  return said.length === 0 || said.includes(type)
}

/** Whether the schema asks for a string and nothing else, and none of a list. */
export function asksForText(parts: Parts): boolean {
  if (parts === undefined) return false
  const types = parts.flatMap(typesOfPart)
  const isText =
    types.includes('string') && types.every((type) => type === 'string' || type === 'null')
  return isText && wordsOf(parts).length === 0
}

/** The only listed string that differs from a word at most in case. */
export function listedWord(parts: Parts, word: string): string | undefined {
  if (parts === undefined) return undefined
  const folded = word.toLowerCase()
  const [only, ...others] = wordsOf(parts).filter((known) => known.toLowerCase() === folded)
  return others.length === 0 ? only : undefined
}

function wordsOf(parts: readonly SchemaPart[]): readonly string[] {
  const words = parts.flatMap((part) => membersOf(part).filter((one) => typeof one === 'string'))
  return [...new Set(words)]
}

function typesOfPart(part: SchemaPart): readonly string[] {
  const { type } = part
  const types = typeof type === 'string' ? [type] : Array.isArray(type) ? type : []
  if (types.length > 0) return types.map((name) => (name === 'integer' ? 'number' : String(name)))
  const members = membersOf(part)
  if (members.length > 0) {
    return members.map((one) => (one === null ? 'null' : Array.isArray(one) ? 'array' : typeof one))
  }
  return part.properties !== undefined ? ['object'] : []
}
