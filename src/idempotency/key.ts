import { createHmac, hash } from 'node:crypto'
import { base64Of } from './encryption.ts'

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
  readonly tenant?: string | undefined
  readonly keySecret?: string | undefined
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
  space: { readonly keySecret?: string | undefined } = {},
): string {
  return fingerprintOfJson(canonicalPayload(payload), space)
}

/** Like `fingerprintOf`, from the payload's canonical JSON. */
export function fingerprintOfJson(
  json: string,
  { keySecret }: { readonly keySecret?: string | undefined },
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
  readonly tenant?: string | undefined
  readonly keySecret?: string | undefined
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

/**
 * The canonical JSON of a value (RFC 8785, JCS): the same text for the same data, whatever the order of
 * its members.
 *
 * Stricter than `JSON.stringify`, so that two different payloads never share a text by accident. Includes
 * all own enumerable members with string names, even `__proto__`. A `Date`, or any other object with a
 * `toJSON` (called once), is written as it would be sent; `undefined` members are dropped. Typed arrays
 * become `{"$b64":"…"}`. Each member is read once.
 * @throws {TypeError} for a value that has no canonical JSON, with the JSON Pointer (RFC 6901) of the first
 * such value: NaN and infinities, integers beyond 2^53 − 1, BigInt, lone surrogates, `undefined` and holes
 * in arrays, functions, symbols, class instances (Map, Set, RegExp, Promise …), cycles, nesting deeper than
 * 100, a text longer than 8 Mi (2^23) characters, a getter that throws.
 */
export function canonicalJson(value: unknown): string {
  return writtenAs(RFC_8785, value)
}

/**
 * The canonical JSON of a request that is sent as JSON: accepts everything that JSON can express, including
 * what RFC 8785 or `canonicalJson` rejects.
 */
export function canonicalJsonAsSent(value: unknown): string {
  return writtenAs(AS_SENT, value)
}

/**
 * The canonical JSON of the payload of a key. Accepts lone surrogates, which a user's text may contain, and
 * rethrows errors of the user's own `toJSON` or getters unchanged, as for a request's parameters.
 */
export function canonicalPayload(value: unknown): string {
  return writtenAs(PAYLOAD, value)
}

function writtenAs(dialect: Dialect, value: unknown): string {
  const text: Text = { dialect, written: '', path: [], ancestors: new Set() }
  try {
    const plain = toPlain(text, value, '')
    if (plain === undefined) throw refusal(text, 'undefined')
    write(text, plain)
    return text.written
  } catch (error) {
    if (text.thrown !== undefined && error === text.thrown.error) throw error
    // A proxy may throw on any access, and so does a view of a transferred buffer.
    throw refusal(text, 'a value that cannot be read', error)
  }
}

/** Half of a surrogate pair, which neither UTF-8 nor RFC 8785 can represent. */
const LONE_SURROGATE: RegExp = /\p{Surrogate}/u

const MAX_DEPTH = 100
const MAX_LENGTH = 2 ** 23

/** What is accepted beyond RFC 8785. */
interface Dialect {
  /** Written escaped, as by JSON.stringify. A user's text that was cut inside an emoji contains one. */
  readonly loneSurrogates: boolean
  /** Integers that were rounded when the value was created: the rounded one is what is sent. */
  readonly roundedIntegers: boolean
  /** Errors thrown by a `toJSON` or a getter are rethrown unchanged, without their position. */
  readonly ownErrors: boolean
}

const RFC_8785: Dialect = { loneSurrogates: false, roundedIntegers: false, ownErrors: false }
const PAYLOAD: Dialect = { loneSurrogates: true, roundedIntegers: false, ownErrors: true }
const AS_SENT: Dialect = { loneSurrogates: true, roundedIntegers: true, ownErrors: true }

interface Text {
  readonly dialect: Dialect
  written: string
  /** The position in the value: member names and indices. */
  readonly path: (string | number)[]
  readonly ancestors: Set<object>
  /** The error to be thrown: the refusal, or the user's own error. */
  thrown?: { readonly error: unknown }
}

/** The result of `toPlain`. An object is an array, a typed array or an object still to be walked. */
type Plain = null | boolean | number | string | object

function write(text: Text, value: Plain): void {
  if (typeof value === 'string') append(text, quote(text, value))
  else if (typeof value === 'object' && value !== null) writeContainer(text, value)
  // RFC 8785 §3.2.2.3 prescribes ECMAScript's own number format; -0 gives 0.
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
  // sort() without a comparator orders by UTF-16 code units, as RFC 8785 §3.2.3 requires.
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
    throw ownError(text, 'a getter that throws', error)
  }
  return toPlain(text, value, key)
}

/** The value as it would be sent, or undefined if it is not sent at all. */
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
    throw ownError(text, 'a toJSON that throws', error)
  }
  return requirePlain(text, json)
}

/** Works for Dates of any realm. JSON would write an invalid one as null. */
function isInvalidDate(value: object): boolean {
  if (Object.prototype.toString.call(value) !== '[object Date]') return false
  try {
    return Number.isNaN(Date.prototype.getTime.call(value))
  } catch {
    // Not a real Date: only its tag says so.
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
      // Such integers may have been rounded, so two different ones could look the same.
      if (
        Number.isInteger(value) &&
        !Number.isSafeInteger(value) &&
        !text.dialect.roundedIntegers
      ) {
        throw refusal(text, 'an integer beyond 2^53 - 1 (pass it as a string)')
      }
      return value
    case 'bigint':
      throw refusal(text, 'a BigInt (pass it as a string)')
    default:
      throw refusal(text, `a ${typeof value}`)
  }
}

/** JSON.stringify escapes as RFC 8785 §3.2.2.2 prescribes, except for lone surrogates. */
function quote(text: Text, value: string): string {
  if (value.length > MAX_LENGTH) throw tooLong(text)
  // The common case: printable ASCII needs no escapes. Four times as fast.
  if (/^[ !#-[\]-~]*$/.test(value)) return `"${value}"`
  if (!text.dialect.loneSurrogates && LONE_SURROGATE.test(value)) {
    throw refusal(text, 'a lone surrogate')
  }
  return JSON.stringify(value)
}

function base64(text: Text, view: ArrayBufferView): string {
  if (view.byteLength > MAX_LENGTH) throw tooLong(text)
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  return base64Of(bytes)
}

/** An object literal or `Object.create(null)` of any realm: its prototype has no prototype. */
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
  const error = new TypeError(message, cause === undefined ? undefined : { cause })
  text.thrown = { error }
  return error
}

/** For an error thrown by the user's own `toJSON` or getter. */
function ownError(text: Text, what: string, error: unknown): unknown {
  if (!text.dialect.ownErrors) return refusal(text, what, error)
  text.thrown = { error }
  return error
}

function tooLong(text: Text): TypeError {
  const error = new TypeError(
    `A payload longer than ${MAX_LENGTH} characters, reached${place(text.path)}, is not hashed: ` +
      'pass a shorter one that identifies it',
  )
  text.thrown = { error }
  return error
}

const MAX_POINTER_LENGTH = 200

function place(path: readonly (string | number)[]): string {
  if (path.length === 0) return ' at its root'
  const pointer = path
    .map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('')
  return ` at ${pointer.length > MAX_POINTER_LENGTH ? `${pointer.slice(0, MAX_POINTER_LENGTH)}…` : pointer}`
}
