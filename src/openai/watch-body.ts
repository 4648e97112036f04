import { EventWatch } from '../stream/event-watch.ts'

/**
 * Watches a stream's body on its way to openai's decoder. The body stays what it is; only its being
 * read is looked at, through a reader (openai 7) or as an iterable (openai 6, and bodies that are
 * Node's own streams). Undefined where it can be read in neither way, or not be looked at.
 */
export function watchBody(body: unknown): EventWatch | undefined {
  const watch = new EventWatch()
  const watchReads = (source: unknown, method: string) => {
    const look = (next: IteratorResult<unknown>) => {
      const bytes = bytesOf(next.value)
      if (bytes !== undefined) watch.see(bytes)
      return next
    }
    // What both methods return, in every kind of body.
    intercept(source, method, (reading) => (reading as Promise<IteratorResult<unknown>>).then(look))
    return source
  }
  const isRead = intercept(body, 'getReader', (reader) => watchReads(reader, 'read'))
  const isIterated = intercept(body, Symbol.asyncIterator, (chunks) => watchReads(chunks, 'next'))
  return isRead || isIterated ? watch : undefined
}

/** Lets `look` see, and replace, what a method of this one object returns. */
function intercept(
  target: unknown,
  name: string | symbol,
  look: (result: unknown) => unknown,
): boolean {
  if (typeof target !== 'object' || target === null) return false
  const method: unknown = Reflect.get(target, name)
  if (typeof method !== 'function') return false
  const value = (...given: unknown[]) => look(Reflect.apply(method, target, given))
  return Reflect.defineProperty(target, name, { value, configurable: true, writable: true })
}

/** A piece of a body, of each kind that openai's decoder takes. */
function bytesOf(piece: unknown): Uint8Array | undefined {
  if (piece instanceof Uint8Array) return piece
  if (typeof piece === 'string') return new TextEncoder().encode(piece)
  return piece instanceof ArrayBuffer ? new Uint8Array(piece) : undefined
}
