import OpenAI from 'openai'
import OpenAIv6 from 'openai-v6'
import { callReport, createRuntime, type SteadyOptions, steady } from '../../src/index.ts'
import { ask } from './set-up.ts'

/** A body in the pieces that its connection delivers; an error breaks it. */
export type Body = readonly (string | Uint8Array | Error)[]

export const majors = [
  ['openai 7', OpenAI],
  // Both have all that is used here.
  ['openai 6', OpenAIv6 as unknown as typeof OpenAI],
] as const

/** One event with this payload. */
export const event = (payload: unknown) => `data: ${JSON.stringify(payload)}\n\n`

/** One chunk with this choice. */
export const chunk = (choice: object = {}, more: object = {}) =>
  event({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: null, ...choice }], ...more })

export const text = (content: string, finish_reason: unknown = null) =>
  chunk({ delta: { content }, finish_reason })

export const role = chunk({ delta: { role: 'assistant', content: '' } })
export const stop = chunk({ finish_reason: 'stop' })
export const DONE = 'data: [DONE]\n\n'
export const whole: Body = [role, text('Hel'), text('lo'), stop, DONE]

/** Answers with these bodies in turn, the last one for ever, each in a stream of status 200. */
export function providerOf(bodies: readonly Body[], type = 'text/event-stream') {
  const provider = {
    requests: 0,
    async fetch() {
      const body = bodies[Math.min(provider.requests++, bodies.length - 1)] ?? []
      return new Response(streamOf(body), { headers: { 'content-type': type } })
    },
  }
  return provider
}

function streamOf(body: Body): ReadableStream<Uint8Array> {
  const left = body.map((piece) =>
    typeof piece === 'string' ? new TextEncoder().encode(piece) : piece,
  )
  return new ReadableStream({
    async pull(controller) {
      // Each piece by a turn of its own, as a socket delivers them.
      await new Promise((resolve) => setImmediate(resolve))
      const next = left.shift()
      if (next === undefined) controller.close()
      else if (next instanceof Error) controller.error(next)
      else controller.enqueue(next)
    },
  })
}

/** What a streamed call came to. */
export async function outcomeOf(
  Client: typeof OpenAI,
  bodies: readonly Body[],
  options: SteadyOptions = {},
  params: { readonly n?: number } = {},
) {
  const provider = providerOf(bodies)
  // openai prints what it cannot parse.
  const client = new Client({
    apiKey: 'k',
    baseURL: 'http://localhost/v1',
    fetch: provider.fetch,
    logLevel: 'off',
  })
  const llm = steady(client, { runtime: createRuntime({ random: () => 0 }), ...options })
  const read = { text: '', chunks: 0 }
  let thrown: unknown
  let stream: unknown
  try {
    const opened = await llm.chat.completions.create({ ...ask('go on'), stream: true, ...params })
    stream = opened
    for await (const { choices } of opened) {
      read.chunks += 1
      read.text += choices?.[0]?.delta?.content ?? ''
    }
  } catch (error) {
    thrown = error
  }
  const report = callReport(stream) ?? callReport(thrown)
  return { ...read, thrown, report, outcome: report?.outcome, requests: provider.requests }
}

/** The same bytes in pieces that end at these shares of their number. */
export function inPieces(
  body: readonly (string | Uint8Array)[],
  cuts: readonly number[],
): Uint8Array[] {
  const all = new TextEncoder().encode(
    body
      .map((piece) => (typeof piece === 'string' ? piece : new TextDecoder().decode(piece)))
      .join(''),
  )
  const at = [0, ...cuts.map((share) => Math.floor(share * all.length)), all.length]
  const ordered = at.toSorted((a, b) => a - b)
  return ordered.slice(1).map((end, index) => all.slice(ordered[index] ?? 0, end))
}
