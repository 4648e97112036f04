const BUCKETS = 10

interface Bucket {
  /** Which interval of the clock it counts. */
  readonly interval: number
  calls: number
  failures: number
  /** When its first failure was counted; Infinity while there is none. */
  firstFailureMs: number
}

/**
 * Results of the last ten intervals. A bucket's age is judged when it is read, never by a timer
 * or by the number of calls since: after an idle hour nothing in it counts.
 */
export class ResultWindow {
  readonly #bucketMs: number
  #buckets: Bucket[] = []

  constructor(windowMs: number) {
    this.#bucketMs = windowMs / BUCKETS
  }

  count(failed: boolean, nowMs: number): void {
    const bucket = this.#current(nowMs)
    bucket.calls += 1
    if (!failed) return
    if (bucket.failures === 0) bucket.firstFailureMs = nowMs
    bucket.failures += 1
  }

  read(nowMs: number): Readonly<Omit<Bucket, 'interval'>> {
    const oldest = Math.floor(nowMs / this.#bucketMs) - BUCKETS
    let calls = 0
    let failures = 0
    let firstFailureMs = Infinity
    for (const bucket of this.#buckets) {
      if (bucket.interval <= oldest) continue
      calls += bucket.calls
      failures += bucket.failures
      if (bucket.firstFailureMs < firstFailureMs) firstFailureMs = bucket.firstFailureMs
    }
    return { calls, failures, firstFailureMs }
  }

  clear(): void {
    this.#buckets = []
  }

  #current(nowMs: number): Bucket {
    const interval = Math.floor(nowMs / this.#bucketMs)
    const newest = this.#buckets.at(-1)
    if (newest !== undefined && newest.interval === interval) return newest
    const bucket: Bucket = { interval, calls: 0, failures: 0, firstFailureMs: Infinity }
    this.#buckets.push(bucket)
    if (this.#buckets.length > BUCKETS) this.#buckets.shift()
    return bucket
  }
}
