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
 * What the server does to one request. The catalogue in `faults.ts` is made of these; your own is
 * one more such object.
 *
 * @example
 * const teapot: Fault = { name: 'teapot', apply: (exchange) => exchange.json(418, {}) }
 */
export interface Fault {
  /** Kept with each request it was applied to. */
  readonly name: string
  /** Answers, or does not. A throw shows as status 500 and makes the server's `close` reject. */
  apply(exchange: Exchange): void | Promise<void>
}

/** A well-formed chat completion request. */
export interface ChatRequest {
  readonly headers: ReceivedHeaders
  readonly body: ChatBody
  /** The logical call this request belongs to, as `callOf` told. */
  readonly callId: string
  /** 1 for the first request of its call. */
  readonly number: number
}

/** One request and the means to answer it, rightly or wrongly. */
export interface Exchange {
  readonly request: ChatRequest
  /** The server's clock: a fault that waits waits on it. */
  readonly clock: Clock
  /** Aborts when the exchange is over: answered, disconnected, or the server closed. */
  readonly signal: AbortSignal
  /** Node's own response. Headers set on it go out with whatever is sent. */
  readonly response: RawResponse
  /** The text of the good answer to this request. */
  goodAnswer(): string
  /** Sends a whole JSON body. */
  json(status: number, body: unknown, headers?: Readonly<Record<string, string>>): void
  /** Sends a whole body of any type. */
  text(status: number, contentType: string, body: string): void
  /**
   * Sends a whole completion: as server-sent events when the request asks for a stream, else as
   * JSON. Without `content`, `refusal` or `toolCalls` it says the good answer.
   */
  complete(init?: CompletionInit): void
  /** The good answer as the pieces it would be sent in, for faults that send only some. */
  pieces(): AnswerPieces
  /** Sends status 200 with the pieces' content type. */
  begin(headers?: Readonly<Record<string, string>>): void
  /** Sends a part of the body; resolves once it was handed to the system, or the client is gone. */
  write(text: string): Promise<void>
  /** Breaks the connection: `close` sends a FIN, `reset` an RST (RFC 9293). */
  disconnect(how: 'close' | 'reset'): void
}

/**
 * A body in parts. Of a stream, `content` holds one event per piece of text. Of a plain completion,
 * `head` is empty, `content` the first half of the JSON text and `tail` the rest.
 */
export type AnswerPieces = CompletionEvents

/** What the server knows of an exchange and tells it. */
export interface ExchangeContext {
  readonly request: ChatRequest
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly response: RawResponse
  /** Identifies the completion. */
  readonly id: string
  readonly goodAnswer: () => string
  /** Called before the server itself breaks the connection. */
  readonly onDisconnect: () => void
}

const EVENT_STREAM = 'text/event-stream; charset=utf-8'
const JSON_TYPE = 'application/json'

/** Puts the exchange's verbs on top of a Node response. */
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
        // The socket of a client that has left never calls back.
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
