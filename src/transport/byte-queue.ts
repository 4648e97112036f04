/** Where the bytes of a queue come from. */
export interface ByteSource {
  pause(): void
  resume(): void
  /** Ends the request; nothing more is pushed. */
  abort(reason: unknown): void
}

// As much as Node's fetch and sockets buffer. Less would stop a connection between two reads.
const MAX_BUFFERED_BYTES = 65_536

const NOTHING: Uint8Array = new Uint8Array(0)

/**
 * The bytes of one answer between the socket and its reader. Holds about 64 KiB, then pauses the source until
 * they are taken. One reader at a time waits.
 */
export class ByteQueue {
  readonly #source: ByteSource
  #chunks: Uint8Array[] = []
  #size = 0
  #limit = MAX_BUFFERED_BYTES
  #isPaused = false
  #isEnded = false
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined
  #onAbort: ((reason: unknown) => void) | undefined

  constructor(source: ByteSource) {
    this.#source = source
  }

  push(chunk: Uint8Array): void {
    if (this.isOver) return
    this.#chunks.push(chunk)
    this.#size += chunk.byteLength
    if (this.#size > this.#limit && !this.#isPaused) {
      this.#isPaused = true
      this.#source.pause()
    }
    this.#wakeReader()
  }

  end(): void {
    this.#isEnded = true
    this.#wakeReader()
  }

  /** What has arrived can still be taken; the error comes after it. */
  fail(error: unknown): void {
    if (this.isOver) return
    this.#failure = { error }
    this.#wakeReader()
  }

  /** Nothing can be taken any more: a reader gets the reason at once. */
  abort(reason: unknown): void {
    if (this.isOver && this.#size === 0) return
    this.#drop()
    this.#isEnded = false
    this.#failure = { error: reason }
    this.#onAbort?.(reason)
    this.#wakeReader()
  }

  /** Calls `tell` if the answer is aborted, also while nobody reads. */
  whenAborted(tell: (reason: unknown) => void): void {
    this.#onAbort = tell
  }

  /** Whether all bytes have come, or none will. */
  get isOver(): boolean {
    return this.#isEnded || this.#failure !== undefined
  }

  /**
   * All bytes that have arrived, in one array of their own; undefined if there are none. The chunks share
   * the buffers of the socket, which a byte stream would detach.
   *
   * @throws what the answer failed with, after its last byte
   */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#size === 0) {
      if (this.#failure !== undefined) throw this.#failure.error
      return undefined
    }
    const bytes = new Uint8Array(this.#size)
    let at = 0
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at)
      at += chunk.byteLength
    }
    this.#drop()
    this.#resume()
    return bytes
  }

  /** Calls `wake` once, when there is something to take or nothing more will come. */
  whenReady(wake: () => void): void {
    if (this.#size > 0 || this.isOver) wake()
    else this.#wake = wake
  }

  /** Calls neither the one nor any later waiter; the bytes stay. */
  stopWaiting(): void {
    this.#wake = undefined
  }

  /** All bytes of the answer, once they are there. They may share the buffers of the socket. */
  whole(): Promise<Uint8Array> {
    this.#limit = Number.POSITIVE_INFINITY
    this.#resume()
    return new Promise((resolve, reject) => this.#settleWhole(resolve, reject))
  }

  #settleWhole(resolve: (bytes: Uint8Array) => void, reject: (error: unknown) => void): void {
    if (this.#failure !== undefined) reject(this.#failure.error)
    else if (this.#isEnded) resolve(this.#joined())
    else this.#wake = () => this.#settleWhole(resolve, reject)
  }

  /** Nobody wants the rest. */
  cancel(reason: unknown): void {
    this.#drop()
    const wasOver = this.isOver
    this.#isEnded = true
    if (!wasOver) this.#source.abort(reason)
    this.#wakeReader()
  }

  #joined(): Uint8Array {
    const chunks = this.#chunks
    const [first = NOTHING] = chunks
    this.#drop()
    return chunks.length > 1 ? Buffer.concat(chunks) : first
  }

  #drop(): void {
    this.#chunks = []
    this.#size = 0
  }

  #resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#source.resume()
  }

  #wakeReader(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
