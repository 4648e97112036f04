import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRuntime, isCallError } from '../../src/index.ts'
import { type Slot, Slots } from '../../src/retry/slots.ts'
import { slow, virtualClock } from '../../src/testing/index.ts'
import { ask, rejection, setUp } from '../support/set-up.ts'

describe('a concurrency limit', () => {
  it('never has more in flight than allowed, first come first served, whatever leaves and when', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 5 }),
        fc.array(fc.tuple(fc.constantFrom('arrive', 'release', 'abort'), fc.nat(20)), {
          maxLength: 60,
          size: 'max',
        }),
        async (maxInFlight, maxQueued, actions) => {
          const crowd = new Crowd(maxInFlight, maxQueued)
          for (const [action, index] of actions) {
            await crowd[action](index)
            await settle()
            crowd.check()
          }
          await crowd.goHome()
        },
      ),
      { numRuns: 200 },
    )
  })

  it('has no timer and no listener left of one who got a place, left or waited too long', async () => {
    const clock = virtualClock()
    const slots = new Slots({ maxInFlight: 1, maxWaitMs: 1_000 }, clock)
    const first = slots.tryAcquire()
    const leaver = new AbortController()
    const waits = [
      slots.acquire(Infinity, undefined),
      slots.acquire(Infinity, leaver.signal),
      slots.acquire(400, undefined),
    ]
    leaver.abort()
    expect(await waits[1]).toBe('aborted')
    await clock.advance(400)
    expect(await waits[2]).toBe('waited too long')
    first?.release()
    expect(await waits[0]).toMatchObject({ release: expect.any(Function) })
    expect(clock.pending).toBe(0)
    expect(slots.queued).toBe(0)
  })

  it('keeps all calls of a target within it, over real sockets, and all succeed', async () => {
    const { server, llm } = await setUp(
      { perCall: [slow(15)] },
      { concurrency: { maxInFlight: 3 } },
    )
    let inFlight = 0
    let most = 0
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const done = llm.chat.completions.create(ask(`call ${index}`))
        const status = llm.targets().find(({ target }) => target.includes('gpt-test'))
        inFlight = status?.inFlight ?? 0
        most = Math.max(most, inFlight)
        return done
      }),
    )
    expect(most).toBeLessThanOrEqual(3)
    expect(server.requests).toHaveLength(12)
    expect(llm.targets()[0]).toMatchObject({ inFlight: 0, queued: 0 })
  })

  it('refuses at once what finds the queue full, and says that nothing was sent', async () => {
    const { server, llm } = await setUp(
      { perCall: [slow(50)] },
      { concurrency: { maxInFlight: 1, maxQueued: 0 } },
    )
    const first = llm.json({ ...ask('one'), schema: { type: 'object' } }, { maxReasks: 0 })
    await new Promise((resolve) => setTimeout(resolve, 5))
    const error = await rejection(llm.json({ ...ask('two'), schema: { type: 'object' } }))
    expect(error).toMatchObject({
      kind: 'overloaded',
      reason: 'concurrency_limit',
      code: 'concurrency_limit',
      executed: 'no',
      attempts: [],
      retryable: true,
    })
    expect(String(error)).toContain('concurrency')
    await first.catch(() => {})
    expect(server.requests).toHaveLength(1)
  })

  it('lets a call that waits leave at once when it is aborted', async () => {
    const runtime = createRuntime()
    const { llm } = await setUp({}, { concurrency: 1, runtime })
    const gone = new AbortController()
    let release: () => void = () => {}
    const busy = llm.run('job', () => new Promise<void>((resolve) => (release = resolve)))
    await settle()
    const waiting = llm.run('job', () => 'never', { signal: gone.signal })
    await settle()
    expect(llm.targets()[0]).toMatchObject({ target: 'run job', inFlight: 1, queued: 1 })
    gone.abort(new Error('enough'))
    const error = await rejection(waiting)
    expect(isCallError(error) && error.kind).toBe('aborted')
    expect(llm.targets()[0]).toMatchObject({ inFlight: 1, queued: 0 })
    release()
    await busy
    expect(llm.targets()[0]).toMatchObject({ inFlight: 0, queued: 0 })
  })

  it('fails a call that would wait beyond its deadline', async () => {
    const clock = virtualClock()
    const { llm } = await setUp({}, { concurrency: 1, runtime: createRuntime({ clock }) })
    let release: () => void = () => {}
    const busy = llm.run('job', () => new Promise<void>((resolve) => (release = resolve)))
    await settle()
    const waiting = rejection(llm.run('job', () => 'never', { deadlineMs: 2_000 }))
    await clock.advance(1_750)
    expect(await waiting).toMatchObject({ kind: 'overloaded', reason: 'concurrency_limit' })
    release()
    await busy
    expect(clock.pending).toBe(0)
  })

  it('gives the place of a function that throws to the next', async () => {
    const { llm } = await setUp({}, { concurrency: 1, maxAttempts: 1 })
    const failing = rejection(
      llm.run('job', () => {
        throw new Error('mine')
      }),
    )
    expect(await llm.run('job', () => 'next')).toBe('next')
    expect(await failing).toMatchObject({ kind: 'unknown' })
  })

  it('counts a stream until it has ended', async () => {
    const { llm } = await setUp({}, { concurrency: 1 })
    const stream = await llm.chat.completions.create({ ...ask('stream'), stream: true })
    expect(llm.targets()[0]).toMatchObject({ inFlight: 1 })
    const next = llm.chat.completions.create(ask('after it'))
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).not.toBe('')
    await next
    expect(llm.targets()[0]).toMatchObject({ inFlight: 0, queued: 0 })
  })

  it('hands over to a fallback when the first target has no place', async () => {
    const { server, llm } = await setUp(
      { perCall: [slow(40)] },
      { concurrency: { maxInFlight: 1, maxQueued: 0 }, fallbacks: [{ model: 'gpt-other' }] },
    )
    const answers = await Promise.all([
      llm.chat.completions.create(ask('one')),
      llm.chat.completions.create(ask('two')),
    ])
    expect(answers).toHaveLength(2)
    expect(server.requests.map(({ body }) => body?.model).sort()).toEqual(['gpt-other', 'gpt-test'])
  })
})

/** Callers of one limit, with a list of who is in and who waits to hold against it. */
class Crowd {
  readonly #slots: Slots
  readonly #maxInFlight: number
  readonly #maxQueued: number
  readonly #inFlight: Slot[] = []
  readonly #queue: { readonly order: number; readonly abort: AbortController }[] = []
  readonly #admitted: number[] = []
  #arrivals = 0

  constructor(maxInFlight: number, maxQueued: number) {
    this.#maxInFlight = maxInFlight
    this.#maxQueued = maxQueued
    this.#slots = new Slots({ maxInFlight, maxQueued }, virtualClock())
  }

  async arrive(): Promise<void> {
    const entry = { order: this.#arrivals++, abort: new AbortController() }
    const isFull =
      this.#inFlight.length >= this.#maxInFlight && this.#queue.length >= this.#maxQueued
    this.#queue.push(entry)
    const outcome = this.#slots.acquire(Infinity, entry.abort.signal).then((got) => {
      this.#queue.splice(this.#queue.indexOf(entry), 1)
      if (typeof got === 'string') return got
      this.#admitted.push(entry.order)
      this.#inFlight.push(got)
      return 'admitted'
    })
    if (isFull) expect(await outcome).toBe('queue full')
  }

  async release(index: number): Promise<void> {
    const [slot] = this.#inFlight.splice(index % Math.max(this.#inFlight.length, 1), 1)
    slot?.release()
    // A second time counts for nothing.
    slot?.release()
  }

  async abort(index: number): Promise<void> {
    this.#queue[index % Math.max(this.#queue.length, 1)]?.abort.abort()
  }

  check(): void {
    expect(this.#slots.inFlight).toBe(this.#inFlight.length)
    expect(this.#slots.inFlight).toBeLessThanOrEqual(this.#maxInFlight)
    expect(this.#slots.queued).toBe(this.#queue.length)
    // Nobody waits while there is room, and nobody is overtaken.
    if (this.#queue.length > 0) expect(this.#slots.inFlight).toBe(this.#maxInFlight)
    expect(this.#admitted).toEqual(this.#admitted.toSorted((a, b) => a - b))
  }

  async goHome(): Promise<void> {
    while (this.#queue.length > 0 || this.#inFlight.length > 0) {
      await this.abort(0)
      await this.release(0)
      await settle()
    }
    expect([this.#slots.inFlight, this.#slots.queued]).toEqual([0, 0])
  }
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
