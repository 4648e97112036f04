import type { DispatchController, Dispatcher } from './dispatcher.ts'

/** What the runtime's fetch is told of its request; the fetch of undici 7 and earlier is of this kind. */
interface LegacyHandler {
  onConnect?(abort: (reason: unknown) => void, context: unknown): void
  onHeaders?(
    status: number,
    headers: readonly unknown[],
    resume: () => void,
    text?: string,
  ): unknown
  onData?(chunk: Uint8Array): unknown
  onComplete?(trailers: readonly unknown[]): void
  onError?(error: unknown): void
  onUpgrade?(status: number, headers: readonly unknown[], socket: unknown): void
  onBodySent?(chunk: unknown): void
  onRequestSent?(): void
  onResponseStarted?(): void
}

/**
 * A dispatcher for the runtime's own fetch, without undici's limits of five minutes. A dispatcher that a user
 * brings may be of another major version than the runtime's fetch: then it is told of requests in both ways.
 */
export class FetchDispatcher implements Dispatcher {
  readonly #dispatcher: Dispatcher
  readonly #bodyTimeout: number
  readonly #isForeign: boolean

  constructor(dispatcher: Dispatcher, bodyTimeout: number, isForeign: boolean) {
    this.#dispatcher = dispatcher
    this.#bodyTimeout = bodyTimeout
    this.#isForeign = isForeign
  }

  /** A mock is given the body as the caller wrote it. */
  get isMockActive(): boolean {
    return Reflect.get(this.#dispatcher, 'isMockActive') === true
  }

  dispatch(options: object, handler: object): boolean {
    const isLegacy = this.#isForeign && !('onRequestStart' in handler)
    const sent = {
      ...options,
      headersTimeout: 0,
      bodyTimeout: this.#bodyTimeout,
      // Such a handler knows HTTP/1 only.
      ...(isLegacy && { allowH2: false }),
    }
    // All methods of a legacy handler are optional.
    const told = isLegacy ? new BothHandler(handler as LegacyHandler) : handler
    return Reflect.apply(this.#dispatcher.dispatch, this.#dispatcher, [sent, told])
  }
}

/** undici 7 and later keep on the controller what came over the wire. */
interface RawController extends DispatchController {
  readonly rawHeaders?: unknown
  readonly rawTrailers?: unknown
}

type ParsedHeaders = Readonly<Record<string, string | readonly string[]>>

/** A legacy handler, with the methods that undici 8 calls. */
class BothHandler {
  readonly #handler: LegacyHandler

  constructor(handler: LegacyHandler) {
    this.#handler = handler
  }

  onConnect(abort: (reason: unknown) => void, context: unknown): void {
    this.#handler.onConnect?.(abort, context)
  }

  onHeaders(
    status: number,
    headers: readonly unknown[],
    resume: () => void,
    text?: string,
  ): unknown {
    return this.#handler.onHeaders?.(status, headers, resume, text)
  }

  onData(chunk: Uint8Array): unknown {
    return this.#handler.onData?.(chunk)
  }

  onComplete(trailers: readonly unknown[]): void {
    this.#handler.onComplete?.(trailers)
  }

  onError(error: unknown): void {
    this.#handler.onError?.(error)
  }

  onUpgrade(status: number, headers: readonly unknown[], socket: unknown): void {
    this.#handler.onUpgrade?.(status, headers, socket)
  }

  onBodySent(chunk: unknown): void {
    this.#handler.onBodySent?.(chunk)
  }

  onRequestSent(): void {
    this.#handler.onRequestSent?.()
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.()
  }

  onRequestStart(controller: DispatchController, context: unknown): void {
    this.#handler.onConnect?.((reason) => controller.abort(reason), context)
  }

  onResponseStart(
    controller: RawController,
    status: number,
    headers: ParsedHeaders,
    text?: string,
  ): void {
    const raw = rawOf(controller.rawHeaders, headers)
    const goesOn = this.#handler.onHeaders?.(status, raw, () => controller.resume(), text)
    if (goesOn === false) controller.pause()
  }

  onResponseData(controller: DispatchController, chunk: Uint8Array): void {
    if (this.#handler.onData?.(chunk) === false) controller.pause()
  }

  onResponseEnd(controller: RawController, trailers: ParsedHeaders): void {
    this.#handler.onComplete?.(rawOf(controller.rawTrailers, trailers))
  }

  onResponseError(_controller: DispatchController, error: unknown): void {
    this.#handler.onError?.(error)
  }

  onRequestUpgrade(
    controller: RawController,
    status: number,
    headers: ParsedHeaders,
    socket: unknown,
  ): void {
    this.#handler.onUpgrade?.(status, rawOf(controller.rawHeaders, headers), socket)
  }
}

/** As they came; an interceptor may have only parsed ones. */
function rawOf(raw: unknown, parsed: ParsedHeaders): readonly unknown[] {
  if (Array.isArray(raw)) return raw
  return Object.entries(parsed ?? {}).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).flatMap((one) => [
      Buffer.from(name, 'latin1'),
      Buffer.from(one, 'latin1'),
    ]),
  )
}
