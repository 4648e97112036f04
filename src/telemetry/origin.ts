import { readTraceparent } from './spans.ts'

/** A stored result, and the trace of the call that produced it. */
export interface Original {
  readonly text: string
  /** W3C `traceparent` of the call that did the work. */
  readonly origin: string | undefined
}

const LENGTH = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'.length

/**
 * Prepends a line with the `traceparent` of the call to a result's text, so that a replay can link to that call
 * from any process. Unchanged if there is none.
 */
export function withOrigin(text: string, origin: string | undefined): string {
  return origin === undefined ? text : `${origin}\n${text}`
}

/** Reverses {@link withOrigin}. Results are JSON, which never starts like a `traceparent`. */
export function readOrigin(kept: string): Original {
  const origin = kept.slice(0, LENGTH)
  if (kept[LENGTH] !== '\n' || readTraceparent(origin) === undefined) {
    return { text: kept, origin: undefined }
  }
  return { text: kept.slice(LENGTH + 1), origin }
}
