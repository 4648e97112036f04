import { EventEmitter } from 'node:events'
import type OpenAI from 'openai'
import pRetry from 'p-retry'
import { describe, expect, it } from 'vitest'
import type { CallEvent, SteadyClient } from '../../../src/index.ts'
import { serverError } from '../../../src/testing/index.ts'
import { ask, person, rejection, setUp } from '../../support/set-up.ts'

const down = { perCall: Array.from({ length: 20 }, () => serverError()) }

async function stage() {
  const events: CallEvent[] = []
  const { llm, server } = await setUp(down, {
    maxAttempts: 1,
    limits: 'off',
    onMultipliedRetries: 'throw',
    onEvent: (event) => events.push(event),
  })
  const repeated = () => events.filter(({ type }) => type === 'call-repeated').length
  return { llm, server, repeated }
}

type Work = (job: string) => Promise<unknown>

const faces: readonly [string, (llm: SteadyClient<OpenAI>) => Work][] = [
  ['json', (llm) => (job) => llm.json({ ...ask(job), schema: person })],
  [
    'create',
    (llm) => async (job) => {
      await llm.chat.completions.create(ask(job))
    },
  ],
]

describe.each(faces)('the same request again, by %s', (_, workOf) => {
  const start = async () => {
    const { llm, ...rest } = await stage()
    return { work: workOf(llm), ...rest }
  }

  describe('is told, and refused under throw, from', () => {
    it('p-retry directly around the call', async () => {
      const { work, server, repeated } = await start()
      await rejection(pRetry(() => work('a'), { retries: 3, minTimeout: 1 }))
      expect(server.count).toBe(1)
      expect(repeated()).toBe(3)
    })

    it('a loop that waits by a timer', async () => {
      const { work, server, repeated } = await start()
      for (let turn = 0; turn < 3; turn += 1) {
        await rejection(work('a'))
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      expect(server.count).toBe(1)
      expect(repeated()).toBe(2)
    })

    it('a loop whose call had joined another one', async () => {
      const { llm, server, repeated } = await stage()
      const key = { idempotencyKey: 'k' }
      const call = () => llm.json({ ...ask('a'), schema: person }, key)
      await Promise.all([rejection(call()), rejection(call())])
      await rejection(call())
      expect(server.count).toBe(1)
      expect(repeated()).toBe(1)
    })

    it('a function that calls itself again where it failed', async () => {
      const { work, repeated } = await start()
      const persistent = async (left: number): Promise<unknown> => {
        try {
          return await work('a')
        } catch (error) {
          if (left === 0) throw error
          return persistent(left - 1)
        }
      }
      await rejection(persistent(1))
      expect(repeated()).toBe(1)
    })
  })

  describe('is a try of its own where a queue makes it, from', () => {
    it('a timer that was set when the first one failed', async () => {
      const { work, server, repeated } = await start()
      for (let turn = 0; turn < 2; turn += 1) {
        await new Promise<void>((resolve) => {
          setTimeout(() => {
            work('a').then(
              () => {},
              () => resolve(),
            )
          }, 1)
        })
      }
      expect(server.count).toBe(2)
      expect(repeated()).toBe(0)
    })

    it('an event, for each job', async () => {
      const { work, server, repeated } = await start()
      const queue = new EventEmitter()
      const done = new Promise<void>((resolve) => {
        let tries = 0
        queue.on('job', async (job: string) => {
          await rejection(work(job))
          if (++tries === 2) resolve()
          else setImmediate(() => queue.emit('job', job))
        })
      })
      setImmediate(() => queue.emit('job', 'a'))
      await done
      expect(server.count).toBe(2)
      expect(repeated()).toBe(0)
    })

    it('workers whose jobs read what they need before they call', async () => {
      const { work, server, repeated } = await start()
      const process = async (job: string) => {
        await new Promise((resolve) => setImmediate(resolve))
        return work(job)
      }
      for (const job of ['a', 'a', 'a']) await rejection(process(job))
      expect(server.count).toBe(3)
      expect(repeated()).toBe(0)
    })

    it('one loop that works through its jobs, and then through those that failed', async () => {
      const { work, server, repeated } = await start()
      const jobs = ['a', 'b', 'c']
      const failed: string[] = []
      for (const job of jobs) await rejection(work(job)).then(() => failed.push(job))
      for (const job of failed) await rejection(work(job))
      expect(server.count).toBe(6)
      expect(repeated()).toBe(0)
    })
  })
})
