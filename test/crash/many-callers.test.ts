import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { serverError, slow } from '../../src/testing/index.ts'
import { describeWith } from '../support/describe-with.ts'
import type { CrashStore } from './crash-store.ts'
import { faultIn } from './history.ts'
import { type Process, start } from './processes.ts'
import { held, startProvider } from './provider.ts'
import { DURABLE } from './stores.ts'
import type { Told, Work } from './worker.ts'

const PROCESSES = 5
const CALLERS = { count: 20, pauseMs: 400 }

for (const { name: kind, programs, start: startStore } of DURABLE) {
  describeWith(programs, `${kind}: a hundred callers in five processes`, () => {
    let home: CrashStore
    beforeAll(async () => {
      home = await startStore()
    })
    afterAll(() => home?.close())

    async function crowd(
      plan: Parameters<typeof startProvider>[0],
      during: (processes: readonly Process[]) => Promise<void> = async () => {},
    ) {
      const provider = await startProvider(plan)
      onTestFinished(() => provider.close())
      const { baseURL } = provider
      const work: Work = {
        store: home.address,
        baseURL,
        key: randomUUID(),
        face: 'json',
        callers: CALLERS,
        // Whoever waits hears of a failure, however slow this machine is.
        noticeMs: 600_000,
      }
      const processes = Array.from({ length: PROCESSES }, () => start(work))
      onTestFinished(() => {
        for (const { child } of processes) child.kill('SIGKILL')
      })
      await during(processes)
      const ended = await Promise.all(processes.map(({ ended: end }) => end))
      return { history: ended.flatMap(({ told }) => told), requests: provider.count }
    }

    it('are told one outcome, of one request, whichever of the processes pause', async () => {
      const { history, requests } = await crowd([slow(1_500)], async (processes) => {
        for (let round = 0; round < 20; round++) {
          const { child } = processes[Math.floor(Math.random() * PROCESSES)] ?? {}
          child?.kill('SIGSTOP')
          await pause(Math.random() * 200)
          child?.kill('SIGCONT')
        }
      })
      expect(history).toHaveLength(100)
      expect(faultIn(history, requests)).toBeUndefined()
    })

    it('cause one run when the owner fails, not a hundred', async () => {
      const first = held(serverError())
      const plan = [first.fault, ...Array.from({ length: 9 }, () => serverError())]
      const { history, requests } = await crowd(plan, async (processes) => {
        await Promise.all(processes.map(({ allWait }) => allWait))
        first.go()
      })
      expect(history).toHaveLength(100)
      expect(new Set(history.map((told) => told.kind))).toEqual(new Set(['server_error']))
      // One owner's three attempts.
      expect(requests).toBe(3)
    })
  })
}

describe('the judge of histories', () => {
  const told = (source: string, answer = 'a', changes: Partial<Told> = {}): Told => ({
    startedAtMs: 1,
    endedAtMs: 5,
    source,
    answer,
    persisted: true,
    ...changes,
  })
  const owner = told('provider')

  it('finds nothing where one did the work and the others got it', () => {
    expect(faultIn([told('store'), owner, told('shared')], 1)).toBeUndefined()
  })

  it.each([
    ['two owners', [owner, owner], 1, '2 did the work'],
    ['two requests', [owner], 2, '2 requests for one piece of work'],
    ['another answer', [owner, told('store', 'b')], 1, 'two callers were told different things'],
    ['no owner', [told('store')], 1, 'nobody did the work'],
    ['a failure', [owner, told('store', 'a', { kind: 'timeout' })], 1, '1 failed: timeout'],
    ['nothing kept', [told('provider', 'a', { persisted: false })], 1, 'the outcome was not kept'],
    [
      'an answer before its time',
      [told('provider', 'a', { startedAtMs: 10 }), told('store')],
      1,
      'somebody was told before the work had begun',
    ],
  ])('finds %s', (_, history, requests, fault) => {
    expect(faultIn(history, requests)).toBe(fault)
  })
})
