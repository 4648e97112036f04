import { type Holder, OneReader, type StreamClass, streamOver } from './one-reader.ts'
import { Progress } from './progress.ts'

export interface Replay {
  /** Of one caller alone: he may change what he is given. */
  readonly chunks: readonly unknown[]
  /** As many as were asked for. */
  readonly choices: number
  readonly Class: StreamClass
  /** The caller's. */
  readonly signal: AbortSignal | undefined
  /** What he is to catch when his signal aborts. */
  aborted(): unknown
}

/** A whole stream, given out again as a stream. */
export function replayStream(replay: Replay): InstanceType<StreamClass> {
  const controller = new AbortController()
  return streamOver(new Replayed(replay, controller.signal), replay.Class, controller)
}

class Replayed extends OneReader {
  readonly #replay: Replay
  readonly #own: AbortSignal

  constructor(replay: Replay, own: AbortSignal) {
    super()
    this.#replay = replay
    this.#own = own
  }

  override async *read(reader: Holder): AsyncGenerator<unknown, void, undefined> {
    this.take(reader)
    const { chunks, choices, signal, aborted } = this.#replay
    const seen = new Progress({ choices })
    for (const chunk of chunks) {
      // Aborted, it ends as the stream did that it repeats.
      if (this.#own.aborted || (signal?.aborted && seen.finished)) return
      if (signal?.aborted) throw aborted()
      seen.see(chunk)
      yield chunk
    }
  }

  /** There is nothing to end. */
  protected override abandon(): void {}
}

/** The response that a replayed stream did not come in: read whole, as every stream's is. */
export function replayedHead(source: 'store' | 'shared'): Response {
  return new Response(null, {
    status: 200,
    headers: { 'content-type': 'text/event-stream', 'x-steadycall-source': source },
  })
}
