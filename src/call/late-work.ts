import { isNotExecuted } from '../errors/not-executed.ts'
import type { LateEnd } from '../idempotency/once.ts'
import { type Exchange, isFunction, type Task } from './task.ts'

/**
 * What attempts of a call were doing when a limit cut them off: a function that does not look at
 * its signal, a request whose answer came in the same moment. It goes on, and may succeed yet.
 */
export class LateWork<T> {
  readonly #task: Task<T>
  readonly #ends: Promise<LateEnd<T>>[] = []

  constructor(task: Task<T>) {
    this.#task = task
  }

  add(work: PromiseLike<unknown>, exchange: Exchange): void {
    this.#ends.push(this.#endOf(work, exchange))
  }

  /**
   * The first success, or that there is none; undefined where nothing goes on. `doubts` is how many
   * attempts of the call may have been executed: nothing was, where all of them say so in the end.
   */
  end(doubts: number): Promise<LateEnd<T>> | undefined {
    const ends = this.#ends
    return ends.length === 0 ? undefined : firstSuccess(ends, doubts)
  }

  async #endOf(work: PromiseLike<unknown>, exchange: Exchange): Promise<LateEnd<T>> {
    try {
      const value = await this.#task.late?.(await work, exchange)
      return value === undefined ? FAILED : { ok: true, value: value.late }
    } catch (error) {
      const isUndone = isFunction(this.#task.face) && isNotExecuted(error)
      return isUndone ? { ok: false, executed: 'no' } : FAILED
    }
  }
}

const FAILED = { ok: false, executed: 'maybe' } as const

async function firstSuccess<T>(
  ends: readonly Promise<LateEnd<T>>[],
  doubts: number,
): Promise<LateEnd<T>> {
  let undone = 0
  const successes = ends.map(async (ending) => {
    const end = await ending
    if (end.ok) return end
    if (end.executed === 'no') undone++
    throw new Error('no success')
  })
  return Promise.any(successes).catch(() =>
    undone === doubts ? { ok: false, executed: 'no' } : FAILED,
  )
}
