/** A server-sent event, with the fields that are read here. */
export interface RawEvent {
  readonly name: string | undefined
  readonly data: string
  /** False for what was left when the connection closed: no blank line ended it. */
  readonly isWhole: boolean
}

/** One event, or a run of comments, was larger than any answer has. */
export class EventTooLarge extends Error {
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
    return this.#beyond?.isDone === true || DONE.test(this.text)
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

const DONE = /(?:^|[\r\n])data: ?\[DONE\]/

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
