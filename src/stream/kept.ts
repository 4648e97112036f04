import type { Progress } from './progress.ts'
import { type ChunkSource, DONE, type ReaderErrors } from './reader.ts'

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
 * The chunks in a kept text, in order, all of them seen by `progress`: whatever stands there, only of
 * a whole stream.
 * @throws {Error} for any other text.
 */
export function decodeChunks(text: string, progress: Progress): readonly unknown[] {
  const kept: unknown = JSON.parse(text)
  const own = typeof kept === 'object' && kept !== null ? new Map(Object.entries(kept)) : undefined
  const chunks = own?.get('chunks')
  if (own?.get('steadycall') !== FORM || !Array.isArray(chunks)) {
    throw new Error(`what is kept under this key is not a stream of this version (${FORM})`)
  }
  let cause: unknown
  try {
    for (const chunk of chunks) progress.see(chunk)
  } catch (error) {
    // An error in disguise, which no stream is kept with: it is not this call that met it.
    cause = error
  }
  const isAnswer = progress.isWhole || (own.get('whole') === true && !progress.isEmpty)
  if (cause === undefined && isAnswer) return chunks
  throw new Error('the stream that is kept under this key is not whole', { cause })
}

export interface KeptStreamRequest {
  /** Of one caller alone, who may change what it is given. */
  readonly chunks: readonly unknown[]
  /** Of what is given out; nothing has been yet. */
  readonly progress: Progress
  /** The caller's. */
  readonly signal: AbortSignal | undefined
  readonly errors: ReaderErrors
}

/** A whole stream, given out again. */
export class KeptStream implements ChunkSource {
  readonly controller: AbortController = new AbortController()
  readonly #request: KeptStreamRequest
  #given = 0

  constructor(request: KeptStreamRequest) {
    this.#request = request
  }

  next(): IteratorResult<unknown> {
    const { chunks, progress, signal, errors } = this.#request
    if (this.#given === chunks.length || this.controller.signal.aborted) return DONE
    if (signal?.aborted) {
      // It ends as the stream did that it repeats.
      if (progress.isWhole) return DONE
      throw errors.toCallerError(errors.aborted())
    }
    const value = chunks[this.#given]
    this.#given++
    progress.see(value)
    return { done: false, value }
  }

  /** There is nothing to end. */
  leave(): void {}
}
