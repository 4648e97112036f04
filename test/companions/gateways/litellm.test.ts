import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { callReport, type SteadyOptions } from 'steadycall'
import {
  cutStream,
  cutStreamBeforeContent,
  type Fault,
  type FaultServer,
  malformedEvent,
  stalledStream,
  startFaultServer,
  streamErrorEvent,
} from 'steadycall/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  ERRORS,
  freePort,
  type RunningGateway,
  rejection,
  serverError,
  startGateway,
  wrapped,
} from './gateway.ts'

const command = process.env['LITELLM'] ?? ''

const ask = (model: string, content = 'hi') => ({
  model,
  messages: [{ role: 'user' as const, content }],
})

// run.ts has printed why, where there is no LiteLLM.
describe.skipIf(command === '')('behind LiteLLM’s proxy', () => {
  let main: FaultServer
  let spare: FaultServer
  let streaming: FaultServer
  let gateway: RunningGateway
  let folder: string

  beforeAll(async () => {
    main = await startFaultServer()
    spare = await startFaultServer({ answer: 'from the spare' })
    streaming = await startFaultServer({ answer: ANSWER })
    folder = await mkdtemp(join(tmpdir(), 'litellm-'))
    const config = join(folder, 'config.json')
    // YAML takes JSON.
    await writeFile(
      config,
      JSON.stringify(configFor({ main, alone: main, spare, streams: streaming })),
    )
    const port = await freePort()
    const args = ['--config', config, '--host', '127.0.0.1', '--port', String(port)]
    const health = { port, healthPath: '/health/liveliness' }
    gateway = await startGateway(command, args, health, {
      LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      // It listens on this machine only, and takes any key.
      LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY: 'true',
    })
  })
  afterAll(async () => {
    await gateway?.stop()
    await Promise.all([main?.close(), spare?.close(), streaming?.close()])
    await rm(folder, { recursive: true, force: true })
  })
  beforeEach(() => {
    main.reset({})
    spare.reset({})
  })

  it('nine requests reach the provider without the option, three with it', async () => {
    main.reset({ script: Array(20).fill(serverError) })
    await rejection(wrapped(gateway).chat.completions.create(ask('alone')))
    expect(main.count).toBe(9)
    main.reset({ script: Array(20).fill(serverError) })
    await rejection(wrapped(gateway, { gateway: 'litellm' }).chat.completions.create(ask('alone')))
    expect(main.count).toBe(3)
  })

  it('the operator’s fallback is not used with the option, and is where it is kept', async () => {
    main.reset({ script: Array(20).fill(serverError) })
    await rejection(wrapped(gateway, { gateway: 'litellm' }).chat.completions.create(ask('main')))
    expect([main.count, spare.count]).toEqual([3, 0])
    main.reset({ script: Array(20).fill(serverError) })
    const llm = wrapped(gateway, {
      gateway: { name: 'litellm', fallbacks: 'keep' },
      onMultipliedRetries: 'throw',
    })
    const answer = await llm.chat.completions.create(ask('main'))
    expect(answer.choices[0]?.message.content).toBe('from the spare')
    expect([main.count, spare.count]).toEqual([1, 1])
    expect(callReport(answer)?.attempts).toMatchObject([{ gatewayAttempts: 2, wireRequests: 1 }])
  })

  it('the count of a good answer is in the report, of create, json and a stream', async () => {
    const llm = wrapped(gateway, { gateway: 'litellm' })
    const answer = await llm.chat.completions.create(ask('alone'))
    expect(callReport(answer)?.attempts).toMatchObject([{ gatewayAttempts: 1, wireRequests: 1 }])
    const { attempts } = await llm.json({ ...ask('alone'), schema: { type: 'object' } })
    expect(attempts).toMatchObject([{ gatewayAttempts: 1, wireRequests: 1 }])
    const stream = await llm.chat.completions.create({ ...ask('alone'), stream: true })
    for await (const _ of stream);
    expect(callReport(stream)?.attempts).toMatchObject([{ outcome: 'success', wireRequests: 1 }])
    expect(main.count).toBe(3)
  })

  it('retries of the gateway are told where the option is overridden', async () => {
    main.reset({ script: [serverError] })
    const llm = wrapped(gateway, { gateway: 'litellm' }, { 'x-litellm-num-retries': '2' })
    const answer = await llm.chat.completions.create(ask('alone'))
    expect(callReport(answer)?.attempts).toMatchObject([{ gatewayAttempts: 2 }])
    expect(main.count).toBe(2)
  })

  it('is noticed where nobody named it, once', async () => {
    const messages: string[] = []
    const listen = (warning: Error) => messages.push(warning.message)
    process.on('warning', listen)
    const llm = wrapped(gateway)
    await llm.chat.completions.create(ask('alone', 'one'))
    await llm.chat.completions.create(ask('alone', 'two'))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', listen)
    expect(messages.filter((message) => message.includes("gateway: 'litellm'"))).toHaveLength(1)
  })

  /** A stream as its reader sees it: what came, how it said it ended, and what was thrown. */
  const read = async (options: SteadyOptions = {}) => {
    const llm = wrapped(gateway, { gateway: 'litellm', ...options })
    let text = ''
    let finish: string | null | undefined
    try {
      const stream = await llm.chat.completions.create({ ...ask('streams'), stream: true })
      for await (const { choices } of stream) {
        text += choices[0]?.delta.content ?? ''
        finish = choices[0]?.finish_reason ?? finish
      }
      return { text, finish, report: callReport(stream), error: undefined }
    } catch (error) {
      return { text, finish, report: callReport(error), error }
    }
  }

  it.each<[string, Fault, string]>([
    ['is reset', reset(2), 'server_error'],
    ['says an error', streamErrorEvent({ afterChunks: 2 }), 'server_error'],
    [
      'says an error by its event’s name',
      streamErrorEvent({ afterChunks: 2, form: 'event' }),
      'server_error',
    ],
    [
      'says an error as its finish reason',
      streamErrorEvent({ afterChunks: 2, form: 'finish-reason' }),
      'server_error',
    ],
    ['has an event that is no JSON', malformedEvent({ afterChunks: 2 }), 'server_error'],
    ['goes silent', stalledStream({ afterChunks: 2 }), 'timeout'],
  ])('half an answer is no whole one where the stream behind it %s', async (_, fault, outcome) => {
    streaming.reset({ script: [fault] })
    const { text, finish, report, error } = await read({ chunkIdleTimeoutMs: 3_000 })
    expect(error).toBeInstanceOf(Error)
    expect(finish).toBeUndefined()
    expect(ANSWER.startsWith(text) && text.length < ANSWER.length).toBe(true)
    // Delivered: it is not sent again, here or by LiteLLM.
    expect([report?.outcome, streaming.count]).toEqual([outcome, 1])
  })

  it.each<[string, Fault]>([
    ['is reset', reset(0)],
    ['says an error', streamErrorEvent({ afterChunks: 0 })],
    ['has an event that is no JSON', malformedEvent({ afterChunks: 0 })],
  ])('a stream that %s before its first content is asked for again', async (_, fault) => {
    streaming.reset({ script: [fault] })
    expect(await read()).toMatchObject({ text: ANSWER, finish: 'stop', error: undefined })
    expect(streaming.count).toBe(2)
  })

  // https://github.com/BerriAI/litellm/issues/42085: once this fails, docs/concepts/one-layer.md has
  // a limit less to tell of.
  it.each<[string, Fault]>([
    ['in good order after some text', cutStream({ afterChunks: 2 })],
    ['in good order before any text', cutStreamBeforeContent()],
    [
      'with an error that LiteLLM does not know',
      streamErrorEvent({ afterChunks: 2, form: 'detail' }),
    ],
  ])('LiteLLM itself calls a stream whole that ended %s', async (_, fault) => {
    streaming.reset({ script: [fault] })
    const { text, finish, error } = await read()
    expect({ finish, error }).toEqual({ finish: 'stop', error: undefined })
    expect(text.length).toBeLessThan(ANSWER.length)
  })

  it.each<[string, Fault]>([
    ['is cut', cutStream({ afterChunks: 2 })],
    ['is reset', reset(2)],
    ['has an error in its place', streamErrorEvent()],
    ['is no JSON', malformedEvent({ afterChunks: 2 })],
  ])('an answer that is not streamed is asked for again where it %s', async (_, fault) => {
    main.reset({ script: [fault] })
    const llm = wrapped(gateway, { gateway: 'litellm' })
    const { value } = await llm.json({ ...ask('alone'), schema: { type: 'object' } })
    expect(value).toBeTypeOf('object')
    expect(main.count).toBe(2)
  })

  it.each(ERRORS)('%s is judged as it is', async (kind, fault, more = {}) => {
    main.reset({ script: [fault] })
    const llm = wrapped(gateway, { gateway: 'litellm', maxAttempts: 1 })
    const error = await rejection(llm.json({ ...ask('alone'), schema: { type: 'object' } }))
    expect(error).toMatchObject({ kind, ...more })
    expect(main.count).toBe(1)
  })
})

const ANSWER = 'the quick brown fox jumps over the lazy dog and sleeps in the sun'

/** The connection breaks after some text; to a request that does not stream, after some of the JSON. */
function reset(afterChunks: number): Fault {
  return {
    name: 'reset',
    async apply(exchange) {
      const { head, content } = exchange.pieces()
      exchange.begin()
      for (const piece of [...head, ...content.slice(0, afterChunks)]) await exchange.write(piece)
      // What was written has to be read before the end is.
      await setTimeout(100)
      exchange.response.destroy()
    },
  }
}

function configFor(servers: Readonly<Record<string, FaultServer>>) {
  const deployment = (name: string, { baseURL }: FaultServer) => ({
    model_name: name,
    litellm_params: { model: `openai/${name}`, api_base: baseURL, api_key: 'sk-provider' },
  })
  return {
    model_list: Object.entries(servers).map(([name, server]) => deployment(name, server)),
    router_settings: {
      num_retries: 2,
      retry_after: 0,
      disable_cooldowns: true,
      fallbacks: [{ main: ['spare'] }],
    },
  }
}
