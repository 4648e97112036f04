import type { Codec, Exchange, Sent, Task, TaskTarget } from './call/task.ts'
import type { Failure } from './errors/call-error.ts'
import { DEFAULT_FALLBACK_ON, type ResolvedCall } from './options/options.ts'
import type { TargetState } from './retry/health/target-state.ts'

/** What the function given to `run` gets. */
export interface RunContext {
  /** Aborts on the attempt's timeout, the call's deadline or the caller's signal: pass it on. */
  readonly signal: AbortSignal
  /** 1 for the first attempt. */
  readonly attempt: number
  /** Given, derived or generated: pass it on to a service that honours one. */
  readonly idempotencyKey: string
}

export interface RunRequest<T> {
  readonly name: string
  readonly options: ResolvedCall
  readonly state: TargetState
  work(context: RunContext): PromiseLike<T> | T
  /** See `Task`. */
  judge?(failure: Failure, exchange: Exchange): Failure
}

/** Any promise-returning function under the same policy as a chat completion. */
export class FunctionTask<T> implements Task<T> {
  readonly isFunction = true
  readonly operation: string
  readonly name: string
  readonly options: ResolvedCall
  readonly targets: readonly [TaskTarget]
  readonly codec: Codec<T> = {
    encode: encodeValue,
    decode: (result) => Reflect.get(Object(JSON.parse(result)), 'value') as T,
  }
  readonly #work: RunRequest<T>['work']
  readonly #judge: RunRequest<T>['judge']

  constructor({ name, options, state, work, judge }: RunRequest<T>) {
    this.operation = name
    this.name = name
    this.options = options
    this.targets = [{ name: `run ${name}`, state, on: DEFAULT_FALLBACK_ON }]
    this.#work = work
    this.#judge = judge
  }

  get timeoutMs(): number {
    return this.options.attemptTimeoutMs
  }

  payload(): unknown {
    return this.options.payload
  }

  async send({ bounds, number, key }: Exchange): Promise<Sent<T>> {
    const { signal } = bounds
    // The user's own function gets no `this` of ours.
    const work = this.#work
    const doing = Promise.resolve(work({ signal, attempt: number, idempotencyKey: key }))
    return { ok: true, value: await bounds.race(doing), facts: {} }
  }

  judge(failure: Failure, exchange: Exchange): Failure {
    return this.#judge?.(failure, exchange) ?? failure
  }

  /** A function's own type: nothing else has made it. */
  async late(value: unknown): Promise<{ readonly late: T }> {
    return { late: value as T }
  }
}

/** How the result of a function is kept: wrapped, so that nothing can be replayed too. */
export function encodeValue(value: unknown): string {
  return JSON.stringify({ value })
}
