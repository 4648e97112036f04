import { describe, expect, it } from 'vitest'
import { seeded, seedFor } from '../../../bench/storm/random.ts'
import {
  CircuitBreaker,
  NEVER_OPEN,
  type Permit,
  settlePermit,
} from '../../../src/retry/breaker.ts'
import { failureOf } from './failures.ts'
import { VirtualClock } from './virtual-clock.ts'

// 0.5 is the middle of ±20 %: rests are exactly 2, 4, 8 and 15 s.
function setUp(drawn = 0.5) {
  const clock = new VirtualClock()
  return { clock, breaker: new CircuitBreaker({ clock, random: () => drawn }) }
}

function acquire(breaker: CircuitBreaker): Permit {
  const permit = breaker.tryAcquire()
  if (permit === undefined) throw new Error(`no permit while ${breaker.state}`)
  return permit
}

function fail(breaker: CircuitBreaker, times: number): void {
  for (let call = 0; call < times; call += 1) acquire(breaker).failure()
}

function succeed(breaker: CircuitBreaker, times: number): void {
  for (let call = 0; call < times; call += 1) acquire(breaker).success()
}

describe('a closed breaker', () => {
  it('opens at the eighth failure in a row', () => {
    const { breaker } = setUp()
    fail(breaker, 7)
    expect(breaker.state).toBe('closed')
    fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })

  it('starts counting the row again after a success', () => {
    const { breaker } = setUp()
    succeed(breaker, 20)
    fail(breaker, 7)
    succeed(breaker, 1)
    fail(breaker, 7)
    expect(breaker.state).toBe('closed')
  })

  it.each([
    { successes: 3, state: 'open' },
    { successes: 4, state: 'closed' },
  ])('is $state after 7 failures among $successes successes', ({ successes, state }) => {
    const { breaker, clock } = setUp()
    fail(breaker, 1)
    succeed(breaker, successes)
    clock.advance(1_000)
    fail(breaker, 6)
    expect(breaker.state).toBe(state)
  })

  it('does not judge by fewer than ten calls', () => {
    const { breaker, clock } = setUp()
    fail(breaker, 5)
    succeed(breaker, 2)
    clock.advance(1_000)
    fail(breaker, 2)
    expect(breaker.state).toBe('closed')
    fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })

  it('forgets failures older than its window, also when nobody called meanwhile', () => {
    const { breaker, clock } = setUp()
    fail(breaker, 5)
    succeed(breaker, 1)
    clock.advance(30_000)
    fail(breaker, 5)
    expect(breaker.state).toBe('closed')
  })

  it('remembers failures within its window', () => {
    const { breaker, clock } = setUp()
    fail(breaker, 5)
    succeed(breaker, 1)
    clock.advance(29_999)
    fail(breaker, 4)
    expect(breaker.state).toBe('open')
  })

  it('lets a row wait until nothing has succeeded for a second', () => {
    const { breaker, clock } = setUp()
    succeed(breaker, 1)
    clock.advance(999)
    fail(breaker, 8)
    expect(breaker.state).toBe('closed')
    clock.advance(1)
    fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })

  it('lets a share wait until its first failure is a second old', () => {
    const { breaker, clock } = setUp()
    fail(breaker, 7)
    succeed(breaker, 3)
    clock.advance(999)
    fail(breaker, 5)
    expect(breaker.state).toBe('closed')
    clock.advance(1)
    fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })

  it('takes calls that fail together for one event, on a target that has just answered', () => {
    const { breaker } = setUp()
    succeed(breaker, 1)
    fail(breaker, 64)
    expect(breaker.state).toBe('closed')
  })

  it.each([1, 2, 3, 4, 5])('is not opened by chance at half of its capacity (draws %i)', (seed) => {
    const { breaker, clock } = setUp()
    const random = seeded(seedFor(seed, 0))
    let longestRow = 0
    let row = 0
    for (let call = 0; call < 2_000; call += 1) {
      clock.advance(5)
      const failed = random() < 0.5
      row = failed ? row + 1 : 0
      longestRow = Math.max(longestRow, row)
      if (failed) fail(breaker, 1)
      else succeed(breaker, 1)
    }
    expect(longestRow).toBeGreaterThanOrEqual(8)
    expect(breaker.state).toBe('closed')
  })

  it('opens at once where `failingForMs` is 0', () => {
    const clock = new VirtualClock()
    const breaker = new CircuitBreaker({ clock, random: () => 0.5 }, { failingForMs: 0 })
    succeed(breaker, 1)
    fail(breaker, 8)
    expect(breaker.state).toBe('open')
  })

  it('neither counts answers that are errors nor takes them for the end of a row', () => {
    const { breaker } = setUp()
    fail(breaker, 7)
    for (let call = 0; call < 50; call += 1) acquire(breaker).answered()
    fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })
})

describe('an open breaker', () => {
  it('admits nobody until its rest is over', () => {
    const { breaker, clock } = setUp()
    fail(breaker, 8)
    expect(breaker.retryAtMs).toBe(2_000)
    clock.advance(1_999)
    expect(breaker.tryAcquire()).toBeUndefined()
    clock.advance(1)
    expect(breaker.state).toBe('half-open')
    expect(breaker.retryAtMs).toBeUndefined()
  })

  it.each([
    { drawn: 0, retryAtMs: 1_600 },
    { drawn: 1, retryAtMs: 2_400 },
  ])('rests until $retryAtMs when $drawn is drawn', ({ drawn, retryAtMs }) => {
    const { breaker } = setUp(drawn)
    fail(breaker, 8)
    expect(breaker.retryAtMs).toBe(retryAtMs)
  })

  it('rests twice as long after each failed probe, up to 15 s', () => {
    const { breaker, clock } = setUp()
    fail(breaker, 8)
    const rests: number[] = []
    for (let rest = 0; rest < 6; rest += 1) {
      const restMs = (breaker.retryAtMs ?? 0) - clock.monotonicMs()
      rests.push(restMs)
      clock.advance(restMs)
      acquire(breaker).failure()
    }
    expect(rests).toEqual([2_000, 4_000, 8_000, 15_000, 15_000, 15_000])
  })

  it.each([
    { closedMs: 59_999, restMs: 4_000 },
    { closedMs: 60_000, restMs: 2_000 },
  ])('rests $restMs after having been closed for $closedMs', ({ closedMs, restMs }) => {
    const { breaker, clock } = setUp()
    fail(breaker, 8)
    clock.advance(2_000)
    succeed(breaker, 2)
    clock.advance(closedMs)
    fail(breaker, 8)
    expect((breaker.retryAtMs ?? 0) - clock.monotonicMs()).toBe(restMs)
  })
})

describe('a breaker whose first rest is longer than the default of the longest', () => {
  const clock = new VirtualClock()
  const dependencies = { clock, random: () => 0.5 }

  it('rests that long, every time', () => {
    const breaker = new CircuitBreaker(dependencies, { openMs: 60_000 })
    fail(breaker, 8)
    for (let rest = 0; rest < 3; rest += 1) {
      expect((breaker.retryAtMs ?? 0) - clock.monotonicMs()).toBe(60_000)
      clock.advance(60_000)
      fail(breaker, 1)
    }
  })

  it('begins with the longest where only that is given, and is shorter', () => {
    const breaker = new CircuitBreaker(dependencies, { maxOpenMs: 1_000 })
    fail(breaker, 8)
    expect((breaker.retryAtMs ?? 0) - clock.monotonicMs()).toBe(1_000)
  })

  it('is refused where a shorter longest one is given with it', () => {
    expect(() => new CircuitBreaker(dependencies, { openMs: 60_000, maxOpenMs: 30_000 })).toThrow(
      new RangeError('breaker: maxOpenMs is 30000; accepted is a number from 60000 to 86400000'),
    )
  })
})

describe('a half-open breaker', () => {
  function halfOpen() {
    const { breaker, clock } = setUp()
    const early = acquire(breaker)
    fail(breaker, 8)
    clock.advance(2_000)
    return { breaker, clock, early }
  }

  it('admits one probe at a time', () => {
    const { breaker } = halfOpen()
    const probe = acquire(breaker)
    expect(breaker.tryAcquire()).toBeUndefined()
    probe.success()
    expect(breaker.tryAcquire()).toBeDefined()
  })

  it('closes after two successes', () => {
    const { breaker } = halfOpen()
    succeed(breaker, 1)
    expect(breaker.state).toBe('half-open')
    succeed(breaker, 1)
    expect(breaker.state).toBe('closed')
  })

  it('starts with an empty window once closed', () => {
    const { breaker } = halfOpen()
    succeed(breaker, 2)
    fail(breaker, 7)
    expect(breaker.state).toBe('closed')
  })

  it('takes an answer that is an error for a sign of life', () => {
    const { breaker } = halfOpen()
    acquire(breaker).answered()
    acquire(breaker).answered()
    expect(breaker.state).toBe('closed')
  })

  it('learns nothing from a cancelled probe, and frees its place', () => {
    const { breaker } = halfOpen()
    acquire(breaker).cancel()
    expect(breaker.state).toBe('half-open')
    expect(breaker.tryAcquire()).toBeDefined()
  })

  it('is not locked for ever by a probe that never ends', () => {
    const { breaker, clock } = halfOpen()
    acquire(breaker)
    clock.advance(29_999)
    expect(breaker.tryAcquire()).toBeUndefined()
    clock.advance(1)
    expect(breaker.tryAcquire()).toBeDefined()
  })

  it('counts a probe that outlived its lease, but keeps its successor in place', () => {
    const { breaker, clock } = halfOpen()
    const slow = acquire(breaker)
    clock.advance(30_000)
    const next = acquire(breaker)
    slow.success()
    expect(breaker.tryAcquire()).toBeUndefined()
    next.success()
    expect(breaker.state).toBe('closed')
  })

  it('ignores what began before it opened', () => {
    const { breaker, early } = halfOpen()
    early.failure()
    expect(breaker.state).toBe('half-open')
  })

  it('ignores a probe of an earlier rest', () => {
    const { breaker, clock } = halfOpen()
    const slow = acquire(breaker)
    clock.advance(30_000)
    acquire(breaker).failure()
    clock.advance(4_000)
    acquire(breaker).success()
    slow.success()
    expect(breaker.state).toBe('half-open')
  })

  it('counts a permit once', () => {
    const { breaker } = halfOpen()
    const probe = acquire(breaker)
    probe.success()
    probe.success()
    expect(breaker.state).toBe('half-open')
  })
})

describe('settlePermit', () => {
  it.each([
    [undefined, 'success'],
    [failureOf('overloaded'), 'failure'],
    [failureOf('server_error'), 'failure'],
    [failureOf('network'), 'failure'],
    [failureOf('timeout'), 'failure'],
    [failureOf('rate_limit', { status: 429 }), 'answered'],
    [failureOf('invalid_request', { status: 400 }), 'answered'],
    [failureOf('schema_mismatch'), 'answered'],
    [failureOf('unknown', { status: 418 }), 'answered'],
    [failureOf('unknown'), 'cancel'],
    [failureOf('aborted'), 'cancel'],
    [failureOf('deadline'), 'cancel'],
    [failureOf('dns'), 'cancel'],
    [failureOf('tls'), 'cancel'],
  ])('reads %j as %s', (failure, expected) => {
    const told: string[] = []
    const permit: Permit = {
      success: () => told.push('success'),
      failure: () => told.push('failure'),
      answered: () => told.push('answered'),
      cancel: () => told.push('cancel'),
    }
    settlePermit(permit, failure)
    expect(told).toEqual([expected])
  })
})

describe('a breaker that is switched off', () => {
  it('stays closed whatever happens', () => {
    for (let call = 0; call < 100; call += 1) NEVER_OPEN.tryAcquire()?.failure()
    expect(NEVER_OPEN.state).toBe('closed')
    expect(NEVER_OPEN.tryAcquire()).toBeDefined()
  })
})
