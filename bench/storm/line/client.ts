import type { CallEnd, Client, ClientRequest } from '../client.ts'
import { type Ended, send } from '../client.ts'
import { type End, Line } from './line.ts'
import type { Sign } from './signs.ts'

// As `json` will have them.
const MOST_ATTEMPTS = 3
const MOST_REQUESTS = 12
const PATIENCE_MS = 90_000

/** The calls of one process, whose requests go through the candidate line. */
export class LineClient implements Client {
  readonly #request: ClientRequest
  readonly #line: Line
  #calls = 0

  constructor(request: ClientRequest) {
    this.#request = request
    this.#line = new Line(request.time.clock, request.random)
  }

  call(done: (end: CallEnd) => void): void {
    this.#calls += 1
    void this.#play(this.#calls).then(done)
  }

  async #play(order: number): Promise<CallEnd> {
    const { time } = this.#request
    const deadlineMs = time.nowMs + 600_000
    let waitedMs = 0
    let requests = 0
    let attempts = 0
    let notBeforeMs = 0
    let paying = false
    for (;;) {
      const begunMs = time.nowMs
      const wish = {
        order,
        requests,
        notBeforeMs,
        latestMs: Math.min(begunMs + PATIENCE_MS - waitedMs, deadlineMs - 250),
        paying,
        nested: false,
        bulk: false,
      }
      if (notBeforeMs > wish.latestMs) return { ok: false, attempts: requests }
      const ticket = this.#line.enter(wish) || (await this.#line.wait(wish))
      waitedMs += time.nowMs - begunMs
      if (typeof ticket === 'string') return { ok: false, attempts: requests }
      requests += 1
      const sentAtMs = time.nowMs
      const ended = await this.#send(deadlineMs)
      time.wake()
      const sign = signOf(ended)
      const hintMs = ended === 'timeout' ? 0 : (ended.retryAfterMs ?? 0)
      const end: End = { ticket, sentAtMs, sign, hintMs, paid: paying }
      this.#line.ended(end)
      this.#line.left()
      if (sign === 'success') return { ok: true, attempts: requests }
      if (sign === 'slow' || sign === 'error') attempts += 1
      if (attempts >= MOST_ATTEMPTS || requests >= MOST_REQUESTS) {
        return { ok: false, attempts: requests }
      }
      paying = sign === 'slow' || sign === 'error'
      const tookMs = time.nowMs - sentAtMs
      notBeforeMs = time.nowMs + this.#backoffMs(sign, requests, attempts, tookMs, hintMs)
    }
  }

  #backoffMs(
    sign: Sign,
    requests: number,
    attempts: number,
    tookMs: number,
    hintMs: number,
  ): number {
    const { random } = this.#request
    if (hintMs > 0) return hintMs
    if (sign === 'slow')
      return Math.min(500 * 2 ** attempts, 4_000) * random() + tookMs * (0.5 + random())
    if (sign === 'error') return Math.min(500 * 2 ** attempts, 4_000) * random()
    if (this.#line.isDown) return 250 * 1.6 ** requests * (0.75 + random() / 4)
    return Math.min(250 * 2 ** requests, 5_000) * random()
  }

  #send(deadlineMs: number): Promise<Ended> {
    const { time, attemptTimeoutMs } = this.#request
    return new Promise((resolve) => {
      const timeoutMs = Math.min(attemptTimeoutMs, deadlineMs - time.nowMs)
      send(time, this.#request.provider(0), timeoutMs, (ended) => {
        time.wake()
        resolve(ended)
      })
    })
  }
}

function signOf(ended: Ended): Sign {
  if (ended === 'timeout') return 'slow'
  if (ended.status === 200) return 'success'
  return ended.status === 429 ? 'limited' : ended.status === 503 ? 'refused' : 'error'
}
