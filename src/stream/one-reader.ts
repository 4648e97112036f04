/** openai's `Stream`, structurally. */
export interface ChunkStream extends AsyncIterable<unknown> {
  readonly controller: AbortController
}

/** openai's streams are built from an iterator function and the controller of their request. */
export type StreamClass = new (
  iterate: () => AsyncIterator<unknown>,
  controller: AbortController,
) => ChunkStream

/** What one reader can read, once, through a stream or through an iterator of one. */
export abstract class OneReader {
  readonly #holders = new Set<Holder>()
  #reader: Holder | undefined

  /** Nobody will read it, or read on. */
  protected abstract abandon(): void

  /** The chunks, for this reader. Takes the place of the one reader when it is begun. */
  abstract read(reader: Holder): AsyncGenerator<unknown, void, undefined>

  /** @throws {TypeError} when somebody else reads, or has read. */
  protected take(reader: Holder): void {
    if (this.#reader !== undefined) {
      throw new TypeError('Cannot iterate over a consumed stream, use `.tee()` to split it.')
    }
    this.#reader = reader
  }

  /** It has ended: whether anybody could still read it does not matter any more. */
  protected over(): void {
    dropped?.unregister(this)
  }

  heldBy(holder: Holder): void {
    this.#holders.add(holder)
  }

  /** A holder is garbage: when it was the reader, or the last who could become it, nobody reads on. */
  lost(holder: Holder): void {
    this.#holders.delete(holder)
    const isOver = this.#reader === undefined ? this.#holders.size === 0 : this.#reader === holder
    if (isOver) this.abandon()
  }

  /** An iterator was returned: the caller wants no more of it. Whoever reads after that is told. */
  leftBy(holder: Holder): void {
    this.#reader ??= holder
    if (this.#reader === holder) this.abandon()
  }
}

/** The stream of the given class that its one reader iterates. */
export function streamOver(
  readable: OneReader,
  Class: StreamClass,
  controller: AbortController,
): ChunkStream {
  // The stream holds this function, and whoever takes it from there can read without the stream.
  const begin = () => iterate(readable)
  dropped?.register(begin, new Holder(readable), readable)
  const stream = new Class(begin, controller)
  Object.defineProperty(stream, GUARDED, { value: true })
  return stream
}

const GUARDED = Symbol.for('steadycall.guarded-stream.v1')

/** A stream of another layer of ours, which ends without an error only when it is whole. */
export function isGuarded(stream: ChunkStream): boolean {
  return Reflect.get(stream, GUARDED) === true
}

// Not a generator itself: that would learn only at the first `next()` that somebody reads.
function iterate(readable: OneReader): AsyncGenerator<unknown, void, undefined> {
  const holder = new Holder(readable)
  const chunks = readable.read(holder)
  dropped?.register(chunks, holder, readable)
  const { return: leave, throw: fail } = chunks
  // A generator that was never begun, or that waits for a chunk, would not see either.
  chunks.return = (value) => {
    readable.leftBy(holder)
    return leave.call(chunks, value)
  }
  chunks.throw = (error) => {
    readable.leftBy(holder)
    return fail.call(chunks, error)
  }
  return chunks
}

/** One of those through whom a stream can be read: itself, or an iterator. Must not refer to it. */
export class Holder {
  readonly #readable: OneReader

  constructor(readable: OneReader) {
    this.#readable = readable
    readable.heldBy(this)
  }

  /** It is garbage. */
  lost(): void {
    this.#readable.lost(this)
  }
}

/**
 * A stream that nobody can read any more would hold its connection, its span and its place within
 * a concurrency limit for ever: when all its holders are garbage, its request is ended. Workers of
 * a compatibility date before 2025-05-05 have no such thing, and end requests themselves.
 */
const dropped = globalThis.FinalizationRegistry
  ? new FinalizationRegistry<Holder>((holder) => holder.lost())
  : undefined
