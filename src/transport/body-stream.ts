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
      if (isPlain) {
        readFrom(queue, reader, () => {
          hasRead = true
        })
      }
      return reader
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
 * Lets a default reader take all that has arrived with each read. It stays a real one, with the lock of the
 * stream: some of Node's own code reads by its private fields.
 */
function readFrom(queue: ByteQueue, reader: RealReader, onRead: () => void): void {
  const reads = new QueueReads(queue, reader, onRead)
  reader.read = () => reads.read()
  reader.releaseLock = () => reads.release()
}

class QueueReads {
  readonly #queue: ByteQueue
  readonly #reader: RealReader
  readonly #read: RealReader['read']
  readonly #release: RealReader['releaseLock']
  readonly #onRead: () => void
  readonly #pending: PendingRead[] = []
  #isReleased = false

  constructor(queue: ByteQueue, reader: RealReader, onRead: () => void) {
    this.#queue = queue
    this.#reader = reader
    this.#read = reader.read
    this.#release = reader.releaseLock
    this.#onRead = onRead
  }

  read(): Promise<Read> {
    // The real one rejects where its lock is released.
    if (this.#isReleased) return this.#realRead()
    this.#onRead()
    if (this.#pending.length > 0) return this.#wait()
    try {
      const value = this.#queue.take()
      if (value !== undefined) return Promise.resolve({ done: false, value })
    } catch {
      return this.#realRead()
    }
    return this.#queue.isOver ? this.#realRead() : this.#wait()
  }

  release(): void {
    if (!this.#isReleased) this.#queue.stopWaiting()
    this.#isReleased = true
    for (const { reject } of this.#pending.splice(0)) {
      reject(new TypeError('Invalid state: Releasing reader'))
    }
    Reflect.apply(this.#release, this.#reader, [])
  }

  /** The end, or the error, is that of the real stream: this read brings it there. */
  #realRead(): Promise<Read> {
    return Reflect.apply(this.#read, this.#reader, [])
  }

  #wait(): Promise<Read> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      if (this.#pending.length === 1) this.#queue.whenReady(() => this.#onReady())
    })
  }

  #onReady(): void {
    this.#pending.shift()?.resolve(this.#taken())
    if (this.#pending.length > 0) this.#queue.whenReady(() => this.#onReady())
  }

  #taken(): Read | Promise<Read> {
    try {
      const value = this.#queue.take()
      return value === undefined ? this.#realRead() : { done: false, value }
    } catch {
      return this.#realRead()
    }
  }
}
