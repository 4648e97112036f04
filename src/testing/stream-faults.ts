import { checkNames, checkNumber } from './check-options.ts'
import { event } from './completion.ts'
import type { Exchange, Fault } from './exchange.ts'

export interface StreamCut {
  /** Pieces of text sent before it happens; a piece is eight characters. @default 1 */
  readonly afterChunks?: number
}

/**
 * The stream ends in good order after some text: no finish reason, no `[DONE]`. To a request that
 * does not stream: half of the JSON, ended as if it were whole.
 */
export function cutStream(cut: StreamCut = {}): Fault {
  return afterSomeText('cutStream', cut, (exchange) => exchange.response.end())
}

/** The stream ends in good order after the role, before any text. */
export function cutStreamBeforeContent(): Fault {
  return { ...cutStream({ afterChunks: 0 }), name: 'cutStreamBeforeContent' }
}

/** The stream goes silent after some text and stays open. Half of the JSON, where none streams. */
export function stalledStream(cut: StreamCut = {}): Fault {
  return afterSomeText('stalledStream', cut, () => undefined)
}

/**
 * An error as an event in the middle of the stream, then its end: OpenRouter's form (docs, 'Error
 * handling during streaming'), which OpenAI, vLLM and others share. To a request that does not
 * stream: `errorBodyUnder200`.
 */
export function streamErrorEvent(cut: StreamCut = {}): Fault {
  const { name, apply } = afterSomeText('streamErrorEvent', cut, (exchange) =>
    exchange.response.end(event(UPSTREAM_ERROR)),
  )
  return {
    name,
    apply: (exchange) =>
      exchange.request.body.stream ? apply(exchange) : exchange.json(200, UPSTREAM_ERROR),
  }
}

/** A gateway's word that the provider behind it failed (OpenRouter docs, 'Errors'). */
export const UPSTREAM_ERROR: { readonly error: Readonly<Record<string, unknown>> } = {
  error: { message: 'Provider returned error', type: 'server_error', param: null, code: 502 },
}

function afterSomeText(name: string, cut: StreamCut, then: (exchange: Exchange) => void): Fault {
  checkNames(name, cut, ['afterChunks'])
  const { afterChunks = 1 } = cut
  checkNumber(`${name}: afterChunks`, afterChunks, { min: 0, integer: true })
  return {
    name,
    async apply(exchange) {
      const { head, content } = exchange.pieces()
      exchange.begin()
      for (const piece of [...head, ...content.slice(0, afterChunks)]) await exchange.write(piece)
      then(exchange)
    },
  }
}
