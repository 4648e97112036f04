import { FailedAnswer } from '../errors/failed-answer.ts'
import { readProperty } from '../errors/hostile.ts'
import { matchCause } from '../errors/match-cause.ts'
import { EventTooLarge, type EventWatch, type RawEvent } from './event-watch.ts'
import type { Progress, StreamJudge } from './progress.ts'
import { type ChunkStream, DONE, isGuarded } from './reader.ts'

export interface StreamCheckRequest {
  readonly source: ChunkStream
  /** Judges each chunk on its way. */
  readonly progress: Progress
  readonly judge: StreamJudge
  /** Its bytes. Undefined where they cannot be seen: then only its chunks say that it is whole. */
  readonly events: EventWatch | undefined
}

/** The connection was closed before the stream was whole. */
class StreamCutError extends Error {
  override readonly name = 'StreamCutError'
  // Node's own code for a stream that was closed too early, which classifies as a cut connection.
  readonly code = 'ERR_STREAM_PREMATURE_CLOSE'
}

/**
 * Judges what comes of a provider's stream: each chunk, what breaks it, and its end. A stream is whole
 * when its chunks say so, or when its protocol's own end has come: `[DONE]`.
 */
export class StreamCheck {
  #hasEnded = false
  readonly #request: StreamCheckRequest

  constructor(request: StreamCheckRequest) {
    this.#request = request
  }

  /**
   * Takes the next chunk, or the end. True for a chunk with content.
   * @throws {FailedAnswer} for an error in the place of a chunk
   * @throws {StreamCutError} for an end that comes too early
   */
  take(next: IteratorResult<unknown>): boolean {
    if (next.done) {
      this.#takeEnd()
      this.#hasEnded = true
      return false
    }
    const { events, progress } = this.#request
    events?.chunkSeen()
    return progress.see(next.value)
  }

  /**
   * The end, where what was thrown in place of a chunk means nothing else.
   * @throws what it means otherwise
   */
  caught(thrown: unknown): IteratorResult<unknown> {
    const { events, progress } = this.#request
    if (thrown instanceof EventTooLarge) throw malformed(thrown, TOO_LARGE)
    const isGarbled = readProperty(thrown, 'name') === 'SyntaxError'
    // openai throws the error of an error event, but without its status and the fields beside it.
    const isSaid = readProperty(thrown, 'error') !== undefined
    const isTripped = tripped(thrown)
    const said = isGarbled || isSaid || isTripped ? this.#saidInEvents(thrown) : undefined
    // openai 7 takes only the bare line for the end; openai 6 ignores the rest of it.
    // A connection that breaks or falls silent after the end has lost nothing.
    const isDone = events?.isDone === true || (!isGarbled && progress.isWhole)
    if (said === undefined && isDone && !isSaid && !isTripped) return DONE
    if (said !== undefined) throw said
    if (isGarbled || isTripped) throw malformed(thrown, isGarbled ? NO_JSON : NO_CHUNK)
    throw thrown
  }

  /** Nothing of the answer is missing, whatever may still come. */
  get isWhole(): boolean {
    return this.#hasEnded || this.#request.progress.isWhole
  }

  #takeEnd(): void {
    const { events, source, progress, judge } = this.#request
    if (progress.isWhole) return
    // Another layer of ours has judged it; aborted, it ends as silently as openai's.
    if (isGuarded(source) && !source.controller.signal.aborted) return
    const said = this.#saidInEvents(undefined) ?? this.#saidElsewhere()
    if (said !== undefined) throw said
    if (events?.isDone !== true) throw cutBeforeEnd()
    if (!progress.isEmpty) return
    const failure = judge.nothing()
    if (failure !== undefined) throw new FailedAnswer(failure)
  }

  /** The failure in an event of which openai made an error. */
  #saidInEvents(thrown: unknown): Error | undefined {
    const { events, judge } = this.#request
    for (const event of events?.events ?? []) {
      if (event.data.startsWith('[DONE]')) return undefined
      const value = parsed(event.data)
      if (value === undefined) return this.#saidInGarbled(event, thrown)
      const failure = judge.chunk(value) ?? (event.name === 'error' ? judge.body(value) : undefined)
      if (failure !== undefined) {
        return new FailedAnswer({ ...failure, cause: thrown ?? failure.cause })
      }
    }
    return undefined
  }

  #saidInGarbled({ data, isWhole }: RawEvent, thrown: unknown): Error {
    const { judge } = this.#request
    const failure = judge.looksLikeChunk(data) ? undefined : judge.chunk(data)
    if (failure !== undefined) return new FailedAnswer({ ...failure, cause: thrown ?? data })
    return isWhole ? malformed(thrown, NO_JSON) : cutBeforeEnd()
  }

  /** A body that is no event stream at all: openai's decoder finds nothing in it. */
  #saidElsewhere(): Error | undefined {
    const { events, progress, judge } = this.#request
    if (progress.chunks > 0) return this.#saidBetween()
    const text = events?.stray
    if (text === undefined) return undefined
    const body = parsed(text)
    if (body === undefined && judge.looksLikeChunk(text)) {
      if (hasWholeLine(text)) return malformed(new Error(NO_EVENT), NO_EVENT)
      return events?.isCapped ? notAStream() : cutBeforeEnd()
    }
    const failure = judge.body(body ?? text)
    return failure === undefined ? notAStream() : new FailedAnswer(failure)
  }

  /** A body of its own after chunks: a gateway sent it although the stream had begun. */
  #saidBetween(): Error | undefined {
    const { events, judge } = this.#request
    const text = events?.strayLines.join('\n') ?? ''
    if (text === '') return undefined
    const body = parsed(text)
    const isCutChunk = body === undefined && judge.looksLikeChunk(text)
    const failure = isCutChunk ? undefined : judge.chunk(body ?? text)
    if (failure !== undefined) return new FailedAnswer(failure)
    return body === undefined ? malformed(new Error(NO_EVENT), NO_EVENT) : undefined
  }
}

function cutBeforeEnd(): StreamCutError {
  return new StreamCutError('the stream ended before its finish_reason, and without [DONE]')
}

const NO_JSON = 'the stream had an event that is not JSON'
const NO_CHUNK = 'the stream had an event that is no chunk'
const NO_EVENT = 'the stream had text that is no event'
const TOO_LARGE = 'the stream had an event too large to be one'

/** openai's own code failed on a chunk: a TypeError for which no rule knows a broken connection. */
function tripped(thrown: unknown): boolean {
  const isPlain = readProperty(thrown, 'cause') === undefined
  return readProperty(thrown, 'name') === 'TypeError' && isPlain && matchCause(thrown) === undefined
}

/** The server, or a gateway before it, broke the protocol: the next answer may keep to it. */
function malformed(cause: unknown, issue: string): FailedAnswer {
  return new FailedAnswer({
    kind: 'server_error',
    retryable: true,
    executed: 'maybe',
    message: 'server_error',
    detail: issue,
    cause,
  })
}

const WHOLE = 'it answered with a whole completion where a stream was asked for'

/** It was paid for, and another attempt would not answer with a stream either. */
function notAStream(): FailedAnswer {
  return new FailedAnswer({
    kind: 'unknown',
    retryable: false,
    executed: 'yes',
    message: 'unknown',
    detail: WHOLE,
    cause: new Error(WHOLE),
  })
}

/** Any JSON value; undefined for what is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Chunks one a line, without the fields of events. */
function hasWholeLine(text: string): boolean {
  const [line = ''] = text.trimStart().split(/[\r\n]/, 1)
  return line.length > 1 && parsed(line) !== undefined
}
