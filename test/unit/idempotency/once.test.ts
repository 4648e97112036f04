import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { CallError } from '../../../src/errors/call-error.ts'
import type { Store } from '../../../src/idempotency/store.ts'
import { memoryStore } from '../../../src/stores/memory-store.ts'
import { answerOf, latestJob as job, peek, settle, setUp, World, withVerbs } from './harness.ts'

const rejections: unknown[] = []
const onRejection = (reason: unknown) => rejections.push(reason)
process.on('unhandledRejection', onRejection)

afterEach(async () => {
  await settle()
  expect(rejections.splice(0)).toEqual([])
})

describe('once, within one process', () => {
  it('runs the work once for 200 callers and gives all of them the one result', async () => {
    const { world, here } = setUp()
    const calls = Array.from({ length: 200 }, () => here.call())
    await settle()
    expect(world.work).toHaveLength(1)
    await job(world).dispatch()
    job(world).succeed('answer')
    const results = await Promise.all(calls)
    expect(results[0]).toEqual({ value: 'answer', source: 'provider', persisted: true })
    for (const result of results.slice(1)) {
      expect(result).toEqual({ value: 'answer', source: 'shared', persisted: true })
    }
    expect(world.work).toHaveLength(1)
    expect(world.clock.armedTimers).toBe(0)
    expect(here.flights.size).toBe(0)
  })

  it('replays a stored result and does no work', async () => {
    const { world, here } = setUp()
    await finished(world, here.call())
    expect(await here.call()).toEqual({ value: 'answer', source: 'store', persisted: true })
    expect(world.work).toHaveLength(1)
  })

  it('gives the key away again when the result has expired', async () => {
    const { world, here } = setUp()
    await finished(world, here.call({ ttlMs: 1_000 }))
    await world.clock.advance(1_000)
    const again = here.call()
    await settle()
    expect(world.work).toHaveLength(2)
    job(world).succeed('new')
    expect(await again).toMatchObject({ value: 'new', source: 'provider' })
  })

  it('does not mix two stores that are asked for the same key', async () => {
    const { world, here } = setUp()
    const other = memoryStore({ clock: world.clock })
    const calls = [here.call(), here.call({ store: other })]
    await settle()
    expect(world.work).toHaveLength(2)
    for (const one of world.work) one.succeed('answer')
    await Promise.all(calls)
  })

  it('refuses another payload under a key in flight at once, and disturbs nobody', async () => {
    const { world, here } = setUp()
    const call = here.call()
    const other = here.call({ fingerprint: 'another', idempotencyKey: 'order-1' })
    expect(await peek(other)).toEqual({ failed: 'idempotency_mismatch', source: 'provider' })
    await expect(other).rejects.toMatchObject({ idempotencyKey: 'order-1', executed: 'no' })
    await finished(world, call)
  })

  it('refuses another payload under a stored key', async () => {
    const { world, here } = setUp()
    await finished(world, here.call())
    const other = here.call({ fingerprint: 'another' })
    expect(await answerOf(other)).toMatchObject({ failed: 'idempotency_mismatch' })
    expect(world.work).toHaveLength(1)
  })

  it('lets one caller abort without disturbing the others, even the one whose work runs', async () => {
    const { world, here } = setUp()
    const aborting = new AbortController()
    const first = here.call({ signal: aborting.signal })
    const second = here.call()
    await settle()
    aborting.abort(new Error('enough'))
    expect(await answerOf(first)).toEqual({ failed: 'aborted', source: 'provider' })
    await expect(first).rejects.toMatchObject({ cause: new Error('enough') })
    expect(job(world).flight.signal.aborted).toBe(false)
    job(world).succeed('answer')
    expect(await second).toEqual({ value: 'answer', source: 'shared', persisted: true })
  })

  it('aborts the work with the last caller’s reason, and frees the key', async () => {
    const { world, here } = setUp()
    const [one, two] = [new AbortController(), new AbortController()]
    const calls = [here.call({ signal: one.signal }), here.call({ signal: two.signal })]
    await settle()
    one.abort()
    await settle()
    expect(job(world).flight.signal.aborted).toBe(false)
    two.abort('last')
    await settle()
    expect(job(world).flight.signal.reason).toBe('last')
    await Promise.allSettled(calls)
    const again = here.call()
    await settle()
    expect(world.work).toHaveLength(2)
    await finished(world, again)
  })

  it('gives a lone caller who aborts the error of his own work', async () => {
    const { here } = setUp()
    const aborting = new AbortController()
    const call = here.call({ signal: aborting.signal })
    await settle()
    aborting.abort()
    await expect(call).rejects.toMatchObject({ kind: 'aborted', message: 'own' })
  })

  it('lets a caller go 50 ms after his abort when the work ignores its signal', async () => {
    const { world, here } = setUp()
    const aborting = new AbortController()
    const call = here.call({ signal: aborting.signal, work: () => new Promise(() => {}) })
    await settle()
    aborting.abort('enough')
    await world.clock.advance(49)
    expect(await peek(call)).toBe('pending')
    await world.clock.advance(1)
    expect(await peek(call)).toMatchObject({ failed: 'aborted' })
  })

  it('starts again for who joins work that is dying of an abort, whatever it says of its end', async () => {
    const { world, here } = setUp()
    const aborting = new AbortController()
    let die: () => void = () => {}
    const first = here.call({
      signal: aborting.signal,
      work: () =>
        new Promise((resolve) => {
          const notice = { kind: 'network' as const }
          die = () => resolve({ ok: false, error: 'cut', disposition: 'release', notice })
        }),
    })
    await settle()
    aborting.abort()
    await settle()
    const [second, other] = [here.call(), here.call({ fingerprint: 'another' })]
    die()
    expect(await answerOf(first)).toEqual({ failed: 'cut' })
    await finished(world, second)
    expect(await answerOf(other)).toMatchObject({ failed: 'idempotency_mismatch' })
  })

  it('leaves the signals of its callers and of finished work alone', async () => {
    const { world, here } = setUp()
    const { signal } = new AbortController()
    const calls = [here.call({ signal }), here.call({ signal })]
    await settle()
    expect(getEventListeners(signal, 'abort')).toHaveLength(2)
    job(world).succeed('answer')
    await Promise.all(calls)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(job(world).flight.signal.aborted).toBe(false)
  })

  it('does nothing for a caller who has aborted already or has no time left', async () => {
    const { world, here } = setUp()
    const signal = AbortSignal.abort('early')
    expect(await answerOf(here.call({ signal }))).toMatchObject({ failed: 'aborted' })
    expect(await answerOf(here.call({ deadlineMs: 0 }))).toMatchObject({ failed: 'deadline' })
    expect(world.work).toHaveLength(0)
  })

  it('runs under the latest deadline of those who are still waiting', async () => {
    const { world, here } = setUp()
    const aborting = new AbortController()
    const short = here.call({ deadlineMs: 1_000 })
    const long = here.call({ deadlineMs: 9_000, signal: aborting.signal })
    const middle = here.call({ deadlineMs: 5_000 })
    await settle()
    expect(job(world).flight.deadline.remainingMs()).toBe(9_000)
    aborting.abort()
    await answerOf(long)
    expect(job(world).flight.deadline.remainingMs()).toBe(5_000)
    await world.clock.advance(1_000)
    // Its work goes on for the other one.
    expect(await peek(short)).toEqual({ failed: 'deadline', source: 'provider' })
    expect(job(world).flight.signal.aborted).toBe(false)
    await world.clock.advance(3_999)
    expect(await peek(middle)).toBe('pending')
    await world.clock.advance(1)
    expect(await peek(middle)).toEqual({ failed: 'deadline', source: 'provider' })
    await world.clock.advance(0)
    expect(job(world).flight.signal.aborted).toBe(true)
  })

  it('gives a lone caller past his deadline what his work says of it', async () => {
    const { world, here } = setUp()
    const call = here.call({ deadlineMs: 1_000 })
    await settle()
    const running = job(world)
    world.clock.schedule(1_000, () => running.fail('deadline'))
    await world.clock.advance(1_000)
    await expect(call).rejects.toMatchObject({ kind: 'deadline', message: 'own' })
  })

  it.each(['aborted', 'deadline', 'multiplied_retries'] as const)(
    'never passes on %s: one of those with time left starts again',
    async (kind) => {
      const { world, here } = setUp()
      const calls = [here.call(), here.call(), here.call()]
      await settle()
      job(world).fail(kind)
      await settle()
      expect(world.work).toHaveLength(2)
      job(world).succeed('answer')
      expect(await Promise.all(calls.map(answerOf))).toEqual([
        { failed: kind, source: 'provider' },
        { value: 'answer', source: 'provider', persisted: true },
        { value: 'answer', source: 'shared', persisted: true },
      ])
    },
  )

  it('shares other failures with those who waited, and runs again for who comes later', async () => {
    const { world, here } = setUp()
    const calls = [here.call(), here.call()]
    await settle()
    job(world).fail('server_error')
    expect(await Promise.all(calls.map(answerOf))).toEqual([
      { failed: 'server_error', source: 'provider' },
      { failed: 'server_error', source: 'shared' },
    ])
    const later = here.call()
    await settle()
    expect(world.work).toHaveLength(2)
    await finished(world, later)
  })

  it('tells those who get another’s failure what may have been done', async () => {
    const { world, here } = setUp()
    const notice = { kind: 'context_length', status: 400, executed: 'yes' } as const
    const work = async () => ({ ok: false, error: 'own', disposition: 'keep', notice }) as const
    const calls = [here.call({ work }), here.call()]
    await Promise.allSettled(calls)
    await expect(calls[1]).rejects.toMatchObject({ executed: 'yes', source: 'shared' })
    await expect(here.call()).rejects.toMatchObject({ executed: 'yes', source: 'store' })
    expect(world.work).toHaveLength(0)
  })

  it('keeps a permanent refusal for ten minutes', async () => {
    const { world, here } = setUp()
    const call = here.call()
    await settle()
    job(world).fail('context_length', 'keep')
    await answerOf(call)
    await world.clock.advance(599_999)
    expect(await answerOf(here.call())).toEqual({ failed: 'context_length', source: 'store' })
    await world.clock.advance(1)
    const later = here.call()
    await settle()
    expect(world.work).toHaveLength(2)
    await finished(world, later)
  })

  it('answers outcome_unknown until an operator resolves an uncertain key', async () => {
    const { world, here } = setUp()
    const call = here.call({ onUncertain: 'fail' })
    await settle()
    job(world).fail('outcome_unknown', 'uncertain')
    await answerOf(call)
    expect(await answerOf(here.call())).toEqual({ failed: 'outcome_unknown', source: 'store' })
    await world.store.resolve('k'.repeat(64), { ok: true, result: '"found"' }, 1_000)
    expect(await here.call()).toMatchObject({ value: 'found', source: 'store' })
    expect(world.work).toHaveLength(1)
  })

  it('shows the work the strictest policy of all who joined', async () => {
    const { world, here } = setUp()
    const calls = [here.call({ onUncertain: 'rerun' })]
    await settle()
    expect(job(world).flight.onUncertain).toBe('rerun')
    calls.push(here.call({ onUncertain: 'fail' }))
    expect(job(world).flight.onUncertain).toBe('fail')
    job(world).succeed('answer')
    await Promise.all(calls)
  })

  it('gives nobody another caller’s value object', async () => {
    const { world, here } = setUp()
    let decodings = 0
    const decode = (result: string) => `${++decodings}:${result}`
    const calls = [here.call({ decode }), here.call({ decode }), here.call({ decode })]
    await settle()
    job(world).succeed('answer')
    const values = (await Promise.all(calls)).map(({ value }) => value)
    expect(values).toEqual(['answer', '1:"answer"', '2:"answer"'])
  })

  it('tells who reads a result where it comes from, as the result does', async () => {
    const { world, here } = setUp()
    const decode = (result: string, source: string) => `${source}: ${result}`
    const calls = [here.call(), here.call({ decode }), world.process().call({ decode })]
    await settle()
    job(world).succeed('answer')
    await world.clock.advance(1_000)
    calls.push(here.call({ decode }))
    expect(await Promise.all(calls)).toEqual([
      { value: 'answer', source: 'provider', persisted: true },
      { value: 'shared: "answer"', source: 'shared', persisted: true },
      { value: 'store: "answer"', source: 'store', persisted: true },
      { value: 'store: "answer"', source: 'store', persisted: true },
    ])
  })

  it('returns a result that has no text, and neither keeps nor shares it', async () => {
    const { world, here } = setUp()
    const encode = () => {
      throw new TypeError('cyclic')
    }
    const calls = [here.call({ encode }), here.call()]
    await settle()
    job(world).succeed('unwritable')
    expect(await calls[0]).toEqual({ value: 'unwritable', source: 'provider', persisted: false })
    await settle()
    job(world).succeed('answer')
    expect(await calls[1]).toMatchObject({ value: 'answer', source: 'provider', persisted: true })
  })

  it('tells who joined under fail that the outcome of such a result is unknown, and of another call', async () => {
    const { world, here } = setUp()
    const encode = () => {
      throw new TypeError('cyclic')
    }
    const own = here.call({ encode, onUncertain: 'fail' })
    const joined = answerOf(here.call())
    await settle()
    job(world).succeed('unwritable')
    expect(await own).toMatchObject({ value: 'unwritable', persisted: false })
    expect(await joined).toEqual({ failed: 'outcome_unknown', source: 'shared' })
    expect(world.work).toHaveLength(1)
  })

  it('says store_unavailable of a stored result that cannot be read, and does not run again', async () => {
    const { world, here } = setUp()
    await finished(world, here.call())
    const decode = () => {
      throw new SyntaxError('garbage')
    }
    expect(await answerOf(here.call({ decode }))).toMatchObject({ failed: 'store_unavailable' })
    expect(world.work).toHaveLength(1)
  })

  it('takes work that rejects for a failure, and for an unknown outcome under fail', async () => {
    const { world, here } = setUp()
    const work = () => Promise.reject(new Error('broke its promise'))
    expect(await answerOf(here.call({ work }))).toEqual({ failed: 'Error: broke its promise' })
    const sent = here.call({
      onUncertain: 'fail',
      work: async ({ dispatch }) => {
        await dispatch()
        throw new Error('broke its promise')
      },
    })
    const joined = here.call()
    await answerOf(sent)
    await expect(joined).rejects.toMatchObject({
      kind: 'outcome_unknown',
      executed: 'maybe',
      source: 'shared',
    })
    expect(await answerOf(here.call())).toMatchObject({ failed: 'outcome_unknown' })
    expect(world.clock.armedTimers).toBe(0)
  })
})

describe('once, across processes', () => {
  it('runs the work once, and gives the others the stored result', async () => {
    const { world, here } = setUp()
    const calls = [here.call(), ...[1, 2, 3].map(() => world.process().call())]
    await settle()
    expect(world.work).toHaveLength(1)
    await world.clock.advance(20_000)
    expect(world.work).toHaveLength(1)
    job(world).succeed('answer')
    await world.clock.advance(1_000)
    const sources = (await Promise.all(calls)).map(({ value, source }) => [value, source])
    expect(sources).toEqual([
      ['answer', 'provider'],
      ['answer', 'store'],
      ['answer', 'store'],
      ['answer', 'store'],
    ])
    expect(world.clock.armedTimers).toBe(0)
  })

  it('keeps a long job’s lease: nobody takes over while its owner lives', async () => {
    const { world, here } = setUp()
    const call = here.call({ deadlineMs: 3_600_000 })
    await settle()
    await job(world).dispatch()
    const other = world.process().call({ deadlineMs: 3_600_000 })
    await world.clock.advance(1_800_000)
    expect(world.work).toHaveLength(1)
    job(world).succeed('answer')
    await world.clock.advance(1_000)
    expect(await call).toMatchObject({ source: 'provider' })
    expect(await other).toMatchObject({ value: 'answer', source: 'store' })
  })

  it('passes a failure on to those who waited for it, elsewhere too, with its hint', async () => {
    const { world, here } = setUp()
    const call = here.call()
    await settle()
    const other = world.process().call()
    await world.clock.advance(100)
    job(world).fail('rate_limit', 'release', 7_000)
    await answerOf(call)
    await world.clock.advance(1_000)
    await expect(other).rejects.toMatchObject({
      kind: 'rate_limit',
      source: 'shared',
      retryAfterMs: 7_000,
    })
    expect(world.work).toHaveLength(1)
  })

  it('never passes on an abort: a process that waited takes the key', async () => {
    const { world, here } = setUp()
    const aborting = new AbortController()
    const call = here.call({ signal: aborting.signal })
    await settle()
    const other = world.process().call()
    await world.clock.advance(100)
    aborting.abort()
    await answerOf(call)
    await world.clock.advance(1_000)
    expect(world.work).toHaveLength(2)
    await finished(world, other)
  })

  it('says in_progress to a caller whose deadline passes while another process has the key', async () => {
    const { world, here } = setUp()
    const call = here.call()
    await settle()
    const other = world.process().call({ deadlineMs: 3_000 })
    await world.clock.advance(2_999)
    expect(await peek(other)).toBe('pending')
    await world.clock.advance(1)
    expect(await peek(other)).toEqual({ failed: 'in_progress', source: 'provider' })
    await finished(world, call)
    expect(world.clock.armedTimers).toBe(0)
  })

  it('asks no more than about once a second while it waits', async () => {
    let claims = 0
    const world = new World((clock) => {
      const store = memoryStore({ clock })
      return withVerbs(store, {
        claim: (request) => {
          claims++
          return store.claim(request)
        },
      })
    })
    const call = world.process().call({ deadlineMs: 600_000 })
    await settle()
    const other = world.process({ random: () => 0.999 }).call({ deadlineMs: 600_000 })
    await world.clock.advance(60_000)
    expect(claims).toBeGreaterThan(55)
    expect(claims).toBeLessThan(70)
    job(world).succeed('answer')
    await world.clock.advance(1_000)
    await Promise.all([call, other])
  })

  it('takes over from an owner that died before sending, once its lease is over', async () => {
    const { world } = setUp()
    await dead(world, false)
    const call = world.process().call({ onUncertain: 'fail', deadlineMs: 60_000 })
    await world.clock.advance(29_000)
    expect(world.work).toHaveLength(0)
    await world.clock.advance(2_000)
    expect(world.work).toHaveLength(1)
    await finished(world, call)
  })

  it('takes over from an owner that died after sending, under rerun', async () => {
    const { world } = setUp()
    await dead(world, true)
    const call = world.process().call()
    await world.clock.advance(31_000)
    expect(world.work).toHaveLength(1)
    await finished(world, call)
  })

  it('never runs again what may have been done, under fail', async () => {
    const { world } = setUp()
    await dead(world, true)
    const call = world.process().call({ onUncertain: 'fail' })
    await world.clock.advance(31_000)
    expect(await peek(call)).toEqual({ failed: 'outcome_unknown', source: 'store' })
    expect(world.work).toHaveLength(0)
  })
})

describe('once, when the lease is lost', () => {
  it('never sends after a pause longer than the lease, and joins who took over', async () => {
    const { world, here } = setUp()
    const paused = here.call()
    await settle()
    const zombie = job(world)
    world.clock.jump(30_000)
    const successor = (await world.store.claim(claimRequest())).state
    expect(successor).toBe('owned')
    await zombie.dispatch()
    expect(zombie.dispatched).toBe('in_progress')
    await world.clock.advance(10_000)
    expect(world.work).toHaveLength(1)
    expect(await peek(paused)).toBe('pending')
  })

  it('never sends when the store denies the dispatch, or allows it too late', async () => {
    const denials = [async () => false, () => new Promise<boolean>((resolve) => (allow = resolve))]
    let allow: (granted: boolean) => void = () => {}
    const { world, here } = setUp((store) => ({
      ...store,
      dispatch: (claim) => denials.shift()?.() ?? store.dispatch(claim),
    }))
    const call = here.call()
    await settle()
    await job(world).dispatch()
    expect(job(world).dispatched).toBe('in_progress')
    await world.clock.advance(1_000)
    expect(world.work).toHaveLength(2)
    const late = job(world).dispatch()
    world.clock.jump(24_000)
    allow(true)
    await late
    expect(job(world).dispatched).toBe('in_progress')
    await world.clock.advance(1_000)
    expect(world.work).toHaveLength(3)
    await job(world).dispatch()
    await finished(world, call)
  })

  it('stops work not yet sent 24 s after the last heartbeat that came through', async () => {
    const { world, here } = setUp(unreachable(['heartbeat']))
    const call = here.call()
    await settle()
    await world.clock.advance(23_999)
    expect(job(world).flight.signal.aborted).toBe(false)
    await world.clock.advance(1)
    expect(job(world).flight.signal.aborted).toBe(true)
    // The claim was still ours: it is given back and taken anew.
    await world.clock.advance(1_000)
    expect(world.work).toHaveLength(2)
    await job(world).dispatch()
    await finished(world, call)
  })

  it("stops work already sent under 'rerun', since somebody may run it again", async () => {
    const { world, here } = setUp(unreachable(['heartbeat']))
    const call = here.call()
    await settle()
    await job(world).dispatch()
    await world.clock.advance(24_000)
    expect(job(world).flight.signal.aborted).toBe(true)
    await world.clock.advance(1_000)
    expect(world.work).toHaveLength(2)
    await finished(world, call)
  })

  it.each([
    ["under 'fail', since nobody runs it again", { onUncertain: 'fail' }],
    ["with 'bypass'", { onStoreError: 'bypass' }],
  ] as const)('lets work already sent finish %s', async (_, changes) => {
    const { world, here } = setUp(unreachable(['heartbeat']))
    const call = here.call(changes)
    await settle()
    await job(world).dispatch()
    await world.clock.advance(29_000)
    expect(job(world).flight.signal.aborted).toBe(false)
    await finished(world, call)
    expect(world.work).toHaveLength(1)
  })

  it('keeps a late result when nobody took over', async () => {
    const { world, here } = setUp(unreachable(['heartbeat']))
    const call = here.call({ onUncertain: 'fail' })
    await settle()
    await job(world).dispatch()
    await world.clock.advance(45_000)
    job(world).succeed('late')
    expect(await call).toEqual({ value: 'late', source: 'provider', persisted: true })
    expect(await here.call()).toMatchObject({ value: 'late', source: 'store' })
  })

  it('returns the stored outcome instead of its own late one when somebody took over', async () => {
    const { world, here } = setUp()
    const call = here.call()
    const joined = here.call()
    await settle()
    await job(world).dispatch()
    world.clock.jump(30_000)
    await takeOverAndStore(world.store, '"theirs"')
    job(world).succeed('ours')
    const stored = { value: 'theirs', source: 'store', persisted: true }
    expect(await Promise.all([call, joined])).toEqual([stored, stored])
  })

  it('returns its own result unpersisted when somebody who took over is still at work', async () => {
    const { world, here } = setUp()
    const call = here.call()
    await settle()
    await job(world).dispatch()
    world.clock.jump(30_000)
    await world.store.claim(claimRequest())
    job(world).succeed('ours')
    expect(await call).toEqual({ value: 'ours', source: 'provider', persisted: false })
  })

  it('stores its own late result when the record is gone', async () => {
    const { world, here } = setUp()
    const call = here.call({ ttlMs: 35_000 })
    await settle()
    await job(world).dispatch()
    world.clock.jump(36_000)
    job(world).succeed('ours')
    expect(await call).toEqual({ value: 'ours', source: 'provider', persisted: true })
    expect(await here.call()).toMatchObject({ value: 'ours', source: 'store' })
  })

  it('does not send again for a retry when the claim was lost meanwhile', async () => {
    const { world, here } = setUp()
    const call = here.call({ onUncertain: 'fail' })
    await settle()
    const zombie = job(world)
    await zombie.dispatch()
    // The provider refused the first attempt: nothing has been done yet.
    zombie.dispatched = 'no'
    world.clock.jump(31_000)
    await zombie.dispatch()
    expect(zombie.dispatched).toBe('in_progress')
    await world.clock.advance(1_000)
    await finished(world, call)
  })
})

describe('once, when the store is down', () => {
  it("sends nothing and says store_unavailable, under 'fail'", async () => {
    const { world, here } = setUp(unreachable(['claim']))
    const calls = [here.call(), here.call()]
    for (const call of calls) {
      await expect(call).rejects.toMatchObject({
        kind: 'store_unavailable',
        executed: 'no',
        cause: new Error('claim: ECONNREFUSED'),
      })
    }
    const [one, other] = await Promise.all(calls.map((call) => call.catch((error) => error)))
    expect(one).not.toBe(other)
    expect(world.work).toHaveLength(0)
    expect(world.clock.armedTimers).toBe(0)
  })

  it("runs unprotected under 'bypass', still once for all callers of the process", async () => {
    const { world, here } = setUp(unreachable(['claim']))
    const calls = [here.call({ onStoreError: 'bypass' }), here.call({ onStoreError: 'bypass' })]
    await settle()
    expect(world.work).toHaveLength(1)
    await job(world).dispatch()
    job(world).succeed('answer')
    expect(await Promise.all(calls)).toEqual([
      { value: 'answer', source: 'provider', persisted: false },
      { value: 'answer', source: 'shared', persisted: false },
    ])
  })

  it("does not send when the dispatch cannot be marked, under 'fail'", async () => {
    const { world, here } = setUp(unreachable(['dispatch']))
    const call = here.call()
    await settle()
    await job(world).dispatch()
    expect(job(world).dispatched).toBe('store_unavailable')
    await expect(call).rejects.toMatchObject({ kind: 'store_unavailable', executed: 'no' })
    expect((await world.store.claim(claimRequest())).state).toBe('owned')
  })

  it("sends although the dispatch cannot be marked, under 'bypass'", async () => {
    const { world, here } = setUp(unreachable(['dispatch']))
    const call = here.call({ onStoreError: 'bypass' })
    await settle()
    await job(world).dispatch()
    expect(job(world).dispatched).toBe('yes')
    await finished(world, call)
  })

  it('returns a paid result that cannot be stored, after one more try', async () => {
    let tries = 0
    const world = new World((clock) =>
      withVerbs(memoryStore({ clock }), {
        complete: async () => {
          tries++
          throw new Error('down')
        },
      }),
    )
    const here = world.process()
    const calls = [here.call(), here.call()]
    await settle()
    job(world).succeed('answer')
    expect(await Promise.all(calls)).toEqual([
      { value: 'answer', source: 'provider', persisted: false },
      { value: 'answer', source: 'shared', persisted: false },
    ])
    expect(tries).toBe(2)
    expect(world.clock.armedTimers).toBe(0)
  })

  it('waits no longer than 5 s for a store that does not answer', async () => {
    const { world, here } = setUp((store) => ({ ...store, complete: () => new Promise(() => {}) }))
    const call = here.call()
    await settle()
    job(world).succeed('answer')
    await world.clock.advance(4_999)
    expect(await peek(call)).toBe('pending')
    await world.clock.advance(1)
    expect(await peek(call)).toMatchObject({ value: 'answer', persisted: false })
  })

  it('returns a paid result at the deadline rather than wait for the store', async () => {
    const { world, here } = setUp((store) => ({ ...store, complete: () => new Promise(() => {}) }))
    const call = here.call({ deadlineMs: 1_000 })
    await settle()
    job(world).succeed('answer')
    await world.clock.advance(1_000)
    expect(await peek(call)).toEqual({ value: 'answer', source: 'provider', persisted: false })
  })

  it('bears two missed answers while it waits, not a third', async () => {
    let down = false
    const { world, here } = setUp((store) => ({
      ...store,
      claim: (request) => (down ? Promise.reject(new Error('down')) : store.claim(request)),
    }))
    const call = here.call()
    await settle()
    const other = world.process({ random: () => 0.999 }).call()
    await world.clock.advance(10_000)
    down = true
    await world.clock.advance(1_900)
    down = false
    await world.clock.advance(1_100)
    expect(await peek(other)).toBe('pending')
    down = true
    await world.clock.advance(3_000)
    expect(await peek(other)).toMatchObject({ failed: 'store_unavailable' })
    await finished(world, call)
  })

  it('reports the failure of the work, not that of the store afterwards', async () => {
    const { world, here } = setUp(unreachable(['release', 'markUncertain']))
    const call = here.call()
    await settle()
    job(world).fail('server_error')
    expect(await answerOf(call)).toMatchObject({ failed: 'server_error' })
    expect(world.clock.armedTimers).toBe(0)
  })
})

function unreachable(verbs: readonly (keyof Store)[]): (store: Store) => Store {
  const broken = verbs.map((verb) => [
    verb,
    () => Promise.reject(new Error(`${verb}: ECONNREFUSED`)),
  ])
  return (store) => ({ ...store, ...Object.fromEntries(broken) })
}

async function finished(world: World, call: Promise<unknown>): Promise<void> {
  await settle()
  job(world).succeed('answer')
  expect(await call).toMatchObject({ value: 'answer', source: 'provider', persisted: true })
}

function claimRequest() {
  return {
    key: 'k'.repeat(64),
    fingerprint: 'payload',
    owner: crypto.randomUUID(),
    leaseMs: 30_000,
    onUncertain: 'rerun' as const,
    ttlMs: 86_400_000,
  }
}

/** A process that claimed the key, perhaps sent its request, and was killed. */
async function dead(world: World, sent: boolean): Promise<void> {
  const claimed = await world.store.claim(claimRequest())
  if (claimed.state !== 'owned') throw new CallError({ kind: 'unknown', message: claimed.state })
  if (sent) await world.store.dispatch(claimed.claim)
}

async function takeOverAndStore(store: Store, result: string): Promise<void> {
  const claimed = await store.claim(claimRequest())
  if (claimed.state !== 'owned') throw new CallError({ kind: 'unknown', message: claimed.state })
  await store.complete(claimed.claim, { ok: true, result }, 86_400_000)
}
