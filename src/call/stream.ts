import type { StreamedAnswer } from '../telemetry/telemetry.ts'
import type { Clock } from '../time.ts'
import type { Bounds } from './bounds.ts'
import { Ending } from './ending.ts'
import {
  type ChunkStream,
  type Holder,
  OneReader,
  type StreamClass,
  streamOver,
} from './one-reader.ts'
import { Progress, type StreamSummary } from './stream-progress.ts'

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
}

/** A provider closed the connection before it had finished. */
class StreamCutError extends Error {
  override readonly name = 'StreamCutError'
  // Node's own code for a stream that was closed too early, which classifies as a cut connection.
  readonly code = 'ERR_STREAM_PREMATURE_CLOSE'
}

/** No chunk came for as long as the caller was ready to wait. */
class StreamIdleError extends Error {
  override readonly name = 'TimeoutError'
}

export interface OpenStream {
  readonly source: ChunkStream
  /** Of the stream that is released. */
  readonly Class: StreamClass
  readonly bounds: Bounds
  readonly clock: Clock
  readonly chunkIdleTimeoutMs: number
  /** To be put together, where content is captured. */
  readonly answer: StreamedAnswer | undefined
  /** Turns what went wrong after the first content into what the caller is to catch. */
  toCallerError(error: unknown): unknown
}

/**
 * Reads a stream up to its first content, holding what comes before: until then a failure rejects
 * here and the attempt can be retried. Then releases all of it, in order, as a stream of the given
 * class, which watches for silence and for an end without a finish_reason.
 */
export async function openStream(request: OpenStream): Promise<LiveStream> {
  const { source, bounds } = request
  const chunks = source[Symbol.asyncIterator]()
  const progress = new Progress(request.answer)
  const held: unknown[] = []
  let started = false
  try {
    while (!started) {
      const next = await bounds.race(chunks.next())
      if (next.done) {
        // openai ends an aborted stream silently; the limit that was reached is the truth.
        if (!progress.finished) throw cutBeforeEnd()
        break
      }
      held.push(next.value)
      started = progress.see(next.value)
    }
  } catch (error) {
    close(source, chunks)
    throw error
  }
  // The deadline governs a stream only until its first delivery.
  bounds.disarm()
  return release(request, chunks, held, progress)
}

function release(
  request: OpenStream,
  chunks: AsyncIterator<unknown>,
  held: unknown[],
  progress: Progress,
): LiveStream {
  const released = new Released(request, chunks, held, progress)
  const stream = streamOver(released, request.Class, request.source.controller)
  return { stream, onEnd: (listener) => released.end.whenEnded(listener) }
}

/** A stream from its first content on. Whatever becomes of it and of its readers, it ends once. */
class Released extends OneReader {
  readonly end = new Ending<StreamEnd>()
  readonly #request: OpenStream
  readonly #chunks: AsyncIterator<unknown>
  readonly #held: unknown[]
  readonly #progress: Progress
  #isWaiting = false
  #ended: { readonly error: unknown } | undefined

  constructor(
    request: OpenStream,
    chunks: AsyncIterator<unknown>,
    held: unknown[],
    progress: Progress,
  ) {
    super()
    this.#request = request
    this.#chunks = chunks
    this.#held = held
    this.#progress = progress
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
      // What was told of the end holds: aborted after its finish_reason, it is whole.
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

  /** The next chunk; done only where the stream may end: after its finish_reason, or aborted. */
  async #next(): Promise<IteratorResult<unknown>> {
    const { bounds } = this.#request
    this.#isWaiting = true
    const next = await nextWithin(this.#request, this.#chunks).finally(() => {
      this.#isWaiting = false
    })
    // It came in the very moment of an abort: nobody would tell of the end if he stopped here.
    if (bounds.ended === 'aborted') throw bounds.signal.reason
    if (this.#isLeft) return { done: true, value: undefined }
    if (!next.done) this.#progress.see(next.value)
    else if (!this.#progress.finished) throw cutBeforeEnd()
    return next
  }

  /** The caller's own abort of the stream ends it silently, as it does with openai. */
  get #isLeft(): boolean {
    return this.#request.source.controller.signal.aborted
  }

  // A pending read will end by itself, and knows best with what.
  readonly #onAbort = (): void => {
    if (this.#isWaiting || this.#ended !== undefined) return
    const { bounds, toCallerError } = this.#request
    const isCut = bounds.ended !== undefined && !this.#progress.finished
    this.#settle(isCut ? toCallerError(bounds.signal.reason) : undefined, !isCut)
  }

  /** Only the first time counts. */
  #settle(error: unknown, abandoned: boolean): void {
    if (this.#ended !== undefined) return
    this.#ended = { error }
    this.over()
    const { bounds, source } = this.#request
    bounds.dispose()
    // Node keeps a composed signal, such as openai's, for as long as somebody listens to it.
    for (const { signal } of [source.controller, bounds]) {
      signal.removeEventListener('abort', this.#onAbort)
    }
    if (!this.#progress.finished || abandoned) close(source, this.#chunks)
    this.end.tell({ error, abandoned, ...this.#progress.summary() })
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

function cutBeforeEnd(): StreamCutError {
  return new StreamCutError('the stream ended before its finish_reason')
}
