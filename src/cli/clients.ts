import OpenAI from 'openai'
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

/** Why the caller of the bare client did not get a valid value. */
export type BareProblem =
  | { readonly kind: 'http'; readonly status: number; readonly code?: string }
  /** `typed`: thrown as the SDK's own connection error, which callers know how to catch. */
  | { readonly kind: 'connection'; readonly typed: boolean }
  | { readonly kind: 'error-body' | 'no-choices' | 'refusal' | 'silent-end' }
  | { readonly kind: 'hung'; readonly afterMs: number }
  | { readonly kind: 'not-json'; readonly cut: boolean }
  | { readonly kind: 'wrong-shape' }

/** The result of a call without steadycall. */
export interface BareAnswer {
  /** Absent if the caller got a value that the schema accepts. */
  readonly problem?: BareProblem
  /** Tokens of the completion received; 0 if there was none. */
  readonly inputTokens: number
  readonly outputTokens: number
}

/**
 * Sends the same request through the plain openai client with its defaults: `create`, `JSON.parse` and a schema
 * check, as most code does. Never rejects.
 */
export async function askBare(
  client: OpenAI,
  scenario: Scenario,
  request: TicketRequest,
): Promise<BareAnswer> {
  const { barePatienceMs } = scenario
  const patience = barePatienceMs === undefined ? [] : [AbortSignal.timeout(barePatienceMs)]
  const options = {
    headers: callHeader(request.callId),
    signal: AbortSignal.any([request.signal, ...patience]),
  }
  const body = ticketBody(request, scenario)
  try {
    if (scenario.face !== 'stream')
      return judge(await client.chat.completions.create(body, options))
    const stream = await client.chat.completions.create({ ...body, stream: true }, options)
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    return withProblem(text === '' ? { kind: 'silent-end' } : problemOf(text, undefined))
  } catch (error) {
    const hung = barePatienceMs !== undefined && patience.some(({ aborted }) => aborted)
    return withProblem(hung ? { kind: 'hung', afterMs: barePatienceMs } : thrown(error))
  }
}

function judge(completion: OpenAI.Chat.ChatCompletion): BareAnswer {
  const tokens = {
    inputTokens: completion.usage?.prompt_tokens ?? 0,
    outputTokens: completion.usage?.completion_tokens ?? 0,
  }
  // Typed as an array, but absent in a gateway's error under status 200.
  const choices: unknown = completion.choices
  if (!Array.isArray(choices)) return { ...tokens, problem: { kind: 'error-body' } }
  const choice = completion.choices[0]
  if (choice === undefined) return { ...tokens, problem: { kind: 'no-choices' } }
  if (choice.message.refusal) return { ...tokens, problem: { kind: 'refusal' } }
  const problem = problemOf(choice.message.content ?? '', choice.finish_reason)
  return problem === undefined ? tokens : { ...tokens, problem }
}

function problemOf(text: string, finishReason: string | undefined): BareProblem | undefined {
  const parsed = parseJson(text, TICKET_SCHEMA, { level: 'off' })
  if (parsed.ok) return undefined
  if (parsed.kind === 'schema_mismatch') return { kind: 'wrong-shape' }
  return { kind: 'not-json', cut: finishReason === 'length' }
}

function withProblem(problem: BareProblem | undefined): BareAnswer {
  return { inputTokens: 0, outputTokens: 0, ...(problem !== undefined && { problem }) }
}

function thrown(error: unknown): BareProblem {
  if (error instanceof OpenAI.APIError && error.status !== undefined) {
    const { status, code } = error
    return { kind: 'http', status, ...(typeof code === 'string' && { code }) }
  }
  return { kind: 'connection', typed: error instanceof OpenAI.APIConnectionError }
}

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
function ticketBody(
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
function callHeader(callId: string): { readonly 'x-fault-call': string } {
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
