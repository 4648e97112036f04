import { readProperty } from '../errors/hostile.ts'
import { callReport, shareReport } from '../report/call-report.ts'

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

export interface WatchedHelper {
  /** openai's `parse`, `stream` or `runTools`: it sends with `this._client.chat.completions.create`. */
  readonly helper: (...args: never[]) => unknown
  /** The completions resource it belongs to. */
  readonly resource: object
  /** The wrapped client. */
  readonly client: object
}

/**
 * The helper, reaching the wrapped client's `create`. What a runner of `stream` and `runTools` puts
 * together, throws, and itself is, shares the report of the call it last made; a promise of `parse`
 * has it already.
 */
function watchedHelper({ helper, resource, client }: WatchedHelper): unknown {
  return (...args: unknown[]): unknown => {
    let watch: (call: unknown) => void = () => {}
    const sender = clientThat(client, (call) => watch(call))
    // The helper finds its client through this view; the resource itself has no private fields.
    const view: object = Object.create(resource, { _client: { value: sender } })
    const result: unknown = Reflect.apply(helper, view, args)
    // A runner makes its calls later; `parse` has made its only one already.
    if (isRunner(result)) watch = watchOf(result)
    return result
  }
}

/** The client, telling of each call of `create`. */
function clientThat(client: object, tell: (call: unknown) => void): object {
  const chat = Object(Reflect.get(client, 'chat'))
  const completions = Object(Reflect.get(chat, 'completions'))
  const create = (...args: unknown[]): unknown => {
    // Read now: it may be a test's spy.
    const call: unknown = Reflect.apply(Reflect.get(completions, 'create'), completions, args)
    tell(call)
    return call
  }
  return over(client, 'chat', over(chat, 'completions', over(completions, 'create', create)))
}

function over(object: object, key: string, value: unknown): object {
  return Object.create(object, { [key]: { value } })
}

/** openai's `EventStream`, as far as it is needed. */
interface Runner {
  on(event: 'chatCompletion', listener: (completion: unknown) => void): unknown
}

function isRunner(result: unknown): result is Runner {
  const has = (name: string) => typeof readProperty(result, name) === 'function'
  return has('on') && !has('then')
}

function watchOf(runner: Runner): (call: unknown) => void {
  let latest: unknown
  const told = (source: unknown) => {
    latest = source
    shareReport(runner, source)
  }
  runner.on('chatCompletion', (completion) => shareReport(completion, latest))
  tellOfErrors(runner, (error) => {
    if (callReport(error) === undefined) shareReport(error, latest)
    else told(error)
  })
  return (call) => {
    // The runner awaits it itself, and nothing of its rejection is lost.
    if (isThenable(call)) call.then(told, told)
  }
}

/**
 * A listener for errors would count as one that handles them. So they are seen where the runner
 * sends out its events, as long as it does so by this name; if not, only errors of its own go without.
 */
function tellOfErrors(runner: object, tell: (error: unknown) => void): void {
  const emit: unknown = readProperty(runner, '_emit')
  if (typeof emit !== 'function') return
  const value = (event: unknown, ...args: unknown[]): unknown => {
    if (event === 'error' || event === 'abort') tell(args[0])
    return Reflect.apply(emit, runner, [event, ...args])
  }
  Object.defineProperty(runner, '_emit', { configurable: true, writable: true, value })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof readProperty(value, 'then') === 'function'
}
