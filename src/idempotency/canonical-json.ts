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
  return writtenAs(RFC_8785, value)
}

/**
 * The same of a request that is sent as JSON, or has been: what JSON can say is taken as it is said,
 * also where RFC 8785 or we refuse it in a value.
 */
export function canonicalJsonAsSent(value: unknown): string {
  return writtenAs(AS_SENT, value)
}

/**
 * The same of what a key stands for: a user's own text need not be whole characters, and what a
 * user's own `toJSON` or getter throws passes through, as it does from a request's parameters.
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
    // A proxy may throw at anything that is asked of it, and so do bytes that were transferred.
    throw refusal(text, 'a value that cannot be read', error)
  }
}

/** Half a character. UTF-8 has none, and RFC 8785 neither. */
export const LONE_SURROGATE: RegExp = /\p{Surrogate}/u

const MAX_DEPTH = 100
const MAX_LENGTH = 2 ** 23

/** What may be hashed besides what RFC 8785 has. */
interface Dialect {
  /** As JSON.stringify writes them, escaped: a user's text that was cut through an emoji has one. */
  readonly loneSurrogates: boolean
  /** Rounded already where they were written down; it is the rounded one that is sent. */
  readonly roundedIntegers: boolean
  /** What a `toJSON` or a getter throws is thrown as it is, without a word on where it stands. */
  readonly ownErrors: boolean
}

const RFC_8785: Dialect = { loneSurrogates: false, roundedIntegers: false, ownErrors: false }
const PAYLOAD: Dialect = { loneSurrogates: true, roundedIntegers: false, ownErrors: true }
const AS_SENT: Dialect = { loneSurrogates: true, roundedIntegers: true, ownErrors: true }

interface Text {
  readonly dialect: Dialect
  written: string
  /** Where in the value we are: member names and indices. */
  readonly path: (string | number)[]
  readonly ancestors: Set<object>
  /** What is to be thrown: the refusal, or the user's own error. */
  thrown?: { readonly error: unknown }
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
    throw ownError(text, 'a getter that throws', error)
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
    throw ownError(text, 'a toJSON that throws', error)
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

/** JSON.stringify escapes as RFC 8785 §3.2.2.2 prescribes, lone surrogates apart: I-JSON has none. */
function quote(text: Text, value: string): string {
  if (value.length > MAX_LENGTH) throw tooLong(text)
  // Printable ASCII needs no escape: four times as fast, and most names and texts are that.
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
  const error = new TypeError(message, cause === undefined ? undefined : { cause })
  text.thrown = { error }
  return error
}

/** Of the code that the user's value brings along. */
function ownError(text: Text, what: string, error: unknown): unknown {
  if (!text.dialect.ownErrors) return refusal(text, what, error)
  text.thrown = { error }
  return error
}

function tooLong(text: Text): TypeError {
  const error = new TypeError(
    `A payload longer than ${MAX_LENGTH} characters, reached${place(text.path)}, is not hashed: ` +
      'pass a shorter one that stands for it',
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
