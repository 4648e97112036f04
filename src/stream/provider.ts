import type { ReadingPace } from '../retry/health/places.ts'
import { type Bounds, type Clock, EndSignal } from '../time.ts'
import { type ChunkSource, DONE } from './reader.ts'
import { StreamCheck, type StreamCheckRequest } from './watch.ts'

/** How a provider's stream ended, once it has: told exactly once, on every path. */
export interface StreamEnd {
  /** What its reader is to catch. Undefined when it ended as it should, or when it was left. */
  readonly error: unknown
  /** Its reader stopped: `break`, or the stream's own `controller.abort()`. */
  readonly abandoned: boolean
}

export interface ProviderRequest extends StreamCheckRequest {
  /** Of the attempt. */
  readonly bounds: Bounds
  readonly clock: Clock
  readonly chunkIdleTimeoutMs: number
  /** Turns what went wrong after the first delivery into what the caller is to catch. */
  toCallerError(error: unknown): unknown
}

/** As many chunks without content are held, and as many bytes of a stream that has none. */
const MAX_HELD = { chunks: 1_000, bytes: 1_048_576 } as const

/**
 * A provider's stream. It is held up to its first content: until then a failure rejects `open`, and
 * the attempt can be retried. Then it is released with all that was held, in order, and from there on
 * it watches for silence and for an end without its protocol's own. Where more comes without content
 * than is held, it is released as well: some models think for long, and say so. Whatever becomes of
 * it and of its reader, it ends once.
 */
export class ProviderStream implements ChunkSource {
  readonly controller: AbortController
  readonly pace: Pace
  readonly #request: ProviderRequest
  readonly #chunks: AsyncIterator<unknown>
  readonly #check: StreamCheck
  readonly #end = new EndSignal<StreamEnd>()
  readonly #held: unknown[] = []
  #heldBytes = 0
  #hasContent = false
  #isWaiting = false
  #cancelIdle: (() => void) | undefined
  #ended: { readonly error: unknown } | undefined

  private constructor(request: ProviderRequest) {
    this.#request = request
    this.controller = request.source.controller
    this.#chunks = request.source[Symbol.asyncIterator]()
    this.#check = new StreamCheck(request)
    this.pace = new Pace(request.clock)
  }

  /** Resolves when the stream is released. @throws what broke it before that */
  static async open(request: ProviderRequest): Promise<ProviderStream> {
    const { bounds } = request
    const stream = new ProviderStream(request)
    const check = stream.#check
    try {
      while (!stream.#hasContent && !stream.#isFull) {
        const next = await bounds
          .race(stream.#chunks.next())
          .catch((thrown: unknown) => check.caught(thrown))
        // An aborted stream of openai's ends silently: the limit that was reached is the truth then.
        stream.#hasContent = check.take(next)
        if (next.done) break
        stream.#hold(next.value)
        // Chunks that come without a pause leave timers no turn.
        if (!stream.#hasContent) bounds.check()
      }
    } catch (error) {
      stream.#close()
      throw error
    }
    stream.#release()
    return stream
  }

  /** Calls back when it has ended, before its reader sees that. */
  whenEnded(listener: (end: StreamEnd) => void): void {
    this.#end.whenEnded(listener)
  }

  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>> {
    if (this.#held.length > 0) return { done: false, value: this.#held.shift() }
    return this.#pull()
  }

  leave(): void {
    this.#settle(undefined, true)
  }

  #hold(chunk: unknown): void {
    this.#held.push(chunk)
    // All of the stream, where its bytes are seen: none of it but these was of use.
    this.#heldBytes = this.#request.events?.bytes ?? this.#heldBytes + sizeOf(chunk)
  }

  get #isFull(): boolean {
    return this.#held.length >= MAX_HELD.chunks || this.#heldBytes >= MAX_HELD.bytes
  }

  #release(): void {
    const { bounds } = this.#request
    this.pace.served()
    // The deadline and the wait for the first content govern a stream until then.
    if (this.#hasContent || this.#check.isWhole) bounds.disarm()
    for (const { signal } of [this.controller, bounds]) {
      if (signal.aborted) this.#onAbort()
      else signal.addEventListener('abort', this.#onAbort, { once: true })
    }
  }

  /** The next chunk from the provider; the end only where it may end: when it is whole, or left. */
  async #pull(): Promise<IteratorResult<unknown>> {
    const { bounds, toCallerError } = this.#request
    try {
      let next: IteratorResult<unknown>
      this.#isWaiting = true
      this.pace.asked()
      try {
        next = await bounds.race(this.#nextInTime())
      } catch (thrown) {
        next = this.#check.caught(thrown)
      } finally {
        this.#cancelIdle?.()
        this.#cancelIdle = undefined
        this.#isWaiting = false
        this.pace.served()
      }
      // It came in the very moment of an abort: the end would go untold if the reader stopped here.
      if (bounds.ended === 'aborted') throw bounds.signal.reason
      const isOver = this.#isLeft || this.#take(next)
      if (!isOver) return next
      this.#settle(undefined, this.#isLeft)
      return DONE
    } catch (thrown) {
      // What was told of the end holds: aborted when it was whole, it is.
      if (this.#ended !== undefined && this.#ended.error === undefined) return DONE
      const error = this.#ended?.error ?? toCallerError(thrown)
      this.#settle(error, false)
      throw error
    }
  }

  /** The next chunk, or an error when none comes in time. The timer runs only while we wait. */
  #nextInTime(): Promise<IteratorResult<unknown>> {
    const { clock, chunkIdleTimeoutMs: idleMs } = this.#request
    return new Promise((resolve, reject) => {
      this.#cancelIdle = clock.schedule(idleMs, () => reject(new StreamIdleError(idleMs)))
      this.#chunks.next().then(resolve, reject)
    })
  }

  /** True at the end. */
  #take(next: IteratorResult<unknown>): boolean {
    const hasContent = this.#check.take(next)
    if (!this.#hasContent) this.#awaitContent(hasContent)
    return next.done === true
  }

  /** More came without content than is held: it is still waited for, and not for ever. */
  #awaitContent(hasContent: boolean): void {
    const { bounds } = this.#request
    this.#hasContent = hasContent
    if (hasContent || this.#check.isWhole) bounds.disarm()
    else bounds.check()
    if (bounds.ended !== undefined) throw bounds.signal.reason
  }

  /** The caller's own abort of the stream ends it silently, as it does with openai. */
  get #isLeft(): boolean {
    return this.controller.signal.aborted
  }

  // A pending read will end by itself, and knows best with what.
  readonly #onAbort = (): void => {
    if (this.#isWaiting || this.#ended !== undefined) return
    const { bounds, toCallerError } = this.#request
    const isCut = bounds.ended !== undefined && !this.#check.isWhole
    this.#settle(isCut ? toCallerError(bounds.signal.reason) : undefined, !isCut)
  }

  /** Only the first time counts. */
  #settle(error: unknown, abandoned: boolean): void {
    if (this.#ended !== undefined) return
    this.#ended = { error }
    const { bounds, events } = this.#request
    bounds.dispose()
    events?.dispose()
    // Node keeps a composed signal, such as openai's, for as long as it has a listener.
    for (const { signal } of [this.controller, bounds]) {
      signal.removeEventListener('abort', this.#onAbort)
    }
    if (!this.#check.isWhole || abandoned || error !== undefined) this.#close()
    this.#end.tell({ error, abandoned })
  }

  #close(): void {
    this.controller.abort()
    // A pending read ends with the abort; it is not awaited here.
    this.#chunks.return?.().catch(() => {})
  }
}

/** Whether its reader asks for more. Apart from the stream: watching it does not keep that alive. */
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

  constructor(idleMs: number) {
    super(`no chunk within ${idleMs} ms`)
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
