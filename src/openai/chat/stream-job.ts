import { classifyThrown } from '../../call/attempt.ts'
import type { AnswerFacts, Exchange, Job } from '../../call/job.ts'
import type { Failure } from '../../errors/call-error.ts'
import type { ChunkStream } from '../../stream/one-reader.ts'
import { READER_LEFT } from '../../stream/owner-reader.ts'
import { openStream, type StreamEnd } from '../../stream/stream.ts'
import { StreamedAnswer } from '../../telemetry/telemetry.ts'
import type { Answer } from '../api-promise.ts'
import { gatewayFacts } from '../gateways.ts'
import { headSeen } from '../given-promise.ts'
import { givenStream } from '../given-stream.ts'
import { failureInAnswer, failureInChunk, isObject, requestIdOf, summaryFacts } from './answer.ts'
import { answerOf, type ChatRequest, chatBasics, ownBodyFor, sendChat } from './chat.ts'
import { choicesAsked } from './choices-asked.ts'
import { streamTape } from './stream-tape.ts'

/** The drop-in call with `stream: true`: held until its first content, then released. */
export function streamJob(
  request: ChatRequest,
  toCallerError: (failure: Failure, so: { attempts: number; elapsedMs: number }) => unknown,
): Job<Answer<ChunkStream>> {
  const { options, clock } = request
  const startedMs = clock.monotonicMs()
  let attempts = 0
  const errorFor = (failure: Failure, number = attempts): unknown => {
    const elapsedMs = clock.monotonicMs() - startedMs
    const error = toCallerError(failure, { attempts: number, elapsedMs })
    if (isObject(error)) caught.set(error, failure)
    return error
  }
  return {
    ...chatBasics('create', request),
    // Made where it is asked for: a stream without a key needs none.
    get tape() {
      return streamTape(request, { errorFor, failureOf: (error) => caught.get(Object(error)) })
    },
    async send(exchange) {
      attempts = exchange.number
      const body = ownBodyFor(request, exchange)
      const sentAtMs = clock.monotonicMs()
      exchange.wire.isStreamed = true
      const { data, response } = await sendChat(request, exchange, body)
      if (exchange.wire.isBodiless) {
        const failure = failureInAnswer(null, response, clock)
        const facts = { status: response.status, ...requestIdOf(response) }
        if (failure !== undefined) return { ok: false, failure, facts }
      }
      const { client } = request.targets[exchange.target] ?? request.targets[0]
      const { source, Class } = await givenStream(data, exchange.bounds, client)
      // Apart: what waits for the end must not hold the stream itself.
      const { stream, onEnd, pace } = await openStream({
        source,
        Class,
        events: exchange.wire.events,
        choices: choicesAsked(request.given.facts),
        judge: (chunk) => failureInChunk(chunk, response, clock),
        judgeBody: (answer) => failureInAnswer(answer, response, clock),
        bounds: exchange.bounds,
        clock,
        chunkIdleTimeoutMs: options.chunkIdleTimeoutMs,
        answer: exchange.showsContent ? new StreamedAnswer() : undefined,
        toCallerError: (error) =>
          errorFor(classifyThrown(error, exchange, 'create'), exchange.number),
      })
      const firstChunkMs = clock.monotonicMs() - sentAtMs
      // A tracer's generator sends only when it is read.
      const head = hasHeaders(response) ? response : headSeen(exchange.wire)
      const facts = { status: head.status, ...requestIdOf(head), firstChunkMs }
      return {
        ok: true,
        value: answerOf(stream, head),
        facts,
        pace,
        onTail: (listener) =>
          onEnd((end) =>
            listener(streamTail(request, exchange, end, { ...facts, headers: head.headers })),
          ),
      }
    },
  }
}

function hasHeaders({ headers }: Response): boolean {
  return headers.entries().next().done !== true
}

/** What callers are to catch, with what we know of it. */
const caught = new WeakMap<object, Failure>()

function streamTail(
  { targets }: ChatRequest,
  exchange: Exchange,
  { error, abandoned, lastChunk, ...summary }: StreamEnd,
  { headers, ...facts }: AnswerFacts & { readonly headers: Headers },
): { failure?: Failure; facts: AnswerFacts } {
  const said = gatewayFacts(targets[exchange.target]?.gateway, {
    headers,
    sent: exchange.wire.sent,
    body: lastChunk,
  })
  const isLeft = abandoned || exchange.bounds.signal.reason === READER_LEFT
  const failure =
    error === undefined || isLeft
      ? undefined
      : (caught.get(Object(error)) ?? classifyThrown(error, exchange, 'create'))
  return {
    ...(failure !== undefined && { failure }),
    facts: { ...facts, ...said, ...summaryFacts({ ...summary, lastChunk }) },
  }
}
