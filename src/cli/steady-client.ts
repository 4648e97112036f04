import type OpenAI from 'openai'
import {
  type CallReport,
  callReport,
  parseJson,
  type Repair,
  type Runtime,
  type SteadyClient,
  steady,
} from '../index.ts'
import { INSTRUCTION, type Scenario, TICKET_SCHEMA } from './scenarios.ts'

/** The result of one call through the wrapped client. */
export interface SteadyOutcome {
  readonly report: CallReport
  readonly repairs: readonly Repair[]
  /** Whether the caller got a value that the schema accepts. */
  readonly valid: boolean
}

export interface TicketRequest {
  readonly model: string
  readonly text: string
  /** Identifies the call to a fault server. */
  readonly callId: string
  readonly signal: AbortSignal
}

/**
 * Asks for a ticket according to the scenario, through `steady(client)` in the given runtime.
 *
 * @throws any error without a report; failures of a call always have one.
 */
export async function askSteady(
  client: OpenAI,
  runtime: Runtime,
  scenario: Pick<Scenario, 'face' | 'options' | 'maxCompletionTokens'>,
  request: TicketRequest,
): Promise<SteadyOutcome> {
  const llm = steady(client, { runtime })
  try {
    return scenario.face === 'stream'
      ? await askStreamed(llm, scenario, request)
      : await askJson(llm, scenario, request)
  } catch (error) {
    const report = callReport(error)
    if (report === undefined) throw error
    return { report, repairs: [], valid: false }
  }
}

/** The request body, the same for both clients. */
export function ticketBody(
  { model, text }: Pick<TicketRequest, 'model' | 'text'>,
  { maxCompletionTokens }: Pick<Scenario, 'maxCompletionTokens'>,
): OpenAI.Chat.ChatCompletionCreateParamsNonStreaming {
  return {
    model,
    messages: [
      { role: 'system', content: INSTRUCTION },
      { role: 'user', content: text },
    ],
    ...(maxCompletionTokens !== undefined && { max_completion_tokens: maxCompletionTokens }),
  }
}

/** The header by which a fault server tells calls apart. */
export function callHeader(callId: string): { readonly 'x-fault-call': string } {
  return { 'x-fault-call': callId }
}

async function askJson(
  llm: SteadyClient<OpenAI>,
  scenario: Pick<Scenario, 'options' | 'maxCompletionTokens'>,
  request: TicketRequest,
): Promise<SteadyOutcome> {
  const { model, messages, max_completion_tokens } = ticketBody(request, scenario)
  const limit = max_completion_tokens === undefined ? {} : { max_completion_tokens }
  const result = await llm.json(
    { model, messages, ...limit, schema: TICKET_SCHEMA },
    {
      ...scenario.options,
      signal: request.signal,
      requestOptions: { headers: callHeader(request.callId) },
    },
  )
  return { report: reportOf(result), repairs: result.repairs, valid: true }
}

async function askStreamed(
  llm: SteadyClient<OpenAI>,
  scenario: Pick<Scenario, 'options' | 'maxCompletionTokens'>,
  request: TicketRequest,
): Promise<SteadyOutcome> {
  const stream = await llm.chat.completions.create(
    {
      ...ticketBody(request, scenario),
      stream: true,
      stream_options: { include_usage: true },
    },
    {
      headers: callHeader(request.callId),
      signal: request.signal,
      steady: scenario.options ?? {},
    },
  )
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  const { ok } = parseJson(text, TICKET_SCHEMA, { level: 'off' })
  return { report: reportOf(stream), repairs: [], valid: ok }
}

function reportOf(value: unknown): CallReport {
  const report = callReport(value)
  if (report === undefined) throw new Error('the call left no report')
  return report
}
