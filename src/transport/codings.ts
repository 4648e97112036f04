import { pipeline, Readable, type Transform } from 'node:stream'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'

/**
 * The most that a whole answer may grow to when it is decoded, in bytes: 128 MiB. A few kilobytes can stand for
 * gigabytes. A stream has no such limit, since its reader takes it in pieces.
 */
const MAX_DECODED_BYTES = 128 * 2 ** 20

// As undici: a list of codings costs the server nothing and the client a decoder each.
const MAX_CODINGS = 5

// What is decoded at once, in the same turn: a thread of the pool costs more than it takes.
const SYNC_BYTES = 32_768
const SYNC_DECODED_BYTES = 2 ** 20

interface Coding {
  /** @throws with the code ERR_BUFFER_TOO_LARGE if there is more */
  now(bytes: Uint8Array, maxOutputLength: number): Uint8Array
  later(bytes: Uint8Array, maxOutputLength: number): Promise<Uint8Array>
  /** `first` is the beginning of what it will be given. */
  stream(first: Uint8Array): Transform
}

const { constants } = zlib

// Some servers send an end that is not quite right, which all browsers accept.
const LENIENT = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }
const LENIENT_BROTLI = {
  flush: constants.BROTLI_OPERATION_FLUSH,
  finishFlush: constants.BROTLI_OPERATION_FLUSH,
}

const gunzip = promisify<Uint8Array, zlib.ZlibOptions, Uint8Array>(zlib.gunzip)
const inflate = promisify<Uint8Array, zlib.ZlibOptions, Uint8Array>(zlib.inflate)
const inflateRaw = promisify<Uint8Array, zlib.ZlibOptions, Uint8Array>(zlib.inflateRaw)
const brotli = promisify<Uint8Array, zlib.BrotliOptions, Uint8Array>(zlib.brotliDecompress)

const GZIP: Coding = {
  now: (bytes, maxOutputLength) => zlib.gunzipSync(bytes, { ...LENIENT, maxOutputLength }),
  later: (bytes, maxOutputLength) => gunzip(bytes, { ...LENIENT, maxOutputLength }),
  stream: () => zlib.createGunzip(LENIENT),
}

const DEFLATE: Coding = {
  now: (bytes, maxOutputLength) =>
    (isZlib(bytes) ? zlib.inflateSync : zlib.inflateRawSync)(bytes, {
      ...LENIENT,
      maxOutputLength,
    }),
  later: (bytes, maxOutputLength) =>
    (isZlib(bytes) ? inflate : inflateRaw)(bytes, { ...LENIENT, maxOutputLength }),
  stream: (first) => (isZlib(first) ? zlib.createInflate : zlib.createInflateRaw)(LENIENT),
}

/** `deflate` means a zlib stream; some servers send a bare deflate stream, which begins with another method. */
function isZlib(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & 0x0f) === 8
}

const BROTLI: Coding = {
  now: (bytes, maxOutputLength) =>
    zlib.brotliDecompressSync(bytes, { ...LENIENT_BROTLI, maxOutputLength }),
  later: (bytes, maxOutputLength) => brotli(bytes, { ...LENIENT_BROTLI, maxOutputLength }),
  stream: () => zlib.createBrotliDecompress(LENIENT_BROTLI),
}

const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ['gzip', GZIP],
  ['x-gzip', GZIP],
  ['deflate', DEFLATE],
  ['br', BROTLI],
  // Node 22.15 and later.
  ...(typeof zlib.createZstdDecompress === 'function' ? [['zstd', zstd()] as const] : []),
])

function zstd(): Coding {
  // RFC 9659: no more than 8 MiB of window.
  const options = { params: { [constants.ZSTD_d_windowLogMax]: 23 } }
  const decompress = promisify<Uint8Array, zlib.ZstdOptions, Uint8Array>(zlib.zstdDecompress)
  return {
    now: (bytes, maxOutputLength) =>
      zlib.zstdDecompressSync(bytes, { ...options, maxOutputLength }),
    later: (bytes, maxOutputLength) => decompress(bytes, { ...options, maxOutputLength }),
    stream: () => zlib.createZstdDecompress(options),
  }
}

/** What to ask for. */
export const ACCEPT_ENCODING: string = [...CODINGS.keys()]
  .filter((name) => name !== 'x-gzip')
  .join(', ')

/**
 * The codings to undo, in order, of a `content-encoding`. None if one is unknown: then the bytes are handed on
 * as they are, as fetch does.
 *
 * @throws if there are more than five
 */
export function codingsOf(header: string): readonly Coding[] {
  const names = header.toLowerCase().split(',')
  if (names.length > MAX_CODINGS) {
    throw new Error(
      `too many content-encodings in response: ${names.length}, maximum allowed is ${MAX_CODINGS}`,
    )
  }
  const found = names.reverse().map((name) => CODINGS.get(name.trim()))
  const known = found.filter((coding) => coding !== undefined)
  return known.length === found.length ? known : []
}

/** Decodes a whole answer. */
export async function decodeWhole(
  encoded: Uint8Array,
  codings: readonly Coding[],
): Promise<Uint8Array> {
  let bytes = encoded
  for (const coding of codings) {
    // An answer without a body has no header of a coding either.
    if (bytes.byteLength > 0) bytes = await decodeOne(bytes, coding)
  }
  return bytes
}

async function decodeOne(bytes: Uint8Array, coding: Coding): Promise<Uint8Array> {
  try {
    if (bytes.byteLength <= SYNC_BYTES) return coding.now(bytes, SYNC_DECODED_BYTES)
  } catch (error) {
    if (!isTooLarge(error)) throw error
  }
  try {
    return await coding.later(bytes, MAX_DECODED_BYTES)
  } catch (error) {
    throw isTooLarge(error) ? new AnswerTooLarge(error) : error
  }
}

/** `code` says to a classifier of errors that asking again would bring the same. */
class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge'
  readonly code = 'ERR_ANSWER_TOO_LARGE'

  constructor(cause: unknown) {
    super(`the answer is longer than ${MAX_DECODED_BYTES} bytes when it is decoded`, { cause })
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof RangeError && Reflect.get(error, 'code') === 'ERR_BUFFER_TOO_LARGE'
}

/** Decodes an answer while it comes. */
export function decodeStream(
  encoded: AsyncIterable<Uint8Array>,
  codings: readonly Coding[],
): AsyncIterable<Uint8Array> {
  return codings.reduce(decodeWith, encoded)
}

async function* decodeWith(
  source: AsyncIterable<Uint8Array>,
  coding: Coding,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = source[Symbol.asyncIterator]()
  const first = await chunks.next()
  // A decoder would refuse an empty stream.
  if (first.done === true) return
  const decoder = coding.stream(first.value)
  // An error of either comes out of the decoder.
  pipeline(Readable.from(startingWith(first.value, chunks)), decoder, () => undefined)
  yield* decoder
}

async function* startingWith(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield first
  for (;;) {
    const next = await rest.next()
    if (next.done === true) return
    yield next.value
  }
}

export type { Coding }
