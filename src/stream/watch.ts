import type { AnswerFacts } from '../call/task.ts'
import type { Failure } from '../errors/call-error.ts'
import { matchCause } from '../errors/cause-rules.ts'
import { FailedAnswer } from '../errors/failed-answer.ts'
import { readProperty } from '../errors/hostile.ts'
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

/** A server-sent event, with the fields that are read here. */
export interface RawEvent {
  readonly name: string | undefined
  readonly data: string
  /** False for what was left when the connection closed: no blank line ended it. */
  readonly isWhole: boolean
}

/** One event, or a run of comments, was larger than any answer has. */
class EventTooLarge extends Error {
  override readonly name = 'EventTooLarge'
}

// An image as base64 takes some megabytes; openai's decoder has no limit of its own.
const MAX_BYTES_BETWEEN_CHUNKS = 32 * 1024 * 1024

// The same limit as for the body of an error.
const MAX_KEPT_BYTES = 256 * 1024

/**
 * What openai's decoder does not tell about a stream: whether the protocol's own end came, and the
 * text in which it found no chunk. It sees each piece of the body on its way to the decoder, keeps the
 * pieces since the last chunk, up to a limit, and decodes them only when asked.
 */
export class EventWatch {
  /** Of all pieces so far. */
  bytes = 0
  #bytesSinceChunk = 0
  /** The piece in which the last chunk ended, and every piece since. */
  #kept: Uint8Array[] = []
  #keptBytes = 0
  /** Whether the first of them begins a line. */
  #keptAtLine = true
  #last: Uint8Array = NOTHING
  #lastAtLine = true
  /** Looks at the pieces that are not kept. Undefined while all of them are. */
  #beyond: Beyond | undefined

  /** The decoder found a chunk. */
  chunkSeen(): void {
    this.#bytesSinceChunk = 0
    if (this.#kept.length === 1 && this.#last === this.#kept[0]) return
    this.#kept.length = 1
    this.#kept[0] = this.#last
    this.#keptBytes = this.#last.byteLength
    this.#keptAtLine = this.#lastAtLine
    this.#beyond = undefined
  }

  /**
   * Takes the next piece of the body.
   * @throws {EventTooLarge}
   */
  see(piece: Uint8Array): void {
    const size = piece.byteLength
    if (size === 0) return
    this.bytes += size
    this.#bytesSinceChunk += size
    this.#lastAtLine = endsLine(this.#last)
    this.#last = piece
    if (this.#keptBytes < MAX_KEPT_BYTES) {
      this.#kept.push(piece)
      this.#keptBytes += size
    } else {
      this.#beyond ??= new Beyond(this.text)
      this.#beyond.see(piece)
    }
    if (this.#bytesSinceChunk > MAX_BYTES_BETWEEN_CHUNKS) {
      throw new EventTooLarge(`no event within ${MAX_BYTES_BETWEEN_CHUNKS} bytes`)
    }
  }

  /** Frees what is kept: nothing will be asked any more. */
  dispose(): void {
    this.#kept = []
    this.#last = NOTHING
  }

  /** A line has begun with `data: [DONE]`; like openai 6, this ignores the rest of the line. */
  get isDone(): boolean {
    return this.#beyond?.isDone === true || DONE_LINE.test(this.text)
  }

  /** More came since the last chunk than is kept: `text` is only the beginning of it. */
  get isCapped(): boolean {
    return this.#beyond !== undefined
  }

  /** What came with and since the last chunk, from the first whole line on. */
  get text(): string {
    const decoder = new TextDecoder()
    const text = this.#kept.map((piece) => decoder.decode(piece, { stream: true })).join('')
    return this.#keptAtLine ? text : text.slice(text.search(/[\r\n]/) + 1)
  }

  /** The events in it. */
  get events(): readonly RawEvent[] {
    const events: RawEvent[] = []
    let name: string | undefined
    let data: string[] = []
    const end = (isWhole: boolean) => {
      if (data.length > 0) events.push({ name, data: data.join('\n'), isWhole })
      name = undefined
      data = []
    }
    for (const line of this.text.split(LINE_END)) {
      const [, field, value = ''] = FIELD.exec(line) ?? []
      if (line === '') end(true)
      else if (field === 'event') name = value
      else if (field === 'data') data.push(value)
    }
    if (!this.isCapped) end(false)
    return events
  }

  /** All of `text`, if some of its lines do not belong in an event stream. */
  get stray(): string | undefined {
    return this.strayLines.length > 0 ? this.text : undefined
  }

  /** Those lines: neither a field of an event nor, at the end, the cut beginning of one. */
  get strayLines(): readonly string[] {
    const lines = this.text.split(LINE_END)
    const isLast = (at: number) => at === lines.length - 1
    return lines.filter(
      (line, at) => line.trim() !== '' && !FIELD.test(line) && !(isLast(at) && beginsField(line)),
    )
  }
}

const NOTHING = new Uint8Array()

const LINE_END = /\r\n|\r|\n/

// A field (HTML standard, 'Interpreting an event stream'), or a comment, which has no name.
const FIELD = /^\uFEFF?(data|event|id|retry|)(?:: ?(.*))?$/s

function beginsField(line: string): boolean {
  const name = line.replace(/^\uFEFF/, '')
  return ['data', 'event', 'id', 'retry'].some((field) => field.startsWith(name))
}

const DONE_LINE = /(?:^|[\r\n])data: ?\[DONE\]/

// Enough of a line to recognise `data: [DONE]`.
const DONE_LENGTH = 12

/** Looks for `[DONE]` in the pieces that are not kept. */
class Beyond {
  isDone = false
  /** The beginning of the line that the next piece continues. */
  #line: string

  constructor(before: string) {
    this.#line = lastLine(before)
  }

  see(piece: Uint8Array): void {
    const text = this.#line + new TextDecoder().decode(piece)
    this.isDone ||= DONE_LINE.test(text)
    this.#line = lastLine(text)
  }
}

function lastLine(text: string): string {
  const start = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r')) + 1
  return text.slice(start, start + DONE_LENGTH)
}

function endsLine(piece: Uint8Array): boolean {
  const last = piece[piece.byteLength - 1]
  return last === undefined || last === 0x0a || last === 0x0d
}

/** What is seen of one stream, chunk by chunk. Each API reads its own chunks. */
export interface Progress {
  /**
   * True for a chunk with content: something a caller would show.
   * @throws {FailedAnswer} for a chunk that is an error in disguise, where chunks are judged.
   */
  see(chunk: unknown): boolean
  /** The chunks say that nothing of the answer is missing, whatever may still come. */
  readonly isWhole: boolean
  /** Nothing of an answer has come. */
  readonly isEmpty: boolean
  /** How many have come. */
  readonly chunks: number
  /** What the stream has said of itself. */
  readonly facts: AnswerFacts
}

/** What something means that came where a chunk was expected. */
export interface StreamJudge {
  /** The failure in a value that stands where a chunk would. */
  chunk(value: unknown): Failure | undefined
  /** The failure in a whole body. */
  body(value: unknown): Failure | undefined
  /** The failure of a stream that ended properly but without an answer. */
  nothing(): Failure | undefined
  /** Is this, cut or garbled, the text of a chunk? What it says are the words of a model. */
  looksLikeChunk(text: string): boolean
}
