import { promiseHooks } from 'node:v8'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { type Clock, createRuntime, steady } from '../../../src/index.ts'
import { virtualClock } from '../../../src/testing/index.ts'
import { ask, person } from '../../support/set-up.ts'

// What a call costs is measured in bench/overhead. Here its steps are counted, which are the same on
// every machine.

const MORE_PROMISES = 30

describe('a valid first answer', () => {
  it.each(['plain', 'structured'] as const)(
    `makes ${MORE_PROMISES} promises more than the bare client, at most, and arms one timer: %s`,
    async (kind) => {
      const client = new OpenAI({ apiKey: 'k', baseURL: 'http://localhost/v1', fetch: answered })
      const { clock, armed } = counting(virtualClock())
      const llm = steady(client, { runtime: createRuntime({ clock }) })
      const call = () =>
        kind === 'plain'
          ? llm.chat.completions.create(ask('who?'))
          : llm.json({ ...ask('who?'), schema: person })
      const bare = await promisesMade(() => client.chat.completions.create(ask('who?')))
      expect(await promisesMade(call)).toBeLessThanOrEqual(bare + MORE_PROMISES)
      const before = armed()
      await call()
      expect(armed() - before).toBe(1)
    },
  )
})

async function answered(): Promise<Response> {
  const message = { role: 'assistant', content: '{"name":"Ada","age":36}' }
  const choices = [{ index: 0, finish_reason: 'stop', message }]
  const headers = { 'content-type': 'application/json' }
  return new Response(JSON.stringify({ id: 'c', choices }), { headers })
}

function counting(clock: Clock) {
  let count = 0
  const schedule: Clock['schedule'] = (...given) => {
    count += 1
    return clock.schedule(...given)
  }
  return { clock: { ...clock, schedule }, armed: () => count }
}

/** In one call, after some that load and cache what the first need. */
async function promisesMade(call: () => PromiseLike<unknown>): Promise<number> {
  for (let time = 0; time < 5; time += 1) await call()
  let made = 0
  // node's types call it a Function: it takes nothing and returns nothing
  const stop = promiseHooks.onInit(() => {
    made += 1
  }) as () => void
  await call()
  stop()
  return made
}
