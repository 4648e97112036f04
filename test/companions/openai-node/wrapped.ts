// What the checkout's tests get as `openai`: everything of it, with each new client wrapped.
import * as bare from 'openai-under-test'
import { createRuntime, steady } from 'steadycall'

// biome-ignore lint/performance/noReExportAll: all of it is what stands in for it
export * from 'openai-under-test'

/** The class itself, statics and `instanceof` included; only what `new` gives is another. */
function wrapping<Class extends new (...args: never[]) => object>(Client: Class): Class {
  const wrapped: Class = new Proxy(Client, {
    construct(target, args, newTarget) {
      if (newTarget !== wrapped) return Reflect.construct(target, args, newTarget)
      const client = Reflect.construct(target, args, target)
      // A runtime for each: one test's failures must not close the line of another.
      return steady(client, { runtime: createRuntime() })
    },
  })
  return wrapped
}

export const OpenAI = wrapping(bare.OpenAI)
export const AzureOpenAI = wrapping(bare.AzureOpenAI)
export default OpenAI
