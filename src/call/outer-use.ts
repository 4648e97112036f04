import type { Failure } from '../errors/call-error.ts'
import type { Fingerprints } from './fingerprints.ts'
import type { Scope } from './nesting.ts'

/**
 * What an outer call leaves to a call inside it: all of its attempts, less those that the same
 * request has spent at the same target. Six different calls of an agent are six calls, and so is
 * one request that goes to six providers.
 */
export class OuterUse {
  readonly #maxAttempts: number
  readonly #fingerprints: Fingerprints
  readonly #scope: Scope | undefined
  /** What of the scope's counts is this call's own. */
  #own: Map<string, number> | undefined

  constructor(scope: Scope | undefined, fingerprints: Fingerprints, maxAttempts: number) {
    this.#scope = scope
    this.#fingerprints = fingerprints
    this.#maxAttempts = maxAttempts
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
    if (this.#failed === undefined) return this.#maxAttempts
    const { each, whole } = this.#fingerprints
    const start = each.find((_, target) => this.spentAt(target) === undefined)
    return this.#maxAttempts - Math.max(this.#byOthers(start), this.#byOthers(whole))
  }

  failed(target: number, failure: Failure): void {
    if (this.#scope === undefined) return
    this.#own ??= new Map()
    for (const fingerprint of this.#countedAt(target)) {
      const { failed } = this.#scope
      this.#own.set(fingerprint, (this.#own.get(fingerprint) ?? 0) + 1)
      const attempts = (failed.get(fingerprint)?.attempts ?? 0) + 1
      failed.set(fingerprint, { attempts, failure })
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
    if (known === undefined || this.#byOthers(fingerprint) < this.#maxAttempts) return undefined
    return { ...known.failure, retryable: false }
  }

  /** A success of an equal call beside this one clears the count, with what is ours in it. */
  #byOthers(fingerprint: string | undefined): number {
    if (fingerprint === undefined) return 0
    const all = this.#failed?.get(fingerprint)?.attempts ?? 0
    return Math.max(all - (this.#own?.get(fingerprint) ?? 0), 0)
  }
}
