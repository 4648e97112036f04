import type { ChunkStream } from '../stream/one-reader.ts'

/**
 * openai's `Stream` in small, for clients that lead to no copy of openai: one reader, `tee()` and
 * `toReadableStream()`, and a controller that ends it.
 */
export class PlainStream implements ChunkStream {
  readonly controller: AbortController
  readonly #iterate: () => AsyncIterator<unknown>

  constructor(iterate: () => AsyncIterator<unknown>, controller: AbortController) {
    this.#iterate = iterate
    this.controller = controller
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return this.#iterate()
  }

  /** Two streams of the same chunks, each at its own pace. */
  tee(): [PlainStream, PlainStream] {
    const iterator = this.#iterate()
    const unread: [Promise<IteratorResult<unknown>>[], Promise<IteratorResult<unknown>>[]] = [
      [],
      [],
    ]
    const side = (own: 0 | 1): PlainStream => {
      const next = (): Promise<IteratorResult<unknown>> => {
        const waiting = unread[own].shift()
        if (waiting !== undefined) return waiting
        const result = iterator.next()
        unread[own === 0 ? 1 : 0].push(result)
        return result
      }
      return new PlainStream(() => ({ next }), this.controller)
    }
    return [side(0), side(1)]
  }

  /** One JSON text a line, as `Stream.fromReadableStream` reads it. */
  toReadableStream(): ReadableStream {
    const iterator = this.#iterate()
    const encoder = new TextEncoder()
    return new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await iterator.next()
          if (done) controller.close()
          else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`))
        } catch (error) {
          controller.error(error)
        }
      },
      async cancel() {
        await iterator.return?.()
      },
    })
  }
}
