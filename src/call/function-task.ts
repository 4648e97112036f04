import type { Failure } from '../errors/call-error.ts'
import type { ResolvedCall } from '../options/options.ts'
import { DEFAULT_FALLBACK_ON } from '../options/options.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import type { Exchange, Task } from './task.ts'

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
  readonly face: 'run' | 'guard'
  readonly name: string
  readonly options: ResolvedCall
  readonly state: TargetState
  work(context: RunContext): PromiseLike<T> | T
  /** See `Job`. */
  judge?(failure: Failure, exchange: Exchange): Failure
}

/** Any promise-returning function under the same policy as a chat completion. */
export function functionJob<T>(request: RunRequest<T>): Task<T> {
  const { face, name, options, state, work, judge } = request
  return {
    ...(judge !== undefined && { judge }),
    face,
    operation: name,
    name,
    options,
    targets: [{ name: `run ${name}`, state, on: DEFAULT_FALLBACK_ON }],
    payload: () => options.payload,
    codec: {
      encode: encodeValue,
      decode: (result) => Reflect.get(Object(JSON.parse(result)), 'value') as T,
    },
    // A function's own type: nobody else has made it.
    late: async (value) => ({ late: value as T }),
    async send({ bounds, number, key }) {
      const { signal } = bounds
      const doing = Promise.resolve(work({ signal, attempt: number, idempotencyKey: key }))
      return { ok: true, value: await bounds.race(doing), facts: {} }
    },
  }
}

/** How the result of a function is kept: wrapped, so that nothing can be replayed too. */
export function encodeValue(value: unknown): string {
  return JSON.stringify({ value })
}
