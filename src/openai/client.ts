import { randomUUID } from 'node:crypto'
import { currentScope, outsideScopes } from '../call/nesting.ts'
import { readProperty } from '../errors/hostile.ts'
import type { ChatClient } from './chat-client.ts'
import { inherited, isFacade, OWN_RETRIES, ownValue, rawClient } from './facade.ts'
import { observeClient, ownFetch } from './wire.ts'

/** openai's error classes, as found on a client's class. */
export interface ErrorClasses {
  readonly APIError: new (
    status: number | undefined,
    error: object | undefined,
    message: string | undefined,
    headers: Headers | undefined,
  ) => Error
  readonly APIConnectionError: new (init: { message?: string; cause?: Error }) => Error
  readonly APIConnectionTimeoutError: new (init: { message?: string }) => Error
  readonly APIUserAbortError: new (init: { message?: string }) => Error
}

const ERROR_CLASSES = [
  'APIError',
  'APIConnectionError',
  'APIConnectionTimeoutError',
  'APIUserAbortError',
] as const

/**
 * Checks that this can be used as an openai client and prepares it, once, in place: its `fetch` is
 * observed, and inside a steadycall attempt its `maxRetries` reads 0, so that the SDK's own retries
 * never multiply ours. Outside of one, nothing changes for other code that holds the client. One that
 * has neither, or is frozen, stays as it is.
 * @throws {TypeError} that says what was given, and what to give instead.
 */
export function prepareClient(where: string, client: unknown): asserts client is ChatClient {
  if (typeof createOf(client) !== 'function') throw new TypeError(refusal(where, client))
  const sender = senderOf(Object(client))
  if (isFacade(sender)) return
  observeClient(sender)
  neutraliseRetries(sender)
}

function createOf(client: unknown): unknown {
  return readProperty(readProperty(readProperty(client, 'chat'), 'completions'), 'create')
}

function refusal(where: string, client: unknown): string {
  return `${where} must be an openai client${whatInstead(client)}`
}

/** What was given, and the way out. */
function whatInstead(client: unknown): string {
  if (client === null || (typeof client !== 'object' && typeof client !== 'function')) {
    return `, got ${client === null ? 'null' : typeof client}. Pass new OpenAI().`
  }
  if (typeof readProperty(client, 'then') === 'function') return ', got a promise. Await it first.'
  if (createOf({ chat: client }) !== undefined) {
    return ', got its chat. Pass the client itself.'
  }
  if (createOf({ chat: { completions: client } }) !== undefined) {
    return ', got something with a create(). Pass the client itself, not its chat.completions.'
  }
  if (typeof client === 'function') {
    return `, got the class or function ${nameOf(client)}. Pass an instance: new OpenAI().`
  }
  if (typeof readProperty(client, 'OpenAI') === 'function') {
    return ', got the module. Pass an instance of its class: new OpenAI().'
  }
  const create = createOf(client)
  const found = create === undefined ? 'missing' : `no function, it is ${typeof create}`
  const name = nameOf(readProperty(client, 'constructor'))
  return `: chat.completions.create is ${found} (got an object of class ${name}). A double needs no more than that method: { chat: { completions: { create } } }.`
}

/** A class's name is the user's own code; still, no more of it than a line holds. */
function nameOf(Class: unknown): string {
  const name = readProperty(Class, 'name')
  return typeof name === 'string' && name !== '' ? name.slice(0, 60) : 'without a name'
}

/** openai's error classes of this client; undefined for one that has none, such as a test's double. */
export function errorClasses(client: ChatClient): ErrorClasses | undefined {
  const has = (Class: unknown, name: string) => isErrorClass(readProperty(Class, name))
  const found = classesOf(client).find((Class) => ERROR_CLASSES.every((name) => has(Class, name)))
  // All four are there, and what openai 6 and 7 have under these names.
  return found as ErrorClasses | undefined
}

/** Some doubles answer any name with a function: only an error's prototype has these two. */
function isErrorClass(Class: unknown): boolean {
  const prototype = typeof Class === 'function' ? readProperty(Class, 'prototype') : undefined
  return ['name', 'message'].every((key) => typeof readProperty(prototype, key) === 'string')
}

/** The classes of a client: what it says itself, then what is really there, whatever a proxy says. */
export function classesOf(client: object): readonly unknown[] {
  const raw = rawClient(client)
  const said = readProperty(raw, 'constructor')
  return [said, ...inherited(raw, 'constructor'), ...inherited(senderOf(raw), 'constructor')]
}

/**
 * One of openai's classes for what went wrong with a request, its credentials' own requests among
 * them. Their common base by itself says that something was not as it should be on this side.
 */
export function isRequestError(error: unknown, client: ChatClient): boolean {
  const classes = errorClasses(client)
  if (classes === undefined) return false
  if (error instanceof classes.APIError) return true
  const base = readProperty(classes, 'OpenAIError')
  return isInstance(error, base) && readProperty(error, 'constructor') !== base
}

function isInstance(error: unknown, maker: unknown): boolean {
  return typeof maker === 'function' && error instanceof maker
}

/**
 * The client that the requests are sent with. Tracers put a proxy around a client, or give out a
 * copy of it, whose `fetch` and `maxRetries` are not those that count: its completions, which openai
 * has made for it, know the client itself.
 */
function senderOf(client: object): object {
  const raw = rawClient(client)
  const sender = ownValue(readProperty(readProperty(raw, 'chat'), 'completions'), '_client')
  return typeof sender === 'object' && sender !== null ? sender : raw
}

function neutraliseRetries(client: object): void {
  const descriptor = Object.getOwnPropertyDescriptor(client, 'maxRetries')
  // Ours already, also through another copy of the package; or frozen: then the per-request option
  // does the work alone.
  if (descriptor?.configurable !== true || !('value' in descriptor)) return
  const own: { maxRetries: unknown } = { maxRetries: descriptor.value }
  if (!Reflect.defineProperty(client, OWN_RETRIES, { value: own })) return
  const withOptions = ownValue(client, 'withOptions')
  if (typeof withOptions === 'function') {
    // A client derived inside a scope must inherit its owner's retries, not the 0 of the scope.
    const value = (...args: unknown[]): unknown =>
      outsideScopes(() => Reflect.apply(withOptions, client, args))
    Object.defineProperty(client, 'withOptions', { configurable: true, writable: true, value })
  }
  Object.defineProperty(client, 'maxRetries', {
    configurable: true,
    enumerable: true,
    get: () => (currentScope() === undefined ? own.maxRetries : 0),
    set: (value: unknown) => {
      own.maxRetries = value
    },
  })
}

/**
 * What decides where a client's requests go, and with which credentials: equal for two clients that are built
 * alike, and another for another key, header, path or `fetch`. Has secrets in it: to be hashed,
 * never to be shown.
 */
export function clientIdentity(wrapped: object): unknown {
  // What a tracer's proxy answers is another each time.
  const client = senderOf(innermost(wrapped))
  const given = readProperty(client, '_options')
  // Not openai's own class: what decides there is unknown.
  if (typeof given !== 'object' || given === null) return ownIdentity(client)
  const { apiKey } = Object(given)
  const options = Object.entries(given).filter(
    ([name, value]) => !ELSEWHERE.has(name) && value !== undefined && value !== null,
  )
  return [
    readProperty(client, 'baseURL'),
    // A function's key changes with time; who gives it does not.
    typeof apiKey === 'function' ? apiKey : readProperty(client, 'apiKey'),
    readProperty(client, 'organization'),
    readProperty(client, 'project'),
    // Azure's is not among the options.
    readProperty(client, 'deploymentName'),
    ownFetch(client),
    options.toSorted(([a], [b]) => (a < b ? -1 : 1)),
  ].map((part) => described(part))
}

// Options that are read from the client itself, where they may have been set later, and those that
// decide how long and how loud, not where.
const ELSEWHERE: ReadonlySet<string> = new Set([
  'baseURL',
  'apiKey',
  'organization',
  'project',
  'fetch',
  'maxRetries',
  'timeout',
  'logger',
  'logLevel',
  'dangerouslyAllowBrowser',
  'webhookSecret',
])

function innermost(client: object): object {
  const inside = rawClient(client)
  return inside === client ? client : innermost(inside)
}

// Options hold plain data a few levels deep.
const MAX_DEPTH = 6

/** Data as it is; a function, or an instance of a class, by which one it is. */
export function described(value: unknown, depth = 0): unknown {
  if (value === undefined) return null
  if (typeof value === 'symbol' || typeof value === 'bigint') return String(value)
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return value
  if (depth >= MAX_DEPTH) return ownIdentity(value)
  if (value instanceof Headers) return [...value]
  if (Array.isArray(value)) return value.map((part) => described(part, depth + 1))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) return ownIdentity(value)
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, described(part, depth + 1)]),
  )
}

const identities = new WeakMap<object, string>()

function ownIdentity(object: object): string {
  const known = identities.get(object) ?? randomUUID()
  identities.set(object, known)
  return known
}
