import { isFailureKind } from '../errors/failure-kinds.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { FailureNotice } from './store.ts'

/** Longer than any notice written by this package. */
const MAX_LENGTH = 1_000

/**
 * Reads a notice from JSON in a store. The stored text is not trusted: undefined for anything that is not a
 * notice.
 */
export function readNotice(text: unknown): FailureNotice | undefined {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const own = (name: string): unknown =>
    Object.hasOwn(Object(value), name) ? Reflect.get(Object(value), name) : undefined
  const notice = withoutUndefined({
    kind: own('kind'),
    executed: own('executed'),
    retryAfterMs: own('retryAfterMs'),
    status: own('status'),
    origin: own('origin'),
  })
  return isNotice(notice) ? notice : undefined
}

function isNotice(
  said: Readonly<Partial<Record<keyof FailureNotice, unknown>>>,
): said is FailureNotice {
  const { kind, executed, retryAfterMs, status, origin } = said
  return (
    isFailureKind(kind) &&
    (executed === undefined || EXECUTED.includes(executed)) &&
    (retryAfterMs === undefined || isAmount(retryAfterMs)) &&
    (status === undefined || isAmount(status)) &&
    (origin === undefined || isOrigin(origin))
  )
}

const EXECUTED: readonly unknown[] = ['no', 'maybe', 'yes']

/** Only the length is checked here; the telemetry code parses the text. */
function isOrigin(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 100
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
