import { checkNames, checkNumber, describe } from './check-options.ts'
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

export interface StreamError extends StreamCut {
  /**
   * - `data`: a chunk `{ error }` (OpenRouter docs, 'Error handling during streaming'; OpenAI, vLLM)
   * - `event`: the same as an SSE event named `error` (Anthropic API reference, 'Streaming messages')
   * - `finish-reason`: a chunk whose finish reason is `error`, with the error in its choice
   * - `content`: a throttle as JSON text in `delta.content`, under the finish reason `error_finish`,
   *   as one relay sends it
   * @default 'data'
   */
  readonly form?: 'data' | 'event' | 'finish-reason' | 'content'
}

/**
 * An error in the middle of the stream, then its end. To a request that does not stream:
 * `errorBodyUnder200`.
 */
export function streamErrorEvent(options: StreamError = {}): Fault {
  checkNames('streamErrorEvent', options, ['afterChunks', 'form'])
  const { form = 'data', ...cut } = options
  const said = ERROR_FORMS[form]
  if (said === undefined) {
    const forms = Object.keys(ERROR_FORMS).map((known) => `"${known}"`)
    throw new TypeError(
      `streamErrorEvent: form is ${describe(form)}; allowed is one of ${forms.join(', ')}`,
    )
  }
  const { name, apply } = afterSomeText('streamErrorEvent', cut, (exchange) =>
    exchange.response.end(said),
  )
  return {
    name: form === 'data' ? name : `${name} ${form}`,
    apply: (exchange) =>
      exchange.request.body.stream ? apply(exchange) : exchange.json(200, UPSTREAM_ERROR),
  }
}

/** A gateway's word that the provider behind it failed (OpenRouter docs, 'Errors'). */
export const UPSTREAM_ERROR: { readonly error: Readonly<Record<string, unknown>> } = {
  error: { message: 'Provider returned error', type: 'server_error', param: null, code: 502 },
}

const ERROR_FORMS: Readonly<Record<string, string>> = {
  data: event(UPSTREAM_ERROR),
  event: `event: error\n${event(UPSTREAM_ERROR)}`,
  'finish-reason': event({
    object: 'chat.completion.chunk',
    choices: [
      { index: 0, delta: { content: '' }, finish_reason: 'error', error: UPSTREAM_ERROR.error },
    ],
  }),
  content: event({
    object: 'chat.completion.chunk',
    choices: [
      {
        index: 0,
        delta: { content: '{"error":{"code":"429","message":"Rate limit exceeded"}}' },
        finish_reason: 'error_finish',
      },
    ],
  }),
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
