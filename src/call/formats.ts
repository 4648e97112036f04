import { readProperty } from '../errors/hostile.ts'
import { asksLess, formatAfterRefusal } from '../output/format-refusals.ts'
import type { ResponseFormat } from '../output/response-format.ts'
import type { TargetState } from '../retry/target-state.ts'

/** What targets have refused is not asked of them again, for as long as they are remembered. */
const learned = new WeakMap<TargetState, ResponseFormat>()

/** The format to ask a target in: as given, or under `'auto'` the most that it has not refused. */
export function formatFor(
  target: TargetState | undefined,
  given: ResponseFormat | 'auto',
): ResponseFormat {
  if (given !== 'auto') return given
  return (target === undefined ? undefined : learned.get(target)) ?? 'strict'
}

export interface RefusedRequest {
  readonly error: unknown
  readonly status: number | undefined
  readonly body: string | undefined
  readonly asked: ResponseFormat
}

// OpenRouter's 404 says that no endpoint takes the parameters; one gateway answers 500.
const REFUSALS: ReadonlySet<unknown> = new Set([400, 404, 422, 500])

/** True when the error says that the format was refused, and there is another to ask in. */
export function learnFormat(
  target: TargetState,
  { error, status, body, asked }: RefusedRequest,
): boolean {
  if (!REFUSALS.has(status)) return false
  const message = readProperty(error, 'message')
  const next = formatAfterRefusal(body ?? (typeof message === 'string' ? message : ''), asked)
  if (next === undefined) return false
  const known = learned.get(target)
  // Another call may have learned more meanwhile.
  if (known === undefined || asksLess(next, known)) learned.set(target, next)
  return true
}
