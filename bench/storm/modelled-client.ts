import { type Client, type ClientRequest, type Ended, send } from './client.ts'

/** One layer of retries, as a library makes them. */
export interface Layer {
  /** Calls of what is inside it, the first included. */
  readonly attempts: number
  /** Milliseconds before the retry number `retry`, from 1; undefined: no retry. */
  delayMs(retry: number, failure: Failed, random: () => number): number | undefined
}

/** Why an attempt failed. */
export interface Failed {
  readonly status: 429 | 500 | 503 | 'timeout' | 'malformed'
  readonly hintMs: number | undefined
}

/** A retry quota, one per client. */
export interface Quota {
  readonly capacity: number
  cost(failure: Failed): number
  readonly depositPerSuccess: number
}

export interface ModelledPolicy {
  /** Innermost first. None: no retries. */
  readonly layers: readonly Layer[]
  readonly quota?: Quota
  /** After the last retry everything is tried again with the second provider. */
  readonly fallsBack?: boolean
}

/** A client that retries as somebody else's library does. It asks a model again without its errors. */
export class ModelledClient implements Client {
  readonly #request: ClientRequest
  readonly #policy: ModelledPolicy
  #quota: number

  constructor(request: ClientRequest, policy: ModelledPolicy) {
    this.#request = request
    this.#policy = policy
    this.#quota = policy.quota?.capacity ?? 0
  }

  call(done: (end: { ok: boolean; attempts: number }) => void): void {
    let attempts = 0
    const onAttempt = () => {
      attempts += 1
    }
    const outermost = this.#policy.layers.length - 1
    this.#layer(outermost, 0, onAttempt, (failure) => {
      if (failure === undefined || !this.#fallsBack()) {
        done({ ok: failure === undefined, attempts })
        return
      }
      this.#layer(outermost, 1, onAttempt, (second) => done({ ok: second === undefined, attempts }))
    })
  }

  /** Makes the attempts of one layer: each a whole run of the layer below. */
  #layer(
    index: number,
    provider: number,
    onAttempt: () => void,
    done: (failure: Failed | undefined) => void,
  ): void {
    const layer = this.#policy.layers[index]
    if (layer === undefined) {
      this.#send(provider, onAttempt, done)
      return
    }
    const { time, random } = this.#request
    let lastCost = 0
    const attempt = (number: number) =>
      this.#layer(index - 1, provider, onAttempt, (failure) => {
        if (failure === undefined) {
          this.#earn(number === 1 ? undefined : lastCost)
          done(undefined)
          return
        }
        const delayMs = number < layer.attempts ? layer.delayMs(number, failure, random) : undefined
        const cost = this.#policy.quota?.cost(failure) ?? 0
        if (delayMs === undefined || cost > this.#quota) {
          done(failure)
          return
        }
        this.#quota -= cost
        lastCost = cost
        time.after(delayMs, () => attempt(number + 1))
      })
    attempt(1)
  }

  /** A success without a retry earns; one after a retry gets back what its last retry cost. */
  #earn(refund: number | undefined): void {
    const { quota } = this.#policy
    if (quota === undefined) return
    const earned = refund ?? quota.depositPerSuccess
    this.#quota = Math.min(this.#quota + earned, quota.capacity)
  }

  #send(
    provider: number,
    onAttempt: () => void,
    done: (failure: Failed | undefined) => void,
  ): void {
    const { time, attemptTimeoutMs } = this.#request
    onAttempt()
    send(time, this.#request.provider(provider), attemptTimeoutMs, (ended) => {
      const restMs = ended === 'timeout' ? 0 : (ended.restMs ?? 0)
      if (restMs === 0) done(failureOf(ended))
      else time.after(restMs, () => done(failureOf(ended)))
    })
  }

  #fallsBack(): boolean {
    return this.#policy.fallsBack === true && this.#request.hasSecond
  }
}

function failureOf(ended: Ended): Failed | undefined {
  if (ended === 'timeout') return { status: 'timeout', hintMs: undefined }
  const { status, retryAfterMs, malformed } = ended
  if (status === 200) return malformed ? { status: 'malformed', hintMs: undefined } : undefined
  return { status, hintMs: retryAfterMs }
}
