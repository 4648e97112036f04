import { sleep } from '../time.ts'
import { checkNames, checkNumber } from './check-options.ts'
import { event } from './completion.ts'
import type { Exchange, Fault } from './exchange.ts'
import { openaiError } from './faults.ts'

/**
 * Status and headers at once, then nothing of the body for `delayMs` on the server's clock, then the
 * good answer: a model that thinks behind a proxy that has answered already. A timeout that ends
 * with the headers, as the openai client's does, does not see it.
 *
 * @throws TypeError or RangeError when `delayMs` is no number from 0 up.
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
 * The good answer, one character every `everyMs` on the server's clock: a connection that is never silent
 * for long and never done (the client's side of the attack known as slowloris).
 *
 * @throws TypeError or RangeError when `everyMs` is no number from 0 up.
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
   * What a stream repeats: `chunks` of text, `empty` ones without content, or SSE `comments`, which
   * keep a connection alive and say nothing (OpenRouter sends `: OPENROUTER PROCESSING`; HTML
   * standard, section 9.2.6).
   * @default 'chunks'
   */
  readonly stream?: 'chunks' | 'empty' | 'comments'
  /** 200, or an error status whose body never ends. @default 200 */
  readonly status?: number
  /** Between two parts of a kilobyte or one event, on the server's clock. @default 1 */
  readonly everyMs?: number
}

/**
 * A body that never ends: blanks where JSON is due (RFC 8259 allows any number of them), or events.
 * Only a limit of the client's own ends it.
 *
 * @throws TypeError or RangeError for options that are out of range.
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

/** Sends the head; returns what follows for ever. */
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

/** False once the client has left, or the server closes. */
async function waited({ clock, signal }: Exchange, ms: number): Promise<boolean> {
  try {
    await sleep(clock, ms, signal)
    return !signal.aborted
  } catch {
    return false
  }
}
