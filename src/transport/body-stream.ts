import type { ByteQueue } from './byte-queue.ts'
import { type Coding, decodeStream } from './codings.ts'

/** The body of an answer as a stream. */
export interface BodyStream {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>
  /** Whether a reader has taken something past the stream's own machinery. */
  wasRead(): boolean
}

/**
 * A byte stream over a queue. It is a real one, since `Readable.fromWeb`, `tee` and `new Response` look for its
 * private fields. A default reader of it reads from the queue, past the promises of a byte stream: a model's
 * answer comes in hundreds of pieces.
 */
export function bodyStream(queue: ByteQueue, codings: readonly Coding[]): BodyStream {
  if (codings.length > 0) {
    return { stream: byteStream(new DecodedSource(queue, codings)), wasRead: () => false }
  }
  const source = new QueueSource(queue)
  const stream = byteStream(source)
  let hasRead = false
  const real = stream.getReader
  Object.defineProperty(stream, 'getReader', {
    value(options?: { readonly mode?: 'byob' | undefined }) {
      // Bytes that a reader of another kind has left are in the stream's own queue.
      const isPlain = options?.mode === undefined && !source.isPulled
      const reader = Reflect.apply(real, stream, options === undefined ? [] : [options])
      if (!isPlain) return reader
      return new QueueReader(queue, stream, reader, () => {
        hasRead = true
      })
    },
    configurable: true,
    writable: true,
  })
  return { stream, wasRead: () => hasRead }
}

// Nothing is fetched ahead: what a stream has buffered, the queue could not give to a reader of its own.
const NOTHING_AHEAD = { highWaterMark: 0 }

/** The standard's underlying byte source. */
interface ByteStreamSource {
  readonly type: 'bytes'
  start(controller: ReadableByteStreamController): void
  pull(controller: ReadableByteStreamController): void | Promise<void>
  cancel(reason: unknown): void
}

function byteStream(source: ByteStreamSource): BodyStream['stream'] {
  // The declaration of the constructor forgets that a source enqueues arrays of its own.
  return new ReadableStream(source, NOTHING_AHEAD) as BodyStream['stream']
}

/** What the stream reads where nobody reads past it. */
class QueueSource implements ByteStreamSource {
  readonly type = 'bytes'
  readonly #queue: ByteQueue
  isPulled = false

  constructor(queue: ByteQueue) {
    this.#queue = queue
  }

  start(controller: ReadableByteStreamController): void {
    errorWhenAborted(this.#queue, controller)
  }

  pull(controller: ReadableByteStreamController): void | Promise<void> {
    this.isPulled = true
    const queue = this.#queue
    const bytes = queue.take()
    if (bytes !== undefined) controller.enqueue(bytes)
    else if (queue.isOver) close(controller)
    else
      return new Promise<void>((resolve) => queue.whenReady(resolve)).then(() =>
        this.pull(controller),
      )
  }

  cancel(reason: unknown): void {
    this.#queue.cancel(reason)
  }
}

/** An abort errors the stream at once, as fetch's does. The queue must not keep the stream from being dropped. */
function errorWhenAborted(queue: ByteQueue, controller: ReadableByteStreamController): void {
  const held = new WeakRef(controller)
  queue.whenAborted((reason) => held.deref()?.error(reason))
}

function close(controller: ReadableByteStreamController): void {
  controller.close()
  // A reader that brought its own buffer gets it back.
  controller.byobRequest?.respond(0)
}

/** The same through decoders. */
class DecodedSource implements ByteStreamSource {
  readonly type = 'bytes'
  readonly #queue: ByteQueue
  readonly #chunks: AsyncIterator<Uint8Array>

  constructor(queue: ByteQueue, codings: readonly Coding[]) {
    this.#queue = queue
    this.#chunks = decodeStream(chunksOf(queue), codings)[Symbol.asyncIterator]()
  }

  start(controller: ReadableByteStreamController): void {
    errorWhenAborted(this.#queue, controller)
  }

  async pull(controller: ReadableByteStreamController): Promise<void> {
    try {
      const { done, value } = await this.#chunks.next()
      if (done === true) close(controller)
      // A decoder's chunks may share a buffer.
      else controller.enqueue(new Uint8Array(value))
    } catch (error) {
      // Bytes that cannot be decoded: the rest of them is of no use.
      const wasOver = this.#queue.isOver
      this.#queue.cancel(error)
      throw wasOver && isFetchError(error) ? error : terminated(error)
    }
  }

  cancel(reason: unknown): void {
    this.#queue.cancel(reason)
    this.#chunks.return?.().catch(() => undefined)
  }
}

async function* chunksOf(queue: ByteQueue): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    const bytes = queue.take()
    if (bytes !== undefined) yield bytes
    else if (queue.isOver) return
    else await new Promise<void>((resolve) => queue.whenReady(resolve))
  }
}

/** What fetch throws where an answer ends before its time. */
export function terminated(cause: unknown): TypeError {
  return new TypeError('terminated', { cause })
}

function isFetchError(error: unknown): boolean {
  return error instanceof TypeError && error.message === 'terminated'
}

type RealReader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>
type Read = Awaited<ReturnType<RealReader['read']>>

interface PendingRead {
  resolve(read: Read | Promise<Read>): void
  reject(error: unknown): void
}

/**
 * A default reader that takes all that has arrived with each read. It holds the lock of the real stream, and ends
 * it, so that `closed`, `locked` and `cancel` are those of the real reader.
 */
class QueueReader {
  readonly #queue: ByteQueue
  // Who keeps the reader keeps the stream: a dropped one ends the request.
  readonly stream: unknown
  readonly #real: RealReader
  readonly #onRead: () => void
  readonly #pending: PendingRead[] = []
  #isReleased = false

  constructor(queue: ByteQueue, stream: unknown, real: RealReader, onRead: () => void) {
    this.#queue = queue
    this.stream = stream
    this.#real = real
    this.#onRead = onRead
  }

  read(): Promise<Read> {
    // The real one rejects where its lock is released.
    if (this.#isReleased) return this.#real.read()
    this.#onRead()
    if (this.#pending.length > 0) return this.#wait()
    try {
      const value = this.#queue.take()
      if (value !== undefined) return Promise.resolve({ done: false, value })
    } catch {
      return this.#real.read()
    }
    return this.#queue.isOver ? this.#real.read() : this.#wait()
  }

  cancel(reason?: unknown): Promise<void> {
    return this.#real.cancel(reason)
  }

  releaseLock(): void {
    this.#isReleased = true
    this.#queue.stopWaiting()
    for (const { reject } of this.#pending.splice(0)) {
      reject(new TypeError('Invalid state: Releasing reader'))
    }
    this.#real.releaseLock()
  }

  get closed(): RealReader['closed'] {
    return this.#real.closed
  }

  #wait(): Promise<Read> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      if (this.#pending.length === 1) this.#queue.whenReady(() => this.#onReady())
    })
  }

  #onReady(): void {
    const next = this.#pending.shift()
    // The end, or the error, is that of the real stream: this read brings it there.
    next?.resolve(this.#taken())
    if (this.#pending.length > 0) this.#queue.whenReady(() => this.#onReady())
  }

  #taken(): Read | Promise<Read> {
    try {
      const value = this.#queue.take()
      return value === undefined ? this.#real.read() : { done: false, value }
    } catch {
      return this.#real.read()
    }
  }
}
Object.setPrototypeOf(QueueReader.prototype, ReadableStreamDefaultReader.prototype)
