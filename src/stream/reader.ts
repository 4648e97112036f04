import type { Failure } from '../errors/call-error.ts'

/** openai's `Stream`, structurally. */
export interface ChunkStream extends AsyncIterable<unknown> {
  readonly controller: AbortController
}

/** openai's streams are built from an iterator function and the controller of their request. */
export type StreamClass = new (
  iterate: () => AsyncIterator<unknown>,
  controller: AbortController,
) => ChunkStream

/** Where the chunks of a stream come from: the provider, a recording that goes on, a kept text. */
export interface ChunkSource {
  /** Of the stream that is given out: its caller ends it with that. */
  readonly controller: AbortController
  /**
   * The next chunk, or the end; a promise only where one has to be waited for. Called by one reader,
   * and never again after the end.
   * @throws what the caller is to catch
   */
  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>>
  /** The stream is not read on, or cannot be. May be told more than once, and after the end. */
  leave(): void
  /** What a loop that was left waits for before it is over. */
  left?(): Promise<void> | undefined
}

/** What the reader of a stream is to catch. */
export interface ReaderErrors {
  /** What it means that its caller's signal has aborted. */
  aborted(): Failure
  toCallerError(failure: Failure): unknown
}

/** What `next` gives for the end. */
export const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** A stream of the given class, over a source that it alone reads. */
export function streamOver(source: ChunkSource, Class: StreamClass): ChunkStream {
  const reader = new OneReader(source)
  // The stream holds this function; code that takes it from there can read without the stream.
  const begin = () => reader.begin()
  dropped?.register(begin, new StreamHolder(reader), reader)
  const stream = new Class(begin, source.controller)
  Object.defineProperty(stream, GUARDED, { value: true })
  return stream
}

const GUARDED = Symbol.for('steadycall.guarded-stream.v1')

/** A stream of another layer of ours, which ends without an error only when it is whole. */
export function isGuarded(stream: ChunkStream): boolean {
  return Reflect.get(stream, GUARDED) === true
}

/** Lets one reader have the chunks, once, through the stream or through an iterator of it. */
class OneReader {
  readonly #source: ChunkSource
  readonly #holders = new Set<StreamHolder>()
  #reader: StreamHolder | undefined

  constructor(source: ChunkSource) {
    this.#source = source
  }

  // Not a generator itself: that would learn only at the first `next()` that it is read.
  begin(): AsyncGenerator<unknown, void, undefined> {
    const holder = new StreamHolder(this)
    const chunks = this.#read(holder)
    dropped?.register(chunks, holder, this)
    const { return: leave, throw: fail } = chunks
    // A generator that was never begun, or that waits for a chunk, would not see either.
    chunks.return = (value) => {
      this.#leftBy(holder)
      return leave.call(chunks, value)
    }
    chunks.throw = (error) => {
      this.#leftBy(holder)
      return fail.call(chunks, error)
    }
    return chunks
  }

  /** The chunks, for this holder. It becomes the one reader when this is begun. */
  async *#read(holder: StreamHolder): AsyncGenerator<unknown, void, undefined> {
    if (this.#reader !== undefined) {
      throw new TypeError('Cannot iterate over a consumed stream, use `.tee()` to split it.')
    }
    this.#reader = holder
    const source = this.#source
    try {
      for (;;) {
        const coming = source.next()
        const next = coming instanceof Promise ? await coming : coming
        if (next.done) return
        yield next.value
      }
    } finally {
      // Whether it could still be read does not matter any more.
      dropped?.unregister(this)
      const left = source.left?.()
      if (left !== undefined) await left
    }
  }

  /** An iterator was returned: the caller wants no more of it. A reader that comes after that is told. */
  #leftBy(holder: StreamHolder): void {
    this.#reader ??= holder
    if (this.#reader === holder) this.#source.leave()
  }

  heldBy(holder: StreamHolder): void {
    this.#holders.add(holder)
  }

  /** A holder is garbage: when it was the reader, or the last that could become it, the stream is not read on. */
  lost(holder: StreamHolder): void {
    this.#holders.delete(holder)
    const isOver = this.#reader === undefined ? this.#holders.size === 0 : this.#reader === holder
    if (isOver) this.#source.leave()
  }
}

/** One of those through which a stream can be read: itself, or an iterator. Must not refer to it. */
class StreamHolder {
  readonly #reader: OneReader

  constructor(reader: OneReader) {
    this.#reader = reader
    reader.heldBy(this)
  }

  /** It is garbage. */
  lost(): void {
    this.#reader.lost(this)
  }
}

/**
 * A stream that no reader can reach any more would hold its connection, its span and its place within
 * a concurrency limit for ever: when all its holders are garbage, its request is ended. Workers of
 * a compatibility date before 2025-05-05 have no such thing, and end requests themselves.
 */
const dropped = globalThis.FinalizationRegistry
  ? new FinalizationRegistry<StreamHolder>((holder) => holder.lost())
  : undefined
