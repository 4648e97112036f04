import { readProperty } from '../errors/hostile.ts'
import { discard } from './stream-class.ts'
import type { WireRecord } from './wire.ts'

/** What a drop-in call ends with: the data and the HTTP response it came in. */
export interface Answer<T> {
  readonly data: T
  /** The response's head; its body has been read, except in `asResponse()`. */
  readonly response: Response
  /** As openai's own helpers expect them beside the data. */
  readonly props: { readonly response: Response; readonly options: object }
}

/** A value and the answer that it was made of. */
type Derived = (value: unknown, source: unknown) => void

/** Starts the call once, as the caller wants it: the data, or the response with its body unread. */
export type Start<T> = (mode: 'data' | 'response') => Promise<Answer<T>>

/**
 * openai's `APIPromise`, for a call of ours: awaited it gives the data, and it has `withResponse`,
 * `asResponse` and the `_thenUnwrap` that `parse` builds on. Like openai's, the call starts at once,
 * whether or not it is ever awaited; it starts one microtask late, so that `asResponse()` on the
 * fresh promise can still leave the body unread.
 */
export class CallPromise<T> extends Promise<T> {
  // `then` must give plain promises: this class cannot be built from an executor.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  // No private field: tracers put a proxy around the promise, and call its methods on that.
  declare private readonly state: State<T>

  private constructor(call: State<T>['call'], transform: State<T>['transform']) {
    // The methods below are overridden and never look at this value.
    super((resolve) => resolve(undefined as T))
    // Not enumerable: the answer would be in what a logger prints of the promise.
    const value: State<T> = { call, transform, data: undefined }
    void Object.defineProperty(this, 'state', { configurable: true, writable: true, value })
  }

  /** `derived` is told of each value that a helper of openai makes of the answer, or throws instead. */
  static of<D>(start: Start<D>, derived: Derived): CallPromise<D> {
    const call: State<D>['call'] = { started: undefined, start, derived }
    queueMicrotask(() => {
      call.started ??= start('data')
    })
    // The answer is the one that `start` gave, whose data is a D.
    return new CallPromise<D>(call, dataOf as State<D>['transform'])
  }

  /** The raw response, its body unread. Guarded by retries, never joined or stored. */
  asResponse(): Promise<Response> {
    const { call } = this.state
    call.started ??= call.start('response')
    return call.started.then((answer) => answer.response)
  }

  /** The data with its response. */
  async withResponse(): Promise<{ data: T; response: Response; request_id: string | null }> {
    const { state } = this
    const data = await resultOf(state)
    const { response } = await answerTo(state)
    return { data, response, request_id: response.headers.get('x-request-id') }
  }

  /** Used by openai's `parse` helper. */
  _thenUnwrap<U>(transform: (data: T, props: Answer<T>['props']) => U): CallPromise<U> {
    const { call, transform: before } = this.state
    return new CallPromise<U>(call, (answer) => {
      const data = before(answer)
      try {
        const transformed = transform(data, answer.props)
        call.derived(transformed, data)
        return transformed
      } catch (error) {
        // What was wrong with the answer: the call itself went well.
        call.derived(error, data)
        throw error
      }
    })
  }

  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return resultOf(this.state).then(onFulfilled, onRejected)
  }

  override catch<B = never>(
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<T | B> {
    return resultOf(this.state).catch(onRejected)
  }

  override finally(onFinally?: (() => void) | null): Promise<T> {
    return resultOf(this.state).finally(onFinally)
  }
}

function dataOf({ data }: Answer<unknown>): unknown {
  return data
}

interface State<T> {
  readonly call: {
    started: Promise<Answer<unknown>> | undefined
    readonly start: Start<unknown>
    readonly derived: Derived
  }
  readonly transform: (answer: Answer<unknown>) => T
  data: Promise<T> | undefined
}

function resultOf<T>(state: State<T>): Promise<T> {
  state.data ??= answerTo(state).then(state.transform)
  return state.data
}

function answerTo({ call }: State<unknown>): Promise<Answer<unknown>> {
  call.started ??= call.start('data')
  return call.started
}

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
