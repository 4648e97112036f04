import { readProperty } from '../errors/hostile.ts'
import { discard } from './given-stream.ts'
import type { WireRecord } from './wire.ts'

/** Some clients have responses of another kind: node-fetch's, say. */
export function isHead(response: unknown): response is Response {
  return typeof readProperty(readProperty(response, 'headers'), 'get') === 'function'
}

/** The head of an answer whose promise gave none: as the observer saw it, or an empty one. */
export function headSeen({ status = 200, headers }: WireRecord): Response {
  return new Response(null, headers === undefined ? { status } : { status, headers })
}

/** The response behind what `create` gave; where there is none, one of its data. */
export async function responseOf(given: unknown): Promise<Response> {
  const asResponse = method(given, 'asResponse')
  if (asResponse === undefined) {
    const data = await promiseOf(given)
    if (!discard(data)) return Response.json(data)
    throw new TypeError(
      'asResponse() of a stream needs a client whose create() gives an APIPromise',
    )
  }
  const response = await promiseOf(asResponse())
  if (!isHead(response)) throw new TypeError('asResponse() of the client gave no response')
  return response
}

/** openai's `APIPromise` has some; a tracer's or a test's plain promise has not. */
export function method(given: unknown, name: string): (() => unknown) | undefined {
  const found = readProperty(given, name)
  return typeof found === 'function' ? () => Reflect.apply(found, given, []) : undefined
}

/** Tracers and tests may give what is no promise at all: a stream, say, or the data. */
export function promiseOf(given: unknown): PromiseLike<unknown> {
  return isThenable(given) ? given : Promise.resolve(given)
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof readProperty(value, 'then') === 'function'
}
