import { isRecord, own, valueAt } from '../json-value.ts'
import { type MetaSchemasOf, metaSchemasFor } from '../library-schema.ts'
import { fullFormats } from '../load-ajv.ts'
import type { Draft } from '../schema-engine.ts'
import { partsIn } from '../schema-part.ts'

/** A schema, and the base address of its references. */
export interface Located {
  readonly schema: unknown
  readonly base: string
}

/** Resolves references to the parts of a schema: by `$id`, anchor and JSON Pointer. */
export class References {
  /** Schemas with an address of their own, by that address. */
  readonly #resources = new Map<string, object>()
  /** Parts with an anchor, by address and anchor. */
  readonly #anchors = new Map<string, Located>()
  readonly #dynamicAnchors = new Map<string, Located>()
  readonly #bases = new Map<object, string>()

  /** @throws TypeError if two parts have the same name. */
  constructor(schema: object, draft: Draft, metaSchemasOf: MetaSchemasOf) {
    for (const metaSchema of metaSchemasFor(schema, draft, metaSchemasOf)) {
      this.#collect(metaSchema, ROOT)
    }
    this.#resources.set(ROOT, schema)
    this.#collect(schema, ROOT)
  }

  /** The whole schema. */
  get root(): Located {
    const schema = this.#resources.get(ROOT)
    return { schema, base: this.baseOf(schema, ROOT) }
  }

  /** The part that a JSON Pointer names. */
  at(pointer: string): Located {
    const schema = valueAt(this.#resources.get(ROOT), pointer)
    return { schema, base: this.baseOf(schema, ROOT) }
  }

  /** The base address of a part's references; `around` if the part has none. */
  baseOf(part: unknown, around: string): string {
    return (isRecord(part) ? this.#bases.get(part) : undefined) ?? around
  }

  /** @throws TypeError if the reference cannot be resolved. */
  resolve({ base, ref }: { readonly base: string; readonly ref: string }): Located {
    const found = this.#find(base, ref)
    if (found?.schema !== undefined) return found
    throw new TypeError(
      `can't resolve reference ${ref} from id ${base.replace(ROOT, '') || 'root'}`,
    )
  }

  /** The name of the dynamic anchor that the reference resolves to, if it is one. */
  dynamicName(base: string, ref: string): string | undefined {
    const { address, fragment } = addressOf(base, ref)
    return this.#dynamicAnchors.has(`${address}#${fragment}`) ? fragment : undefined
  }

  dynamicAnchor(address: string, name: string): Located | undefined {
    return this.#dynamicAnchors.get(`${address}#${name}`)
  }

  /** The schema with this address. */
  resource(address: string): Located | undefined {
    const schema = this.#resources.get(address)
    return schema === undefined ? undefined : { schema, base: address }
  }

  #find(base: string, ref: string): Located | undefined {
    const { address, fragment } = addressOf(base, ref)
    const resource = this.#resources.get(address)
    if (resource === undefined) return undefined
    if (fragment === '') return { schema: resource, base: address }
    if (!fragment.startsWith('/')) return this.#anchors.get(`${address}#${fragment}`)
    const schema = valueAt(resource, fragment)
    return { schema, base: this.baseOf(schema, address) }
  }

  #collect(part: unknown, around: string): void {
    if (!isRecord(part)) return
    const base = this.#named(part, around)
    this.#bases.set(part, base)
    for (const [, child] of partsIn(part)) this.#collect(child, base)
  }

  /** Registers a part's address and anchors; returns the address. */
  #named(part: Readonly<Record<string, unknown>>, around: string): string {
    const id = own(part, '$id')
    const { address, fragment } =
      typeof id === 'string' ? addressOf(around, id) : { address: around, fragment: '' }
    if (address !== around) {
      const known = this.#resources.get(address)
      if (known !== undefined && known !== part) throw ambiguous(address)
      this.#resources.set(address, part)
    }
    const anchor = own(part, '$anchor')
    const dynamic = own(part, '$dynamicAnchor')
    // draft-07 writes an anchor as the fragment of $id.
    for (const name of [fragment, anchor, dynamic]) {
      if (typeof name !== 'string' || name === '') continue
      if (this.#anchors.has(`${address}#${name}`)) throw ambiguous(`#${name}`)
      this.#anchors.set(`${address}#${name}`, { schema: part, base: address })
    }
    if (typeof dynamic === 'string') {
      this.#dynamicAnchors.set(`${address}#${dynamic}`, { schema: part, base: address })
    }
    return address
  }
}

/** The base of a schema without `$id`, so that addresses can be resolved as URLs. */
const ROOT = 'schema://root/'

function addressOf(
  base: string,
  ref: string,
): { readonly address: string; readonly fragment: string } {
  const [path = '', ...rest] = ref.split('#')
  const address = path === '' ? base : absolute(base, path)
  return { address, fragment: decoded(rest.join('#')) }
}

function absolute(base: string, path: string): string {
  // Nothing is relative to a base such as a URN; the reference is then used as it is.
  return URL.canParse(path, base) ? new URL(path, base).href : path
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment)
  } catch {
    return fragment
  }
}

function ambiguous(reference: string): TypeError {
  return new TypeError(`reference "${reference}" resolves to more than one schema`)
}

export type Formats = ReadonlyMap<string, Format>

/** The checks of a format, either for strings or for numbers. */
interface Format {
  readonly string?: (value: string) => boolean
  readonly number?: (value: number) => boolean
  /** Compares two values; undefined if the format has no order. */
  readonly compare?: (a: string, b: string) => number | undefined
}

let all: Formats | undefined

/** The formats of ajv-formats, which are functions and regular expressions and work without code generation. */
export function formatsOfAjv(): Formats {
  all ??= new Map(Object.entries(fullFormats()).map(([name, format]) => [name, asFormat(format)]))
  return all
}

type Full = ReturnType<typeof fullFormats>

function asFormat(format: Full[keyof Full]): Format {
  if (typeof format === 'boolean') return {}
  if (format instanceof RegExp) return { string: (value) => format.test(value) }
  if (typeof format === 'function') return { string: format as (value: string) => boolean }
  const { validate, type, compare } = format as Ordered
  const check =
    validate instanceof RegExp ? (value: unknown) => validate.test(String(value)) : validate
  return {
    ...(type === 'number' ? { number: check } : { string: check }),
    ...(compare === undefined ? {} : { compare }),
  }
}

/** The shape that ajv-formats uses, narrower than AJV's type. */
interface Ordered {
  readonly validate: RegExp | ((value: unknown) => boolean)
  readonly type?: 'string' | 'number'
  readonly compare?: (a: string, b: string) => number | undefined
}
