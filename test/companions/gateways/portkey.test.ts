import { fileURLToPath } from 'node:url'
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

const ask = (content = 'hi') => ({
  model: 'gpt-test',
  messages: [{ role: 'user' as const, content }],
})

describe('behind Portkey’s gateway', () => {
  let main: FaultServer
  let spare: FaultServer
  let gateway: RunningGateway
  /** Where the gateway sends to, said without a config. */
  let plain: Readonly<Record<string, string>>

  beforeAll(async () => {
    main = await startFaultServer()
    spare = await startFaultServer({ answer: 'from the spare' })
    const port = await freePort()
    const start = fileURLToPath(
      new URL('node_modules/@portkey-ai/gateway/build/start-server.js', import.meta.url),
    )
    gateway = await startGateway(process.execPath, [start, `--port=${port}`, '--headless'], {
      port,
      healthPath: '/',
    })
    plain = { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': main.baseURL }
  })
  afterAll(async () => {
    await gateway?.stop()
    await Promise.all([main?.close(), spare?.close()])
  })
  beforeEach(() => {
    main.reset({})
    spare.reset({})
  })

  const target = ({ baseURL }: FaultServer) => ({
    provider: 'openai',
    api_key: 'sk-provider',
    custom_host: baseURL,
  })
  const withConfig = (config: object) => ({ 'x-portkey-config': JSON.stringify(config) })

  it('one request of ours is one to the provider, and the count says so', async () => {
    const llm = wrapped(gateway, { gateway: 'portkey' }, plain)
    const answer = await llm.chat.completions.create(ask())
    expect(callReport(answer)?.attempts).toMatchObject([{ gatewayAttempts: 1, wireRequests: 1 }])
    main.reset({ script: Array(20).fill(serverError) })
    await rejection(llm.chat.completions.create(ask('failing')))
    expect(main.count).toBe(3)
  })

  it('retries that are all spent are counted: the header says -1', async () => {
    main.reset({ script: Array(20).fill(serverError) })
    const config = withConfig({ ...target(main), retry: { attempts: 2 } })
    const llm = wrapped(gateway, { gateway: 'portkey', maxAttempts: 1 }, config)
    const error = await rejection(llm.chat.completions.create(ask()))
    expect(main.count).toBe(3)
    expect(callReport(error)?.attempts).toMatchObject([{ gatewayAttempts: 3, wireRequests: 1 }])
  })

  it('a config with fallbacks of the caller’s own stays in force', async () => {
    main.reset({ script: Array(20).fill(serverError) })
    const config = withConfig({
      strategy: { mode: 'fallback' },
      targets: [target(main), target(spare)],
    })
    const kept = { gateway: { name: 'portkey', fallbacks: 'keep' } } as const
    const answer = await wrapped(gateway, kept, config).chat.completions.create(ask())
    expect(answer.choices[0]?.message.content).toBe('from the spare')
    expect([main.count, spare.count]).toEqual([1, 1])
  })

  it('is noticed where nobody named it, once', async () => {
    const messages: string[] = []
    const listen = (warning: Error) => messages.push(warning.message)
    process.on('warning', listen)
    const llm = wrapped(gateway, {}, plain)
    await llm.chat.completions.create(ask('one'))
    await llm.chat.completions.create(ask('two'))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', listen)
    expect(messages.filter((message) => message.includes("gateway: 'portkey'"))).toHaveLength(1)
  })

  it.each(ERRORS)('%s is judged as it is', async (kind, fault, more = {}) => {
    main.reset({ script: [fault] })
    const llm = wrapped(gateway, { gateway: 'portkey', maxAttempts: 1 }, plain)
    const error = await rejection(llm.json({ ...ask(), schema: { type: 'object' } }))
    expect(error).toMatchObject({ kind, ...more })
    expect(main.count).toBe(1)
  })
})
