import { hash } from 'node:crypto'
import { CallError } from '../errors/call-error.ts'
import { type KeepingOptions, MAX_RESULT_BYTES } from '../options/keeping-options.ts'
import { base64Of, bytesOfBase64 } from './base64.ts'
import { decrypt, encrypt, type Keyring, readEncryption } from './encryption.ts'
import { gunzip, gzip } from './gzip.ts'

/** Between a result's text and what a store keeps of it. */
export interface Keeping {
  /** `maxResultBytes`, for who can tell early that a result grows above it. */
  readonly maxBytes: number
  /** What is kept of a result that grew above it, and was not written to its end. */
  readonly tooLarge: string
  /** `whole: false` where only its size is kept, since it is too large. */
  seal(text: string): Promise<{ readonly kept: string; readonly whole: boolean }>
  /**
   * @throws {CallError} `store_unavailable`, not retryable, for all that this key's `seal` did not
   * make: the work was done, and its result cannot be had.
   */
  open(kept: string): Promise<string>
}

/**
 * Keeps the results of one key. What is sealed is bound to the key and, where that is known, to the
 * fingerprint of its payload: moved to another record, it is as good as damaged.
 *
 * What is kept begins with version and flags, and the id of its encryption key or a checksum:
 * `1:checksum:json`, `1z:checksum:base64` (gzip), `1e:id:base64` (encrypted), `1ze:id:base64`;
 * a `k` where it is bound to the key alone; `1x:size:` for a result that was too large, `1x:more:`
 * where its size is not known.
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
  // What does not compress is kept as it is.
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
  // Nothing that may be kept is longer, in base64 and with what encryption adds.
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

/** What a result cannot be moved away from, and its own head. */
function boundTo({ key, fingerprint }: Place, flags: string): string {
  return [VERSION + flags, key, flags.includes('k') ? '' : fingerprint].join('\n')
}

const VERSION = 1

/** Below it there is little to win: base64 takes a third back. */
const COMPRESSED_ABOVE_BYTES = 8_192

interface Head {
  readonly flags: string
  /** A checksum, the id of a key, or a size. */
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

/** Against accidents. Against people it is `encryption` that helps. */
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
    throw unreadable(`it is encrypted with the key '${label}', which encryption.keys has not`)
  }
  const bytes = decoded(body)
  try {
    return decrypt(keyring, label, bytes, boundTo(place, flags))
  } catch (cause) {
    throw unreadable('it is damaged, or not what was kept under this key', cause)
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
  const bytes = size === 'more' ? 'it had more bytes' : `its ${size} bytes were more`
  return `${bytes} than maxResultBytes`
}

function longerThan(maxResultBytes: number): CallError {
  return unreadable(`it is longer than maxResultBytes (${maxResultBytes})`)
}

function unreadable(why: string, cause?: unknown): CallError {
  return new CallError({
    kind: 'store_unavailable',
    message:
      `The work under this key was done, but its result cannot be had from the idempotency store: ` +
      `${why}. Use another key to do it again.`,
    ...(cause !== undefined && { cause }),
    retryable: false,
    executed: 'yes',
    source: 'store',
  })
}
