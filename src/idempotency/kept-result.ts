import { hash } from 'node:crypto'
import { CallError } from '../errors/call-error.ts'
import { type KeepingOptions, MAX_RESULT_BYTES } from '../options/nested-options.ts'
import {
  base64Of,
  bytesOfBase64,
  decrypt,
  encrypt,
  gunzip,
  gzip,
  type Keyring,
  readEncryption,
} from './encryption.ts'

/** Converts between a result's text and the text a store keeps. */
export interface Keeping {
  /** `maxResultBytes`, for callers that can detect early that a result exceeds it. */
  readonly maxBytes: number
  /** Stored for a result that exceeded the limit before it was complete. */
  readonly tooLarge: string
  /** `whole: false`: the result was too large, so that only its size is stored. */
  seal(text: string): Promise<{ readonly kept: string; readonly whole: boolean }>
  /**
   * @throws {CallError} `store_unavailable`, not retryable, for any text that `seal` did not produce for
   * this key: the work was done, but its result cannot be recovered.
   */
  open(kept: string): Promise<string>
}

/**
 * Stores the results of one key. A sealed result is bound to its key and, if known, to the fingerprint of
 * its payload: moved to another record, it counts as damaged.
 *
 * The stored text starts with a version and flags, followed by a checksum or the id of an encryption key:
 * `1:checksum:json`, `1z:checksum:base64` (gzip), `1e:id:base64` (encrypted), `1ze:id:base64`. The flag `k`
 * means that it is bound to the key alone. `1x:size:` stands for a result that was too large, `1x:more:` if
 * its size is unknown.
 */
export function keepingOf(
  { maxResultBytes = MAX_RESULT_BYTES, encryption }: KeepingOptions,
  key: string,
  fingerprint?: string,
): Keeping {
  const keyring = encryption === undefined ? undefined : readEncryption(encryption)
  const place: Place = { key, fingerprint, keyring, maxResultBytes }
  return {
    maxBytes: maxResultBytes,
    tooLarge: `${VERSION}x:more:`,
    seal: (text) => seal(place, text),
    open: (kept) => open(place, kept),
  }
}

interface Place {
  readonly key: string
  readonly fingerprint: string | undefined
  readonly keyring: Keyring | undefined
  readonly maxResultBytes: number
}

async function seal(place: Place, text: string): ReturnType<Keeping['seal']> {
  const { fingerprint, keyring, maxResultBytes } = place
  const bytes = new TextEncoder().encode(text)
  if (bytes.length > maxResultBytes) return { kept: `${VERSION}x:${bytes.length}:`, whole: false }
  const zipped = bytes.length > COMPRESSED_ABOVE_BYTES ? await gzip(bytes) : bytes
  // Compression is kept only if it helps.
  const isZipped = zipped.length < bytes.length
  const flags = (fingerprint === undefined ? 'k' : '') + (isZipped ? 'z' : '')
  if (keyring !== undefined) {
    const head = `${VERSION}${flags}e:${keyring.use}:`
    const encrypted = encrypt(keyring, isZipped ? zipped : bytes, boundTo(place, `${flags}e`))
    return { kept: head + base64Of(encrypted), whole: true }
  }
  const body = isZipped ? base64Of(zipped) : text
  const label = checksum(boundTo(place, flags), body)
  return { kept: `${VERSION}${flags}:${label}:${body}`, whole: true }
}

async function open(place: Place, kept: string): Promise<string> {
  const { maxResultBytes } = place
  const head = readHead(kept)
  const { flags, label, body } = head
  if (flags === 'x') throw unreadable(tooLarge(label))
  // No valid text is longer, even with base64 and the overhead of encryption.
  if (body.length > maxResultBytes * 1.4 + 100) throw longerThan(maxResultBytes)
  const isZipped = flags.includes('z')
  if (flags.includes('e')) {
    const bytes = decrypted(place, head)
    return isZipped ? unzipped(bytes, maxResultBytes) : new TextDecoder().decode(bytes)
  }
  if (place.keyring?.acceptPlain === false) throw unreadable('it is not encrypted')
  if (label !== checksum(boundTo(place, flags), body)) throw unreadable('it is damaged')
  return isZipped ? unzipped(decoded(body), maxResultBytes) : body
}

/** What the result is bound to, including its own flags. */
function boundTo({ key, fingerprint }: Place, flags: string): string {
  return [VERSION + flags, key, flags.includes('k') ? '' : fingerprint].join('\n')
}

const VERSION = 1

/** Compressing smaller results saves little, because base64 adds a third. */
const COMPRESSED_ABOVE_BYTES = 8_192

interface Head {
  readonly flags: string
  /** A checksum, a key id or a size. */
  readonly label: string
  readonly body: string
}

const HEAD = /^(\d{1,6})(k?z?e?|x):([\w.-]{1,64}):/

function readHead(kept: string): Head {
  const [head, version, flags = '', label = ''] = HEAD.exec(kept.slice(0, 100)) ?? []
  if (head === undefined || Number(version) < VERSION) throw unreadable('it is damaged')
  if (Number(version) > VERSION) {
    throw unreadable(`it was written by a newer version of steadycall (its format is ${version})`)
  }
  return { flags, label, body: kept.slice(head.length) }
}

/** Detects accidental damage. Protection from deliberate changes needs `encryption`. */
function checksum(bound: string, body: string): string {
  return hash('sha256', `${bound}\n${body}`).slice(0, 16)
}

function decoded(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return bytesOfBase64(base64)
  } catch (cause) {
    throw unreadable('it is damaged', cause)
  }
}

function decrypted(place: Place, { flags, label, body }: Head): Uint8Array<ArrayBuffer> {
  const { keyring } = place
  if (keyring === undefined) throw unreadable('it is encrypted, and no encryption is set')
  if (!keyring.keys.has(label)) {
    throw unreadable(`it is encrypted with the key '${label}', which is not in encryption.keys`)
  }
  const bytes = decoded(body)
  try {
    return decrypt(keyring, label, bytes, boundTo(place, flags))
  } catch (cause) {
    throw unreadable('it is damaged, or was not stored under this key', cause)
  }
}

async function unzipped(bytes: Uint8Array<ArrayBuffer>, maxBytes: number): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await gunzip(bytes, maxBytes))
  } catch (cause) {
    throw unreadable(`it is damaged, or longer than maxResultBytes (${maxBytes})`, cause)
  }
}

function tooLarge(size: string): string {
  return size === 'more' ? 'it exceeds maxResultBytes' : `its ${size} bytes exceed maxResultBytes`
}

function longerThan(maxResultBytes: number): CallError {
  return unreadable(`it is longer than maxResultBytes (${maxResultBytes})`)
}

function unreadable(why: string, cause?: unknown): CallError {
  return new CallError({
    kind: 'store_unavailable',
    message:
      `The work under this key was done, but its result cannot be read from the idempotency store: ` +
      `${why}. Use another key to do it again.`,
    ...(cause !== undefined && { cause }),
    retryable: false,
    executed: 'yes',
    source: 'store',
  })
}
