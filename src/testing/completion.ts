/** One message of a request; only `role` and `content` are read. */
export interface ChatMessage {
  readonly role: string
  readonly content?: unknown
  readonly [name: string]: unknown
}

/** The body of a chat completion request that the server has accepted. */
export interface ChatBody {
  readonly model: string
  readonly messages: readonly ChatMessage[]
  readonly stream?: boolean | null
  readonly stream_options?: unknown
  readonly response_format?: unknown
  readonly n?: unknown
  readonly [name: string]: unknown
}

/** Whether OpenAI, too, would accept this as a chat completion request. */
export function isChatBody(value: unknown): value is ChatBody {
  if (!isRecord(value)) return false
  const { model, messages, stream } = value
  return (
    typeof model === 'string' &&
    typeof (stream ?? false) === 'boolean' &&
    Array.isArray(messages) &&
    messages.length > 0 &&
    messages.every((message) => isRecord(message) && typeof field(message, 'role') === 'string')
  )
}

/** True for an object that is not an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A field of a value that need not be an object. */
export function field(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

/** The `finish_reason` of a choice. */
export type FinishReason = 'stop' | 'length' | 'content_filter' | 'tool_calls'

/** The contents of a completion. Everything left out is as in a plain good answer. */
export interface CompletionInit {
  /** The assistant's text. `null` means no text, as with a refusal or a tool call. */
  readonly content?: string | null
  readonly refusal?: string
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: string }[]
  /** @default 'tool_calls' with `toolCalls`, else 'stop' */
  readonly finishReason?: FinishReason
  /** Number of choices, each with the same message. @default the request's `n`, or 1 */
  readonly choices?: number
}

interface ToolCall {
  readonly id: string
  readonly type: 'function'
  readonly function: { readonly name: string; readonly arguments: string }
}

/** The assistant's message of a completion. */
interface Message {
  readonly role: 'assistant'
  readonly content: string | null
  readonly refusal: string | null
  readonly annotations: readonly never[]
  readonly tool_calls?: readonly ToolCall[]
}

/** The `chat.completion` object of the OpenAI API reference, as sent by the server. */
export interface Completion {
  readonly id: string
  readonly object: 'chat.completion'
  readonly created: number
  readonly model: string
  readonly system_fingerprint: string
  readonly service_tier: 'default'
  readonly choices: readonly {
    readonly index: number
    readonly message: Message
    readonly logprobs: null
    readonly finish_reason: FinishReason
  }[]
  readonly usage: CompletionUsage
}

/** Estimated at four characters per token and at least one, so that tests can check totals. */
interface CompletionUsage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

/** Builds the completion for a request. `id` and `createdMs` come from the server. */
export function buildCompletion(
  body: ChatBody,
  init: CompletionInit,
  origin: { readonly id: string; readonly createdMs: number },
): Completion {
  const toolCalls = init.toolCalls?.map(
    (call, index): ToolCall => ({
      id: `call_${origin.id}_${index}`,
      type: 'function',
      function: { name: call.name, arguments: call.arguments },
    }),
  )
  const message: Message = {
    role: 'assistant',
    content: init.content ?? null,
    refusal: init.refusal ?? null,
    annotations: [],
    ...(toolCalls && { tool_calls: toolCalls }),
  }
  const finishReason = init.finishReason ?? (toolCalls ? 'tool_calls' : 'stop')
  const count = init.choices ?? choicesAskedFor(body)
  return {
    id: origin.id,
    object: 'chat.completion',
    created: Math.floor(origin.createdMs / 1000),
    model: body.model,
    system_fingerprint: 'fp_fault_server',
    service_tier: 'default',
    choices: Array.from({ length: count }, (_, index) => ({
      index,
      message,
      logprobs: null,
      finish_reason: finishReason,
    })),
    usage: usageOf(body, message, count),
  }
}

/**
 * The completion as the server-sent events of a stream: for each choice a chunk with the role, then the text in
 * pieces of eight characters, then the finish reason; finally the usage, if the request sets
 * `stream_options.include_usage`, and `[DONE]`.
 */
export function toEvents(completion: Completion, body: ChatBody): CompletionEvents {
  const wantsUsage = field(body.stream_options, 'include_usage') === true
  const { id, created, model, system_fingerprint, service_tier, choices, usage } = completion
  const chunk = (chunkChoices: readonly unknown[], chunkUsage: CompletionUsage | null = null) =>
    event({
      id,
      object: 'chat.completion.chunk',
      created,
      model,
      service_tier,
      system_fingerprint,
      choices: chunkChoices,
      ...(wantsUsage && { usage: chunkUsage }),
    })
  const delta = (index: number, fields: object, finishReason: FinishReason | null = null) =>
    chunk([{ index, delta: fields, logprobs: null, finish_reason: finishReason }])

  return {
    head: choices.map(({ index }) =>
      delta(index, { role: 'assistant', content: '', refusal: null }),
    ),
    content: choices.flatMap(({ index, message }) =>
      contentDeltas(message).map((fields) => delta(index, fields)),
    ),
    tail: [
      ...choices.map((choice) => delta(choice.index, {}, choice.finish_reason)),
      ...(wantsUsage ? [chunk([], usage)] : []),
      'data: [DONE]\n\n',
    ],
  }
}

/** The events of a stream, in the order they are sent. */
export interface CompletionEvents {
  /** One event per choice with the role, without content. */
  readonly head: readonly string[]
  /** The text, refusal or tool calls, in pieces. */
  readonly content: readonly string[]
  /** Finish reasons, usage if requested, `[DONE]`. */
  readonly tail: readonly string[]
}

/** One server-sent event (WHATWG HTML, section 9.2) with this payload. */
export function event(payload: unknown): string {
  return `data: ${JSON.stringify(payload)}\n\n`
}

const PIECE_CHARACTERS = 8

function contentDeltas(message: Message): object[] {
  return [
    ...pieces(message.content ?? '').map((content) => ({ content })),
    ...pieces(message.refusal ?? '').map((refusal) => ({ refusal })),
    ...(message.tool_calls ?? []).flatMap(({ id, type, function: called }, index) => [
      { tool_calls: [{ index, id, type, function: { name: called.name, arguments: '' } }] },
      ...pieces(called.arguments).map((text) => ({
        tool_calls: [{ index, function: { arguments: text } }],
      })),
    ]),
  ]
}

/** Cut between code points, so that no piece contains a lone surrogate. */
function pieces(text: string): string[] {
  const points = Array.from(text)
  return Array.from({ length: Math.ceil(points.length / PIECE_CHARACTERS) }, (_, index) =>
    points.slice(index * PIECE_CHARACTERS, (index + 1) * PIECE_CHARACTERS).join(''),
  )
}

// OpenAI's own upper limit for `n`.
const MAX_CHOICES = 128

function choicesAskedFor(body: ChatBody): number {
  const { n } = body
  return typeof n === 'number' && Number.isInteger(n) && n >= 1 && n <= MAX_CHOICES ? n : 1
}

function usageOf(body: ChatBody, message: Message, choices: number): CompletionUsage {
  const called = message.tool_calls?.map((call) => call.function.arguments) ?? []
  const prompt = tokens(JSON.stringify(body.messages))
  const completion = choices * tokens([message.content, message.refusal, ...called].join(''))
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  }
}

const tokens = (text: string): number => Math.max(1, Math.ceil(text.length / 4))
