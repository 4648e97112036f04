import { nearestOf } from '../options/option-check.ts'
import type { Clock } from '../time.ts'
import {
  buildCompletion,
  type ChatBody,
  type CompletionEvents,
  type CompletionInit,
  toEvents,
} from './completion.ts'

/**
 * What the server does with one request. `faults.ts` and its neighbours define the built-in ones; a custom fault
 * is an object of the same shape.
 *
 * @example
 * const teapot: Fault = { name: 'teapot', apply: (exchange) => exchange.json(418, {}) }
 */
export interface Fault {
  /** Recorded with each request the fault was applied to. */
  readonly name: string
  /** Answers the request, or does not. If it throws, the response is a 500 and the server's `close` rejects. */
  apply(exchange: Exchange): void | Promise<void>
}

/** A well-formed chat completion request. */
export interface ChatRequest {
  readonly headers: ReceivedHeaders
  readonly body: ChatBody
  /** The call this request belongs to, as returned by `callOf`. */
  readonly callId: string
  /** The number of the request within its call, counted from 1. */
  readonly number: number
}

/** One request, and the means to answer it correctly or incorrectly. */
export interface Exchange {
  readonly request: ChatRequest
  /** The server's clock, to be used by faults that wait. */
  readonly clock: Clock
  /** Aborts when the exchange is over: answered, disconnected, or server closed. */
  readonly signal: AbortSignal
  /** Node's own response. Headers set on it are sent with any answer. */
  readonly response: RawResponse
  /** The text of the good answer to this request. */
  goodAnswer(): string
  /** Sends a complete JSON body. */
  json(status: number, body: unknown, headers?: Readonly<Record<string, string>>): void
  /** Sends a complete body of any type. */
  text(status: number, contentType: string, body: string): void
  /**
   * Sends a complete completion: as server-sent events if the request asks for a stream, otherwise as JSON.
   * Without `content`, `refusal` or `toolCalls` its text is the good answer.
   */
  complete(init?: CompletionInit): void
  /** The good answer in the pieces in which it would be sent, for faults that send only some of them. */
  pieces(): AnswerPieces
  /** Sends status 200 and the content type of the pieces. */
  begin(headers?: Readonly<Record<string, string>>): void
  /** Sends a part of the body; resolves once it was passed to the system or the client has disconnected. */
  write(text: string): Promise<void>
  /** Breaks the connection: `close` sends a FIN, `reset` an RST (RFC 9293). */
  disconnect(how: 'close' | 'reset'): void
}

/**
 * A body in parts. For a stream, `content` has one event per piece of text. For a plain completion, `head` is
 * empty, `content` is the first half of the JSON text and `tail` the rest.
 */
export type AnswerPieces = CompletionEvents

/** What the server provides for an exchange. */
export interface ExchangeContext {
  readonly request: ChatRequest
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly response: RawResponse
  /** The id of the completion. */
  readonly id: string
  readonly goodAnswer: () => string
  /** Called before the server itself closes the connection. */
  readonly onDisconnect: () => void
}

const EVENT_STREAM = 'text/event-stream; charset=utf-8'
const JSON_TYPE = 'application/json'

/** Creates the methods of an exchange on top of a Node response. */
export function createExchange(context: ExchangeContext): Exchange {
  const { request, clock, signal, response, goodAnswer } = context
  const { body } = request

  const build = (init: CompletionInit) => {
    const silent = init.refusal !== undefined || init.toolCalls !== undefined
    const said = 'content' in init || silent ? init : { ...init, content: goodAnswer() }
    return buildCompletion(body, said, { id: context.id, createdMs: clock.wallMs() })
  }
  const text = (status: number, contentType: string, whole: string) => {
    response.writeHead(status, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(whole),
    })
    response.end(whole)
  }
  const begin = (headers: Readonly<Record<string, string>> = {}) => {
    response.writeHead(200, { 'content-type': body.stream ? EVENT_STREAM : JSON_TYPE, ...headers })
    response.flushHeaders()
  }

  return {
    request,
    clock,
    signal,
    response,
    goodAnswer,
    text,
    begin,
    json(status, payload, headers = {}) {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      text(status, JSON_TYPE, JSON.stringify(payload))
    },
    complete(init = {}) {
      const completion = build(init)
      if (!body.stream) {
        text(200, JSON_TYPE, JSON.stringify(completion))
        return
      }
      const { head, content, tail } = toEvents(completion, body)
      begin()
      for (const piece of [...head, ...content, ...tail]) response.write(piece)
      response.end()
    },
    pieces() {
      const completion = build({})
      if (body.stream) return toEvents(completion, body)
      const whole = JSON.stringify(completion)
      const middle = Math.floor(whole.length / 2)
      return { head: [], content: [whole.slice(0, middle)], tail: [whole.slice(middle)] }
    },
    write: (part) =>
      new Promise((resolve) => {
        const done = () => {
          signal.removeEventListener('abort', done)
          resolve()
        }
        // The socket of a disconnected client never calls back.
        signal.addEventListener('abort', done)
        if (signal.aborted) done()
        else response.write(part, done)
      }),
    disconnect(how) {
      context.onDisconnect()
      if (how === 'reset') response.socket?.resetAndDestroy()
      else response.socket?.destroy()
    },
  }
}

/** The allowed range of a number. Both bounds are inclusive. */
export interface NumberRange {
  readonly min: number
  readonly max?: number
  readonly integer?: boolean
}

/**
 * Rejects a number that would make a fault or a clock behave differently from what it says.
 *
 * @throws TypeError if the value is not a number, RangeError if it is out of range. Both name the option, the
 * value and what is allowed.
 */
export function checkNumber(label: string, value: unknown, range: NumberRange): void {
  const kind = range.integer === true ? 'an integer' : 'a finite number'
  const bounds =
    range.max === undefined ? `from ${range.min} up` : `from ${range.min} to ${range.max}`
  const message = `${label} is ${describe(value)}; allowed is ${kind} ${bounds}`
  if (typeof value !== 'number') throw new TypeError(message)
  const fits = value >= range.min && value <= (range.max ?? Number.MAX_VALUE)
  if (!fits || (range.integer === true && !Number.isInteger(value))) throw new RangeError(message)
}

/**
 * Rejects an unknown option name, so that a misspelt option is not silently ignored.
 *
 * @throws TypeError naming the unknown option and the allowed names.
 */
export function checkNames(owner: string, given: unknown, names: readonly string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`${owner}: the options are ${describe(given)}; allowed is an object`)
  }
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue
    throw new TypeError(
      `${owner}: unknown option ${describe(name)}; allowed are ${names.join(', ')}${near(name, names)}`,
    )
  }
}

function near(name: string, names: readonly string[]): string {
  const nearest = nearestOf(name, names)
  return nearest === undefined ? '' : `; did you mean ${describe(nearest)}?`
}

/** A value for an error message: short, and never a whole object. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60))
  if (Array.isArray(value)) return 'an array'
  if (value === null) return 'null'
  return typeof value === 'object' || typeof value === 'function' ? typeof value : String(value)
}

/** A request's headers as Node provides them, with lower-case names. */
export interface ReceivedHeaders {
  readonly [name: string]: string | string[] | undefined
  readonly accept?: string | undefined
  readonly authorization?: string | undefined
  readonly 'content-length'?: string | undefined
  readonly 'content-type'?: string | undefined
  readonly host?: string | undefined
  readonly 'user-agent'?: string | undefined
}

type HeaderValue = number | string | string[]

/**
 * The part of Node's `ServerResponse` that faults use, in types that do not need `@types/node`. Faults receive
 * Node's own response, with all other members as well.
 */
export interface RawResponse {
  statusCode: number
  readonly headersSent: boolean
  readonly destroyed: boolean
  readonly writableEnded: boolean
  readonly writableFinished: boolean
  /** Null once the connection is closed. */
  readonly socket: RawSocket | null
  setHeader(name: string, value: HeaderValue): this
  getHeader(name: string): HeaderValue | undefined
  removeHeader(name: string): void
  writeHead(status: number, headers?: Readonly<Record<string, HeaderValue>>): this
  flushHeaders(): void
  write(chunk: string | Uint8Array, sent?: (error: Error | null | undefined) => void): boolean
  end(sent?: () => void): this
  end(chunk: string | Uint8Array, sent?: () => void): this
  destroy(error?: Error): this
  on(event: 'close' | 'drain' | 'finish', listener: () => void): this
  on(event: 'error', listener: (error: Error) => void): this
  once(event: 'close' | 'drain' | 'finish', listener: () => void): this
  once(event: 'error', listener: (error: Error) => void): this
}

export interface RawSocket {
  write(bytes: string | Uint8Array): boolean
  end(bytes: string | Uint8Array): unknown
  end(): unknown
  destroy(error?: Error): unknown
  /** Sends an RST (RFC 9293). */
  resetAndDestroy(): unknown
}
