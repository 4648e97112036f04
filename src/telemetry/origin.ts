import { readTraceparent } from './spans.ts'

/** A kept result, and the span that made it. */
export interface Original {
  readonly text: string
  /** W3C `traceparent` of the call that did the work. */
  readonly origin: string | undefined
}

const LENGTH = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'.length

/**
 * A result's text as it is kept, with the span that made it on a line before it, so that a replay
 * can link to that span from any process. Unchanged where no span was made.
 */
export function withOrigin(text: string, origin: string | undefined): string {
  return origin === undefined ? text : `${origin}\n${text}`
}

/** Takes apart what {@link withOrigin} put together. Results are JSON, which never begins like one. */
export function readOrigin(kept: string): Original {
  const origin = kept.slice(0, LENGTH)
  if (kept[LENGTH] !== '\n' || readTraceparent(origin) === undefined) {
    return { text: kept, origin: undefined }
  }
  return { text: kept.slice(LENGTH + 1), origin }
}
