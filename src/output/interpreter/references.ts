import { isRecord, own, valueAt } from '../json-value.ts'
import { type MetaSchemasOf, metaSchemasFor } from '../meta-schemas.ts'
import type { Draft } from '../schema-engine.ts'
import { partsIn } from '../schema-part.ts'

/** A schema, and the address that its own references are relative to. */
export interface Located {
  readonly schema: unknown
  readonly base: string
}

/** What the parts of a schema can be referred to as: by `$id`, anchor and JSON Pointer. */
export class References {
  /** Schemas with an address of their own, by it. */
  readonly #resources = new Map<string, object>()
  /** Parts that an anchor names, by address and anchor. */
  readonly #anchors = new Map<string, Located>()
  readonly #dynamicAnchors = new Map<string, Located>()
  readonly #bases = new Map<object, string>()

  /** @throws TypeError for two parts of the same name. */
  constructor(schema: object, draft: Draft, metaSchemasOf: MetaSchemasOf) {
    for (const metaSchema of metaSchemasFor(schema, draft, metaSchemasOf)) {
      this.#collect(metaSchema, ROOT)
    }
    this.#resources.set(ROOT, schema)
    this.#collect(schema, ROOT)
  }

  /** The schema itself. */
  get root(): Located {
    const schema = this.#resources.get(ROOT)
    return { schema, base: this.baseOf(schema, ROOT) }
  }

  /** What a JSON Pointer into the schema leads to. */
  at(pointer: string): Located {
    const schema = valueAt(this.#resources.get(ROOT), pointer)
    return { schema, base: this.baseOf(schema, ROOT) }
  }

  /** The address that a part's references are relative to; that of what it stands in, if none. */
  baseOf(part: unknown, around: string): string {
    return (isRecord(part) ? this.#bases.get(part) : undefined) ?? around
  }

  /** @throws TypeError when nothing is there. */
  resolve({ base, ref }: { readonly base: string; readonly ref: string }): Located {
    const found = this.#find(base, ref)
    if (found?.schema !== undefined) return found
    throw new TypeError(
      `can't resolve reference ${ref} from id ${base.replace(ROOT, '') || 'root'}`,
    )
  }

  /** The name of a dynamic anchor that the reference leads to; it may then lead elsewhere. */
  dynamicName(base: string, ref: string): string | undefined {
    const { address, fragment } = addressOf(base, ref)
    return this.#dynamicAnchors.has(`${address}#${fragment}`) ? fragment : undefined
  }

  dynamicAnchor(address: string, name: string): Located | undefined {
    return this.#dynamicAnchors.get(`${address}#${name}`)
  }

  /** The schema whose address it is. */
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

  /** Its address, noted with its anchors. */
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
    // draft-07 has anchors in $id.
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

/** Of a schema without `$id`: addresses are resolved as any URL's. */
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
  // Of a base that nothing is relative to, such as a URN, the reference stands alone.
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
