import { isObject } from '../errors/hostile.ts'
import type { ChatClient } from './chat-client.ts'
import { jsonOf, parseExactly } from './json-of.ts'
import { seesBodies, type WireRecord } from './wire.ts'

/** The parameters of a request, as far as they are read here. */
export type Params = Readonly<Record<string, unknown>>

/**
 * The parameters that the caller gave to `create`. They go out once as the caller's own objects,
 * since openai's helpers watch how these are serialised; from then on, and wherever something has to
 * be read of them, they are the JSON that they became: every attempt sends the same bytes, whatever
 * the caller changes meanwhile, and the caller's own `toJSON` and getters are asked once.
 */
export class GivenParams {
  readonly #given: Params
  /** The request they went out with. */
  #sentWith: WireRecord | undefined
  #json: Params | undefined
  /** What reading them threw. */
  #broken: { readonly error: unknown } | undefined

  /** @throws what a root that serialises itself throws. */
  constructor(given: unknown) {
    // Untyped callers give anything; what is no object is openai's to refuse.
    this.#given = given as Params
    // Whether it is a stream has to be known before: elsewhere openai finds out while it serialises.
    // Read as openai reads it, also where it throws.
    const stream = this.#given['stream']
    const saysItself = isObject(stream) || (stream !== true && hasToJson(given))
    if (isOpaque(given)) this.#json = this.#given
    else if (saysItself) this.#json = this.#read()
  }

  /** For what is read at the root only, such as `model` and `stream`. */
  get facts(): Params {
    return this.#json ?? this.#given
  }

  /**
   * What is sent, whatever becomes of the caller's objects.
   * @throws what these throw.
   */
  get json(): Params {
    this.#json ??= this.#read()
    return this.#json
  }

  /** The body of an attempt that sends them as they are. */
  toSend(client: ChatClient, wire: WireRecord): Params {
    const isFirst = this.#json === undefined && this.#sentWith === undefined
    if (!isFirst || !isObject(this.#given) || !seesBodies(client)) return this.json
    this.#sentWith = wire
    wire.keepsBody = true
    return this.#given
  }

  /** The call has begun to wait. What it has not sent yet is not the caller's to change any more. */
  hold(): void {
    if (this.#sentWith !== undefined || this.#json !== undefined) return
    try {
      this.#json = this.#read()
    } catch {
      // Thrown again where it was to be sent.
    }
  }

  /** Equal for all bodies that are these parameters. */
  identityOf(body: Params): unknown {
    return this.#sentWith !== undefined && body === this.#json ? this.#given : body
  }

  /** Is this what reading them threw? */
  threw(error: unknown): boolean {
    return this.#broken !== undefined && this.#broken.error === error
  }

  #read(): Params {
    if (this.#broken !== undefined) throw this.#broken.error
    try {
      const json = sentJson(this.#sentWith?.body) ?? jsonOf(this.#given)
      // A root that is no object in JSON is the provider's to refuse.
      return isObject(json) && !Array.isArray(json) ? { ...json } : this.#given
    } catch (error) {
      this.#broken = { error }
      throw error
    }
  }
}

function sentJson(text: string | undefined): object | undefined {
  try {
    const json: unknown = text === undefined ? undefined : parseExactly(text)
    return isObject(json) ? json : undefined
  } catch {
    // Encoded otherwise, by headers or a subclass of the caller's.
    return undefined
  }
}

function hasToJson(given: unknown): boolean {
  return isObject(given) && typeof Reflect.get(given, 'toJSON') === 'function'
}

/** Bodies that openai passes on as they are, instead of as JSON. */
function isOpaque(given: unknown): boolean {
  if (!isObject(given)) return false
  if (Symbol.asyncIterator in given || (Symbol.iterator in given && 'next' in given)) return true
  // Nearly all of them.
  if (Object.getPrototypeOf(given) === Object.prototype) return false
  return (
    ArrayBuffer.isView(given) ||
    given instanceof ArrayBuffer ||
    given instanceof Blob ||
    given instanceof FormData ||
    given instanceof URLSearchParams
  )
}
