import type OpenAI from 'openai'
import { type CallReport, callReport, type SteadyClient } from '../../src/index.ts'
import { MODEL, messagesOf, TICKET_SCHEMA } from '../ticket.ts'

/** The same client over two stores. */
export interface Means {
  readonly llm: SteadyClient<OpenAI>
  readonly onSqlite: SteadyClient<OpenAI>
}

/** One call of a kind; its report, whether it succeeds or fails. */
export type Call = (means: Means, n: number) => Promise<CallReport | undefined>

const request = (n: number) => ({ model: MODEL, messages: messagesOf(`mail ${n}`) })

/** Every tenth key is asked for again: what two calls in flight share, and what is replayed. */
const keyOf = (n: number) => `key-${n - (n % 10 === 0 ? 1 : 0)}`
const question = (n: number) => n - (n % 10 === 0 ? 1 : 0)

const create: Call = async ({ llm }, n) => callReport(await llm.chat.completions.create(request(n)))

const json: Call = async ({ llm }, n) =>
  callReport(await llm.json({ ...request(n), schema: TICKET_SCHEMA }))

const keyed =
  (where: keyof Means): Call =>
  async (means, n) =>
    callReport(
      await means[where].json(
        { ...request(question(n)), schema: TICKET_SCHEMA },
        { idempotencyKey: keyOf(n) },
      ),
    )

const stream: Call = async ({ llm }, n) => {
  const chunks = await llm.chat.completions.create({ ...request(n), stream: true })
  for await (const _ of chunks);
  return callReport(chunks)
}

const leftStream: Call = async ({ llm }, n) => {
  const chunks = await llm.chat.completions.create({ ...request(n), stream: true })
  for await (const _ of chunks) break
  return callReport(chunks)
}

const abortedStream: Call = async ({ llm }, n) => {
  const caller = new AbortController()
  const { signal } = caller
  const chunks = await llm.chat.completions.create({ ...request(n), stream: true }, { signal })
  for await (const _ of chunks) caller.abort()
  return callReport(chunks)
}

const keyedStream: Call = async ({ llm }, n) => {
  const chunks = await llm.chat.completions.create(
    { ...request(question(n)), stream: true },
    { steady: { idempotencyKey: `stream-${keyOf(n)}` } },
  )
  for await (const _ of chunks);
  return callReport(chunks)
}

/** Shares of a soak's calls, in hundredths. */
export const KINDS: readonly (readonly [share: number, call: Call])[] = [
  [35, create],
  [25, json],
  [15, stream],
  [4, leftStream],
  [4, abortedStream],
  [7, keyedStream],
  [7, keyed('llm')],
  [3, keyed('onSqlite')],
]
