import { readProperty } from '../errors/hostile.ts'
import { callReport, shareReport } from '../report/call-report.ts'

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
export function watchedHelper({ helper, resource, client }: WatchedHelper): unknown {
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
