import { readText, someCause } from './hostile.ts'

/** A limit of the runtime, or of a transport, that the same request would meet again. */
export interface RuntimeLimit {
  /** What ended the request. */
  readonly detail: string
  /** What lets it through. */
  readonly advice: string
}

const LONGER =
  'Give the client `fetch: directFetch()` of steadycall/transport, which has no such limit, or an Agent of undici whose'

// The defaults are undici's: `headersTimeout` and `bodyTimeout` in its docs/docs/api/Client.md.
const LIMITS: ReadonlyMap<string, RuntimeLimit> = new Map([
  [
    'UND_ERR_HEADERS_TIMEOUT',
    {
      detail:
        "no answer began within the runtime's own limit, headersTimeout of undici (300 s unless set), so it was not sent again",
      advice: `${LONGER} headersTimeout is longer.`,
    },
  ],
  [
    'UND_ERR_BODY_TIMEOUT',
    {
      detail:
        "the answer paused for longer than the runtime's own limit, bodyTimeout of undici (300 s unless set), so it was not sent again",
      advice: `${LONGER} bodyTimeout is longer.`,
    },
  ],
  [
    'ERR_ANSWER_TOO_LARGE',
    {
      detail: 'the compressed answer is longer than 128 MiB when it is decoded',
      advice: 'Ask for it without `compress`, for less of it, or read it as a stream.',
    },
  ],
])

/** The code of the limit that an error, or one of its causes, tells of. */
export function limitIn(error: unknown): string | undefined {
  let found: string | undefined
  someCause(error, (cause) => {
    const code = readText(cause, 'code', MAX_CODE_LENGTH)
    if (code !== undefined && LIMITS.has(code)) found ??= code
    return found !== undefined
  })
  return found
}

const MAX_CODE_LENGTH = 40

/**
 * The limit that a code of an error without a response stands for. Sending the request again would be paid for
 * again, and end the same way.
 */
export function runtimeLimit(code: string | undefined): RuntimeLimit | undefined {
  return code === undefined ? undefined : LIMITS.get(code)
}
