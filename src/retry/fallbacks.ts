import type { FallbackChoice } from './decide.ts'
import type { LoopRequest, LoopTarget } from './loop-contract.ts'

/** Tokens of a target's budget that a call costs which falls back to it. */
export const FALLBACK_COST = 1

/** The target of that index. @throws {RangeError} where there is none: a mistake of ours. */
export function targetAt<T>({ targets }: LoopRequest<T>, index: number): LoopTarget {
  const target = targets[index]
  if (target === undefined) throw new RangeError(`There is no target ${index}`)
  return target
}

/** Where a call may still go after the target of that index. */
export function fallbacksAfter<T>(
  index: number,
  request: LoopRequest<T>,
): readonly FallbackChoice[] {
  const first = index + 1
  return request.targets.slice(first).map(({ on, state }, offset) => ({
    target: first + offset,
    on,
    available:
      state.breaker.state !== 'open' &&
      state.budget.has(FALLBACK_COST) &&
      request.spentAt?.(first + offset) === undefined,
  }))
}
