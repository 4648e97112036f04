import type { Clock } from '../time.ts'
import type { Bounds } from './bounds.ts'
import { Ending } from './ending.ts'
import { Progress, type StreamSummary } from './stream-progress.ts'

/** openai's `Stream`, structurally. */
export interface ChunkStream extends AsyncIterable<unknown> {
  readonly controller: AbortController
}

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
  readonly bounds: Bounds
  readonly clock: Clock
  readonly chunkIdleTimeoutMs: number
  /** Turns what went wrong after the first content into what the caller is to catch. */
  toCallerError(error: unknown): unknown
}

/**
 * Reads a stream up to its first content, holding what comes before: until then a failure rejects
 * here and the attempt can be retried. Then releases all of it, in order, as a stream of the same
 * class, which watches for silence and for an end without a finish_reason.
 */
export async function openStream(request: OpenStream): Promise<LiveStream> {
  const { source, bounds } = request
  const chunks = source[Symbol.asyncIterator]()
  const progress = new Progress()
  const held: unknown[] = []
  let started = false
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
  const { source, bounds } = request
  const end = new Ending<StreamEnd>()
  let consumed = false
  let taken = false
  const settle = (error: unknown, abandoned: boolean) => {
    bounds.dispose()
    end.tell({ error, abandoned, ...progress.summary() })
  }
  // Aborted before anybody reads it, a stream is over all the same.
  const onAbort = () => {
    if (!consumed) settle(undefined, true)
  }
  for (const signal of [source.controller.signal, bounds.signal]) {
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  }

  async function* read(): AsyncGenerator<unknown, void, undefined> {
    if (consumed) {
      throw new TypeError('Cannot iterate over a consumed stream, use `.tee()` to split it.')
    }
    consumed = true
    let error: unknown
    let abandoned = true
    try {
      yield* held.splice(0)
      yield* rest(request, chunks, progress)
      abandoned = source.controller.signal.aborted
    } catch (caught) {
      abandoned = false
      error = request.toCallerError(caught)
      throw error
    } finally {
      if (!progress.finished || abandoned) close(source, chunks)
      settle(error, abandoned)
    }
  }

  // Not a generator itself: that would learn only at the first `next()` that somebody reads.
  const iterate = () => {
    taken = true
    return read()
  }
  // openai's streams are built from an iterator function and the controller of their request.
  const StreamClass = source.constructor as new (
    iterate: () => AsyncIterator<unknown>,
    controller: AbortController,
  ) => ChunkStream
  const stream = new StreamClass(iterate, source.controller)
  dropped.register(stream, () => {
    if (taken) return
    close(source, chunks)
    settle(undefined, true)
  })
  return {
    stream,
    onEnd: (listener) => end.whenEnded(listener),
  }
}

/**
 * A stream that was released and thrown away unread would hold its connection, its span and its
 * place within a concurrency limit for ever: when it is garbage, its request is ended.
 */
const dropped = new FinalizationRegistry<() => void>((end) => end())

/** What follows the first content; an end without its finish_reason is a cut. */
async function* rest(
  request: OpenStream,
  chunks: AsyncIterator<unknown>,
  progress: Progress,
): AsyncGenerator<unknown, void, undefined> {
  for (;;) {
    const next = await nextWithin(request, chunks)
    if (next.done) break
    progress.see(next.value)
    yield next.value
  }
  // The caller's own abort of the stream ends it silently, as it does with openai.
  if (!progress.finished && !request.source.controller.signal.aborted) throw cutBeforeEnd()
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
