import { answerHeaders, type HeaderRecord, headerOf } from './answer-headers.ts'
import { type BodyStream, bodyStream, terminated } from './body-stream.ts'
import type { ByteQueue } from './byte-queue.ts'
import { type Coding, decodeWhole } from './codings.ts'

/** What an answer says of itself before its body. */
export interface AnswerHead {
  readonly status: number
  readonly statusText: string
  readonly headers: HeaderRecord
  /** Without a fragment. */
  readonly url: string
  readonly redirected: boolean
  readonly type: 'basic' | 'cors'
}

/** Where the bytes of an answer come from: still to be read, or a branch of a stream. */
export type AnswerBody =
  | { readonly queue: ByteQueue; readonly codings: readonly Coding[] }
  | { readonly stream: BodyStream['stream'] }
  | undefined

type ReadMethod = 'text' | 'json' | 'bytes' | 'arrayBuffer'

const INSPECT = Symbol.for('nodejs.util.inspect.custom')
const NOTHING: Uint8Array = new Uint8Array(0)

/**
 * The answer to a request. A `Response` to everybody but the private fields of that class: what openai and most
 * others ask of one is its status, a few headers, and its text or body, and that costs nothing here. All the
 * rest is done by a real one, over the same stream.
 */
class LazyResponse {
  readonly #head: AnswerHead
  readonly #body: AnswerBody
  #headers: Headers | undefined
  /** Made when the body is asked for as a stream; from then on the real response reads it. */
  #opened: { readonly real: Response; wasRead(): boolean } | undefined
  #isUsed = false

  constructor(head: AnswerHead, body: AnswerBody) {
    this.#head = head
    this.#body = body
    if (body !== undefined && 'stream' in body) {
      this.#opened = { real: new Response(body.stream), wasRead: () => false }
    }
  }

  get type(): Response['type'] {
    return this.#head.type
  }

  get url(): string {
    return this.#head.url
  }

  get redirected(): boolean {
    return this.#head.redirected
  }

  get status(): number {
    return this.#head.status
  }

  get ok(): boolean {
    return this.#head.status >= 200 && this.#head.status <= 299
  }

  get statusText(): string {
    return this.#head.statusText
  }

  get headers(): Headers {
    this.#headers ??= answerHeaders(this.#head.headers)
    return this.#headers
  }

  get body(): Response['body'] {
    return this.#open()?.real.body ?? null
  }

  get bodyUsed(): boolean {
    const opened = this.#opened
    return this.#isUsed || (opened !== undefined && (opened.wasRead() || opened.real.bodyUsed))
  }

  text(): Promise<string> {
    return this.#read('text', textOf)
  }

  json(): Promise<unknown> {
    return this.#read('json', (bytes) => JSON.parse(textOf(bytes)))
  }

  bytes(): Promise<Uint8Array> {
    return this.#read('bytes', (bytes) => new Uint8Array(bytes))
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#read('arrayBuffer', (bytes) => new Uint8Array(bytes).buffer)
  }

  blob(): Promise<Blob> {
    return this.#reread((real) => real.blob())
  }

  formData(): Promise<FormData> {
    return this.#reread((real) => real.formData())
  }

  clone(): Response {
    const stream = this.bodyUsed ? undefined : this.body
    if (this.bodyUsed || stream?.locked === true) {
      throw new TypeError('Response.clone: Body has already been consumed.')
    }
    if (stream === null || stream === undefined) return answer(this.#head, undefined)
    const [own, other] = stream.tee()
    this.#opened = { real: new Response(own), wasRead: () => false }
    return answer(this.#head, { stream: other })
  }

  [INSPECT](_depth: number, options: object, inspect: (value: unknown, how: object) => string) {
    const { status, statusText, headers, bodyUsed, ok, redirected, type, url } = this
    const shown = { status, statusText, headers, bodyUsed, ok, redirected, type, url }
    return `Response ${inspect(shown, options)}`
  }

  /** From the queue, without a stream, unless there is one by now. */
  #read<T>(how: ReadMethod, convert: (bytes: Uint8Array) => T): Promise<T> {
    const opened = this.#opened
    // `how` is the method that brings what `convert` does.
    if (opened !== undefined && !this.bodyUsed) return opened.real[how]() as Promise<T>
    return this.#whole().then(convert)
  }

  /** By a real response with the same bytes and content type. */
  #reread<T>(read: (real: Response) => Promise<T>): Promise<T> {
    return this.#read('bytes', (bytes) => bytes).then((bytes) => {
      const type = headerOf(this.#head.headers, 'content-type')
      // The bytes are nobody else's, and no shared memory.
      const body = new Uint8Array(bytes)
      return read(
        new Response(body, type === undefined ? {} : { headers: { 'content-type': type } }),
      )
    })
  }

  async #whole(): Promise<Uint8Array> {
    if (this.bodyUsed || this.#opened !== undefined) {
      throw new TypeError('Body is unusable: Body has already been read')
    }
    const body = this.#body
    if (body === undefined || !('queue' in body)) return NOTHING
    this.#isUsed = true
    // Now the bytes are wanted whether or not anybody keeps the answer.
    dropped?.unregister(this)
    const bytes = await body.queue.whole()
    if (body.codings.length === 0) return bytes
    try {
      return await decodeWhole(bytes, body.codings)
    } catch (error) {
      throw terminated(error)
    }
  }

  #open(): { readonly real: Response; wasRead(): boolean } | undefined {
    const body = this.#body
    if (this.#opened !== undefined || body === undefined || !('queue' in body)) return this.#opened
    const { stream, wasRead } = bodyStream(body.queue, body.codings)
    this.#opened = { real: new Response(stream), wasRead }
    // Whoever keeps the stream alone wants its bytes too.
    if (dropped?.unregister(this) === true) dropped.register(stream, body.queue)
    if (this.#isUsed) void stream.getReader()
    return this.#opened
  }

  /** A member that a later runtime has and this class does not, as its own responses have it. */
  static member(made: LazyResponse, name: string): unknown {
    const real = made.#open()?.real ?? new Response(null)
    const value: unknown = Reflect.get(real, name)
    return typeof value === 'function' ? value.bind(real) : value
  }

  /** Ends the request if nobody keeps this answer, or its stream, any more. */
  freeWhenDropped(queue: ByteQueue): void {
    dropped?.register(this, queue, this)
  }
}

/** Answers that nobody reads would hold their connections, paused, for as long as the process lives. */
const dropped =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry<ByteQueue>((queue) => {
        queue.cancel(new DOMException('The answer was dropped unread', 'AbortError'))
      })
    : undefined

/** UTF-8, as `TextDecoder` reads it. */
function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString('utf8')
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}

// Shorter answers end by themselves: they fit into the queue.
const SHORT_BYTES = 65_536

/** An answer as a `Response`. If it is dropped unread, its request ends. */
export function answer(head: AnswerHead, body: AnswerBody): Response {
  if (!isLinked) link()
  const made = new LazyResponse(head, body)
  if (body !== undefined && 'queue' in body) {
    const length = Number(headerOf(head.headers, 'content-length') ?? Number.NaN)
    if (!(length <= SHORT_BYTES)) made.freeWhenDropped(body.queue)
  }
  // Its prototype's prototype is that of `Response`, and it has all of its members.
  return made as unknown as Response
}

let isLinked = false

/** With the first answer: to ask for `Response` loads Node's undici. */
function link(): void {
  Object.setPrototypeOf(LazyResponse.prototype, Response.prototype)
  Object.defineProperty(LazyResponse.prototype, 'constructor', { value: Response })
  for (const name of Object.getOwnPropertyNames(Response.prototype)) {
    if (Object.hasOwn(LazyResponse.prototype, name)) continue
    Object.defineProperty(LazyResponse.prototype, name, {
      get(this: LazyResponse) {
        return LazyResponse.member(this, name)
      },
    })
  }
  isLinked = true
}
