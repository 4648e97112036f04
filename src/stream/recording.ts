import type { Failure } from '../errors/call-error.ts'
import { TOO_LARGE } from '../idempotency/once-errors.ts'
import type { ChunkStream } from './one-reader.ts'
import { Progress } from './progress.ts'
import { encodeChunks } from './stored-stream.ts'

/** What became of a recorded stream. */
export type Recorded =
  | { readonly ok: true; readonly text: string | typeof TOO_LARGE }
  | ({ readonly ok: false } & Broken)

/** What broke a stream: to us, and as its reader is to catch it. */
export interface Broken {
  readonly failure: Failure
  readonly error: unknown
}

export interface RecordingRequest {
  /** The provider's, from its first content on. Nobody else reads it. */
  readonly stream: ChunkStream
  /** Above it nothing is kept: bytes of JSON. */
  readonly maxBytes: number
  /** The flight's: aborts when nobody wants the stream any more, or when it must stop. */
  readonly signal: AbortSignal
  /** Called once, when `maxBytes` is exceeded. */
  onTooLarge(): void
  /** What broke it, from what its iterator threw: undefined where it was ended without a word. */
  broken(error: unknown): Broken
}

/**
 * The pump of a stream under a key: reads the provider's stream to its end, records it, and hands
 * each chunk to the caller whose call began it, if he still reads. What holds, whatever he does:
 *
 * 1. The provider's stream has one consumer: this pump. It goes on until the stream ends or the
 *    flight's signal aborts. Nothing a reader does ends it; a reader can only leave the flight.
 * 2. While the stream may still be kept, the pump waits for no reader. So a slow one holds up
 *    neither those who joined nor the key, and one who asks for his own key in the middle of his
 *    loop does not wait for himself. What he has not read is bounded by `maxBytes`.
 * 3. Above `maxBytes` nothing is kept: what was recorded is dropped, the others are told at once,
 *    and from then on the pump goes at the reader's pace, one chunk ahead.
 * 4. There is a text only of a stream that ended as it should, with every chunk in it; each was
 *    written down before a reader could change it.
 */
export class Recording {
  readonly #request: RecordingRequest
  /** JSON of each chunk. Undefined: too large to be kept. */
  #written: string[] | undefined = []
  #bytes = encodeChunks([]).length
  /** Undefined: nobody reads. */
  #unread: unknown[] | undefined = []
  readonly #progress = new Progress()
  #end: { readonly broken: Broken | undefined } | undefined
  #wakeReader: () => void = () => {}
  #wakePump: () => void = () => {}

  constructor(request: RecordingRequest) {
    this.#request = request
  }

  /** Reads to the end. Never rejects. To be called once. */
  async run(): Promise<Recorded> {
    const { signal } = this.#request
    const onAbort = () => this.#wakePump()
    signal.addEventListener('abort', onAbort, { once: true })
    const recorded = await this.#pump()
    signal.removeEventListener('abort', onAbort)
    // The text is not held here: the reader may keep his stream for long.
    this.#end = { broken: recorded.ok ? undefined : recorded }
    this.#written = undefined
    this.#wakeReader()
    return recorded
  }

  /** Has all of the answer come? What may follow is a line or two. */
  get isWhole(): boolean {
    return this.#progress.finished
  }

  /** How it ended, whether or not all of it was taken. Undefined while it goes on. */
  get end(): { readonly broken: Broken | undefined } | undefined {
    return this.#end
  }

  /** The next chunk, in order, if it is there. */
  take(): { readonly chunk: unknown } | undefined {
    return this.#unread?.length ? { chunk: this.#unread.shift() } : undefined
  }

  /** Settles when there may be something to take, or when there will be nothing more. */
  changed(): Promise<void> {
    const changed = new Promise<void>((resolve) => {
      this.#wakeReader = resolve
    })
    this.#wakePump()
    return changed
  }

  /** Nobody reads any more. */
  drop(): void {
    this.#unread = undefined
    this.#wakePump()
    this.#wakeReader()
  }

  async #pump(): Promise<Recorded> {
    const { stream, signal } = this.#request
    try {
      for await (const chunk of stream) {
        this.#progress.see(chunk)
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

  /** Nothing unread, and somebody waiting for more; or nobody reading at all. */
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
