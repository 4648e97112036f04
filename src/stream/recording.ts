import type { Failure } from '../errors/call-error.ts'
import { TOO_LARGE } from '../idempotency/protocol.ts'
import { type ChunkSource, type ChunkStream, DONE, type ReaderErrors } from './reader.ts'
import type { Progress } from './watch.ts'

/** What became of a recorded stream. */
export type Recorded =
  | { readonly ok: true; readonly text: string | typeof TOO_LARGE }
  | ({ readonly ok: false } & Broken)

/** What broke a stream: to us, and as its reader is to catch it. */
export interface Broken {
  readonly failure: Failure
  readonly error: unknown
}

export interface StreamRecordingRequest {
  /** The provider's, from its first content on. No other code reads it. */
  readonly stream: ChunkStream
  /** Of what is recorded. */
  readonly progress: Progress
  /** Above it nothing is kept: bytes of JSON. */
  readonly maxBytes: number
  /** The flight's: aborts when no caller wants the stream any more, or when it must stop. */
  readonly signal: AbortSignal
  /** Called once, when `maxBytes` is exceeded. */
  onTooLarge(): void
  /** What broke it, from what its iterator threw: undefined where it was ended without a word. */
  broken(error: unknown): Broken
}

/**
 * The pump of a stream under a key: reads the provider's stream to its end, records it, and hands
 * each chunk to its owner, the caller whose call began it, while that one reads. What holds, whatever
 * the owner does:
 *
 * 1. The provider's stream has one consumer: this pump. It goes on until the stream ends or the
 *    flight's signal aborts. Nothing the owner does ends it; the owner can only leave the flight.
 * 2. While the stream may still be kept, the pump does not wait for the owner. So a slow one holds up
 *    neither the joiners nor the key, and one that asks for its own key in the middle of its loop
 *    does not wait for itself. What is not read yet is bounded by `maxBytes`.
 * 3. Above `maxBytes` nothing is kept: what was recorded is dropped, the others are told at once,
 *    and from then on the pump goes at the owner's pace, one chunk ahead.
 * 4. There is a text only of a stream that ended as it should, with every chunk in it; each was
 *    written down before the owner could change it.
 */
export class StreamRecording {
  readonly #request: StreamRecordingRequest
  /** JSON of each chunk. Undefined: too large to be kept. */
  #written: string[] | undefined = []
  #bytes = encodeChunks([]).length
  /** Undefined: there is no reader. */
  #unread: unknown[] | undefined = []
  #end: { readonly broken: Broken | undefined } | undefined
  #wakeReader: () => void = () => {}
  #wakePump: () => void = () => {}

  constructor(request: StreamRecordingRequest) {
    this.#request = request
  }

  /** Reads to the end. Never rejects. To be called once. */
  async run(): Promise<Recorded> {
    const { signal } = this.#request
    const onAbort = () => this.#wakePump()
    signal.addEventListener('abort', onAbort, { once: true })
    const recorded = await this.#pump()
    signal.removeEventListener('abort', onAbort)
    // The text is not held here: the owner may keep its stream for long.
    this.#end = { broken: recorded.ok ? undefined : recorded }
    this.#written = undefined
    this.#wakeReader()
    return recorded
  }

  /** Has all of the answer come? What may follow is a line or two. */
  get isWhole(): boolean {
    return this.#request.progress.isWhole
  }

  /** How it ended, whether or not all of it was taken. Undefined while it goes on. */
  get end(): { readonly broken: Broken | undefined } | undefined {
    return this.#end
  }

  /** The next chunk, in order, if it is there. */
  take(): IteratorYieldResult<unknown> | undefined {
    return this.#unread?.length ? { done: false, value: this.#unread.shift() } : undefined
  }

  /** Settles when there may be something to take, or when there will be nothing more. */
  changed(): Promise<void> {
    const changed = new Promise<void>((resolve) => {
      this.#wakeReader = resolve
    })
    this.#wakePump()
    return changed
  }

  /** There is no reader any more. */
  drop(): void {
    this.#unread = undefined
    this.#wakePump()
    this.#wakeReader()
  }

  async #pump(): Promise<Recorded> {
    const { stream, progress, signal } = this.#request
    try {
      for await (const chunk of stream) {
        progress.see(chunk)
        this.#write(chunk)
        this.#unread?.push(chunk)
        this.#wakeReader()
        if (this.#written === undefined) await this.#readerIsHungry()
        if (signal.aborted) break
      }
    } catch (error) {
      return { ok: false, ...this.#request.broken(error) }
    }
    // A stream that is left, or aborted between two reads, ends without a word and not whole.
    if (stream.controller.signal.aborted) {
      return { ok: false, ...this.#request.broken(undefined) }
    }
    return {
      ok: true,
      text: this.#written === undefined ? TOO_LARGE : encodeChunks(this.#written),
    }
  }

  #write(chunk: unknown): void {
    if (this.#written === undefined) return
    const json = jsonOf(chunk)
    this.#bytes += json === undefined ? 0 : encoder.encode(json).byteLength + 1
    if (json !== undefined && this.#bytes <= this.#request.maxBytes) {
      this.#written.push(json)
      return
    }
    this.#written = undefined
    this.#request.onTooLarge()
  }

  /** Nothing is unread and the reader waits for more; or there is no reader. */
  async #readerIsHungry(): Promise<void> {
    const { signal } = this.#request
    while (this.#unread?.length && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wakePump = resolve
      })
    }
  }
}

const encoder = new TextEncoder()

/** Undefined for what has no JSON: a chunk that came over HTTP has, a test's double may not. */
function jsonOf(chunk: unknown): string | undefined {
  try {
    const json: unknown = JSON.stringify(chunk)
    return typeof json === 'string' ? json : undefined
  } catch {
    return undefined
  }
}

/**
 * What an attempt is aborted with when the owner of its stream has left, and no other caller was waiting:
 * `break`, or the stream's own `controller.abort()`. No failure, as with any stream.
 */
export const READER_LEFT: DOMException = new DOMException(
  'the reader of the stream has left',
  'AbortError',
)

export interface RecordedStreamRequest {
  readonly recording: StreamRecording
  /** Of what the owner is given: with all of the chunks that matter, it has had the whole answer. */
  readonly progress: Progress
  /** The owner's. */
  readonly signal: AbortSignal | undefined
  /** Gives up the owner's place in the flight. */
  leave(reason: unknown): void
  /** Settles when the call is over: the stream has ended and is kept or not, or its owner has left. */
  readonly over: Promise<unknown>
  readonly errors: ReaderErrors
}

/** What the owner of a stream under a key is given: what the pump has recorded, as it comes. */
export class RecordedStream implements ChunkSource {
  /** Of the stream that is given out. The request has its own: others may wait for it. */
  readonly controller: AbortController = new AbortController()
  /** Set when the owner reads no further; with the failure, unless it just left. */
  stopped: { readonly failure: Failure | undefined } | undefined
  /** Its end was given out, or thrown. */
  #isOver = false
  /** Settles when the caller aborts. */
  readonly #hurried: Promise<void>
  #hurry: () => void = () => {}
  readonly #request: RecordedStreamRequest

  constructor(request: RecordedStreamRequest) {
    this.#request = request
    this.#hurried = new Promise((resolve) => {
      this.#hurry = resolve
    })
    const { signal } = request
    this.controller.signal.addEventListener('abort', this.#onOwnAbort, { once: true })
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>> {
    return this.#take() ?? this.#wait()
  }

  leave(): void {
    this.#stop(undefined)
  }

  left(): Promise<void> | undefined {
    return this.#isOver ? undefined : this.#untilOver()
  }

  #take(): IteratorResult<unknown> | undefined {
    const { recording, progress } = this.#request
    const taken = this.stopped === undefined ? recording.take() : undefined
    if (taken !== undefined) progress.see(taken.value)
    return taken
  }

  async #wait(): Promise<IteratorResult<unknown>> {
    const { recording, errors } = this.#request
    while (this.stopped === undefined && recording.end === undefined) {
      await recording.changed()
      const taken = this.#take()
      if (taken !== undefined) return taken
    }
    await this.#untilOver()
    this.#isOver = true
    if (this.stopped?.failure !== undefined) throw errors.toCallerError(this.stopped.failure)
    const broken = this.stopped === undefined ? recording.end?.broken : undefined
    if (broken !== undefined) throw broken.error
    return DONE
  }

  // Silent, as it is with openai.
  readonly #onOwnAbort = (): void => this.#stop(undefined)

  readonly #onAbort = (): void => {
    const { progress, errors } = this.#request
    this.#hurry()
    this.#stop(progress.isWhole ? undefined : errors.aborted())
  }

  #stop(failure: Failure | undefined): void {
    if (this.stopped !== undefined) return
    this.stopped = { failure }
    const { recording, leave, over } = this.#request
    void over.then(() => this.#release())
    // The rest of a whole answer is waited for and kept, read or not: it is a line or two, or an idle
    // timeout.
    if (!recording.isWhole && recording.end === undefined) leave(failure?.cause ?? READER_LEFT)
    recording.drop()
  }

  /**
   * The report is complete when the loop is over. But no caller waits for the rest of a whole answer
   * that its owner has left, nor for the store after an abort: it is complete a little later then.
   */
  async #untilOver(): Promise<void> {
    const { recording, over } = this.#request
    const isLeaving = this.stopped !== undefined && recording.isWhole
    if (!isLeaving || recording.end !== undefined) await Promise.race([over, this.#hurried])
    this.#release()
  }

  #release(): void {
    this.controller.signal.removeEventListener('abort', this.#onOwnAbort)
    this.#request.signal?.removeEventListener('abort', this.#onAbort)
  }
}

/**
 * Names the form and its version. A kept completion has no such member, so that neither is ever
 * taken for the other.
 */
const FORM = 'stream.v1'

/**
 * The text of a whole stream, from the JSON of each of its chunks. It says that it is whole: the end
 * of its protocol may have made it so, which is no chunk.
 */
function encodeChunks(written: readonly string[]): string {
  return `{"steadycall":"${FORM}","whole":true,"chunks":[${written.join(',')}]}`
}

/**
 * The chunks in a kept text, in order, all of them seen by `progress`: whatever stands there, only of
 * a whole stream.
 * @throws {Error} for any other text.
 */
export function decodeChunks(text: string, progress: Progress): readonly unknown[] {
  const kept: unknown = JSON.parse(text)
  const own = typeof kept === 'object' && kept !== null ? new Map(Object.entries(kept)) : undefined
  const chunks = own?.get('chunks')
  if (own?.get('steadycall') !== FORM || !Array.isArray(chunks)) {
    throw new Error(`what is kept under this key is not a stream of this version (${FORM})`)
  }
  let cause: unknown
  try {
    for (const chunk of chunks) progress.see(chunk)
  } catch (error) {
    // An error in disguise, which no stream is kept with: it is not this call that met it.
    cause = error
  }
  const isAnswer = progress.isWhole || (own.get('whole') === true && !progress.isEmpty)
  if (cause === undefined && isAnswer) return chunks
  throw new Error('the stream that is kept under this key is not whole', { cause })
}

export interface KeptStreamRequest {
  /** Of one caller alone, who may change what it is given. */
  readonly chunks: readonly unknown[]
  /** Of what is given out; nothing has been yet. */
  readonly progress: Progress
  /** The caller's. */
  readonly signal: AbortSignal | undefined
  readonly errors: ReaderErrors
}

/** A whole stream, given out again. */
export class KeptStream implements ChunkSource {
  readonly controller: AbortController = new AbortController()
  readonly #request: KeptStreamRequest
  #given = 0

  constructor(request: KeptStreamRequest) {
    this.#request = request
  }

  next(): IteratorResult<unknown> {
    const { chunks, progress, signal, errors } = this.#request
    if (this.#given === chunks.length || this.controller.signal.aborted) return DONE
    if (signal?.aborted) {
      // It ends as the stream did that it repeats.
      if (progress.isWhole) return DONE
      throw errors.toCallerError(errors.aborted())
    }
    const value = chunks[this.#given]
    this.#given++
    progress.see(value)
    return { done: false, value }
  }

  /** There is nothing to end. */
  leave(): void {}
}
