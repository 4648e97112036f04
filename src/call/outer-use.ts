import type { Failure } from '../errors/call-error.ts'
import type { Fingerprints } from './fingerprints.ts'
import type { Scope, Spent } from './nesting.ts'

const NOTHING: Spent = { attempts: 0, requests: 0 }

/**
 * What an outer call leaves to a call inside it: all of its attempts and requests, less those that
 * the same request has spent at the same target. Six different calls of an agent are six calls, and
 * so is one request that goes to six providers.
 */
export class OuterUse {
  readonly #most: { readonly maxAttempts: number; readonly maxRequests: number }
  readonly #fingerprints: Fingerprints
  readonly #scope: Scope | undefined
  /** What of the scope's counts is this call's own. */
  #own: Map<string, Spent> | undefined

  constructor(
    scope: Scope | undefined,
    fingerprints: Fingerprints,
    most: { readonly maxAttempts: number; readonly maxRequests: number },
  ) {
    this.#scope = scope
    this.#fingerprints = fingerprints
    this.#most = most
  }

  /** The failure of its equals, where they have left this call nothing at the target. */
  spentAt(target: number): Failure | undefined {
    return this.#spent(this.#failed === undefined ? undefined : this.#fingerprints.each[target])
  }

  /** The failure of its equals, where they have left this call nothing at all. */
  get spent(): Failure | undefined {
    if (this.#failed === undefined) return undefined
    const { each, whole } = this.#fingerprints
    const all = each.map((_, target) => this.spentAt(target))
    return this.#spent(whole) ?? (all.includes(undefined) ? undefined : all[0])
  }

  /** How many attempts this call may make in all, from the first target that has any left. */
  get attemptsLeft(): number {
    return this.#most.maxAttempts - this.#usedByOthers('attempts')
  }

  /** How many requests it may send in all. */
  get requestsLeft(): number {
    return this.#most.maxRequests - this.#usedByOthers('requests')
  }

  failed(target: number, failure: Failure): void {
    if (this.#scope === undefined) return
    this.#own ??= new Map()
    // Refused unexecuted: no model has worked on it.
    const attempts = failure.executed === 'no' ? 0 : 1
    for (const fingerprint of this.#countedAt(target)) {
      const { failed } = this.#scope
      this.#own.set(fingerprint, more(this.#own.get(fingerprint), attempts))
      failed.set(fingerprint, { ...more(failed.get(fingerprint), attempts), failure })
    }
  }

  /** It clears the counts of its equals, with what is theirs in them. */
  succeeded(target: number): void {
    if (this.#failed === undefined) return
    for (const fingerprint of this.#countedAt(target)) {
      this.#own?.delete(fingerprint)
      this.#failed?.delete(fingerprint)
    }
  }

  /** Undefined while nothing has failed: then no fingerprint is worth its price. */
  get #failed(): Scope['failed'] | undefined {
    return this.#scope === undefined || this.#scope.failed.size === 0
      ? undefined
      : this.#scope.failed
  }

  #countedAt(target: number): ReadonlySet<string> {
    const { each, whole } = this.#fingerprints
    return new Set([each[target], whole].filter((one) => one !== undefined))
  }

  #spent(fingerprint: string | undefined): Failure | undefined {
    const known = fingerprint === undefined ? undefined : this.#failed?.get(fingerprint)
    if (known === undefined) return undefined
    const { attempts, requests } = this.#byOthers(fingerprint)
    const { maxAttempts, maxRequests } = this.#most
    if (attempts < maxAttempts && requests < maxRequests) return undefined
    return { ...known.failure, retryable: false }
  }

  #usedByOthers(what: keyof Spent): number {
    if (this.#failed === undefined) return 0
    const { each, whole } = this.#fingerprints
    const start = each.find((_, target) => this.spentAt(target) === undefined)
    return Math.max(this.#byOthers(start)[what], this.#byOthers(whole)[what])
  }

  /** A success of an equal call beside this one clears the count, with what is ours in it. */
  #byOthers(fingerprint: string | undefined): Spent {
    if (fingerprint === undefined) return NOTHING
    const all = this.#failed?.get(fingerprint) ?? NOTHING
    const own = this.#own?.get(fingerprint) ?? NOTHING
    return {
      attempts: Math.max(all.attempts - own.attempts, 0),
      requests: Math.max(all.requests - own.requests, 0),
    }
  }
}

function more({ attempts, requests }: Spent = NOTHING, attempt: number): Spent {
  return { attempts: attempts + attempt, requests: requests + 1 }
}
