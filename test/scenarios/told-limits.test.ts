import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { type AttemptReport, callReport } from '../../src/index.ts'
import { type Fault, rateLimited, slow } from '../../src/testing/index.ts'
import { patientClock } from '../support/patient-clock.ts'
import { ask, person, rejection, setUp } from '../support/set-up.ts'

/** A provider that takes so many requests in a window, and says so with each answer. */
class Windowed implements Fault {
  readonly name = 'windowed'
  readonly refusedAtMs: number[] = []
  readonly takenAtMs: number[] = []
  readonly #limit: number
  #left: number
  #endsAtMs: number

  /** `left`: of the window under way, which ends in `endsInMs`. The next ones last a minute. */
  constructor(limit: number, left: number, endsInMs: number) {
    this.#limit = limit
    this.#left = left
    this.#endsAtMs = patientClock.monotonicMs() + endsInMs
  }

  get endsAtMs(): number {
    return this.#endsAtMs
  }

  apply: Fault['apply'] = (exchange) => {
    const nowMs = patientClock.monotonicMs()
    if (nowMs >= this.#endsAtMs) {
      this.#left = this.#limit
      this.#endsAtMs += 60_000
    }
    const isTaken = this.#left > 0
    if (isTaken) this.#left -= 1
    this[isTaken ? 'takenAtMs' : 'refusedAtMs'].push(nowMs)
    const { response } = exchange
    response.setHeader('x-ratelimit-limit', String(this.#limit))
    response.setHeader('x-ratelimit-remaining', String(this.#left))
    response.setHeader('x-ratelimit-reset', ((this.#endsAtMs - nowMs) / 1_000).toFixed(6))
    if (isTaken) return exchange.complete()
    return exchange.json(429, { error: { message: 'Slow down', type: 'requests', code: null } })
  }
}

const TEN = Array.from({ length: 10 }, (_, index) => ask(`call ${index}`))

describe('what a provider says of its limits in headers', () => {
  it('holds calls until the window ends, so that none of them is refused', async () => {
    const provider = new Windowed(20, 1, 600)
    const { llm, server } = await setUp({ perCall: () => [provider] })
    await llm.chat.completions.create(ask('the last one of the window'))
    const endsAtMs = provider.endsAtMs
    const answers = await Promise.all(TEN.map((params) => llm.chat.completions.create(params)))
    expect(server.requests).toHaveLength(11)
    expect(provider.refusedAtMs).toEqual([])
    expect(Math.min(...provider.takenAtMs.slice(1))).toBeGreaterThanOrEqual(endsAtMs)
    for (const answer of answers) {
      expect(callReport(answer)?.attempts).toMatchObject([{ number: 1, waits: [{ for: 'limit' }] }])
    }
  })

  it("lets them go at once under limits: 'off'", async () => {
    const provider = new Windowed(20, 1, 600)
    const { llm, server } = await setUp(
      { perCall: () => [provider] },
      { limits: 'off', maxRequests: 1 },
    )
    await llm.chat.completions.create(ask('the last one of the window'))
    const refused = await rejection(llm.chat.completions.create(ask('one more')))
    expect(refused).toMatchObject({ status: 429 })
    expect(server.requests).toHaveLength(2)
  })

  it('ends a call that cannot wait so long as the refusal would that it has been spared', async () => {
    const provider = new Windowed(20, 1, 60_000)
    const { llm, server } = await setUp({ perCall: () => [provider] }, { maxWaitMs: 50 })
    await llm.chat.completions.create(ask('the last one of the window'))
    const error = await rejection(llm.chat.completions.create(ask('one more')))
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(error).toMatchObject({ status: 429 })
    expect(callReport(error)).toMatchObject({ attempts: [] })
    expect(server.requests).toHaveLength(1)
  })
})

describe('a bound on tokens by hand', () => {
  it('counts what requests have really used: create, json and streams', async () => {
    const { llm, server } = await setUp({}, { limits: { tokensPerMinute: 600_000 } })
    const max_tokens = 9_000
    const attempts: AttemptReport[] = []
    for (let index = 0; index < 10; index++) {
      const made = await llm.chat.completions.create({ ...ask(`create ${index}`), max_tokens })
      const value = await llm.json({ ...ask(`json ${index}`), schema: person, max_tokens })
      const stream_options = { include_usage: true }
      const streamed = {
        ...ask(`stream ${index}`),
        max_tokens,
        stream: true,
        stream_options,
      } as const
      for await (const chunk of await llm.chat.completions.create(streamed)) void chunk
      attempts.push(...(callReport(made)?.attempts ?? []), ...value.attempts)
    }
    // Each was thought to use nearly all that a second brings.
    expect(server.requests).toHaveLength(30)
    expect(attempts).toHaveLength(20)
    for (const attempt of attempts) expect(attempt).not.toHaveProperty('waits')
  })

  it('counts an answer at its own limit until it has come', async () => {
    const { llm } = await setUp({ perCall: [slow(40)] }, { limits: { tokensPerMinute: 240_000 } })
    const max_tokens = 3_500
    const first = llm.chat.completions.create({ ...ask('first'), max_tokens })
    const second = llm.chat.completions.create({ ...ask('second'), max_tokens })
    const answers = await Promise.all([first, second])
    expect(callReport(answers[0])?.attempts[0]).not.toHaveProperty('waits')
    expect(callReport(answers[1])?.attempts[0]).toMatchObject({ waits: [{ for: 'limit' }] })
  })

  it('counts nothing for a request that was refused', async () => {
    const refusal = rateLimited({ retryAfterMs: 1 })
    const { llm, server } = await setUp(
      { perCall: Array.from({ length: 9 }, () => refusal) },
      { limits: { tokensPerMinute: 36_000 } },
    )
    const answer = await llm.chat.completions.create({ ...ask('again'), max_tokens: 3_500 })
    expect(server.requests).toHaveLength(10)
    // A debt of as many tokens would be one of six seconds.
    for (const { waits = [] } of callReport(answer)?.attempts ?? []) {
      for (const { ms } of waits) expect(ms).toBeLessThan(3_000)
    }
  })
})
