import { concat } from './encryption.ts'

export function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return through(bytes, new CompressionStream('gzip'), Number.POSITIVE_INFINITY)
}

/**
 * Stops soon after `maxBytes`, however much more there is: a gzip bomb of a kilobyte unfolds into a
 * megabyte.
 * @throws {Error} for what is no gzip, and for more than `maxBytes`.
 */
export function gunzip(
  bytes: Uint8Array<ArrayBuffer>,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  return through(bytes, new DecompressionStream('gzip'), maxBytes)
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  transform: CompressionStream | DecompressionStream,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new Blob([bytes]).stream().pipeThrough(transform).getReader()
  const parts: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return concat(...parts)
    parts.push(value)
    length += value.length
    if (length <= maxBytes) continue
    // Nobody waits for that: what it says changes nothing.
    reader.cancel().catch(() => {})
    throw new Error(`longer than ${maxBytes} bytes`)
  }
}
