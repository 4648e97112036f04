/** A server-sent event, as far as it is read here. */
export interface RawEvent {
  readonly name: string | undefined
  readonly data: string
  /** Ended by a blank line: not what was left when the connection closed. */
  readonly isWhole: boolean
}

/** More came of one event, or of comments, than any answer has. */
export class EventTooLarge extends Error {
  override readonly name = 'EventTooLarge'
}

// An image as base64 has some megabytes; openai's decoder takes whatever comes.
const MAX_BYTES_BETWEEN_CHUNKS = 32 * 1024 * 1024

// As much as is read of any error's body.
const MAX_KEPT_BYTES = 256 * 1024

/**
 * What openai's decoder does not tell of a stream: whether its protocol's own end came, and the text
 * in which it found no chunk. Looks at the bytes on their way, once for each piece that the
 * connection delivers, not for each chunk; keeps only those since the last chunk, and not too many.
 */
export class EventWatch {
  /** A line `data: [DONE]` has come: whatever stands behind it, as openai 6 reads it. */
  isDone = false
  /** All that has come. */
  bytes = 0
  #bytesSinceChunk = 0
  /** The piece that the last chunk ended in, and those that came since. */
  #kept: Piece[] = []
  #keptBytes = 0
  /** More came since the last chunk than is kept: `text` is its beginning. */
  isCapped = false
  #last: Piece | undefined
  /** The beginning of the line that the next piece goes on with. */
  #line: Uint8Array = NOTHING

  /** A chunk was taken out of what has come. */
  chunkSeen(): void {
    this.#bytesSinceChunk = 0
    if (this.#last === undefined || this.#last === this.#kept[0]) return
    this.#kept = [this.#last]
    this.#keptBytes = this.#last.bytes.byteLength
    this.isCapped = false
  }

  /**
   * A piece of the body has come.
   * @throws {EventTooLarge}
   */
  see(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return
    this.bytes += bytes.byteLength
    this.#bytesSinceChunk += bytes.byteLength
    this.#last = { bytes, beginsLine: this.#line.byteLength === 0 }
    this.#keep(this.#last)
    this.isDone ||= hasDone(this.#line, bytes)
    this.#line = unfinishedLine(this.#line, bytes)
    if (this.#bytesSinceChunk > MAX_BYTES_BETWEEN_CHUNKS) {
      throw new EventTooLarge(`no event within ${MAX_BYTES_BETWEEN_CHUNKS} bytes`)
    }
  }

  #keep(piece: Piece): void {
    this.isCapped ||= this.#keptBytes > MAX_KEPT_BYTES
    if (this.isCapped) return
    this.#kept.push(piece)
    this.#keptBytes += piece.bytes.byteLength
  }

  /** What came since the last chunk, from the first line that begins there. */
  get text(): string {
    const [first] = this.#kept
    const decoder = new TextDecoder()
    const text = this.#kept.map(({ bytes }) => decoder.decode(bytes, { stream: true })).join('')
    return first === undefined || first.beginsLine ? text : text.slice(text.search(/[\r\n]/) + 1)
  }

  /** The events since the last chunk, and those that came with it. */
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

  /** All of the text where some of it is no event stream, and no chunk has come. */
  get stray(): string | undefined {
    const { text } = this
    const isStray = text.split(LINE_END).some((line) => line.trim() !== '' && !FIELD.test(line))
    return isStray ? text : undefined
  }
}

interface Piece {
  readonly bytes: Uint8Array
  /** The one before it ended a line. */
  readonly beginsLine: boolean
}

const LINE_END = /\r\n|\r|\n/

// A field (HTML standard, 'Interpreting an event stream'), or a comment, which has no name.
const FIELD = /^\uFEFF?(data|event|id|retry|)(?:: ?(.*))?$/s

const NOTHING = new Uint8Array()

/** The protocol's own end, with and without the blank that a decoder drops. */
const DONE = ['data: [DONE]', 'data:[DONE]'].map((text) => new TextEncoder().encode(text))

// As much of a line as says whether it is one of these.
const DONE_LENGTH = 12

const LF = 0x0a
const CR = 0x0d
const D = 0x44

/** Does the line that goes on in these bytes, or one that begins in them, say that it is done? */
function hasDone(line: Uint8Array, bytes: Uint8Array): boolean {
  if (line.byteLength < DONE_LENGTH && isDoneAt(joined(line, bytes), 0)) return true
  // A letter that is rare in a chunk.
  for (let at = bytes.indexOf(D); at >= 0; at = bytes.indexOf(D, at + 1)) {
    for (const { byteLength } of DONE) {
      const start = at - byteLength + 'DONE]'.length
      if (start > 0 && isLineEnd(bytes[start - 1]) && isDoneAt(bytes, start)) return true
    }
  }
  return false
}

function isDoneAt(bytes: Uint8Array, start: number): boolean {
  return DONE.some((done) => done.every((byte, index) => bytes[start + index] === byte))
}

/** The beginning of the last line, where it has not ended. */
function unfinishedLine(line: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (isLineEnd(bytes.at(-1))) return NOTHING
  const end = Math.max(bytes.lastIndexOf(LF), bytes.lastIndexOf(CR))
  return end < 0
    ? joined(line, bytes).slice(0, DONE_LENGTH)
    : bytes.slice(end + 1, end + 1 + DONE_LENGTH)
}

function joined(line: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (line.byteLength === 0) return bytes
  const added = bytes.subarray(0, DONE_LENGTH)
  const both = new Uint8Array(line.byteLength + added.byteLength)
  both.set(line)
  both.set(added, line.byteLength)
  return both
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === LF || byte === CR
}
