import { createHmac, hash } from 'node:crypto'
import { canonicalJson, canonicalPayload, LONE_SURROGATE } from './canonical-json.ts'

export { canonicalJson }

/**
 * Derives an idempotency key from content: equal for equal payloads of one operation and tenant. With
 * `keySecret` it is an HMAC, so that a payload cannot be guessed from the key.
 * @returns 64 hex digits (SHA-256, or HMAC-SHA-256 with `keySecret`).
 * @throws {TypeError} like `canonicalJson`, except that lone surrogates in the payload are accepted (hashed
 * in escaped form); also for an operation, tenant or secret that is empty or contains a lone surrogate.
 */
export function deriveKey(operation: string, payload: unknown, space: DerivedSpace = {}): string {
  return deriveKeyOfJson(operation, canonicalPayload(payload), space)
}

interface DerivedSpace {
  readonly tenant?: string
  readonly keySecret?: string
}

/** Like `deriveKey`, from the payload's canonical JSON. */
export function deriveKeyOfJson(
  operation: string,
  json: string,
  { tenant, keySecret }: DerivedSpace,
): string {
  return digest([...namespace('steadycall.derived.v1', operation, tenant), json], keySecret)
}

/**
 * A hash of the payload, which reveals that a key was reused with a different one. With `keySecret` it is an
 * HMAC, because a plain hash would confirm a guessed payload.
 * @returns 64 hex digits.
 * @throws {TypeError} for the same payloads as `deriveKey`.
 */
export function fingerprintOf(
  payload: unknown,
  space: { readonly keySecret?: string } = {},
): string {
  return fingerprintOfJson(canonicalPayload(payload), space)
}

/** Like `fingerprintOf`, from the payload's canonical JSON. */
export function fingerprintOfJson(
  json: string,
  { keySecret }: { readonly keySecret?: string },
): string {
  return digest([canonicalJson('steadycall.payload.v1'), json], keySecret)
}

/**
 * The name of a record in a store: SHA-256, or HMAC-SHA-256 (RFC 2104) with `keySecret`, of the canonical
 * JSON array of version, tenant, operation and key. An array keeps different combinations from producing the
 * same text.
 * @returns 64 hex digits.
 * @throws {TypeError} unless the key is a string of 1 to 255 characters, and operation, tenant and secret,
 * if given, are not empty.
 */
export function storedKey({
  operation,
  tenant,
  keySecret,
  key,
}: {
  readonly operation: string
  readonly tenant?: string
  readonly keySecret?: string
  readonly key: string
}): string {
  if (typeof key !== 'string' || key.length < 1 || key.length > MAX_KEY_LENGTH) {
    const got = typeof key === 'string' ? `${key.length} characters` : typeof key
    throw new TypeError(
      `idempotencyKey must be a string of 1 to ${MAX_KEY_LENGTH} characters, got ${got}`,
    )
  }
  requireText('idempotencyKey', key)
  return digest(
    [...namespace('steadycall.key.v1', operation, tenant), canonicalJson(key)],
    keySecret,
  )
}

const MAX_KEY_LENGTH = 255

/** Version, tenant and operation as canonical JSON. The version also separates the three kinds of hashes. */
function namespace(version: string, operation: string, tenant: string | undefined): string[] {
  requireText('operation', operation)
  if (tenant !== undefined) requireText('tenant', tenant)
  return [version, tenant ?? null, operation].map(canonicalJson)
}

function digest(canonicalParts: readonly string[], keySecret?: string): string {
  if (keySecret !== undefined) requireText('keySecret', keySecret)
  const text = `[${canonicalParts.join(',')}]`
  if (keySecret === undefined) return hash('sha256', text)
  return createHmac('sha256', keySecret).update(text).digest('hex')
}

function requireText(name: string, value: unknown): void {
  const isText = typeof value === 'string' && value !== ''
  if (isText && !LONE_SURROGATE.test(value)) return
  const got = isText ? 'one with a lone surrogate' : value === '' ? 'an empty one' : typeof value
  throw new TypeError(`${name} must be a non-empty string of whole characters, got ${got}`)
}
