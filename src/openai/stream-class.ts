import { readProperty } from '../errors/hostile.ts'
import type { ChunkStream, StreamClass } from '../stream/reader.ts'
import type { ChatClient } from './chat-client.ts'
import { classesOf } from './client.ts'

/** By openai's own class of the client. Promises, so that two who ask at once ask once. */
const known = new WeakMap<object, Promise<StreamClass>>()

/** openai's `Stream`, of any copy: it alone can be made of what its `toReadableStream()` gives. */
export function isStreamClass(Class: unknown): Class is StreamClass {
  return (
    typeof Class === 'function' && typeof readProperty(Class, 'fromReadableStream') === 'function'
  )
}

/**
 * The `Stream` class of a client's own copy of openai, for streams that come from no request of it.
 * No property of a client leads there; but a new client of that copy, whose fetch answers by itself
 * with an empty stream, gives an object of it. Nothing is sent, and no credential is touched. For a
 * client of no copy of openai, a class that does the same.
 */
export async function streamClassOf(client: ChatClient): Promise<StreamClass> {
  // Azure's class and a user's subclass take other options; both inherit the name of openai's own.
  const Own = classesOf(client)
    .map((Class) => readProperty(Class, 'OpenAI'))
    .find((Class) => typeof Class === 'function')
  if (typeof Own !== 'function') return PlainStream
  const found = known.get(Own) ?? askFor(Own).catch(() => PlainStream)
  known.set(Own, found)
  return found
}

interface BareClient {
  post(path: string, options: object): PromiseLike<ChunkStream>
}

async function askFor(Own: object): Promise<StreamClass> {
  // openai's classes name its own one so.
  const Bare = Own as new (options: object) => BareClient
  const client = new Bare({
    apiKey: 'none',
    baseURL: 'http://localhost',
    maxRetries: 0,
    logLevel: 'off',
    dangerouslyAllowBrowser: true,
    fetch: async () => new Response('data: [DONE]\n\n', { headers: EVENT_STREAM }),
  })
  const Class = readProperty(await client.post('/', { body: {}, stream: true }), 'constructor')
  return isStreamClass(Class) ? Class : PlainStream
}

const EVENT_STREAM = { 'content-type': 'text/event-stream' }

/**
 * openai's `Stream` in small, for clients that lead to no copy of openai: one reader, `tee()` and
 * `toReadableStream()`, and a controller that ends it.
 */
class PlainStream implements ChunkStream {
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
