import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import OpenAI from 'openai'
import { createRuntime, type SteadyClient, type SteadyOptions, steady } from 'steadycall'
import { type Fault, httpError } from 'steadycall/testing'
import { vi } from 'vitest'

/** A gateway that runs as a process of its own. */
export interface RunningGateway {
  readonly baseURL: string
  stop(): Promise<void>
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** Starts it, and waits until `healthPath` is answered. */
export async function startGateway(
  command: string,
  args: readonly string[],
  { port, healthPath }: { readonly port: number; readonly healthPath: string },
  env: Readonly<Record<string, string>> = {},
): Promise<RunningGateway> {
  const child = spawn(command, args, { stdio: 'ignore', env: { ...process.env, ...env } })
  const origin = `http://127.0.0.1:${port}`
  const isUp = async () => {
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}`)
    return (await fetch(`${origin}${healthPath}`).catch(() => undefined))?.ok
  }
  await vi.waitUntil(isUp, { timeout: 240_000, interval: 250 })
  return { baseURL: `${origin}/v1`, stop: () => ended(child) }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}

/** A wrapped client of a gateway, in a runtime of its own. */
export function wrapped(
  { baseURL }: RunningGateway,
  options: SteadyOptions = {},
  defaultHeaders: Readonly<Record<string, string>> = {},
): SteadyClient<OpenAI> {
  const client = new OpenAI({ apiKey: 'sk-test', baseURL, defaultHeaders })
  return steady(client, {
    runtime: createRuntime({ random: () => 0 }),
    limits: 'off',
    ...options,
  })
}

export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}

export const serverError: Fault = httpError(500, {
  error: { message: 'The server had an error while processing your request', type: 'server_error' },
})

/** Errors of OpenAI, with what is to be seen of them through a gateway. */
export const ERRORS: readonly (readonly [
  kind: string,
  fault: Fault,
  more?: Readonly<Record<string, unknown>>,
])[] = [
  [
    'rate_limit',
    openaiError(
      429,
      'rate_limit_exceeded',
      'Rate limit reached for gpt-test on requests per min (RPM): Limit 3',
      {
        'retry-after': '70',
      },
    ),
    { retryAfterMs: 70_000 },
  ],
  [
    'quota_exhausted',
    openaiError(
      429,
      'insufficient_quota',
      'You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.',
    ),
  ],
  ['server_error', serverError],
  [
    'overloaded',
    openaiError(503, null, 'The engine is currently overloaded, please try again later', {
      'retry-after': '80',
    }),
    { retryAfterMs: 80_000 },
  ],
  [
    'context_length',
    openaiError(
      400,
      'context_length_exceeded',
      "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    ),
  ],
  ['auth', openaiError(401, 'invalid_api_key', 'Incorrect API key provided: sk-x.')],
  [
    'content_filter',
    openaiError(
      400,
      'content_filter',
      "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    ),
  ],
  [
    'invalid_request',
    openaiError(
      400,
      null,
      "Invalid schema for response_format 'x': schema must be a JSON Schema of 'type: \"object\"'",
    ),
  ],
  [
    'not_found',
    openaiError(
      404,
      'model_not_found',
      'The model `gpt-test` does not exist or you do not have access to it.',
    ),
  ],
]

function openaiError(
  status: number,
  code: string | null,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Fault {
  const type = code === 'insufficient_quota' ? code : 'invalid_request_error'
  return httpError(status, { error: { message, type, param: null, code } }, headers)
}
