import { hash, randomUUID } from 'node:crypto'
import type { Failure, StopReason } from '../errors/call-error.ts'
import { FAILURE_KINDS, type FailureKind } from '../errors/failure-kinds.ts'
import {
  canonicalJsonAsSent,
  canonicalPayload,
  deriveKeyOfJson,
  fingerprintOfJson,
  storedKey,
} from '../idempotency/key.ts'
import type { Tell } from './events.ts'
import { followsGivenUp, giveUpInFlow, passFlowOn, type Scope, type Spent } from './nesting.ts'
import { anyExhausted, type Runtime, rememberExhausted, warnOnce, wasExhausted } from './runtime.ts'
import type { CallContext, Task } from './task.ts'

/** The namespace of a client's keys. */
interface KeySpace {
  readonly tenant?: string
  readonly keySecret?: string
}

/** A call's idempotency key, and where its result is kept, if anywhere. */
export interface CallKey {
  /** As the caller gave it, or derived or generated. */
  readonly text: string
  /**
   * Hash of it, for spans, headers and stores; the text itself never leaves the process. Made when
   * first asked for: a generated key needs none where no span records.
   */
  readonly hash: string
  /** Hash of the payload; present when the result is to be kept under the key. */
  readonly fingerprint: string | undefined
}

/**
 * The key as given; or derived from the request where the caller asked for that; or generated,
 * which is returned and sent but never stored.
 * @throws {TypeError} when the payload has no canonical JSON, with the path of what is in the way;
 * what its own `toJSON` or a getter of it throws.
 */
export function resolveKey<T>(task: Task<T>, space: KeySpace, runtime: Runtime): CallKey {
  const { options, operation } = task
  const given = options.idempotencyKey
  if (given === undefined && options.idempotency === 'given') {
    return keyOf(task, space, randomUUID())
  }
  const json =
    options.payload === undefined
      ? canonicalJsonAsSent(task.payload())
      : boundPayload(task, options.payload)
  const { tenant, keySecret } = space
  const fingerprint = fingerprintOfJson(json, { keySecret })
  if (given !== undefined) return keyOf(task, space, given, fingerprint)
  if (options.occurrence === undefined) warnOfSampling(task, runtime)
  const text = deriveKeyOfJson(operation, `[${json},${options.occurrence ?? 0}]`, {
    tenant,
    keySecret,
  })
  return keyOf(task, space, text, fingerprint)
}

/**
 * What the caller gave, told apart by the form in which the result is kept: a function's under the
 * same name and key must never be taken for a completion, nor that for a stream.
 */
function boundPayload<T>({ once, isFunction }: Task<T>, payload: unknown): string {
  const form = isFunction ? 'function' : once === undefined ? 'completion' : 'stream'
  return `["${form}",${canonicalPayload(payload)}]`
}

function keyOf<T>(
  { operation }: Task<T>,
  { tenant, keySecret }: KeySpace,
  text: string,
  fingerprint?: string,
): CallKey {
  return new OwnKey({ operation, key: text, tenant, keySecret }, fingerprint)
}

// A class, not a literal with a getter: one is made for every call.
class OwnKey implements CallKey {
  readonly text: string
  readonly fingerprint: string | undefined
  readonly #parts: Parameters<typeof storedKey>[0]
  #hash: string | undefined

  constructor(parts: Parameters<typeof storedKey>[0], fingerprint: string | undefined) {
    this.text = parts.key
    this.fingerprint = fingerprint
    this.#parts = parts
  }

  get hash(): string {
    this.#hash ??= storedKey(this.#parts)
    return this.#hash
  }
}

function warnOfSampling<T>(task: Task<T>, runtime: Runtime): void {
  if (task.isFunction || task.describe?.().temperature === 0) return
  warnOnce(
    runtime,
    'STEADYCALL_DERIVED_KEY',
    "idempotency: 'derive' gives equal requests one answer, also where temperature is not 0; " +
      'pass occurrence to tell intended repetitions apart.',
  )
}

/**
 * The `Idempotency-Key` headers of one call: equal for a body sent again while it is unknown what
 * became of it, another one for another body, and another one after a complete answer, since a
 * server that honours the key would only repeat that answer.
 */
export class IdempotencyHeaders {
  readonly #key: CallKey
  #body: unknown
  #digest = ''
  #completeAnswers = 0

  constructor(key: CallKey) {
    this.#key = key
  }

  /** For a request that runs beside another: under one key a server would refuse or join it. */
  beside(body: unknown): string {
    return hash('sha256', `${this.next(body)}\nhedge`)
  }

  next(body: unknown): string {
    if (body !== this.#body) {
      this.#body = body
      const key = this.#key
      // Each use of a generated key is unique already, and it says nothing of any user: for the first
      // body it goes out as it is, and then the body's place in the call is enough.
      if (key.fingerprint !== undefined) {
        this.#digest = hash('sha256', `${key.hash}\n${bytesOf(body)}`)
      } else if (this.#digest === '') {
        this.#digest = key.text
      } else {
        this.#digest = hash('sha256', `${key.text}\n${this.#digest}`)
      }
    }
    return this.#completeAnswers === 0
      ? this.#digest
      : hash('sha256', `${this.#digest}\n${this.#completeAnswers}`)
  }

  answered(): void {
    this.#completeAnswers++
  }
}

function bytesOf(body: unknown): string {
  try {
    return canonicalJsonAsSent(body)
  } catch {
    return JSON.stringify(body)
  }
}

/** Why a call is refused before anything is sent. */
interface Refusal {
  readonly failure: Failure
  readonly reason: StopReason
}

interface Repeatable<T> {
  readonly task: Task<T>
  readonly context: CallContext
}

const MULTIPLIED: Refusal = {
  failure: {
    kind: 'multiplied_retries',
    retryable: false,
    executed: 'no',
    message: 'multiplied_retries',
    cause: undefined,
  },
  reason: 'not_retryable',
}

/** Under `'throw'`, what was multiplied without failing stops the next send. */
export function multipliedBefore(context: CallContext): Refusal | undefined {
  if (!context.multiplied) return undefined
  context.multiplied = false
  return MULTIPLIED
}

/**
 * The same request again soon after it was given up, at every target that it may go to, from the code
 * that has just seen it given up: another program's loop is around the call. It is told, and under `'throw'`
 * refused.
 */
export function repeats<T>(
  { task, context, tell }: Repeatable<T> & { readonly tell: Tell | undefined },
  fingerprints: Fingerprints,
): Refusal | undefined {
  const { runtime, settings } = context
  if (task.isFunction || !anyExhausted(runtime)) return undefined
  const { each, whole } = fingerprints
  if (whole === undefined) return undefined
  const again = (one: string) => followsGivenUp(one) && wasExhausted(runtime, one)
  if (!again(whole) && !each.every(again)) return undefined
  tell?.({ type: 'call-repeated' })
  warnOnce(
    runtime,
    'STEADYCALL_REPEATED_CALL',
    `The same request (${task.operation}) came again within a minute of being given up. ` +
      'If a retry loop around steadycall sent it, that loop multiplies attempts: remove it.',
  )
  return settings.onMultipliedRetries === 'throw' ? MULTIPLIED : undefined
}

/** Only of what `repeats` looks for, since a fingerprint costs a hash of the request. */
export function rememberGivenUp<T>(
  { task, context }: Repeatable<T>,
  { kind }: Failure,
  fingerprints: Fingerprints,
  tried: ReadonlySet<number>,
): void {
  if (task.isFunction || FAILURE_KINDS[kind].retry !== 'yes') return
  // Refused here before anything was sent: asking again multiplies nothing.
  if (tried.size === 0) {
    passFlowOn()
    return
  }
  const { each, whole } = fingerprints
  const given = [whole, ...each.filter((_, target) => tried.has(target))]
  const known = given.filter((one) => one !== undefined)
  for (const one of known) rememberExhausted(context.runtime, one)
  giveUpInFlow(known)
}

/** The call that this one joined was given up: the joiner has seen that as the owner has. */
export function joinedGivenUp<T>(task: Task<T>, kind: FailureKind): void {
  if (task.isFunction || FAILURE_KINDS[kind].retry !== 'yes') return
  const { each, whole } = new Fingerprints(task)
  giveUpInFlow([whole, ...each].filter((one) => one !== undefined))
}

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
  get #spentByEquals(): Failure | undefined {
    if (this.#failed === undefined) return undefined
    const { each, whole } = this.#fingerprints
    const all = each.map((_, target) => this.spentAt(target))
    return this.#spent(whole) ?? (all.includes(undefined) ? undefined : all[0])
  }

  /** Why this call is refused, where its equals have left it nothing at all. */
  get refusal(): Refusal | undefined {
    const failure = this.#spentByEquals
    if (failure === undefined) return undefined
    return { failure, reason: this.attemptsLeft > 0 ? 'max_requests' : 'max_attempts' }
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

/**
 * Tells "the same request again": hashes of a call's request, as it is sent, with the target it is
 * sent to. Neither its `payload` nor its key has a part in them, since the steps of one job may
 * share these and are different requests. Made when first asked for: most calls need none.
 */
export class Fingerprints {
  readonly #task: Pick<Task<never>, 'identify'>
  #made: RequestHashes | undefined

  constructor(task: Pick<Task<never>, 'identify'>) {
    this.#task = task
  }

  /** Of the request at each of the call's targets; none where it is unknown what is sent. */
  get each(): readonly string[] {
    return this.#all().each
  }

  /** Of the call with all targets that it may go to; undefined where it is unknown what is sent. */
  get whole(): string | undefined {
    return this.#all().whole
  }

  #all(): RequestHashes {
    this.#made ??= made(this.#task)
    return this.#made
  }
}

interface RequestHashes {
  readonly each: readonly string[]
  readonly whole: string | undefined
}

const NONE: RequestHashes = { each: [], whole: undefined }

function made(task: Pick<Task<never>, 'identify'>): RequestHashes {
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
