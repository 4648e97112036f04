import { readProperty } from '../errors/hostile.ts'
import type { ChunkStream, StreamClass } from '../stream/reader.ts'
import type { Bounds } from '../time.ts'
import type { ChatClient } from './chat-client.ts'
import { classesOf } from './client.ts'

/** By openai's own class of the client. Promises, so that two who ask at once ask once. */
const known = new WeakMap<object, Promise<StreamClass>>()

/** openai's `Stream`, of any copy: it alone can be made of what its `toReadableStream()` gives. */
function isStreamClass(Class: unknown): Class is StreamClass {
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

/** A stream to read from, and the class of the one to give out in its place. */
export interface GivenStream {
  readonly source: ChunkStream
  readonly Class: StreamClass
}

/**
 * What a client gave for `stream: true`. openai's own stream is read as it is. Tracers give a
 * generator in its place, tests an array: whatever can be iterated is read, and its request ended by
 * the attempt's own signal.
 * @throws {TypeError} for what cannot be iterated.
 */
export async function givenStream(
  data: unknown,
  bounds: Bounds,
  client: ChatClient,
): Promise<GivenStream> {
  const Class = readProperty(data, 'constructor')
  // Its class says that it is openai's, whose streams have a controller and are async iterable.
  if (isStreamClass(Class)) return { source: data as ChunkStream, Class }
  const iterate = iterationOf(data)
  if (iterate === undefined) {
    throw new TypeError(`the client answered a request for a stream with ${nameOf(data)}`)
  }
  const controller = controllerOf(data) ?? new AbortController()
  bounds.follow(controller.signal)
  return {
    source: {
      controller,
      [Symbol.asyncIterator]: () => untilAborted(iterate(), controller.signal),
    },
    Class: await streamClassOf(client),
  }
}

/**
 * True for a stream, which is not going to be read: what a tracer's generator has to reject with, if
 * it is the first to await the answer, does not matter then.
 */
export function discard(data: unknown): boolean {
  const iterate = iterationOf(data)
  if (iterate === undefined) return false
  // Nothing that a foreign iterator throws matters here.
  void (async () => {
    const iterator = iterate()
    await iterator.next()
    await iterator.return?.()
  })().catch(() => {})
  return true
}

type AnyIterator = Iterator<unknown> | AsyncIterator<unknown>

function iterationOf(data: unknown): (() => AnyIterator) | undefined {
  // A string can be iterated too, and is no stream.
  if (typeof data !== 'object' || data === null) return undefined
  const iterate = readProperty(data, Symbol.asyncIterator) ?? readProperty(data, Symbol.iterator)
  return typeof iterate === 'function' ? () => Reflect.apply(iterate, data, []) : undefined
}

/** A stream's own, where it has one that works. */
function controllerOf(data: unknown): AbortController | undefined {
  const controller = readProperty(data, 'controller')
  const signal = readProperty(controller, 'signal')
  const works =
    typeof readProperty(controller, 'abort') === 'function' &&
    typeof readProperty(signal, 'aborted') === 'boolean' &&
    typeof readProperty(signal, 'addEventListener') === 'function'
  return works ? (controller as AbortController) : undefined
}

/** The iterator, its promises and its end in the form that is relied on; over when it is aborted. */
function untilAborted(iterator: AnyIterator, signal: AbortSignal): AsyncIterator<unknown> {
  return {
    next: () =>
      new Promise((resolve, reject) => {
        const onAbort = () => resolve({ done: true, value: undefined })
        if (signal.aborted) return onAbort()
        signal.addEventListener('abort', onAbort, { once: true })
        const over = () => signal.removeEventListener('abort', onAbort)
        Promise.resolve(iterator.next()).then(
          (next) => {
            over()
            resolve(next)
          },
          (error: unknown) => {
            over()
            reject(error)
          },
        )
      }),
    async return(value?: unknown) {
      await iterator.return?.(value)
      return { done: true, value }
    },
  }
}

function nameOf(data: unknown): string {
  return data === null ? 'null' : typeof data
}
