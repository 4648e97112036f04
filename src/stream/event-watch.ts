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
 * in which it found no chunk. Is given the bytes on their way, keeps those since the last chunk, and
 * not too many of them; reads them only when it is asked.
 */
export class EventWatch {
  /** All that has come. */
  bytes = 0
  #bytesSinceChunk = 0
  /** The piece that the last chunk ended in, and those that came since. */
  #kept: Uint8Array[] = []
  #keptBytes = 0
  /** Does the first of them begin a line? */
  #keptAtLine = true
  #last: Uint8Array = NOTHING
  #lastAtLine = true
  /** What came since the last chunk and is not kept, as far as it is told of. */
  #beyond: Beyond | undefined

  /** A chunk was taken out of what has come. */
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
   * A piece of the body has come.
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

  /** Nobody will ask any more. */
  dispose(): void {
    this.#kept = []
    this.#last = NOTHING
  }

  /** A line `data: [DONE]` has come: whatever stands behind it, as openai 6 reads it. */
  get isDone(): boolean {
    return this.#beyond?.isDone === true || DONE.test(this.text)
  }

  /** More came since the last chunk than is kept: `text` is its beginning. */
  get isCapped(): boolean {
    return this.#beyond !== undefined
  }

  /** What came since the last chunk, and with it, from the first line that begins there. */
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

  /** All of the text, where some of it belongs to no event stream. */
  get stray(): string | undefined {
    return this.strayLines.length > 0 ? this.text : undefined
  }

  /** Only that: the lines which are no field of an event, nor the beginning of one that was cut. */
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

const DONE = /(?:^|[\r\n])data: ?\[DONE\]/

// As much of a line as says whether it is that.
const DONE_LENGTH = 12

/** Looks for the end in what is not kept. */
class Beyond {
  isDone = false
  /** The beginning of the line that the next piece goes on with. */
  #line: string

  constructor(before: string) {
    this.#line = lastLine(before)
  }

  see(piece: Uint8Array): void {
    const text = this.#line + new TextDecoder().decode(piece)
    this.isDone ||= DONE.test(text)
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
