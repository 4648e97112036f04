import { createHmac, hash } from 'node:crypto'
import { base64Of } from './base64.ts'

/**
 * The canonical JSON of a value (RFC 8785, JCS): the same text for the same data, whatever the
 * order of its members.
 *
 * Stricter than `JSON.stringify`, so that two different payloads never share a text by accident.
 * Kept: own enumerable string members, `__proto__` included. Written as they go over the wire:
 * `Date` and whatever has a `toJSON` (called once); `undefined` members are dropped. Typed arrays
 * become `{"$b64":"…"}`. Each member is read once.
 * @throws {TypeError} naming the JSON Pointer (RFC 6901) of the first value that has no canonical
 * JSON: NaN and infinities, integers beyond 2^53 − 1, BigInt, lone surrogates, `undefined` and
 * holes in arrays, functions, symbols, class instances (Map, Set, RegExp, Promise …), cycles;
 * nesting deeper than 100; a text longer than 8 Mi (2^23) characters; a getter that throws.
 */
export function canonicalJson(value: unknown): string {
  const text: Text = { written: '', path: [], ancestors: new Set() }
  try {
    const plain = toPlain(text, value, '')
    if (plain === undefined) throw refusal(text, 'undefined')
    write(text, plain)
    return text.written
  } catch (error) {
    if (error === text.refusal) throw error
    // A proxy may throw at anything that is asked of it, and so do bytes that were transferred.
    throw refusal(text, 'a value that cannot be read', error)
  }
}

/**
 * A key from the content itself: equal for equal payloads of one operation and tenant. With
 * `keySecret` an HMAC, so that who sees the key cannot confirm a guess at the payload.
 * @returns 64 hex digits.
 * @throws {TypeError} as `canonicalJson`, or for an empty operation, tenant or secret.
 */
export function deriveKey(
  operation: string,
  payload: unknown,
  { tenant, keySecret }: { readonly tenant?: string; readonly keySecret?: string } = {},
): string {
  return digest(
    [...namespace('steadycall.derived.v1', operation, tenant), canonicalJson(payload)],
    keySecret,
  )
}

/**
 * The hash that tells whether a key came back with another payload. With `keySecret` an HMAC, since
 * a payload that can be guessed can be confirmed by its plain hash.
 * @returns 64 hex digits.
 * @throws {TypeError} as `canonicalJson`.
 */
export function fingerprintOf(
  payload: unknown,
  { keySecret }: { readonly keySecret?: string } = {},
): string {
  return digest([canonicalJson('steadycall.payload.v1'), canonicalJson(payload)], keySecret)
}

/**
 * The name a record has in a store: SHA-256, or HMAC-SHA-256 (RFC 2104) with `keySecret`, over the
 * canonical JSON array of version, tenant, operation and key. An array, so that no two different
 * combinations run together into one text.
 * @returns 64 hex digits.
 * @throws {TypeError} unless the key is a string of 1 to 255 characters and operation, tenant and
 * secret, where given, are not empty.
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
  return digest(
    [...namespace('steadycall.key.v1', operation, tenant), canonicalJson(key)],
    keySecret,
  )
}

const MAX_KEY_LENGTH = 255

/** Version, tenant and operation as canonical JSON. The version tells the three hashes apart, too. */
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
  if (typeof value === 'string' && value !== '') return
  throw new TypeError(
    `${name} must be a non-empty string, got ${value === '' ? 'an empty one' : typeof value}`,
  )
}

const MAX_DEPTH = 100
const MAX_LENGTH = 2 ** 23

interface Text {
  written: string
  /** Where in the value we are: member names and indices. */
  readonly path: (string | number)[]
  readonly ancestors: Set<object>
  /** What it was refused with. */
  refusal?: TypeError
}

/** What `toPlain` leaves: a container is an array, a typed array or an object to be walked. */
type Plain = null | boolean | number | string | object

function write(text: Text, value: Plain): void {
  if (typeof value === 'string') append(text, quote(text, value))
  else if (typeof value === 'object' && value !== null) writeContainer(text, value)
  // ECMAScript's own Number-to-string is what RFC 8785 §3.2.2.3 prescribes; -0 gives 0.
  else append(text, String(value))
}

function writeContainer(text: Text, value: object): void {
  if (text.ancestors.has(value)) throw refusal(text, 'a cycle')
  if (text.path.length >= MAX_DEPTH) throw refusal(text, `nesting deeper than ${MAX_DEPTH}`)
  text.ancestors.add(value)
  if (ArrayBuffer.isView(value)) append(text, `{"$b64":"${base64(text, value)}"}`)
  else if (Array.isArray(value)) writeArray(text, value)
  else writeObject(text, value)
  text.ancestors.delete(value)
}

function writeArray(text: Text, array: readonly unknown[]): void {
  requireNoSymbols(text, array)
  append(text, '[')
  const { length } = array
  for (let index = 0; index < length; index++) {
    text.path.push(index)
    const item = read(text, array, index)
    if (item === undefined) throw refusal(text, 'undefined or a hole')
    if (index > 0) append(text, ',')
    write(text, item)
    text.path.pop()
  }
  append(text, ']')
}

function writeObject(text: Text, object: object): void {
  if (!isPlainObject(object)) throw refusal(text, `an instance of ${className(object)}`)
  requireNoSymbols(text, object)
  append(text, '{')
  let separator = ''
  // sort() without a comparator orders by UTF-16 code units, as RFC 8785 §3.2.3 demands.
  for (const key of Object.keys(object).sort()) {
    const name = quote(text, key)
    text.path.push(key)
    const member = read(text, object, key)
    if (member !== undefined) {
      append(text, `${separator}${name}:`)
      write(text, member)
      separator = ','
    }
    text.path.pop()
  }
  append(text, '}')
}

function requireNoSymbols(text: Text, object: object): void {
  const symbols = Object.getOwnPropertySymbols(object)
  if (symbols.length > 0 && symbols.some((key) => isEnumerable(object, key))) {
    throw refusal(text, 'a symbol as member name')
  }
}

function append(text: Text, part: string): void {
  if (text.written.length + part.length > MAX_LENGTH) throw tooLong(text)
  text.written += part
}

function read(text: Text, container: object, key: string | number): Plain | undefined {
  let value: unknown
  try {
    value = Reflect.get(container, key)
  } catch (error) {
    throw refusal(text, 'a getter that throws', error)
  }
  return toPlain(text, value, key)
}

/** The value as it goes over the wire, or undefined where it does not. */
function toPlain(text: Text, value: unknown, key: string | number): Plain | undefined {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) {
    return requirePlain(text, value)
  }
  if (isInvalidDate(value)) throw refusal(text, 'an invalid Date')
  let json: unknown
  try {
    const toJSON: unknown = Reflect.get(value, 'toJSON')
    if (typeof toJSON !== 'function') return value
    json = Reflect.apply(toJSON, value, [String(key)])
  } catch (error) {
    throw refusal(text, 'a toJSON that throws', error)
  }
  return requirePlain(text, json)
}

/** Of whichever realm. On the wire it would be null. */
function isInvalidDate(value: object): boolean {
  if (Object.prototype.toString.call(value) !== '[object Date]') return false
  try {
    return Number.isNaN(Date.prototype.getTime.call(value))
  } catch {
    // It only calls itself a Date.
    return false
  }
}

function requirePlain(text: Text, value: unknown): Plain | undefined {
  switch (typeof value) {
    case 'undefined':
    case 'boolean':
    case 'string':
    case 'object':
      return value
    case 'number':
      if (!Number.isFinite(value)) throw refusal(text, String(value))
      // Such integers have been rounded already: two different ones may look the same here.
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        throw refusal(text, 'an integer beyond 2^53 - 1 (pass it as a string)')
      }
      return value
    case 'bigint':
      throw refusal(text, 'a BigInt (pass it as a string)')
    default:
      throw refusal(text, `a ${typeof value}`)
  }
}

/** JSON.stringify escapes as RFC 8785 §3.2.2.2 prescribes, lone surrogates apart: I-JSON has none. */
function quote(text: Text, value: string): string {
  if (value.length > MAX_LENGTH) throw tooLong(text)
  // Printable ASCII needs no escape: four times as fast, and most names and texts are that.
  if (/^[ !#-[\]-~]*$/.test(value)) return `"${value}"`
  if (/\p{Surrogate}/u.test(value)) throw refusal(text, 'a lone surrogate')
  return JSON.stringify(value)
}

function base64(text: Text, view: ArrayBufferView): string {
  if (view.byteLength > MAX_LENGTH) throw tooLong(text)
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  return base64Of(bytes)
}

/** An object literal or `Object.create(null)`, of whichever realm: its prototype is a root. */
function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null) return true
  return typeof prototype === 'object' && Object.getPrototypeOf(prototype) === null
}

function isEnumerable(object: object, key: symbol): boolean {
  return Object.prototype.propertyIsEnumerable.call(object, key)
}

function className(object: object): string {
  const maker: unknown = Reflect.get(Object.getPrototypeOf(object), 'constructor')
  return typeof maker === 'function' && maker.name !== '' ? maker.name : 'an unnamed class'
}

function refusal(text: Text, what: string, cause?: unknown): TypeError {
  const message = `A payload with ${what}${place(text.path)} has no canonical JSON`
  text.refusal = new TypeError(message, cause === undefined ? undefined : { cause })
  return text.refusal
}

function tooLong(text: Text): TypeError {
  text.refusal = new TypeError(
    `A payload longer than ${MAX_LENGTH} characters, reached${place(text.path)}, is not hashed: ` +
      'pass a shorter one that stands for it',
  )
  return text.refusal
}

const MAX_POINTER_LENGTH = 200

function place(path: readonly (string | number)[]): string {
  if (path.length === 0) return ' at its root'
  const pointer = path
    .map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('')
  return ` at ${pointer.length > MAX_POINTER_LENGTH ? `${pointer.slice(0, MAX_POINTER_LENGTH)}…` : pointer}`
}
