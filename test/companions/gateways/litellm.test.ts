import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callReport } from 'steadycall'
import { type FaultServer, startFaultServer } from 'steadycall/testing'
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
  let gateway: RunningGateway
  let folder: string

  beforeAll(async () => {
    main = await startFaultServer()
    spare = await startFaultServer({ answer: 'from the spare' })
    folder = await mkdtemp(join(tmpdir(), 'litellm-'))
    const config = join(folder, 'config.json')
    // YAML takes JSON.
    await writeFile(config, JSON.stringify(configFor(main, spare)))
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
    await Promise.all([main?.close(), spare?.close()])
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

  it.each(ERRORS)('%s is judged as it is', async (kind, fault, more = {}) => {
    main.reset({ script: [fault] })
    const llm = wrapped(gateway, { gateway: 'litellm', maxAttempts: 1 })
    const error = await rejection(llm.json({ ...ask('alone'), schema: { type: 'object' } }))
    expect(error).toMatchObject({ kind, ...more })
    expect(main.count).toBe(1)
  })
})

function configFor(main: FaultServer, spare: FaultServer) {
  const deployment = (name: string, { baseURL }: FaultServer) => ({
    model_name: name,
    litellm_params: { model: `openai/${name}`, api_base: baseURL, api_key: 'sk-provider' },
  })
  return {
    model_list: [deployment('main', main), deployment('alone', main), deployment('spare', spare)],
    router_settings: {
      num_retries: 2,
      retry_after: 0,
      disable_cooldowns: true,
      fallbacks: [{ main: ['spare'] }],
    },
  }
}
