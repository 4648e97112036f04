import { abortedBy, classifyThrown } from '../../call/attempt.ts'
import type { AnswerFacts, Begun, Exchange, OnceProtocol, Sent } from '../../call/task.ts'
import { type CallError, type Failure, isCallError } from '../../errors/call-error.ts'
import { finishReasonOf, isObject, readProperty } from '../../errors/hostile.ts'
import type { Flight, WorkOutcome } from '../../idempotency/protocol.ts'
import { type StreamAnswer, streamOnce } from '../../stream/once.ts'
import { ProviderStream, type StreamEnd } from '../../stream/provider.ts'
import {
  type ChunkSource,
  type ChunkStream,
  type StreamClass,
  streamOver,
} from '../../stream/reader.ts'
import { type Broken, READER_LEFT } from '../../stream/recording.ts'
import type { Progress, StreamJudge } from '../../stream/watch.ts'
import { type Answer, headSeen } from '../api-promise.ts'
import type { ApiRequest } from '../request.ts'
import { answerOf } from '../send.ts'
import { givenStream, streamClassOf } from '../stream-class.ts'
import { gatewayFacts } from '../targets.ts'
import { wireOf } from '../wire.ts'
import {
  ChatProgress,
  choicesAsked,
  choicesOf,
  deltaOf,
  failureInAnswer,
  failureInChunk,
  indexOf,
  looksLikeChunk,
  requestIdOf,
  WITHOUT_CHOICE,
  withChoices,
} from './shape.ts'
import { ChatTask } from './task.ts'

type ToCallerError = (failure: Failure, so: { attempts: number; elapsedMs: number }) => unknown

/** The drop-in call with `stream: true`: held until its first content, then released. */
export class StreamTask extends ChatTask<Answer<ChunkStream>> {
  readonly #toCallerError: ToCallerError
  readonly #startedMs: number
  #attempts = 0

  constructor(request: ApiRequest, toCallerError: ToCallerError) {
    super(request)
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
      asked: choicesAsked(request.given.facts),
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
      : (caught.get(Object(error)) ?? classifyThrown(error, exchange, false))
  return {
    ...(failure !== undefined && { failure }),
    facts: { ...facts, ...said, ...progress.facts },
  }
}

/** How a stream is kept: the JSON of its chunks, as they came. */
class ChatStreamAnswer implements StreamAnswer<Answer<ChunkStream>> {
  readonly #request: ApiRequest
  readonly #call: StreamTask
  readonly #asked: number
  readonly #showsContent: boolean

  constructor(request: ApiRequest, call: StreamTask, showsContent: boolean) {
    this.#request = request
    this.#call = call
    this.#asked = choicesAsked(request.given.facts)
    this.#showsContent = showsContent
  }

  progress(): Progress {
    return new ChatProgress({ asked: this.#asked })
  }

  judging(): Progress {
    return new ChatProgress({
      asked: this.#asked,
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

/**
 * Assembles a streamed answer for users that opted in to content. It is kept as a whole because `redact` needs
 * to see it whole: it could not recognise a secret cut in two. Of an answer that is too long, nothing is shown.
 */
class StreamedAnswer {
  readonly #entries = new Map<number, StreamedChoice>()
  /** How many more characters may be added, over all texts. */
  #left = MAX_CHARACTERS

  /** Adds a chunk. The chunk is not trusted. */
  see(chunk: unknown): void {
    for (const choice of choicesOf(chunk)) {
      const known = entryOf(this.#entries, indexOf(choice), () => new StreamedChoice())
      this.#left -= known?.see(choice) ?? 0
    }
    if (this.#left < 0) this.#entries.clear()
  }

  /** The answer so far, in the form of a ChatCompletion. `isCut` if it was too long. */
  get completion(): ReturnType<typeof withChoices> & { readonly isCut: boolean } {
    if (this.#left < 0) return { ...withChoices([]), isCut: true }
    return { ...withChoices(inOrder(this.#entries).map(({ whole }) => whole)), isCut: false }
  }
}

/** The default limit for a stored result; only a model stuck in a loop writes more. */
const MAX_CHARACTERS = 2 ** 20

// OpenAI accepts n up to 128, and up to 128 tools.
const MAX_ENTRIES = 128

class StreamedChoice {
  readonly #texts = new Texts(['content', 'refusal'])
  readonly #toolCalls = new Map<number, StreamedToolCall>()
  #role: string | undefined
  #finishReason: string | undefined

  /** Returns how many characters of the choice were added. */
  see(choice: unknown): number {
    const delta = deltaOf(choice)
    this.#role ??= textOf(readProperty(delta, 'role'))
    this.#finishReason = finishReasonOf(choice) ?? this.#finishReason
    let held = this.#texts.add(delta)
    for (const call of listOf(readProperty(delta, 'tool_calls'))) {
      const known = entryOf(this.#toolCalls, indexOf(call), () => new StreamedToolCall())
      held += known?.see(call) ?? 0
    }
    return held
  }

  get whole(): unknown {
    const calls = inOrder(this.#toolCalls).filter(({ isNamed }) => isNamed)
    return {
      message: {
        role: this.#role ?? 'assistant',
        ...this.#texts.whole,
        ...(calls.length > 0 && { tool_calls: calls.map((call) => call.whole) }),
      },
      finish_reason: this.#finishReason,
    }
  }
}

class StreamedToolCall {
  readonly #called = new Texts(['name', 'arguments', 'input'])
  #id: string | undefined

  see(call: unknown): number {
    this.#id ??= textOf(readProperty(call, 'id'))
    return this.#called.add(readProperty(call, 'function') ?? readProperty(call, 'custom'))
  }

  get isNamed(): boolean {
    return this.#id !== undefined || 'name' in this.#called.whole
  }

  get whole(): unknown {
    return { id: this.#id, type: 'function', function: this.#called.whole }
  }
}

/** Texts by name, each arriving in pieces. */
class Texts {
  readonly #names: readonly string[]
  readonly #pieces = new Map<string, string>()

  constructor(names: readonly string[]) {
    this.#names = names
  }

  add(delta: unknown): number {
    let added = 0
    for (const name of this.#names) {
      const piece = textOf(readProperty(delta, name))
      if (piece === undefined) continue
      this.#pieces.set(name, (this.#pieces.get(name) ?? '') + piece)
      added += piece.length
    }
    return added
  }

  get whole(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#pieces].filter(([, text]) => text !== ''))
  }
}

function entryOf<T>(entries: Map<number, T>, index: number, create: () => T): T | undefined {
  const known = entries.get(index)
  if (known !== undefined || entries.size >= MAX_ENTRIES) return known
  const created = create()
  entries.set(index, created)
  return created
}

function inOrder<T>(entries: ReadonlyMap<number, T>): readonly T[] {
  return [...entries].sort(([a], [b]) => a - b).map(([, entry]) => entry)
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
