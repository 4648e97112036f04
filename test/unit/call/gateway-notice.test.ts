import { describe, expect, it, onTestFinished } from 'vitest'
import { createRuntime, type SteadyOptions, steady } from '../../../src/index.ts'
import { type Fault, httpError, ok } from '../../../src/testing/index.ts'
import { ask, clientFor, startServer } from '../../support/set-up.ts'

/** A good answer with more headers. */
function okWith(headers: Readonly<Record<string, string>>): Fault {
  return {
    name: 'ok through a gateway',
    apply(exchange) {
      for (const [name, value] of Object.entries(headers)) exchange.response.setHeader(name, value)
      exchange.complete()
    },
  }
}

/** The messages of the warnings about gateways that come from now on. */
function gatewayWarnings(): readonly string[] {
  const messages: string[] = []
  const listen = (warning: Error & { code?: string }) => {
    if (warning.code === 'STEADYCALL_GATEWAY_NOT_NAMED') messages.push(warning.message)
  }
  process.on('warning', listen)
  onTestFinished(() => void process.off('warning', listen))
  return messages
}

async function callsThrough(
  script: readonly Fault[],
  options: SteadyOptions = {},
  defaultHeaders: Readonly<Record<string, string>> = {},
): Promise<readonly string[]> {
  const warnings = gatewayWarnings()
  const server = await startServer({ script: [...script] })
  const client = clientFor(server, { defaultHeaders })
  const llm = steady(client, { runtime: createRuntime({ random: () => 0 }), ...options })
  for (const [index] of script.entries()) {
    await llm.chat.completions.create(ask(`call ${index}`)).catch(() => {})
  }
  // Node emits warnings on the next tick.
  await new Promise((resolve) => setImmediate(resolve))
  return warnings
}

describe('a gateway that nobody named', () => {
  it.each([
    ['litellm', { 'x-litellm-call-id': 'c' }],
    ['portkey', { 'x-portkey-trace-id': 't' }],
    ['cloudflare', { 'cf-aig-log-id': 'l' }],
    ['openrouter', { 'x-generation-id': 'gen-1' }],
  ])('%s: is warned about once, by its name and the option', async (name, headers) => {
    const [warning, ...more] = await callsThrough([okWith(headers), okWith(headers)])
    expect(warning).toContain(`gateway: '${name}'`)
    expect(warning).toContain(`gateway: { name: '${name}', fallbacks: 'keep' }`)
    expect(more).toEqual([])
  })

  it('is seen in a failure too, behind one of something else', async () => {
    const body = { error: { message: 'no' } }
    const script = [httpError(400, body), httpError(400, body, { 'x-litellm-version': '1.108.7' })]
    expect(await callsThrough(script)).toHaveLength(1)
  })

  it('is not warned about twice by two clients of a runtime', async () => {
    const runtime = createRuntime()
    const script = [okWith({ 'x-litellm-version': '1' })]
    expect(await callsThrough(script, { runtime })).toHaveLength(1)
    expect(await callsThrough(script, { runtime })).toEqual([])
  })

  it('is not warned about where a gateway is named, whatever is done with its fallbacks', async () => {
    const script = [okWith({ 'x-litellm-version': '1' })]
    expect(await callsThrough(script, { gateway: 'litellm' })).toEqual([])
    const kept = { gateway: { name: 'litellm', fallbacks: 'keep' } } as const
    expect(await callsThrough(script, kept)).toEqual([])
  })

  it.each([
    [
      'litellm is told by the caller',
      { 'x-litellm-version': '1' },
      { 'X-LiteLLM-Num-Retries': '0' },
    ],
    ['litellm says that none is allowed', { 'x-litellm-max-retries': '0' }, {}],
    [
      'portkey gets a config of the caller',
      { 'x-portkey-trace-id': 't' },
      { 'x-portkey-config': 'pc-1' },
    ],
    ['helicone was not asked to retry', { 'helicone-id': 'h' }, {}],
    ['cloudflare is told by the caller', { 'cf-aig-log-id': 'l' }, { 'cf-aig-max-attempts': '1' }],
  ])('is not warned about where its retries seem to be seen to: %s', async (_, headers, sent) => {
    expect(await callsThrough([okWith(headers)], {}, sent)).toEqual([])
  })

  it('helicone: is warned about where it was asked to retry', async () => {
    const sent = { 'helicone-retry-enabled': 'true' }
    expect(await callsThrough([okWith({ 'helicone-id': 'h' })], {}, sent)).toHaveLength(1)
  })

  it('is not seen in headers of a provider', async () => {
    const others = { 'cf-ray': 'r', 'x-request-id': 'q', 'x-generation-id': '8f7a' }
    expect(await callsThrough([ok(), okWith(others)])).toEqual([])
  })
})
