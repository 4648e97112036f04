import { describe, expect, it } from 'vitest'
import { type CallEvent, memoryStore, steady } from '../../../src/index.ts'
import { answers, hangs } from '../../../src/testing/index.ts'
import { patientClock } from '../../support/patient-clock.ts'
import { ask, clientFor, patientRuntime, person, rejection, setUp } from '../../support/set-up.ts'
import { startRecording } from '../telemetry/recorder.ts'

const who = { ...ask('who?'), schema: person }
const GOOD = '{"name":"Ann","age":36}'

/** An owner at work under the key, and another process that shares its store. */
async function twoProcesses() {
  const events: CallEvent[] = []
  const store = memoryStore({ clock: patientClock })
  const { llm: owner, server } = await setUp({ script: [hangs(), answers(GOOD)] }, { store })
  const other = steady(clientFor(server), {
    store,
    runtime: patientRuntime(),
    onEvent: (event) => events.push(event),
  })
  const leave = new AbortController()
  const working = rejection(owner.json(who, { idempotencyKey: 'who-1', signal: leave.signal }))
  while (server.count === 0) await new Promise((resolve) => setImmediate(resolve))
  const awaited = () => events.filter(({ type }) => type === 'claim-awaited')
  return {
    other,
    events,
    awaited,
    async endOwner() {
      leave.abort()
      await working
    },
  }
}

describe('a call whose key another process has', () => {
  it('says so once, with how long the lease of that is good', async () => {
    const { other, awaited, events, endOwner } = await twoProcesses()
    const waiting = other.json(who, { idempotencyKey: 'who-1' })
    while (awaited().length === 0) await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setTimeout(resolve, 300))
    await endOwner()
    await expect(waiting).resolves.toMatchObject({ value: { name: 'Ann', age: 36 } })
    expect(awaited()).toEqual([
      {
        type: 'claim-awaited',
        leaseLeftMs: expect.any(Number),
        operation: 'chat',
        idempotencyKey: 'who-1',
      },
    ])
    expect(awaited()).toMatchObject([
      { leaseLeftMs: expect.toSatisfy((ms) => ms > 0 && ms <= 30_000) },
    ])
    expect(events.findIndex(({ type }) => type === 'claim-awaited')).toBe(0)
  })

  it('says so to each caller that joins the wait', async () => {
    const { other, awaited, endOwner } = await twoProcesses()
    const first = other.json(who, { idempotencyKey: 'who-1' })
    while (awaited().length === 0) await new Promise((resolve) => setImmediate(resolve))
    const second = other.json(who, { idempotencyKey: 'who-1' })
    while (awaited().length === 1) await new Promise((resolve) => setImmediate(resolve))
    await endOwner()
    await Promise.all([first, second])
    expect(awaited()).toHaveLength(2)
  })

  it('has it on its span', async () => {
    const recorder = startRecording()
    const { other, awaited, endOwner } = await twoProcesses()
    const waiting = other.json(who, { idempotencyKey: 'who-1' })
    while (awaited().length === 0) await new Promise((resolve) => setImmediate(resolve))
    await endOwner()
    await waiting
    const told = recorder
      .spans()
      .flatMap(({ events }) => events)
      .filter(({ name }) => name === 'steadycall.claim.awaited')
    await recorder.stop()
    expect(told).toHaveLength(1)
    expect(told[0]?.attributes?.['steadycall.claim.lease_left']).toBeGreaterThan(0)
  })
})
