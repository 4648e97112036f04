import OpenAI from 'openai'
import { createRuntime } from '../index.ts'
import { type CommandContext, UsageError } from './command.ts'
import { endingOf, explainCall } from './explain.ts'
import type { FinishedCall } from './results.ts'
import { LIVE_TICKETS } from './scenarios.ts'
import { askSteady } from './steady-client.ts'

const DEFAULT_MODEL = 'gpt-5-mini'

/** A real provider, and the model to use. */
export interface LiveProvider {
  readonly client: OpenAI
  readonly model: string
}

/**
 * The provider configured in the environment: OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL.
 *
 * @throws UsageError if OPENAI_API_KEY is not set.
 */
export function liveProvider(env: CommandContext['env']): LiveProvider {
  const apiKey = env['OPENAI_API_KEY']
  if (!apiKey) {
    throw new UsageError(
      '--live calls a real provider: set OPENAI_API_KEY (and OPENAI_BASE_URL unless it is OpenAI)',
    )
  }
  // null, because with undefined the SDK would read OPENAI_BASE_URL from the process's own environment.
  const client = new OpenAI({ apiKey, baseURL: env['OPENAI_BASE_URL'] || null, logLevel: 'off' })
  return { client, model: env['OPENAI_MODEL'] || DEFAULT_MODEL }
}

/** Extracts a few tickets with a real provider, all at the same time in one runtime. */
export async function askLive(
  { client, model }: LiveProvider,
  random: () => number,
  { signal, terminal }: CommandContext,
): Promise<readonly FinishedCall[]> {
  const runtime = createRuntime({ random })
  let done = 0
  const results = await Promise.all(
    LIVE_TICKETS.map(async ({ name, text }): Promise<FinishedCall> => {
      const callId = `live/${name}`
      const outcome = await askSteady(client, runtime, {}, { model, text, callId, signal })
      done += 1
      terminal.progress(`  ${done} of ${LIVE_TICKETS.length} calls …`)
      return {
        ...outcome,
        name,
        expected: 'success',
        ending: endingOf(outcome),
        explanation: explainCall(outcome),
        requests: outcome.report.attempts.reduce((sum, one) => sum + (one.wireRequests ?? 1), 0),
      }
    }),
  )
  signal.throwIfAborted()
  return results
}
