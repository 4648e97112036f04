import { sleep } from '../time.ts'
import { event } from './completion.ts'
import { checkNames, checkNumber, type Exchange, type Fault } from './exchange.ts'
import { openaiError } from './faults.ts'

/**
 * Sends status and headers at once, nothing for `delayMs` on the server's clock, then the good answer: a slow
 * model behind a proxy that answers early. A timeout that ends with the headers, as the openai client's does,
 * does not notice it.
 *
 * @throws TypeError or RangeError if `delayMs` is not a number from 0 up.
 */
export function slowFirstByte(delayMs: number): Fault {
  checkNumber('slowFirstByte: delayMs', delayMs, { min: 0 })
  return {
    name: 'slowFirstByte',
    async apply(exchange) {
      const { head, content, tail } = exchange.pieces()
      exchange.begin()
      if (!(await waited(exchange, delayMs))) return
      for (const piece of [...head, ...content, ...tail]) await exchange.write(piece)
      exchange.response.end()
    },
  }
}

/**
 * The good answer, one character every `everyMs` on the server's clock: a connection that is never silent for
 * long and never finishes (a reversed slowloris attack).
 *
 * @throws TypeError or RangeError if `everyMs` is not a number from 0 up.
 */
export function dripping(everyMs: number): Fault {
  checkNumber('dripping: everyMs', everyMs, { min: 0 })
  return {
    name: 'dripping',
    async apply(exchange) {
      const { head, content, tail } = exchange.pieces()
      exchange.begin()
      for (const character of [...head, ...content, ...tail].join('')) {
        if (!(await waited(exchange, everyMs))) return
        await exchange.write(character)
      }
      exchange.response.end()
    },
  }
}

export interface Endless {
  /**
   * What a stream repeats: `chunks` with text, `empty` chunks without content, or SSE `comments`, which only
   * keep a connection alive (OpenRouter sends `: OPENROUTER PROCESSING`; HTML standard, section 9.2.6).
   * @default 'chunks'
   */
  readonly stream?: 'chunks' | 'empty' | 'comments'
  /** 200, or an error status whose body never ends. @default 200 */
  readonly status?: number
  /** Milliseconds between two parts (one kilobyte or one event) on the server's clock. @default 1 */
  readonly everyMs?: number
}

/**
 * A body that never ends: white space where JSON is expected (RFC 8259 allows any amount), or events. Only a
 * limit of the client ends it.
 *
 * @throws TypeError or RangeError if an option is out of range.
 */
export function endlessBody(options: Endless = {}): Fault {
  checkNames('endlessBody', options, ['stream', 'status', 'everyMs'])
  const { stream = 'chunks', status = 200, everyMs = 1 } = options
  if (stream !== 'chunks' && stream !== 'empty' && stream !== 'comments') {
    throw new TypeError(
      `endlessBody: stream is ${JSON.stringify(stream)}; allowed are "chunks", "empty" and "comments"`,
    )
  }
  checkNumber('endlessBody: status', status, { min: 200, max: 599, integer: true })
  checkNumber('endlessBody: everyMs', everyMs, { min: 0 })
  return {
    name: status === 200 ? `endlessBody ${stream}` : `endlessBody(${status})`,
    async apply(exchange) {
      const part = begin(exchange, status, stream)
      do await exchange.write(part)
      while (await waited(exchange, everyMs))
    },
  }
}

/** Sends the beginning; returns the part to be repeated endlessly. */
function begin(
  exchange: Exchange,
  status: number,
  stream: 'chunks' | 'empty' | 'comments',
): string {
  const { response, request } = exchange
  if (status !== 200) {
    const body = JSON.stringify(openaiError('The server had an error', 'server_error', null))
    response.writeHead(status, { 'content-type': 'application/json' })
    response.write(body.slice(0, -1))
    return ' '.repeat(1024)
  }
  exchange.begin()
  if (!request.body.stream) return ' '.repeat(1024)
  if (stream === 'comments') return ': PROCESSING\n\n'
  const { model } = request.body
  const content = stream === 'empty' ? '' : 'and so on '
  const choices = [{ index: 0, delta: { content }, finish_reason: null }]
  return event({ id: 'endless', object: 'chat.completion.chunk', created: 0, model, choices })
}

/** False once the client has disconnected or the server closes. */
async function waited({ clock, signal }: Exchange, ms: number): Promise<boolean> {
  try {
    await sleep(clock, ms, signal)
    return !signal.aborted
  } catch {
    return false
  }
}
