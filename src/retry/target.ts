import type { FallbackChoice } from './decide.ts'
import type { LoopRequest, LoopTarget } from './loop-contract.ts'

/** The target with this index. @throws {RangeError} if there is none, which is a bug of ours. */
export function targetAt<T>({ targets }: LoopRequest<T>, index: number): LoopTarget {
  const target = targets[index]
  if (target === undefined) throw new RangeError(`There is no target ${index}`)
  return target
}

/** The fallbacks after the target with this index. */
export function fallbacksAfter<T>(
  index: number,
  request: LoopRequest<T>,
): readonly FallbackChoice[] {
  const first = index + 1
  return request.targets.slice(first).map(({ on, state }, offset) => ({
    target: first + offset,
    on,
    available: state.line.isFree && request.spentAt?.(first + offset) === undefined,
  }))
}
