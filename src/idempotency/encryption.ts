import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import type { EncryptionOptions } from './encryption-options.ts'

export interface Keyring {
  readonly keys: ReadonlyMap<string, KeyObject>
  readonly use: string
  readonly acceptPlain: boolean
}

/** Reads the keys from validated options. */
export function readEncryption(options: EncryptionOptions): Keyring {
  const known = keyrings.get(options)
  if (known !== undefined) return known
  const { keys: given, use, acceptPlain = false } = options
  const keys = new Map<string, KeyObject>()
  for (const [id, key] of Object.entries(given)) {
    const bytes = keyBytes(key)
    if (bytes !== undefined) keys.set(id, createSecretKey(bytes))
  }
  const keyring = { keys, use, acceptPlain }
  keyrings.set(options, keyring)
  return keyring
}

const keyrings = new WeakMap<EncryptionOptions, Keyring>()

/** The format of a key id. */
export const KEY_ID: RegExp = /^[\w.-]{1,64}$/

/** The bytes of a key; undefined if it is not a valid key. */
export function keyBytes(key: unknown): Uint8Array | undefined {
  if (key instanceof Uint8Array && key.length === 32) return key
  // 32 bytes are 43 base64 digits and one of padding.
  if (typeof key !== 'string' || !/^[A-Za-z0-9+/]{43}=$/.test(key)) return undefined
  return Uint8Array.from(atob(key), (character) => character.charCodeAt(0))
}

const ALGORITHM = 'aes-256-gcm'
/** 96 random bits: safe for 2^32 results under one key (NIST SP 800-38D, §8.3). */
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** @returns nonce, ciphertext and tag. `bound` is authenticated: `decrypt` needs the same text. */
export function encrypt({ keys, use }: Keyring, bytes: Uint8Array, bound: string): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, keyOf(keys, use), nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(new TextEncoder().encode(bound))
  return concat(nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag())
}

/** @throws {Error} for an unknown key, and for bytes that `encrypt` did not produce with this key and `bound`. */
export function decrypt(
  { keys }: Keyring,
  id: string,
  bytes: Uint8Array,
  bound: string,
): Uint8Array<ArrayBuffer> {
  const nonce = bytes.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv(ALGORITHM, keyOf(keys, id), nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(new TextEncoder().encode(bound))
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  return concat(decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final())
}

function keyOf(keys: ReadonlyMap<string, KeyObject>, id: string): KeyObject {
  const key = keys.get(id)
  if (key === undefined) throw new Error(`encryption.keys has no key '${id}'`)
  return key
}

/** Joins the parts. */
function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Bytes as base64, using only functions that every runtime has. */
export function base64Of(bytes: Uint8Array): string {
  let binary = ''
  // In chunks, because each byte becomes an argument of the call.
  for (let start = 0; start < bytes.length; start += 8_192) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 8_192))
  }
  return btoa(binary)
}

/** @throws {Error} for any text that `base64Of` does not produce, such as missing padding or white space. */
export function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index)
  // `atob` is lenient, but two different texts must not decode to the same bytes.
  const lastGroup = bytes.subarray(Math.floor(Math.max(0, bytes.length - 1) / 3) * 3)
  const isCanonical =
    text.length === 4 * Math.ceil(bytes.length / 3) && text.endsWith(base64Of(lastGroup))
  if (!isCanonical) throw new Error('not canonical base64')
  return bytes
}

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
