import { setTimeout as pause } from 'node:timers/promises'
import { type Fault, startFaultServer } from '../../src/testing/index.ts'

/** A fault that is met once it is let go. */
export function held(fault: Fault) {
  let go = () => {}
  const gone = new Promise<void>((resolve) => {
    go = resolve
  })
  const apply: Fault['apply'] = async (exchange) => {
    await gone
    await fault.apply(exchange)
  }
  return { fault: { ...fault, apply }, go: () => go() }
}

/** A provider of the test's own, whose every answer is another one; to be closed. */
export async function startProvider(plan: readonly Fault[]) {
  let answers = 0
  const server = await startFaultServer({ script: plan, answer: () => `{"answer":"${++answers}"}` })
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
    close: () => server.close(),
  }
}
