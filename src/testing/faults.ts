import { sleep } from '../time.ts'
import { event } from './completion.ts'
import { checkNumber, describe, type Exchange, type Fault } from './exchange.ts'
import { UPSTREAM_ERROR } from './stream-faults.ts'

/** No fault: the good answer. For use in a script. */
export function ok(): Fault {
  return { name: 'ok', apply: (exchange) => exchange.complete() }
}

/** 429 `insufficient_quota`: the quota is used up and waiting does not help (OpenAI guide 'Error codes'). */
export function insufficientQuota(): Fault {
  const text =
    'You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.'
  return fails(
    'insufficientQuota',
    429,
    openaiError(text, 'insufficient_quota', 'insufficient_quota'),
  )
}

/** A 5xx with OpenAI's `server_error` body (guide 'Error codes'). */
export function serverError(status = 500): Fault {
  checkNumber('serverError: status', status, { min: 500, max: 599, integer: true })
  const text = 'The server had an error while processing your request. Sorry about that!'
  return fails(`serverError(${status})`, status, openaiError(text, 'server_error', null))
}

/** 503 with the body OpenAI sends when a model is out of capacity (guide 'Error codes'). */
export function overloaded(): Fault {
  const text =
    'That model is currently overloaded with other requests. You can retry your request, or contact us through our help center at help.openai.com if the error persists.'
  return fails('overloaded', 503, openaiError(text, 'server_error', null))
}

/** 529 `overloaded_error`, Anthropic's own status and body (Anthropic API reference, 'Errors'). */
export function overloaded529(): Fault {
  return fails('overloaded529', 529, {
    type: 'error',
    error: { type: 'overloaded_error', message: 'Overloaded' },
  })
}

/** 400 for a parameter that the endpoint does not know. */
export function badRequest(): Fault {
  const text = 'Unrecognized request argument supplied: temprature'
  return fails('badRequest', 400, openaiError(text, 'invalid_request_error', null))
}

/** 401 `invalid_api_key` (OpenAI guide 'Error codes'). */
export function invalidApiKey(): Fault {
  const text =
    'Incorrect API key provided: sk-*****. You can find your API key at https://platform.openai.com/account/api-keys.'
  return fails('invalidApiKey', 401, openaiError(text, 'invalid_request_error', 'invalid_api_key'))
}

/** 400 `context_length_exceeded` with OpenAI's message for chat completions. */
export function contextLength(): Fault {
  const text =
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9731 tokens. Please reduce the length of the messages."
  const body = openaiError(text, 'invalid_request_error', 'context_length_exceeded', 'messages')
  return fails('contextLength', 400, body)
}

/**
 * Any status with any JSON body, for provider errors that have no fault of their own here.
 *
 * @throws RangeError if `status` is not from 200 to 599.
 */
export function httpError(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Fault {
  checkNumber('httpError: status', status, { min: 200, max: 599, integer: true })
  return fails(`httpError(${status})`, status, body, headers)
}

/** The HTML error page of a proxy in front of the provider (nginx's), without a JSON body. */
export function htmlError(status = 502): Fault {
  checkNumber('htmlError: status', status, { min: 400, max: 599, integer: true })
  return {
    name: `htmlError(${status})`,
    apply(exchange) {
      const title = status === 502 ? '502 Bad Gateway' : `${status}`
      const page = `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`
      exchange.text(status, 'text/html', page)
    },
  }
}

/**
 * Status 200 with an error as its body, as gateways send when the upstream provider fails (OpenRouter docs,
 * 'Errors'). In a stream it is the only event.
 */
export function errorBodyUnder200(): Fault {
  return {
    name: 'errorBodyUnder200',
    apply(exchange) {
      if (!exchange.request.body.stream) {
        exchange.json(200, UPSTREAM_ERROR)
        return
      }
      exchange.begin()
      exchange.response.end(event(UPSTREAM_ERROR))
    },
  }
}

/** Accepts the request and never answers, not even with headers. */
export function hangs(): Fault {
  return { name: 'hangs', apply: () => undefined }
}

/**
 * Waits `delayMs` on the server's clock, then applies `then`; does nothing if the client has disconnected.
 *
 * @throws TypeError or RangeError if `delayMs` is not a number from 0 up.
 */
export function slow(delayMs: number, then: Fault = ok()): Fault {
  checkNumber('slow: delayMs', delayMs, { min: 0 })
  return {
    name: then.name === 'ok' ? 'slow' : `slow ${then.name}`,
    async apply(exchange) {
      try {
        await sleep(exchange.clock, delayMs, exchange.signal)
      } catch {
        return
      }
      await then.apply(exchange)
    },
  }
}

/** Resets the connection (RST) before the first byte of the answer: the client sees ECONNRESET. */
export function resetBeforeResponse(): Fault {
  return {
    name: 'resetBeforeResponse',
    apply: (exchange) => exchange.disconnect('reset'),
  }
}

/** Resets the connection (RST) after the headers and half of the body. */
export function resetInBody(): Fault {
  return {
    name: 'resetInBody',
    async apply(exchange) {
      const half = firstHalf(exchange)
      exchange.begin()
      await exchange.write(half)
      exchange.disconnect('reset')
    },
  }
}

/**
 * Announces the whole body in `content-length`, sends half and closes the connection normally (FIN). The client
 * has to notice that bytes are missing (RFC 9112, section 8).
 */
export function truncatedBody(): Fault {
  return {
    name: 'truncatedBody',
    async apply(exchange) {
      const { head, content, tail } = exchange.pieces()
      const whole = [...head, ...content, ...tail].join('')
      exchange.begin({ 'content-length': `${Buffer.byteLength(whole)}` })
      await exchange.write(firstHalf(exchange))
      exchange.disconnect('close')
    },
  }
}

/**
 * Adds `x-should-retry` to the response of another fault: OpenAI's instruction to its clients whether to retry,
 * which overrides the status.
 */
export function shouldRetry(value: boolean, fault: Fault): Fault {
  if (typeof value !== 'boolean') {
    throw new TypeError(`shouldRetry: value is ${describe(value)}; allowed are true and false`)
  }
  return {
    name: `${fault.name} x-should-retry: ${value}`,
    apply(exchange) {
      exchange.response.setHeader('x-should-retry', String(value))
      return fault.apply(exchange)
    },
  }
}

/** OpenAI's error envelope (API reference, 'Errors'). */
export function openaiError(
  message: string,
  type: string,
  code: string | null,
  param: string | null = null,
): { readonly error: Readonly<Record<'message' | 'type' | 'param' | 'code', string | null>> } {
  return { error: { message, type, param, code } }
}

function fails(
  name: string,
  status: number,
  body: unknown,
  headers?: Readonly<Record<string, string>>,
): Fault {
  return { name, apply: (exchange) => exchange.json(status, body, headers) }
}

function firstHalf(exchange: Exchange): string {
  const { head, content, tail } = exchange.pieces()
  const whole = [...head, ...content, ...tail].join('')
  return whole.slice(0, Math.floor(whole.length / 2))
}
