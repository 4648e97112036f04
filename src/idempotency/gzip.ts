import { concat } from './encryption.ts'

export function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return through(bytes, new CompressionStream('gzip'), Number.POSITIVE_INFINITY)
}

/**
 * Stops soon after `maxBytes`: a gzip bomb of one kilobyte expands to a megabyte.
 * @throws {Error} if the bytes are not gzip, or the result exceeds `maxBytes`.
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
    // Not awaited: its outcome changes nothing.
    reader.cancel().catch(() => {})
    throw new Error(`longer than ${maxBytes} bytes`)
  }
}
