import { buildCompletion, event } from './completion.ts'
import { checkNames, checkNumber, describe, type Exchange, type Fault } from './exchange.ts'

export interface StreamCut {
  /** Pieces of text sent before the fault; a piece is eight characters. @default 1 */
  readonly afterChunks?: number
}

/**
 * The stream ends normally after some text, without a finish reason or `[DONE]`. A request that does not stream
 * gets half of the JSON, ended as if it were complete.
 */
export function cutStream(cut: StreamCut = {}): Fault {
  return afterSomeText('cutStream', cut, (exchange) => exchange.response.end())
}

/** The stream ends normally after the role, before any text. */
export function cutStreamBeforeContent(): Fault {
  return { ...cutStream({ afterChunks: 0 }), name: 'cutStreamBeforeContent' }
}

/** The stream goes silent after some text and stays open; without streaming, after half of the JSON. */
export function stalledStream(cut: StreamCut = {}): Fault {
  return afterSomeText('stalledStream', cut, () => undefined)
}

export interface StreamError extends StreamCut {
  /**
   * - `data`: a chunk `{ error }` (OpenRouter docs, 'Error handling during streaming'; OpenAI, vLLM)
   * - `event`: the same as an SSE event named `error` (Anthropic API reference, 'Streaming messages')
   * - `finish-reason`: a chunk with finish reason `error`, and the error in its choice
   * - `content`: a rate limit error as JSON text in `delta.content`, with finish reason `error_finish`, as sent
   *   by a relay
   * - `flat`: a chunk without `error`: `choices: null`, `error_type`, `error_message`, and the status in
   *   `error_code` (NousResearch/hermes-agent#68451)
   * - `object`: `{ object: 'error', message, type, code }`, as in vLLM before 0.10
   * - `detail`: `{ detail }`, as in FastAPI
   * @default 'data'
   */
  readonly form?: 'data' | 'event' | 'finish-reason' | 'content' | 'flat' | 'object' | 'detail'
}

/**
 * An error in the middle of the stream, then its end. A request that does not stream gets `errorBodyUnder200`.
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

/** The error of a gateway whose upstream provider failed (OpenRouter docs, 'Errors'). */
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
  flat: event({
    object: 'chat.completion.chunk',
    choices: null,
    error_type: 'InternalServerError',
    error_message: 'Provider returned error',
    error_code: 502,
  }),
  object: event({
    object: 'error',
    message: 'Provider returned error',
    type: 'InternalServerError',
    param: null,
    code: 502,
  }),
  detail: event({ detail: 'Internal Server Error' }),
}

export interface NoFinishReason {
  /** The `finish_reason` of every choice of every chunk. @default null */
  readonly reason?: string | null
  /** Whether the stream ends with `[DONE]`. @default true */
  readonly done?: boolean
}

/**
 * The whole text but no finish reason, with `[DONE]` (openclaw/openclaw#97994) or without. `reason` is what
 * providers send instead: `''` (ollama/ollama#4357, sgl-project/sglang#3912) or `'null'`
 * (PowerShell/AIShell#350). A request that does not stream gets a completion with this `finish_reason`.
 */
export function noFinishReason(options: NoFinishReason = {}): Fault {
  checkNames('noFinishReason', options, ['reason', 'done'])
  const { reason = null, done = true } = options
  const name = done ? 'noFinishReason' : 'noFinishReason cut'
  const instead = (json: string) =>
    json.replace(
      /"finish_reason":(?:null|"[a-z_]*")/g,
      () => `"finish_reason":${JSON.stringify(reason)}`,
    )
  return {
    name: reason === null ? name : `${name} ${JSON.stringify(reason)}`,
    async apply(exchange) {
      const { head, content, tail } = exchange.pieces()
      const isStream = exchange.request.body.stream === true
      const end = isStream ? (done ? ['data: [DONE]\n\n'] : []) : tail
      exchange.begin()
      const whole = isStream ? [...head, ...content, ...end] : [[...content, ...end].join('')]
      for (const piece of whole) await exchange.write(instead(piece))
      exchange.response.end()
    },
  }
}

/** After some text, an event that is not JSON but a gateway's own message; without streaming, half of the JSON. */
export function malformedEvent(cut: StreamCut = {}): Fault {
  return afterSomeText('malformedEvent', cut, (exchange) =>
    exchange.response.end('data: {"choices": [oops\n\n'),
  )
}

export interface NotAStream {
  /**
   * - `completion`: the good answer as one JSON body
   * - `html`: a gateway's page
   * - `error`: an error as one JSON body
   * @default 'html'
   */
  readonly body?: 'completion' | 'html' | 'error'
}

/**
 * Status 200 and `text/event-stream`, but the body is not an event stream. openai's decoder finds no event and
 * ends as if the answer were empty.
 */
export function notAStream(options: NotAStream = {}): Fault {
  checkNames('notAStream', options, ['body'])
  const { body = 'html' } = options
  const said = NO_STREAMS[body]
  if (said === undefined) {
    const bodies = Object.keys(NO_STREAMS).map((known) => `"${known}"`)
    throw new TypeError(
      `notAStream: body is ${describe(body)}; allowed is one of ${bodies.join(', ')}`,
    )
  }
  return {
    name: `notAStream ${body}`,
    apply(exchange) {
      exchange.text(200, 'text/event-stream', said(exchange))
    },
  }
}

const NO_STREAMS: Readonly<Record<string, (exchange: Exchange) => string>> = {
  completion: ({ request, goodAnswer }) =>
    JSON.stringify(
      buildCompletion(request.body, { content: goodAnswer() }, { id: 'whole', createdMs: 0 }),
    ),
  html: () => '<html><head><title>502 Bad Gateway</title></head><body></body></html>',
  error: () => JSON.stringify(UPSTREAM_ERROR),
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
