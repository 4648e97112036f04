import { failureInChunk } from '../openai/chat/answer.ts'
import { StreamedAnswer } from '../telemetry/telemetry.ts'
import { Progress, type StreamSummary } from './progress.ts'

/** A kept stream, decoded: its chunks in order, and what they say of themselves. */
export interface StoredStream {
  readonly chunks: readonly unknown[]
  readonly summary: StreamSummary
}

/**
 * Names the form and its version. A kept completion has no such member, so that neither is ever
 * taken for the other.
 */
const FORM = 'stream.v1'

/**
 * The text of a whole stream, from the JSON of each of its chunks. It says that it is whole: the end
 * of its protocol may have made it so, which is no chunk.
 */
export function encodeChunks(written: readonly string[]): string {
  return `{"steadycall":"${FORM}","whole":true,"chunks":[${written.join(',')}]}`
}

/**
 * The stream in a kept text: whatever stands there, only a whole one.
 * @throws {Error} for any other text.
 */
export function decodeChunks(text: string): StoredStream {
  const kept: unknown = JSON.parse(text)
  const own = typeof kept === 'object' && kept !== null ? new Map(Object.entries(kept)) : undefined
  const chunks = own?.get('chunks')
  if (own?.get('steadycall') !== FORM || !Array.isArray(chunks)) {
    throw new Error(`what is kept under this key is not a stream of this version (${FORM})`)
  }
  return { chunks, summary: summaryOf(chunks, own.get('whole') === true) }
}

/** What a kept stream answered, as a completion has it. */
export function answerOfChunks(chunks: readonly unknown[]): unknown {
  const answer = new StreamedAnswer()
  for (const chunk of chunks) answer.see(chunk)
  return answer.completion
}

function summaryOf(chunks: readonly unknown[], isWhole: boolean): StreamSummary {
  const progress = new Progress({ judge: failureInChunk })
  let cause: unknown
  try {
    for (const chunk of chunks) progress.see(chunk)
  } catch (error) {
    // An error in disguise, which no stream is kept with: it is not this call that met it.
    cause = error
  }
  const isAnswer = progress.finished || (isWhole && !progress.isEmpty)
  if (cause === undefined && isAnswer) return progress.summary()
  throw new Error('the stream that is kept under this key is not whole', { cause })
}
