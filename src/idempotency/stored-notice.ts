import { isFailureKind } from '../errors/failure-kinds.ts'
import type { FailureNotice } from './store.ts'

/** No notice that we wrote is longer. */
const MAX_LENGTH = 1_000

/**
 * A notice out of the JSON that a store kept, for stores that keep it so. What was kept may be
 * anything by now: undefined for all that is no notice.
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
  const kind = own('kind')
  const executed = own('executed')
  const retryAfterMs = own('retryAfterMs')
  const status = own('status')
  const origin = own('origin')
  if (!isFailureKind(kind)) return undefined
  if (executed !== undefined && executed !== 'no' && executed !== 'maybe' && executed !== 'yes') {
    return undefined
  }
  if (retryAfterMs !== undefined && !isAmount(retryAfterMs)) return undefined
  if (status !== undefined && !isAmount(status)) return undefined
  if (origin !== undefined && !isOrigin(origin)) return undefined
  return {
    kind,
    ...(executed !== undefined && { executed }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(status !== undefined && { status }),
    ...(origin !== undefined && { origin }),
  }
}

/** What it says is for the trace to judge. */
function isOrigin(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 100
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
