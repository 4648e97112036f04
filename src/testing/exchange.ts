import type { Clock } from '../time.ts'
import {
  buildCompletion,
  type ChatBody,
  type CompletionEvents,
  type CompletionInit,
  toEvents,
} from './completion.ts'
import type { RawResponse, ReceivedHeaders } from './raw-response.ts'

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
