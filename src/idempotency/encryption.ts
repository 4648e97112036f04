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
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
