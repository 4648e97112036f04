import { abortedBy } from '../../call/attempt.ts'
import type { Tape } from '../../call/job.ts'
import { type CallError, type Failure, isCallError } from '../../errors/call-error.ts'
import { type ChunkStream, type StreamClass, streamOver } from '../../stream/one-reader.ts'
import { replayedHead, replayStream } from '../../stream/replayed-stream.ts'
import type { Answer } from '../api-promise.ts'
import { streamClassOf } from '../stream-class.ts'
import { answerOf, type ChatRequest } from './chat.ts'
import { choicesAsked } from './choices-asked.ts'

/** How a stream is kept: the JSON of its chunks, as they came. */
export function streamTape(
  { targets, options, given }: ChatRequest,
  told: { errorFor(failure: Failure): unknown; failureOf(error: unknown): Failure | undefined },
): Tape<Answer<ChunkStream>> {
  const { errorFor, failureOf } = told
  const { signal } = options
  const tell = (failure: Failure) => ({ failure, error: errorFor(failure) })
  const choices = choicesAsked(given.facts)
  return {
    choices,
    streamOf: ({ data }) => data,
    live({ data, response }, reader) {
      // `openStream` has built it as openai's are built.
      const Class = data.constructor as StreamClass
      return answerOf(streamOver(reader, Class, reader.controller), response)
    },
    async replay(chunks, source) {
      const Class = await streamClassOf(targets[0].client)
      const aborted = () => errorFor(abortedBy(signal))
      return answerOf(
        replayStream({ chunks, choices, Class, signal, aborted }),
        replayedHead(source),
      )
    },
    broken(error, flight) {
      const { reason }: { readonly reason?: unknown } = flight
      if (isCallError(reason)) return tell(stoppedBy(reason))
      const failure = failureOf(error)
      return failure === undefined ? tell(abortedBy(flight)) : { failure, error }
    },
    toCallerError: errorFor,
  }
}

/** The claim on the key was lost while the stream went on. */
function stoppedBy(cause: CallError): Failure {
  const { kind, message, retryable } = cause
  return { kind, message, retryable, executed: 'maybe', cause }
}
