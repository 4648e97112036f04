import { hash, randomUUID } from 'node:crypto'
import { canonicalJsonAsSent, canonicalPayload } from '../idempotency/canonical-json.ts'
import { deriveKeyOfJson, fingerprintOfJson, storedKey } from '../idempotency/key.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { type Runtime, warnOnce } from './runtime.ts'
import { isFunction, type Task } from './task.ts'

/** The namespace of a client's keys. */
export interface KeySpace {
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
  const fingerprint = fingerprintOfJson(json, withoutUndefined({ keySecret }))
  if (given !== undefined) return keyOf(task, space, given, fingerprint)
  if (options.occurrence === undefined) warnOfSampling(task, runtime)
  const text = deriveKeyOfJson(
    operation,
    `[${json},${options.occurrence ?? 0}]`,
    withoutUndefined({ tenant, keySecret }),
  )
  return keyOf(task, space, text, fingerprint)
}

/**
 * What the caller gave, told apart by the form in which the result is kept: a function's under the
 * same name and key must never be taken for a completion, nor that for a stream.
 */
function boundPayload<T>({ once, face }: Task<T>, payload: unknown): string {
  const form = isFunction(face) ? 'function' : once === undefined ? 'completion' : 'stream'
  return `["${form}",${canonicalPayload(payload)}]`
}

function keyOf<T>(
  { operation }: Task<T>,
  { tenant, keySecret }: KeySpace,
  text: string,
  fingerprint?: string,
): CallKey {
  return new OwnKey(
    { operation, key: text, ...withoutUndefined({ tenant, keySecret }) },
    fingerprint,
  )
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

function warnOfSampling<T>({ telemetry, face }: Task<T>, runtime: Runtime): void {
  if (face === 'run' || face === 'guard' || telemetry?.temperature === 0) return
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
