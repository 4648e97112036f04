import { readProperty } from '../errors/hostile.ts'
import type { ChatClient } from './chat-client.ts'
import { watchedHelper } from './helper-reports.ts'

/** Marks a wrapped client; its value is the client inside. */
const RAW = Symbol.for('steadycall.raw-client.v1')

/** The client inside a wrapped one, or the client itself. */
export function rawClient<C extends object>(client: C): C {
  const raw = insideOf(client)
  // Only a facade answers to the symbol, with the client it wraps.
  return raw === undefined ? client : (raw as C)
}

/** True for a client that is wrapped already. */
export function isFacade(client: object): boolean {
  return insideOf(client) !== undefined
}

function insideOf(client: object): unknown {
  const inside = readProperty(client, RAW)
  return inside === undefined || answersAnything(client) ? undefined : inside
}

/** How often it is wrapped; 0 for a bare client. */
export function layersOf(client: object): number {
  const inside = rawClient(client)
  return inside === client ? 0 : 1 + layersOf(inside)
}

/** The helpers of openai's completions resource that call `create` through `this._client`. */
const HELPERS: ReadonlySet<PropertyKey> = new Set(['parse', 'stream', 'runTools'])

export interface FacadeMethods {
  readonly create: (...args: never[]) => unknown
  /** Further methods of the wrapped client, such as `json` and `run`. */
  readonly own: Readonly<Record<string, unknown>>
  /** Wraps what `withOptions` derives. */
  wrapAgain(client: object): object
}

interface Client {
  readonly chat: { readonly completions: object }
  withOptions?(options: unknown): object
}

/**
 * The wrapped client: answers our own names and `chat.completions.create`, and reads everything
 * else from the client itself, with the client as `this`, so that private fields, `instanceof`,
 * late credentials and other resources stay as they are.
 */
export function facadeOf<C extends object>(client: C & Client, methods: FacadeMethods): C {
  // A tracer may copy the wrapped client key by key.
  const added = Object.keys(methods.own)
  const facade: C = through(client, added, (key) => {
    if (key === RAW) return { value: client }
    if (key === 'chat') return { value: chat }
    if (key === 'withOptions' && typeof client.withOptions === 'function') {
      return { value: withOptions }
    }
    return typeof key === 'string' && Object.hasOwn(methods.own, key)
      ? { value: methods.own[key] }
      : undefined
  })
  const withOptions = (options: unknown) => {
    const derived = client.withOptions?.(options)
    return derived === undefined ? undefined : methods.wrapAgain(derived)
  }
  const chat = through(client.chat, [], (key) =>
    key === 'completions' ? { value: completions } : undefined,
  )
  const completions = completionsFacade(client.chat.completions, facade, methods.create)
  return facade
}

function completionsFacade(
  resource: object,
  facade: object,
  create: FacadeMethods['create'],
): object {
  const helpers = new Map<PropertyKey, { readonly from: unknown; readonly value: unknown }>()
  return through(resource, [], (key) => {
    if (key === 'create') return { value: create }
    if (!HELPERS.has(key)) return undefined
    // As openai or the user has it: what a proxy answers is bound to the client inside, past us.
    const helper = ownValue(resource, key)
    if (!isFunction(helper)) return undefined
    const known = helpers.get(key)
    if (known?.from === helper) return known
    const value = watchedHelper({ helper, resource, client: facade })
    helpers.set(key, { from: helper, value })
    return { value }
  })
}

function isFunction(value: unknown): value is (...args: never[]) => unknown {
  return typeof value === 'function'
}

/**
 * A stand-in that answers some keys itself and takes the rest from the target, bound to it. What
 * is assigned to one of our keys (by a test's spy, say) is kept here: the target never had it.
 * It stands on an object of its own, since a proxy may not answer otherwise for a frozen target.
 * @param added keys that the target does not have
 */
function through<T extends object>(
  target: T,
  added: readonly string[],
  answer: (key: PropertyKey) => { readonly value: unknown } | undefined,
): T {
  const assigned = new Map<PropertyKey, unknown>()
  const bound = new Map<PropertyKey, { readonly from: unknown; readonly value: unknown }>()
  const stand: object = Object.create(Object.getPrototypeOf(target))
  const own = (key: PropertyKey) => (assigned.has(key) ? { value: assigned.get(key) } : answer(key))
  const facade = new Proxy(stand, {
    get(_, key) {
      const ours = own(key)
      if (ours !== undefined) return ours.value
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function' || key === 'constructor') return value
      const known = bound.get(key)
      if (known?.from === value) return known.value
      // A proxy, since a test's double has more on it than the call.
      const method: unknown = new Proxy(value, {
        apply(_fn, _this, args) {
          const result: unknown = Reflect.apply(value, target, args)
          // A subclass's builder says `return this`: what it is chained to is to stay with us.
          return result === target ? facade : result
        },
      })
      bound.set(key, { from: value, value: method })
      return method
    },
    set(_, key, value) {
      if (own(key) === undefined) return Reflect.set(target, key, value, target)
      assigned.set(key, value)
      return true
    },
    defineProperty(_, key, descriptor) {
      if (own(key) === undefined) return Reflect.defineProperty(target, key, descriptor)
      assigned.set(key, descriptor.value)
      return true
    },
    deleteProperty: (_, key) => assigned.delete(key) || Reflect.deleteProperty(target, key),
    has: (_, key) => own(key) !== undefined || Reflect.has(target, key),
    ownKeys: () => [...new Set([...Reflect.ownKeys(target), ...added])],
    getOwnPropertyDescriptor(_, key) {
      const isOurs = assigned.has(key) || (typeof key === 'string' && added.includes(key))
      const ours = isOurs ? { ...own(key), writable: true, enumerable: true } : undefined
      const descriptor = ours ?? Reflect.getOwnPropertyDescriptor(target, key)
      return descriptor && { ...descriptor, configurable: true }
    },
  })
  // It answers every key that the target answers.
  return facade as T
}

// What the client inside was built with.

/** On a prepared client: `maxRetries` as its owner set it, whatever scope we are read in. */
export const OWN_RETRIES: unique symbol = Symbol.for('steadycall.own-retries.v1')

// openai-node's DEFAULT_MAX_RETRIES: indistinguishable from "not set", so it is not a wish.
const SDK_DEFAULT_MAX_RETRIES = 2

/** `maxRetries + 1` when the client's owner set something else than the SDK's default. */
export function clientAttempts(client: ChatClient): number | undefined {
  const raw = rawClient(client)
  const maxRetries = readProperty(readProperty(raw, OWN_RETRIES) ?? raw, 'maxRetries')
  return maxRetries === SDK_DEFAULT_MAX_RETRIES ? undefined : attemptsFor(maxRetries)
}

// openai-node's DEFAULT_TIMEOUT.
const SDK_DEFAULT_TIMEOUT_MS = 600_000

/** The client's own `timeout`, or the SDK's default where it has none. */
export function clientTimeoutMs(client: ChatClient): number {
  const timeout = readProperty(client, 'timeout')
  return typeof timeout === 'number' ? timeout : SDK_DEFAULT_TIMEOUT_MS
}

/** The client was built with another `timeout` than the SDK's default. */
export function setsTimeout(client: ChatClient): boolean {
  return clientTimeoutMs(client) !== SDK_DEFAULT_TIMEOUT_MS
}

// The upper end of maxAttempts.
const MOST_ATTEMPTS = 10

/** openai's `maxRetries` as our `maxAttempts`: who switched retries off gets none. */
export function attemptsFor(maxRetries: unknown): number | undefined {
  if (typeof maxRetries !== 'number' || !Number.isInteger(maxRetries)) return undefined
  return Math.min(Math.max(maxRetries, 0) + 1, MOST_ATTEMPTS)
}

// Reading of objects that may be proxies: tracers answer each property of a client with something of
// their own. Property descriptors and prototypes say what is really there, since hardly a proxy changes
// those. None of these functions throws.

// A class of a class of a client; a hostile chain ends here.
const MAX_PROTOTYPES = 20

/** The property's value as the object itself has or inherits it, past what a proxy would answer. */
export function ownValue(object: unknown, key: PropertyKey): unknown {
  for (const holder of chainOf(object)) {
    const found = descriptorOf(holder, key)
    if (found !== undefined) return valueIn(found, object)
  }
  return undefined
}

/** The values under this key all along the object's prototypes, nearest first. */
export function inherited(object: unknown, key: PropertyKey): readonly unknown[] {
  return [...chainOf(object)].map((holder) => descriptorOf(holder, key)?.value)
}

/** Some doubles answer every key, so that no answer of theirs means anything. */
function answersAnything(object: object): boolean {
  try {
    return Reflect.get(object, Symbol('a key that nobody has')) !== undefined
  } catch {
    return false
  }
}

function* chainOf(object: unknown): Generator<object, void, undefined> {
  let holder = object
  for (let depth = 0; isObject(holder) && depth < MAX_PROTOTYPES; depth++) {
    yield holder
    holder = prototypeOf(holder)
  }
}

function prototypeOf(holder: object): unknown {
  try {
    return Object.getPrototypeOf(holder)
  } catch {
    return undefined
  }
}

function descriptorOf(holder: object, key: PropertyKey): PropertyDescriptor | undefined {
  try {
    return Object.getOwnPropertyDescriptor(holder, key)
  } catch {
    return undefined
  }
}

function valueIn({ get, value }: PropertyDescriptor, object: unknown): unknown {
  if (get === undefined) return value
  try {
    return Reflect.apply(get, object, [])
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
