import { shareReport } from './report.ts'

/** What a drop-in call ends with: the data and the HTTP response it came in. */
export interface Answer<T> {
  readonly data: T
  /** The response's head; its body has been read, except in `asResponse()`. */
  readonly response: Response
  /** As openai's own helpers expect them beside the data. */
  readonly props: { readonly response: Response; readonly options: object }
}

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

  readonly #call: { started: Promise<Answer<unknown>> | undefined; readonly start: Start<unknown> }
  readonly #transform: (answer: Answer<unknown>) => T
  #data: Promise<T> | undefined

  private constructor(
    call: { started: Promise<Answer<unknown>> | undefined; readonly start: Start<unknown> },
    transform: (answer: Answer<unknown>) => T,
  ) {
    // The methods below are overridden and never look at this value.
    super((resolve) => resolve(undefined as T))
    this.#call = call
    this.#transform = transform
  }

  static of<D>(start: Start<D>): CallPromise<D> {
    const call: { started: Promise<Answer<unknown>> | undefined; readonly start: Start<D> } = {
      started: undefined,
      start,
    }
    queueMicrotask(() => {
      call.started ??= start('data')
    })
    // The answer is the one that `start` gave, whose data is a D.
    return new CallPromise<D>(call, (answer) => answer.data as D)
  }

  /** The raw response, its body unread. Guarded by retries, never joined or stored. */
  asResponse(): Promise<Response> {
    this.#call.started ??= this.#call.start('response')
    return this.#call.started.then((answer) => answer.response)
  }

  /** The data with its response. */
  async withResponse(): Promise<{ data: T; response: Response; request_id: string | null }> {
    const data = await this.#result()
    const { response } = await this.#answer()
    return { data, response, request_id: response.headers.get('x-request-id') }
  }

  /** Used by openai's `parse` helper. */
  _thenUnwrap<U>(transform: (data: T, props: Answer<T>['props']) => U): CallPromise<U> {
    return new CallPromise<U>(this.#call, (answer) => {
      const data = this.#transform(answer)
      try {
        const transformed = transform(data, answer.props)
        shareReport(transformed, data)
        return transformed
      } catch (error) {
        // What was wrong with the answer: the call itself went well.
        shareReport(error, data)
        throw error
      }
    })
  }

  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result().then(onFulfilled, onRejected)
  }

  override catch<B = never>(
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<T | B> {
    return this.#result().catch(onRejected)
  }

  override finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#result().finally(onFinally)
  }

  #result(): Promise<T> {
    this.#data ??= this.#answer().then(this.#transform)
    return this.#data
  }

  #answer(): Promise<Answer<unknown>> {
    this.#call.started ??= this.#call.start('data')
    return this.#call.started
  }
}
