import type { Bounds } from '../call/bounds.ts'
import { Ending } from '../call/ending.ts'
import type { ReadingPace } from '../retry/health/stream-places.ts'
import type { Clock } from '../time.ts'
import {
  type ChunkStream,
  type Holder,
  OneReader,
  type StreamClass,
  streamOver,
} from './one-reader.ts'
import type { StreamSummary } from './progress.ts'
import { Reading, type ReadingRequest } from './reading.ts'

/** How a released stream ended, once it has: told exactly once, on every path. */
export interface StreamEnd extends StreamSummary {
  /** Undefined when it ended as it should, or when the caller stopped reading. */
  readonly error: unknown
  /** The caller stopped reading: `break`, or the stream's own `controller.abort()`. */
  readonly abandoned: boolean
}

export interface LiveStream {
  /** What the caller iterates. */
  readonly stream: ChunkStream
  /** Calls back when it has ended, before the caller's loop sees that. */
  onEnd(listener: (end: StreamEnd) => void): void
  readonly pace: Pace
}

/** Whether its reader asks for more. Apart from the stream, so that watching it does not keep the stream alive. */
class Pace implements ReadingPace {
  readonly #clock: Clock
  #isWaiting = false
  #servedMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#servedMs = clock.monotonicMs()
  }

  asked(): void {
    this.#isWaiting = true
  }

  served(): void {
    this.#isWaiting = false
    this.#servedMs = this.#clock.monotonicMs()
  }

  idleForMs(): number {
    return this.#isWaiting ? 0 : this.#clock.monotonicMs() - this.#servedMs
  }
}

/** No chunk came for as long as the caller was ready to wait. */
class StreamIdleError extends Error {
  override readonly name = 'TimeoutError'
}

export interface OpenStream extends ReadingRequest {
  /** Of the stream that is released. */
  readonly Class: StreamClass
  readonly bounds: Bounds
  readonly clock: Clock
  readonly chunkIdleTimeoutMs: number
  /** Turns what went wrong after the first delivery into what the caller is to catch. */
  toCallerError(error: unknown): unknown
}

/** As many chunks without content are held, and as many bytes of a stream that has none. */
const MAX_HELD = { chunks: 1_000, bytes: 1_048_576 } as const

/**
 * Reads a stream up to its first content, holding what comes before: until then a failure rejects
 * here and the attempt can be retried. Then releases all of it, in order, as a stream of the given
 * class, which watches for silence and for an end without its protocol's own. Where more comes
 * without content than is held, it is released as well: some models think for long, and say so.
 */
export async function openStream(request: OpenStream): Promise<LiveStream> {
  const { source, bounds } = request
  const chunks = source[Symbol.asyncIterator]()
  const reading = new Reading(request)
  const held = new Held(request)
  let hasContent = false
  try {
    while (!hasContent && !held.isFull) {
      const next = await bounds
        .race(chunks.next())
        .catch((thrown: unknown) => reading.caught(thrown))
      // An aborted stream of openai's ends silently: the limit that was reached is the truth then.
      hasContent = reading.take(next)
      if (next.done) break
      held.push(next.value)
      // Chunks that come without a pause leave timers no turn.
      if (!hasContent) bounds.check()
    }
  } catch (error) {
    close(source, chunks)
    throw error
  }
  const pace = new Pace(request.clock)
  const opened = { request, chunks, reading, held: held.chunks, hasContent, pace }
  const released = new Released(opened)
  const stream = streamOver(released, request.Class, source.controller)
  return { stream, onEnd: (listener) => released.end.whenEnded(listener), pace }
}

/** Chunks without content, in order. */
class Held {
  readonly chunks: unknown[] = []
  readonly #request: OpenStream
  #bytes = 0

  constructor(request: OpenStream) {
    this.#request = request
  }

  push(chunk: unknown): void {
    this.chunks.push(chunk)
    const { events } = this.#request
    // All of the stream, where its bytes are seen: none of it but these was of use.
    this.#bytes = events?.bytes ?? this.#bytes + sizeOf(chunk)
  }

  get isFull(): boolean {
    return this.chunks.length >= MAX_HELD.chunks || this.#bytes >= MAX_HELD.bytes
  }
}

/** Of a chunk that came from no connection; one that has no JSON is as large as can be. */
function sizeOf(chunk: unknown): number {
  try {
    return JSON.stringify(chunk).length
  } catch {
    return MAX_HELD.bytes
  }
}

interface Opened {
  readonly request: OpenStream
  readonly chunks: AsyncIterator<unknown>
  readonly reading: Reading
  readonly held: unknown[]
  readonly hasContent: boolean
  readonly pace: Pace
}

/** A stream from its first content on. Whatever becomes of it and of its readers, it ends once. */
class Released extends OneReader {
  readonly end = new Ending<StreamEnd>()
  readonly #request: OpenStream
  readonly #chunks: AsyncIterator<unknown>
  readonly #held: unknown[]
  readonly #reading: Reading
  readonly #pace: Pace
  #hasContent: boolean
  #isWaiting = false
  #ended: { readonly error: unknown } | undefined

  constructor({ request, chunks, reading, held, hasContent, pace }: Opened) {
    super()
    this.#request = request
    this.#chunks = chunks
    this.#held = held
    this.#reading = reading
    this.#hasContent = hasContent
    this.#pace = pace
    // The deadline and the wait for the first content govern a stream until then.
    if (hasContent || reading.isWhole) request.bounds.disarm()
    const { source, bounds } = request
    for (const { signal } of [source.controller, bounds]) {
      if (signal.aborted) this.#onAbort()
      else signal.addEventListener('abort', this.#onAbort, { once: true })
    }
  }

  override async *read(reader: Holder): AsyncGenerator<unknown, void, undefined> {
    this.take(reader)
    let error: unknown
    let abandoned = true
    try {
      yield* this.#held.splice(0)
      for (;;) {
        const next = await this.#next()
        if (next.done) break
        yield next.value
      }
      abandoned = this.#isLeft
    } catch (caught) {
      // What was told of the end holds: aborted when it was whole, it is.
      if (this.#ended !== undefined && this.#ended.error === undefined) return
      abandoned = false
      error = this.#ended?.error ?? this.#request.toCallerError(caught)
      throw error
    } finally {
      this.#settle(error, abandoned)
    }
  }

  protected override abandon(): void {
    this.#settle(undefined, true)
  }

  /** The next chunk; done only where the stream may end: when it is whole, or aborted. */
  async #next(): Promise<IteratorResult<unknown>> {
    const { bounds } = this.#request
    this.#isWaiting = true
    this.#pace.asked()
    let next: IteratorResult<unknown>
    try {
      next = await nextWithin(this.#request, this.#chunks)
    } catch (thrown) {
      next = this.#reading.caught(thrown)
    } finally {
      this.#isWaiting = false
      this.#pace.served()
    }
    // It came in the very moment of an abort: nobody would tell of the end if the reader stopped here.
    if (bounds.ended === 'aborted') throw bounds.signal.reason
    if (this.#isLeft) return { done: true, value: undefined }
    const hasContent = this.#reading.take(next)
    if (!this.#hasContent) this.#awaitContent(hasContent)
    return next
  }

  /** More came without content than is held: it is still waited for, and not for ever. */
  #awaitContent(hasContent: boolean): void {
    const { bounds } = this.#request
    this.#hasContent = hasContent
    if (hasContent || this.#reading.isWhole) bounds.disarm()
    else bounds.check()
    if (bounds.ended !== undefined) throw bounds.signal.reason
  }

  /** The caller's own abort of the stream ends it silently, as it does with openai. */
  get #isLeft(): boolean {
    return this.#request.source.controller.signal.aborted
  }

  // A pending read will end by itself, and knows best with what.
  readonly #onAbort = (): void => {
    if (this.#isWaiting || this.#ended !== undefined) return
    const { bounds, toCallerError } = this.#request
    const isCut = bounds.ended !== undefined && !this.#reading.isWhole
    this.#settle(isCut ? toCallerError(bounds.signal.reason) : undefined, !isCut)
  }

  /** Only the first time counts. */
  #settle(error: unknown, abandoned: boolean): void {
    if (this.#ended !== undefined) return
    this.#ended = { error }
    this.over()
    const { bounds, source, events } = this.#request
    bounds.dispose()
    events?.dispose()
    // Node keeps a composed signal, such as openai's, for as long as somebody listens to it.
    for (const { signal } of [source.controller, bounds]) {
      signal.removeEventListener('abort', this.#onAbort)
    }
    if (!this.#reading.isWhole || abandoned || error !== undefined) close(source, this.#chunks)
    this.end.tell({ error, abandoned, ...this.#reading.progress.summary() })
  }
}

function close(source: ChunkStream, chunks: AsyncIterator<unknown>): void {
  source.controller.abort()
  // A pending read ends with the abort; nobody waits for it here.
  chunks.return?.().catch(() => {})
}

/** The next chunk, or an error when none comes in time. The timer runs only while we wait. */
async function nextWithin(
  { bounds, clock, chunkIdleTimeoutMs }: OpenStream,
  chunks: AsyncIterator<unknown>,
): Promise<IteratorResult<unknown>> {
  let cancel: (() => void) | undefined
  const idle = new Promise<never>((_, reject) => {
    cancel = clock.schedule(chunkIdleTimeoutMs, () =>
      reject(new StreamIdleError(`no chunk within ${chunkIdleTimeoutMs} ms`)),
    )
  })
  try {
    return await bounds.race(Promise.race([chunks.next(), idle]))
  } finally {
    cancel?.()
  }
}
