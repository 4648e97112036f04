import { abortedBy, classifyThrown } from '../../call/attempt.ts'
import type { AnswerFacts, Begun, Exchange, OnceProtocol, Sent } from '../../call/task.ts'
import { type CallError, type Failure, isCallError } from '../../errors/call-error.ts'
import { isObject } from '../../errors/hostile.ts'
import type { Flight, WorkOutcome } from '../../idempotency/protocol.ts'
import { type StreamAnswer, streamOnce } from '../../stream/once.ts'
import type { Progress, StreamJudge } from '../../stream/progress.ts'
import { ProviderStream, type StreamEnd } from '../../stream/provider.ts'
import {
  type ChunkSource,
  type ChunkStream,
  type StreamClass,
  streamOver,
} from '../../stream/reader.ts'
import { type Broken, READER_LEFT } from '../../stream/recording.ts'
import type { Answer } from '../api-promise.ts'
import { gatewayFacts } from '../gateways.ts'
import { headSeen } from '../given-promise.ts'
import { givenStream } from '../given-stream.ts'
import type { ApiRequest } from '../request.ts'
import { answerOf } from '../send.ts'
import { streamClassOf } from '../stream-class.ts'
import { wireOf } from '../wire.ts'
import { failureInAnswer, failureInChunk, requestIdOf } from './answer.ts'
import { choicesAsked } from './request-tokens.ts'
import { ChatProgress, looksLikeChunk, WITHOUT_CHOICE } from './shape.ts'
import { StreamedAnswer } from './streamed-answer.ts'
import { ChatTask } from './task.ts'

type ToCallerError = (failure: Failure, so: { attempts: number; elapsedMs: number }) => unknown

/** The drop-in call with `stream: true`: held until its first content, then released. */
export class StreamTask extends ChatTask<Answer<ChunkStream>> {
  readonly #toCallerError: ToCallerError
  readonly #startedMs: number
  #attempts = 0

  constructor(request: ApiRequest, toCallerError: ToCallerError) {
    super('create', request)
    this.#toCallerError = toCallerError
    this.#startedMs = request.clock.monotonicMs()
  }

  async send(exchange: Exchange): Promise<Sent<Answer<ChunkStream>>> {
    const { number, bounds } = exchange
    const wire = wireOf(exchange)
    const { request } = this
    const { options, targets, clock } = request
    this.#attempts = number
    const body = request.ownBodyFor(exchange)
    const sentAtMs = clock.monotonicMs()
    wire.isStreamed = true
    const { data, response } = await this.complete(exchange, body)
    if (wire.isBodiless) {
      const failure = failureInAnswer(null, response, clock)
      const facts = { status: response.status, ...requestIdOf(response) }
      if (failure !== undefined) return { ok: false, failure, facts }
    }
    const { client } = targets[exchange.target] ?? targets[0]
    const { source, Class } = await givenStream(data, bounds, client)
    const judge = new ChatJudge(response, request)
    const progress = new ChatProgress({
      choices: choicesAsked(request.given.facts),
      judge,
      answer: exchange.showsContent ? new StreamedAnswer() : undefined,
    })
    const provided = await ProviderStream.open({
      source,
      events: wire.events,
      progress,
      judge,
      bounds,
      clock,
      chunkIdleTimeoutMs: options.chunkIdleTimeoutMs,
      toCallerError: (error) => this.errorFor(this.thrown(error, exchange), number),
    })
    const firstChunkMs = clock.monotonicMs() - sentAtMs
    // A tracer's generator sends only when it is read.
    const head = hasHeaders(response) ? response : headSeen(wire)
    const facts = { status: head.status, ...requestIdOf(head), firstChunkMs }
    return {
      ok: true,
      // No closure of this function may hold it: a stream that no reader can reach any more is to be found.
      value: answerOf(streamOver(provided, Class), head),
      facts,
      pace: provided.pace,
      onTail: (listener) =>
        provided.whenEnded((end) =>
          listener(streamTail(request, exchange, end, { progress, facts, headers: head.headers })),
        ),
    }
  }

  once(
    protocol: OnceProtocol,
    open: (flight: Flight) => Promise<WorkOutcome<Answer<ChunkStream>>>,
  ): Promise<Begun<Answer<ChunkStream>>> {
    const answer = new ChatStreamAnswer(this.request, this, protocol.showsContent)
    return streamOnce({ answer, protocol, open })
  }

  /** What the caller is to catch, after so many attempts. */
  errorFor(failure: Failure, attempts: number = this.#attempts): unknown {
    const elapsedMs = this.request.clock.monotonicMs() - this.#startedMs
    const error = this.#toCallerError(failure, { attempts, elapsedMs })
    if (isObject(error)) caught.set(error, failure)
    return error
  }
}

/** What callers are to catch, with what we know of it. */
const caught = new WeakMap<object, Failure>()

function hasHeaders({ headers }: Response): boolean {
  return headers.entries().next().done !== true
}

/** What a chunk, or anything in its place, means that came with this response. */
class ChatJudge implements StreamJudge {
  readonly #response: Response
  readonly #request: Pick<ApiRequest, 'clock'>

  constructor(response: Response, request: Pick<ApiRequest, 'clock'>) {
    this.#response = response
    this.#request = request
  }

  chunk(value: unknown): Failure | undefined {
    return failureInChunk(value, this.#response, this.#request.clock)
  }

  body(value: unknown): Failure | undefined {
    return failureInAnswer(value, this.#response, this.#request.clock)
  }

  nothing(): Failure | undefined {
    return this.body(WITHOUT_CHOICE)
  }

  looksLikeChunk(text: string): boolean {
    return looksLikeChunk(text)
  }
}

function streamTail(
  { targets }: ApiRequest,
  exchange: Exchange,
  { error, abandoned }: StreamEnd,
  {
    progress,
    facts,
    headers,
  }: {
    readonly progress: ChatProgress
    readonly facts: AnswerFacts
    readonly headers: Headers
  },
): { failure?: Failure; facts: AnswerFacts } {
  const said = gatewayFacts(targets[exchange.target]?.gateway, {
    headers,
    sent: wireOf(exchange).sent,
    body: progress.lastChunk,
  })
  const isLeft = abandoned || exchange.bounds.signal.reason === READER_LEFT
  const failure =
    error === undefined || isLeft
      ? undefined
      : (caught.get(Object(error)) ?? classifyThrown(error, exchange, 'create'))
  return {
    ...(failure !== undefined && { failure }),
    facts: { ...facts, ...said, ...progress.facts },
  }
}

/** How a stream is kept: the JSON of its chunks, as they came. */
class ChatStreamAnswer implements StreamAnswer<Answer<ChunkStream>> {
  readonly #request: ApiRequest
  readonly #call: StreamTask
  readonly #choices: number
  readonly #showsContent: boolean

  constructor(request: ApiRequest, call: StreamTask, showsContent: boolean) {
    this.#request = request
    this.#call = call
    this.#choices = choicesAsked(request.given.facts)
    this.#showsContent = showsContent
  }

  progress(): Progress {
    return new ChatProgress({ choices: this.#choices })
  }

  judging(): Progress {
    return new ChatProgress({
      choices: this.#choices,
      judge: { chunk: (value) => failureInChunk(value) },
      answer: this.#showsContent ? new StreamedAnswer() : undefined,
    })
  }

  streamOf({ data }: Answer<ChunkStream>): ChunkStream {
    return data
  }

  live({ data, response }: Answer<ChunkStream>, source: ChunkSource): Answer<ChunkStream> {
    // `send` has built it as openai's are built.
    const Class = data.constructor as StreamClass
    return answerOf(streamOver(source, Class), response)
  }

  async replay(kept: ChunkSource, source: 'store' | 'shared'): Promise<Answer<ChunkStream>> {
    const Class = await streamClassOf(this.#request.targets[0].client)
    return answerOf(streamOver(kept, Class), replayedHead(source))
  }

  aborted(): Failure {
    return abortedBy(this.#request.options.signal)
  }

  broken(error: unknown, flight: AbortSignal): Broken {
    const { reason }: { readonly reason?: unknown } = flight
    if (isCallError(reason)) return this.#told(stoppedBy(reason))
    const failure = caught.get(Object(error))
    return failure === undefined ? this.#told(abortedBy(flight)) : { failure, error }
  }

  toCallerError(failure: Failure): unknown {
    return this.#call.errorFor(failure)
  }

  #told(failure: Failure): Broken {
    return { failure, error: this.toCallerError(failure) }
  }
}

/** The response that a replayed stream did not come in: read whole, as every stream's is. */
function replayedHead(source: 'store' | 'shared'): Response {
  return new Response(null, {
    status: 200,
    headers: { 'content-type': 'text/event-stream', 'x-steadycall-source': source },
  })
}

/** The claim on the key was lost while the stream went on. */
function stoppedBy(cause: CallError): Failure {
  const { kind, message, retryable } = cause
  return { kind, message, retryable, executed: 'maybe', cause }
}
