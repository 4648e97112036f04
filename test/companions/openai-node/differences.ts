/** A difference that is meant, and the tests that show it, by their file and the start of their name. */
export interface Difference {
  readonly why: string
  readonly tests: readonly string[]
}

const malformed =
  'tests/lib/streaming-malformed-sse-privacy.test.ts > malformed SSE diagnostic privacy'
const named = 'tests/lib/streaming-named-error-events.test.ts > named SSE provider errors'
const sentinel =
  'tests/lib/streaming-sentinel-integrity.test.ts > SSE completion sentinel integrity'
const azure = 'tests/lib/azure.test.ts > azure request building model to deployment mapping with'

/** Explained one by one in docs/reference/drop-in.md. */
export const differences: readonly Difference[] = [
  {
    why: 'a 200 without choices is no answer: it is asked for once more, then an APIError',
    tests: [
      'tests/responses.test.ts > request id withResponse',
      'tests/responses.test.ts > request id object response',
      'tests/lib/azure-deployment-path-safety.test.ts > deployment path safety keeps',
      `${azure} client-level deployment handles chat completions`,
      `${azure} no client-level deployment handles chat completions`,
    ],
  },
  {
    why: 'an abort ends the call at once, also between the head of an answer and its end',
    tests: [
      'tests/lib/ChatCompletionRunFunctions.test.ts > resource completions runTools with stream: false flow with abort',
    ],
  },
  {
    why: 'every attempt sends the same bytes: a toJSON is asked once for a call',
    tests: [
      'tests/lib/chat-completion-stream-partial-json-bounds.test.ts > tracks the actual serialized tool contract again',
    ],
  },
  {
    why: 'what breaks a stream before its first content is thrown by create, not by the reader',
    tests: [
      `${malformed} never passes sensitive 'Chat Completions events'`,
      `${malformed} never exposes sensitive malformed 'Chat Completions events'`,
      `${malformed} never passes sensitive public-stream payloads`,
      `${malformed} preserves disabled logging for malformed 'Chat Completions events'`,
      `${named} rejects flat named provider errors on the public 'Chat Completions'`,
      `${named} keeps malformed 'Chat Completions' events private`,
      `${named} preserves malformed named-error diagnostic privacy`,
      `${sentinel} rejects a fake completion prefix on the real public 'Chat Completions'`,
      `${sentinel} does not report a successful 'Chat Completions' completion`,
      `${sentinel} rejects multiline 'Chat Completions' events`,
    ],
  },
  {
    why: 'a stream that ends with nothing in it, or without an end, is a failure',
    tests: [
      `${malformed} preserves valid 'Chat Completions events' payloads`,
      `${sentinel} keeps exact 'Chat Completions' completion`,
      'tests/core/streaming-large-events.test.ts > delivers large Chat Completions streaming data',
    ],
  },
]
