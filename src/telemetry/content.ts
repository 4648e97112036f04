import { isObject } from '../errors/hostile.ts'
/** Whether prompts and answers are recorded on the span, and how they are redacted. */
export interface ContentCapture {
  /**
   * Whether to capture content.
   * @default true if the environment variable `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `true`
   */
  readonly capture?: boolean | undefined
  /**
   * Receives a copy of the messages in OpenAI's format, and returns the array of messages to record. If it
   * throws, or returns anything else, no content is captured.
   */
  readonly redact?: ((messages: unknown) => unknown) | undefined
  /** The messages sent. */
  readonly messages?: unknown
}

/** Messages as one JSON string of at most 16 KiB in UTF-8. */
export interface CapturedMessages {
  readonly json: string
  /** Whether texts were cut or old messages dropped to make it fit. */
  readonly truncated: boolean
}

// The variable read by OpenTelemetry's own GenAI instrumentations.
const CAPTURE_VARIABLE = 'OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT'

/** Whether the user opted in to content on spans. */
export function capturesContent(content: ContentCapture | undefined): boolean {
  if (content?.capture !== undefined) return content.capture
  if (typeof process === 'undefined') return false
  return process.env[CAPTURE_VARIABLE]?.toLowerCase() === 'true'
}

/**
 * Converts OpenAI messages to the format that the semantic conventions define for `gen_ai.input.messages` and
 * `gen_ai.output.messages` (role and parts). Images, audio and files are named but not included. Undefined if
 * there is nothing to show. Throws whatever `redact` throws.
 */
export function captureMessages(
  messages: unknown,
  redact: ContentCapture['redact'],
): CapturedMessages | undefined {
  const visible = redact === undefined ? messages : redacted(messages, redact)
  if (!Array.isArray(visible) || visible.length === 0) return undefined
  return serialize(visible)
}

/** The messages of an answer: one per choice of a ChatCompletion; an array is returned unchanged. */
export function answerMessages(answer: unknown): unknown {
  const choices = field(answer, 'choices')
  if (!Array.isArray(choices)) return answer
  return choices.map((choice) => {
    const message = field(choice, 'message')
    return { ...(isObject(message) && message), finish_reason: field(choice, 'finish_reason') }
  })
}

function redacted(messages: unknown, redact: (messages: unknown) => unknown): unknown {
  // A copy, because a hook that edits in place must not change the request about to be sent.
  const result = redact(structuredClone(messages))
  if (result instanceof Promise) {
    // A promise is not an array, so nothing is captured, but its rejection must not crash the process.
    result.catch(() => undefined)
  }
  return result
}

const MAX_BYTES = 16_384
const SHORTEST_TEXT = 256
const MAX_MESSAGES = 1_000
const MAX_PARTS = 100
const encoder = new TextEncoder()

// Shortens long texts first, then drops the oldest messages: viewers need valid JSON, and the last messages
// say most about the answer.
function serialize(messages: readonly unknown[]): CapturedMessages | undefined {
  let kept = messages.slice(-MAX_MESSAGES)
  let maxText = MAX_BYTES
  while (kept.length > 0) {
    const shortener = new Shortener(maxText)
    const json = JSON.stringify(kept.map((message) => toMessage(message, shortener)))
    if (encoder.encode(json).length <= MAX_BYTES) {
      return { json, truncated: shortener.used || kept.length < messages.length }
    }
    if (maxText > SHORTEST_TEXT) maxText /= 4
    else kept = kept.slice(Math.ceil(kept.length / 2))
  }
  return undefined
}

class Shortener {
  used = false
  readonly #maxText: number

  constructor(maxText: number) {
    this.#maxText = maxText
  }

  text(value: unknown): string | undefined {
    if (typeof value !== 'string') return undefined
    if (value.length <= this.#maxText) return value
    this.used = true
    return value.slice(0, this.#maxText)
  }

  list(values: readonly unknown[]): readonly unknown[] {
    if (values.length <= MAX_PARTS) return values
    this.used = true
    return values.slice(0, MAX_PARTS)
  }
}

type MessagePart = Readonly<Record<string, string | undefined>>

function toMessage(message: unknown, shortener: Shortener): unknown {
  const role = shortener.text(field(message, 'role'))
  const parts =
    role === 'tool' ? [toolResponse(message, shortener)] : messageParts(message, shortener)
  return { role, parts, finish_reason: shortener.text(field(message, 'finish_reason')) }
}

function toolResponse(message: unknown, shortener: Shortener): MessagePart {
  const content = field(message, 'content')
  const response = Array.isArray(content)
    ? shortener
        .list(content)
        .map((part) => field(part, 'text'))
        .join('')
    : content
  return {
    type: 'tool_call_response',
    id: shortener.text(field(message, 'tool_call_id')),
    response: shortener.text(response),
  }
}

function messageParts(message: unknown, shortener: Shortener): readonly MessagePart[] {
  const content = field(message, 'content')
  const refusal = field(message, 'refusal')
  const toolCalls = field(message, 'tool_calls')
  const parts: MessagePart[] = []
  if (typeof content === 'string') parts.push({ type: 'text', content: shortener.text(content) })
  if (Array.isArray(content)) {
    parts.push(...shortener.list(content).map((part) => contentPart(part, shortener)))
  }
  if (typeof refusal === 'string') parts.push({ type: 'refusal', content: shortener.text(refusal) })
  if (Array.isArray(toolCalls)) {
    parts.push(...shortener.list(toolCalls).map((call) => toolCall(call, shortener)))
  }
  return parts
}

function contentPart(part: unknown, shortener: Shortener): MessagePart {
  return {
    type: shortener.text(field(part, 'type')) ?? 'unknown',
    content: shortener.text(field(part, 'text')),
  }
}

function toolCall(call: unknown, shortener: Shortener): MessagePart {
  const called = field(call, 'function') ?? field(call, 'custom')
  return {
    type: 'tool_call',
    id: shortener.text(field(call, 'id')),
    name: shortener.text(field(called, 'name')),
    arguments: shortener.text(field(called, 'arguments') ?? field(called, 'input')),
  }
}

/** A property of an untrusted value. */
export function field(value: unknown, name: string): unknown {
  return isObject(value) ? Reflect.get(value, name) : undefined
}
