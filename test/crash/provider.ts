import { setTimeout as pause } from 'node:timers/promises'
import type { TestContext } from 'vitest'
import { type Fault, startFaultServer } from '../../src/testing/index.ts'

/** A provider of the test's own, whose every answer is another one. */
export async function startProvider(
  plan: readonly Fault[],
  // The test's own: of tests that run beside each other, the global one may mean another.
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
) {
  let answers = 0
  const server = await startFaultServer({ script: plan, answer: () => `{"answer":"${++answers}"}` })
  onTestFinished(() => server.close())
  return {
    baseURL: server.baseURL,
    get count() {
      return server.count
    },
    /** Requests that may have been done: all but those that were refused. */
    get executed() {
      return server.requests.filter(({ fault }) => fault !== 'invalidApiKey').length
    },
    async untilArrived() {
      while (server.count === 0) await pause(20)
    },
  }
}
