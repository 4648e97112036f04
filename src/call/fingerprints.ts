import { canonicalJsonAsSent } from '../idempotency/canonical-json.ts'
import { fingerprintOfJson } from '../idempotency/key.ts'
import type { Task } from './task.ts'

/**
 * Tells "the same request again": hashes of a call's request, as it is sent, with the target it is
 * sent to. Neither its `payload` nor its key has a part in them, since the steps of one job may
 * share these and are different requests. Made when first asked for: most calls need none.
 */
export class Fingerprints {
  readonly #task: Pick<Task<never>, 'identify'>
  #made: Made | undefined

  constructor(task: Pick<Task<never>, 'identify'>) {
    this.#task = task
  }

  /** Of the request at each of the call's targets; none where nobody knows what is sent. */
  get each(): readonly string[] {
    return this.#all().each
  }

  /** Of the call with all targets that it may go to; undefined where nobody knows what is sent. */
  get whole(): string | undefined {
    return this.#all().whole
  }

  #all(): Made {
    this.#made ??= made(this.#task)
    return this.#made
  }
}

interface Made {
  readonly each: readonly string[]
  readonly whole: string | undefined
}

const NONE: Made = { each: [], whole: undefined }

function made(task: Pick<Task<never>, 'identify'>): Made {
  try {
    const identity = task.identify?.()
    if (identity === undefined) return NONE
    const request = hashOf(identity.request)
    const each = identity.targets.map((target) => hashOf([request, target]))
    return { each, whole: each.length === 1 ? each[0] : hashOf(each) }
  } catch {
    // It cannot be read, or has no canonical JSON: two such requests cannot be compared.
    return NONE
  }
}

function hashOf(value: unknown): string {
  return fingerprintOfJson(canonicalJsonAsSent(value), {})
}
