import type { Bounds } from '../call/limits.ts'
import { readProperty } from '../errors/hostile.ts'
import type { ChunkStream, StreamClass } from '../stream/reader.ts'
import type { ChatClient } from './chat-client.ts'
import { isStreamClass, streamClassOf } from './stream-class.ts'

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
  const iterator = iterationOf(data)?.()
  if (iterator === undefined) return false
  void Promise.resolve(iterator.next())
    .then(() => iterator.return?.())
    .catch(() => {})
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
