import { abortedBy } from '../call/attempt.ts'
import type { Failure } from '../errors/call-error.ts'
import { type Holder, OneReader } from './one-reader.ts'
import { Progress } from './progress.ts'
import type { Recording } from './recording.ts'

/**
 * What an attempt is aborted with when the reader of its stream has left, and nobody else was
 * waiting: `break`, or the stream's own `controller.abort()`. No failure, as with any stream.
 */
export const READER_LEFT: DOMException = new DOMException(
  'the reader of the stream has left',
  'AbortError',
)

export interface OwnerReaderRequest {
  readonly recording: Recording
  /** As many as were asked for. */
  readonly choices: number
  /** The caller's. */
  readonly signal: AbortSignal | undefined
  /** Gives up the caller's place in the flight. */
  leave(reason: unknown): void
  /** Settles when the call is over: the stream has ended and is kept or not, or the caller has left. */
  readonly over: Promise<unknown>
  toCallerError(failure: Failure): unknown
}

/** The live stream of the caller whose call began it: reads what the pump has recorded. */
export class OwnerReader extends OneReader {
  /** Of the stream that he gets. The request has its own: others may wait for it. */
  readonly controller: AbortController = new AbortController()
  /** Set when he reads no further; with the failure, unless he just left. */
  stopped: { readonly failure: Failure | undefined } | undefined
  /** What he has been given: who has every finish_reason has had the whole answer. */
  readonly #seen: Progress
  /** Settles when the caller aborts. */
  readonly #hurried: Promise<void>
  #hurry: () => void = () => {}
  readonly #request: OwnerReaderRequest

  constructor(request: OwnerReaderRequest) {
    super()
    this.#request = request
    this.#seen = new Progress({ choices: request.choices })
    this.#hurried = new Promise((resolve) => {
      this.#hurry = resolve
    })
    const { signal } = request
    this.controller.signal.addEventListener('abort', this.#onOwnAbort, { once: true })
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  override async *read(reader: Holder): AsyncGenerator<unknown, void, undefined> {
    this.take(reader)
    const { recording } = this.#request
    try {
      while (this.stopped === undefined) {
        const taken = recording.take()
        if (taken !== undefined) {
          this.#seen.see(taken.chunk)
          yield taken.chunk
        } else if (recording.end === undefined) await recording.changed()
        else break
      }
    } finally {
      await this.#untilOver()
      this.#release()
    }
    const thrown = this.#thrown()
    if (thrown !== undefined) throw thrown.error
  }

  protected override abandon(): void {
    this.#stop(undefined)
  }

  // Silent, as it is with openai.
  readonly #onOwnAbort = (): void => this.#stop(undefined)

  readonly #onAbort = (): void => {
    this.#hurry()
    this.#stop(this.#seen.finished ? undefined : abortedBy(this.#request.signal))
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
   * The report is complete when the loop is over. But nobody waits for the rest of a whole answer
   * that he has left, nor for the store when he has aborted: it is complete a little later then.
   */
  async #untilOver(): Promise<void> {
    const { recording, over } = this.#request
    const isLeaving = this.stopped !== undefined && recording.isWhole
    if (isLeaving && recording.end === undefined) return
    await Promise.race([over, this.#hurried])
  }

  #thrown(): { readonly error: unknown } | undefined {
    const { recording, toCallerError } = this.#request
    if (this.stopped === undefined) return recording.end?.broken
    const { failure } = this.stopped
    return failure && { error: toCallerError(failure) }
  }

  #release(): void {
    this.over()
    this.controller.signal.removeEventListener('abort', this.#onOwnAbort)
    this.#request.signal?.removeEventListener('abort', this.#onAbort)
  }
}
