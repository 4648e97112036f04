import { answer } from './answer.ts'
import { type HeaderRecord, headerOf } from './answer-headers.ts'
import { terminated } from './body-stream.ts'
import { ByteQueue, type ByteSource } from './byte-queue.ts'
import { type Coding, codingsOf } from './codings.ts'
import {
  type DispatchController,
  type Dispatcher,
  type DispatchHandler,
  dispatch,
} from './dispatcher.ts'
import { isRedirect, MAX_REDIRECTS, redirected } from './redirect.ts'
import type { PlainRequest } from './request.ts'

/** How, and for whom, a request is sent. */
export interface Errand {
  readonly dispatcher: Dispatcher
  /** Milliseconds without a byte of the body; 0: no limit. */
  readonly bodyTimeout: number
  /** Sends it by the runtime's fetch instead, where the dispatcher refuses the handler, before it is sent. */
  instead(): Promise<Response>
  /** Number of redirects that were followed before. */
  readonly redirects: number
  /** 'cors' once a redirect has led to another origin. */
  readonly type: 'basic' | 'cors'
}

/** Sends a request: settles with its answer as soon as the head of it has come. */
export function send(request: PlainRequest, errand: Errand): Promise<Response> {
  return new Promise((resolve, reject) => {
    new Transfer(request, errand, resolve, reject).start()
  })
}

// Answers of these have no body, whatever their headers say: https://fetch.spec.whatwg.org/#null-body-status
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304])

// steadycall reads it in errors: the provider cannot have seen the request.
const NOT_EXECUTED = Symbol.for('steadycall.not-executed.v1')

/**
 * One request and its answer, as a dispatcher sees them. It is the handler of both generations, the listener of
 * the caller's signal, and the source of the answer's bytes, so that a request is one object. It must not refer to
 * the answer: then one that nobody keeps can be freed, and its request ended.
 */
class Transfer implements DispatchHandler, ByteSource {
  readonly #request: PlainRequest
  readonly #errand: Errand
  // Taken off once they are called: each keeps the promise alive, and with it the answer.
  #resolve: ((answer: Response | Promise<Response>) => void) | undefined
  #reject: ((error: unknown) => void) | undefined
  #controller: DispatchController | undefined
  #queue: ByteQueue | undefined
  #abortedWith: { readonly reason: unknown } | undefined

  constructor(
    request: PlainRequest,
    errand: Errand,
    resolve: (answer: Response | Promise<Response>) => void,
    reject: (error: unknown) => void,
  ) {
    this.#request = request
    this.#errand = errand
    this.#resolve = resolve
    this.#reject = reject
  }

  start(): void {
    const { destination, method, headers, body, signal } = this.#request
    if (signal?.aborted) {
      this.#refuse(signal.reason)
      return
    }
    signal?.addEventListener('abort', this, ONCE)
    const { dispatcher, bodyTimeout } = this.#errand
    const { origin, path } = destination
    const options = { origin, path, method, headers, body, headersTimeout: 0, bodyTimeout }
    try {
      dispatch(dispatcher, options, this)
    } catch (error) {
      this.onResponseError(undefined, error)
    }
  }

  /** The caller's signal has aborted. */
  handleEvent(): void {
    this.abort(this.#request.signal?.reason)
  }

  abort(reason: unknown): void {
    if (this.#abortedWith !== undefined) return
    this.#abortedWith = { reason }
    this.#stopListening()
    if (this.#reject !== undefined) this.#refuse(reason)
    this.#queue?.abort(reason)
    this.#controller?.abort(reason)
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  onRequestStart(controller: DispatchController): void {
    this.#controller = controller
    // Aborted while it waited for a connection: it is never written.
    if (this.#abortedWith !== undefined) controller.abort(this.#abortedWith.reason)
  }

  onResponseStart(
    controller: DispatchController,
    status: number,
    headers: HeaderRecord,
    statusText = '',
  ): void {
    // Early hints and the like: the answer is still to come.
    if (status < 200 || this.#resolve === undefined) return
    const location = headerOf(headers, 'location')
    if (isRedirect(status, location)) {
      this.#follow(controller, status, location)
      return
    }
    const { method, destination } = this.#request
    const hasBody = method !== 'HEAD' && !NO_BODY.has(status)
    const codings = hasBody ? this.#codingsOf(headers) : NO_CODINGS
    if (codings === undefined) return
    const queue = hasBody ? new ByteQueue(this) : undefined
    this.#queue = queue
    const { href: url } = destination
    const { type, redirects } = this.#errand
    const head = { status, statusText, headers, url, type, redirected: redirects > 0 }
    this.#settle(answer(head, queue && { queue, codings }))
  }

  onResponseData(_controller: DispatchController, chunk: Uint8Array): void {
    this.#queue?.push(chunk)
  }

  onResponseEnd(): void {
    this.#stopListening()
    this.#queue?.end()
  }

  onResponseError(_controller: DispatchController | undefined, error: unknown): void {
    this.#stopListening()
    if (this.#reject === undefined) {
      this.#queue?.fail(terminated(error))
    } else if (this.#controller === undefined && isHandlerRefused(error)) {
      this.#settle(this.#errand.instead())
    } else {
      this.#refuse(this.#failed(error))
    }
  }

  // What undici 6 calls instead.

  onConnect(abort: (reason: unknown) => void): void {
    this.onRequestStart(new LegacyController(abort))
  }

  onHeaders(
    status: number,
    raw: readonly (Uint8Array | string)[],
    resume: () => void,
    statusText?: string,
  ): boolean {
    const controller = this.#controller
    // `onConnect` made it.
    if (!(controller instanceof LegacyController)) return true
    controller.onResume = resume
    this.onResponseStart(controller, status, parsed(raw), statusText)
    return !controller.isPaused
  }

  onData(chunk: Uint8Array): boolean {
    const controller = this.#controller
    if (!(controller instanceof LegacyController)) return true
    this.onResponseData(controller, chunk)
    return !controller.isPaused
  }

  onComplete(): void {
    this.onResponseEnd()
  }

  onError(error: unknown): void {
    this.onResponseError(this.#controller, error)
  }

  /** The promise is the next request's from here on. */
  #follow(controller: DispatchController, status: number, location: string): void {
    const { redirects } = this.#errand
    const resolve = this.#resolve
    const reject = this.#reject
    try {
      if (redirects === MAX_REDIRECTS) throw new Error('redirect count exceeded')
      const next = redirected(this.#request, status, location)
      if (resolve === undefined || reject === undefined) return
      this.#resolve = undefined
      this.#reject = undefined
      const isElsewhere = next.destination.origin !== this.#request.destination.origin
      const type = isElsewhere ? 'cors' : this.#errand.type
      const errand: Errand = { ...this.#errand, redirects: redirects + 1, type }
      new Transfer(next, errand, resolve, reject).start()
    } catch (error) {
      this.#refuse(failed(error))
    }
    this.#stopListening()
    controller.abort(new DOMException('The request was redirected', 'AbortError'))
  }

  /** Undefined if there are too many of them: then the request has failed. */
  #codingsOf(headers: HeaderRecord): readonly Coding[] | undefined {
    const coding = headerOf(headers, 'content-encoding')
    if (coding === undefined || coding === '') return NO_CODINGS
    try {
      return codingsOf(coding)
    } catch (error) {
      this.#refuse(failed(error))
      this.abort(error)
      return undefined
    }
  }

  #settle(response: Response | Promise<Response>): void {
    this.#resolve?.(response)
    this.#resolve = undefined
    this.#reject = undefined
  }

  #refuse(error: unknown): void {
    this.#reject?.(error)
    this.#resolve = undefined
    this.#reject = undefined
  }

  #stopListening(): void {
    this.#request.signal?.removeEventListener('abort', this)
  }

  #failed(cause: unknown): TypeError {
    const error = failed(cause)
    // A dispatcher tells of the start before it writes the first byte.
    if (this.#controller === undefined && this.#errand.redirects === 0) {
      Object.defineProperty(error, NOT_EXECUTED, { value: true })
    }
    return error
  }
}

const ONCE = { once: true }
const NO_CODINGS: readonly Coding[] = []

/** What fetch rejects with where there is no answer. */
function failed(cause: unknown): TypeError {
  return new TypeError('fetch failed', { cause })
}

/** A dispatcher of a version whose handlers have yet other methods. Nothing has been sent. */
function isHandlerRefused(error: unknown): boolean {
  return (
    error instanceof Error &&
    Reflect.get(error, 'code') === 'UND_ERR_INVALID_ARG' &&
    /^invalid on[A-Z]\w{0,40} method$/.test(error.message)
  )
}

/** Steers a request of undici 6, which pauses where a method of the handler returns false. */
class LegacyController implements DispatchController {
  readonly abort: (reason: unknown) => void
  onResume: (() => void) | undefined
  isPaused = false

  constructor(abort: (reason: unknown) => void) {
    this.abort = abort
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.onResume?.()
  }
}

/** As undici 7 parses them. */
function parsed(raw: readonly (Uint8Array | string)[]): HeaderRecord {
  const record: Record<string, string | string[]> = Object.create(null)
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = latin1(raw[at]).toLowerCase()
    const value = latin1(raw[at + 1])
    const before = record[name]
    if (before === undefined) record[name] = value
    else if (typeof before === 'string') record[name] = [before, value]
    else before.push(value)
  }
  return record
}

function latin1(bytes: Uint8Array | string | undefined): string {
  if (bytes === undefined || typeof bytes === 'string') return bytes ?? ''
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
