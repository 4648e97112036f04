import type { AnswerFacts } from '../call/task.ts'
import type { Failure } from '../errors/call-error.ts'

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
  /** The failure that a stream is which ended, as its protocol has it, without an answer. */
  nothing(): Failure | undefined
  /** Is this, cut or garbled, the text of a chunk? What it says are the words of a model. */
  looksLikeChunk(text: string): boolean
}
